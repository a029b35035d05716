package kubernetes

import (
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
)

const token = "t0ps3cret.service.account"

// cluster answers as a Kubernetes API server does for the calls that are made here: merge patches that are refused with
// 409 if their resourceVersion is not the newest, generations, and controllers that follow spec.replicas by making pods
// and ending them, which takes as long as the test says.
type cluster struct {
	*httptest.Server
	dir string // CA and token

	mu        sync.Mutex
	version   int
	objects   map[string]*object // path of the API → workload
	pods      []*pod
	stuck     bool                    // pods end only when it is unset
	unready   bool                    // pods never get ready
	meanwhile func(o *object, n int)  // called before the nth patch is judged
	patches   []string                // as they came
	fail      func(*http.Request) int // a status; 0: no
	settled   func(o *object)         // called after the controller worked
}

type object struct {
	app                            string
	replicas, generation, observed int
	version                        string
	annotations                    map[string]string
}

type pod struct {
	app    string
	ending bool
	phase  string
}

func newCluster(t *testing.T, replicas map[string]int) *cluster {
	t.Helper()
	c := &cluster{dir: t.TempDir(), objects: map[string]*object{}}
	for ref, n := range replicas {
		kind, name, _ := strings.Cut(ref, "/")
		o := &object{app: name, replicas: n, generation: 1, annotations: map[string]string{"team": "harbor"}}
		c.objects["/apis/apps/v1/namespaces/shop/"+kind+"s/"+name] = o
		c.touch(o)
		c.control(o)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /apis/apps/v1/namespaces/{ns}/{resource}/{name}", c.handle(c.get))
	mux.HandleFunc("PATCH /apis/apps/v1/namespaces/{ns}/{resource}/{name}", c.handle(c.patch))
	mux.HandleFunc("GET /api/v1/namespaces/shop/pods", c.handle(c.listPods))
	c.Server = httptest.NewTLSServer(mux)
	t.Cleanup(c.Close)
	c.write(t, "ca.crt", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Certificate().Raw}))
	c.write(t, "token", []byte(token+"\n"))
	return c
}

func (c *cluster) write(t *testing.T, name string, text []byte) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(c.dir, name), text, 0o600); err != nil {
		t.Fatal(err)
	}
}

func refuse(w http.ResponseWriter, status int, reason, format string, args ...any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(map[string]any{"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason, "code": status, "message": fmt.Sprintf(format, args...)})
}

func (c *cluster) handle(next func(http.ResponseWriter, *http.Request)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		c.mu.Lock()
		defer c.mu.Unlock()
		if r.Header.Get("Authorization") != "Bearer "+token && len(r.TLS.PeerCertificates) == 0 {
			refuse(w, http.StatusUnauthorized, "Unauthorized", "Unauthorized")
			return
		}
		if c.fail != nil {
			if status := c.fail(r); status != 0 {
				refuse(w, status, "Forbidden", "%s is forbidden: User \"system:serviceaccount:shop:safepoint\" cannot do this", r.URL.Path)
				return
			}
		}
		next(w, r)
	}
}

func (c *cluster) find(w http.ResponseWriter, r *http.Request) *object {
	o := c.objects[r.URL.Path]
	if o == nil {
		refuse(w, http.StatusNotFound, "NotFound", "%s %q not found", r.PathValue("resource"), r.PathValue("name"))
	}
	return o
}

func (c *cluster) touch(o *object) {
	c.version++
	o.version = strconv.Itoa(c.version)
}

func (c *cluster) get(w http.ResponseWriter, r *http.Request) {
	o := c.find(w, r)
	if o == nil {
		return
	}
	c.control(o)
	c.show(w, o)
}

func (c *cluster) show(w http.ResponseWriter, o *object) {
	live, ready := 0, 0
	for _, p := range c.pods {
		if p.app == o.app && !p.ending {
			live++
			if !c.unready {
				ready++
			}
		}
	}
	json.NewEncoder(w).Encode(map[string]any{
		"metadata": map[string]any{"resourceVersion": o.version, "generation": o.generation, "annotations": o.annotations},
		"spec":     map[string]any{"replicas": o.replicas, "selector": map[string]any{"matchLabels": map[string]string{"app": o.app}}},
		"status":   map[string]any{"observedGeneration": o.observed, "replicas": live, "readyReplicas": ready},
	})
}

func (c *cluster) patch(w http.ResponseWriter, r *http.Request) {
	o := c.find(w, r)
	if o == nil {
		return
	}
	if r.Header.Get("Content-Type") != "application/merge-patch+json" {
		refuse(w, http.StatusUnsupportedMediaType, "UnsupportedMediaType", "wrong type")
		return
	}
	var p struct {
		Metadata struct {
			ResourceVersion string
			Annotations     map[string]*string
		}
		Spec struct{ Replicas *int }
	}
	if err := json.NewDecoder(r.Body).Decode(&p); err != nil {
		refuse(w, http.StatusBadRequest, "BadRequest", "%v", err)
		return
	}
	c.patches = append(c.patches, o.app)
	if c.meanwhile != nil {
		c.meanwhile(o, len(c.patches))
	}
	if v := p.Metadata.ResourceVersion; v != "" && v != o.version {
		refuse(w, http.StatusConflict, "Conflict", "the object has been modified; please apply your changes to the latest version and try again")
		return
	}
	for k, v := range p.Metadata.Annotations {
		if v == nil {
			delete(o.annotations, k)
		} else {
			o.annotations[k] = *v
		}
	}
	if n := p.Spec.Replicas; n != nil && *n != o.replicas {
		o.replicas = *n
		o.generation++
	}
	c.touch(o)
	c.show(w, o)
}

// control is one round of a controller and the kubelets: it is behind a change until then.
func (c *cluster) control(o *object) {
	n := 0
	var kept []*pod
	for _, p := range c.pods {
		if p.app == o.app && !p.ending {
			if n++; n > o.replicas {
				p.ending = true
			}
		} else if p.app == o.app && !c.stuck {
			continue // it was asked to end before, and has
		}
		kept = append(kept, p)
	}
	for ; n < o.replicas; n++ {
		kept = append(kept, &pod{app: o.app, phase: "Running"})
	}
	c.pods = kept
	if o.observed != o.generation {
		o.observed = o.generation
		c.touch(o)
	}
	if c.settled != nil {
		c.settled(o)
	}
}

func (c *cluster) listPods(w http.ResponseWriter, r *http.Request) {
	items := []any{}
	for _, p := range c.pods {
		if r.URL.Query().Get("labelSelector") == "app="+p.app {
			items = append(items, map[string]any{"status": map[string]string{"phase": p.phase}})
		}
	}
	items = append(items, map[string]any{"status": map[string]string{"phase": "Succeeded"}}) // of long ago
	json.NewEncoder(w).Encode(map[string]any{"items": items})
}

// count is the pods that still work.
func (c *cluster) count(app string) (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, p := range c.pods {
		if p.app == app {
			n++
		}
	}
	return n
}

func (c *cluster) object(ref string) *object {
	kind, name, _ := strings.Cut(ref, "/")
	return c.objects["/apis/apps/v1/namespaces/shop/"+kind+"s/"+name]
}
