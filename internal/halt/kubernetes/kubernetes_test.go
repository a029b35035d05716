package kubernetes

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/halt"
	"github.com/safepoint-db/safepoint/internal/halt/halttest"
)

func (c *cluster) service(timeout time.Duration, workloads ...string) safepoint.Service {
	return safepoint.Service{Name: "Shop", Kind: safepoint.ServiceKubernetes, Timeout: timeout, Operator: &safepoint.HostService{
		Kubernetes: &safepoint.KubernetesService{Server: c.URL, CAFile: filepath.Join(c.dir, "ca.crt"), TokenFile: filepath.Join(c.dir, "token"), Namespace: "shop", Workloads: workloads},
	}}
}

func halter(t *testing.T, s safepoint.Service) *Halter {
	t.Helper()
	h, err := New(s)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func TestHalter(t *testing.T) {
	halttest.Run(t, func(t *testing.T) halttest.Service {
		c := newCluster(t, map[string]int{"deployment/web": 3, "statefulset/queue": 1})
		return halttest.Service{
			Name: "Shop", Secret: token,
			New: func(t *testing.T, timeout time.Duration) halt.Halter {
				return halter(t, c.service(timeout, "deployment/web", "statefulset/queue"))
			},
			Works: func(context.Context) error {
				if web, queue := c.count("web"), c.count("queue"); web != 3 || queue != 1 {
					return fmt.Errorf("%d of web, %d of queue", web, queue)
				}
				return nil
			},
			Stick: func(*testing.T) func() {
				set := func(stuck bool) {
					c.mu.Lock()
					c.stuck = stuck
					c.mu.Unlock()
				}
				set(true)
				return func() {
					set(false)
					c.mu.Lock()
					defer c.mu.Unlock()
					for _, o := range c.objects {
						c.control(o)
					}
				}
			},
			Gone: func(t *testing.T, timeout time.Duration) halt.Halter {
				s := c.service(timeout, "deployment/web")
				dead := newCluster(t, nil)
				dead.Close()
				s.Operator.Kubernetes.Server = dead.URL
				return halter(t, s)
			},
		}
	})
}

// The number before is where the workload is, written by the same patch; it survives a caller that has lost its memory, and
// leaves nothing behind.
func TestAnnotation(t *testing.T) {
	c := newCluster(t, map[string]int{"deployment/web": 4, "deployment/batch": 0})
	h := halter(t, c.service(10*time.Second, "deployment/web", "deployment/batch"))
	st, err := h.Probe(t.Context())
	if err != nil || st.Condition != halt.Running || st.Detail != "1 of 2 workloads run." {
		t.Fatalf("probe: %+v, %v", st, err)
	}
	if err := h.Halt(t.Context(), halt.Request{OperationID: "op_1", Prior: st.Prior}); err != nil {
		t.Fatal(err)
	}
	web, batch := c.object("deployment/web"), c.object("deployment/batch")
	if web.annotations[ReplicasBefore] != "4" || web.annotations[OperationOf] != "op_1" || len(c.patches) != 1 || len(batch.annotations) != 1 {
		t.Errorf("annotations %v and %v after %d patches", web.annotations, batch.annotations, len(c.patches))
	}
	for _, prior := range []string{"", st.Prior} {
		err := halter(t, c.service(10*time.Second, "deployment/web")).Resume(t.Context(), halt.Request{Prior: prior})
		if err != nil || web.replicas != 4 || len(web.annotations) != 1 {
			t.Errorf("with %q: %v; %d replicas, %v", prior, err, web.replicas, web.annotations)
		}
	}
	if err := h.Resume(t.Context(), halt.Request{Prior: st.Prior}); err != nil || batch.replicas != 0 {
		t.Errorf("batch has %d replicas: %v", batch.replicas, err)
	}
}

// Where the annotation is gone, what the restore wrote down before is used; where that is missing, too, a person is asked.
func TestWithoutAnnotation(t *testing.T) {
	c := newCluster(t, map[string]int{"deployment/web": 2})
	h := halter(t, c.service(5*time.Second, "deployment/web"))
	st, err := h.Probe(t.Context())
	if err == nil {
		err = h.Halt(t.Context(), halt.Request{Prior: st.Prior})
	}
	if err != nil {
		t.Fatal(err)
	}
	web := c.object("deployment/web")
	delete(web.annotations, ReplicasBefore)
	if err := h.Resume(t.Context(), halt.Request{}); safepoint.ErrorCode(err) != safepoint.CodeHalt || !strings.Contains(err.Error(), "nobody remembers") {
		t.Errorf("got %v", err)
	}
	if err := h.Resume(t.Context(), halt.Request{Prior: st.Prior}); err != nil || web.replicas != 2 {
		t.Errorf("%d replicas: %v", web.replicas, err)
	}
}

// An autoscaler may change the number between our look and our patch: the newer number is what is remembered.
func TestConflict(t *testing.T) {
	c := newCluster(t, map[string]int{"deployment/web": 2})
	c.meanwhile = func(o *object, n int) {
		if n == 1 {
			o.replicas, o.generation = 5, o.generation+1
			c.touch(o)
		}
	}
	h := halter(t, c.service(10*time.Second, "deployment/web"))
	if err := h.Halt(t.Context(), halt.Request{Prior: `["deployment/web=2"]`}); err != nil {
		t.Fatal(err)
	}
	web := c.object("deployment/web")
	if len(c.patches) != 2 || web.annotations[ReplicasBefore] != "5" || c.count("web") != 0 {
		t.Errorf("%d patches, %v, %d pods", len(c.patches), web.annotations, c.count("web"))
	}
	if err := h.Resume(t.Context(), halt.Request{Prior: `["deployment/web=2"]`}); err != nil || web.replicas != 5 {
		t.Errorf("%d replicas, %v", web.replicas, err)
	}
}

func TestRefusals(t *testing.T) {
	c := newCluster(t, map[string]int{"deployment/web": 1})
	expect := func(what string, err error, code safepoint.Code, words string) {
		t.Helper()
		if u := safepoint.UserError(err); err == nil || u.Code != code || !strings.Contains(u.Message+" "+u.Hint, words) || strings.Contains(err.Error(), token) {
			t.Errorf("%s: %v, want %s %q", what, err, code, words)
		}
	}
	h := halter(t, c.service(time.Second, "deployment/web"))
	_, err := halter(t, c.service(time.Second, "deployment/nobody")).Probe(t.Context())
	expect("no such workload", err, safepoint.CodeHalt, "\"nobody\" not found")

	c.fail = func(r *http.Request) int {
		if r.Method == http.MethodPatch {
			return http.StatusForbidden
		}
		return 0
	}
	expect("no rights", h.Halt(t.Context(), halt.Request{}), safepoint.CodeHalt, "the role")
	c.fail = nil

	c.settled = func(o *object) { // something that syncs from Git
		if o.replicas == 0 {
			o.replicas, o.generation = 1, o.generation+1
		}
	}
	expect("scaled up again", h.Halt(t.Context(), halt.Request{}), safepoint.CodeHalt, "scaled deployment/web up again")
	c.settled, c.unready = nil, true
	expect("not ready", h.Resume(t.Context(), halt.Request{}), safepoint.CodeHalt, "0 of 1 pods of deployment/web are ready")

	c.write(t, "token", []byte("another"))
	expect("wrong token", h.Halt(t.Context(), halt.Request{}), safepoint.CodeHalt, "did not accept the token")
}

func TestNew(t *testing.T) {
	c := newCluster(t, nil)
	t.Setenv("KUBERNETES_SERVICE_HOST", "")
	for name, change := range map[string]func(*safepoint.KubernetesService){
		"outside a cluster":  func(k *safepoint.KubernetesService) { k.Server = "" },
		"in the clear":       func(k *safepoint.KubernetesService) { k.Server = "http://h" },
		"no credentials":     func(k *safepoint.KubernetesService) { k.TokenFile = "" },
		"half a certificate": func(k *safepoint.KubernetesService) { k.TokenFile, k.CertFile = "", "/x" },
		"no such CA":         func(k *safepoint.KubernetesService) { k.CAFile = "/no/such/file" },
		"no workload":        func(k *safepoint.KubernetesService) { k.Workloads = nil },
		"another kind":       func(k *safepoint.KubernetesService) { k.Workloads = []string{"daemonset/x"} },
		"a path":             func(k *safepoint.KubernetesService) { k.Workloads = []string{"deployment/../x"} },
		"no namespace":       func(k *safepoint.KubernetesService) { k.Namespace = "" },
	} {
		s := c.service(time.Second, "deployment/web")
		change(s.Operator.Kubernetes)
		if _, err := New(s); safepoint.ErrorCode(err) != safepoint.CodeInvalid {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := New(safepoint.Service{}); safepoint.ErrorCode(err) != safepoint.CodeInvalid {
		t.Error(errors.New("not from the operator's file"), err)
	}
}

func TestSelector(t *testing.T) {
	s := selector{MatchLabels: map[string]string{"app": "web"}}
	s.MatchExpressions = append(s.MatchExpressions, struct {
		Key, Operator string
		Values        []string
	}{"tier", "In", []string{"a", "b"}}, struct {
		Key, Operator string
		Values        []string
	}{"canary", "DoesNotExist", nil})
	if got := s.String(); got != "!canary,app=web,tier in (a,b)" {
		t.Error(got)
	}
}
