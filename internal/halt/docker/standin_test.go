package docker

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// engine answers as the Docker Engine API does (v1.41 to v1.57) for the calls that are made here: containers are states
// that start and stop lead from one to another, a stop asks first and kills after t seconds, and goes on when its caller
// has left.
type engine struct {
	t      *testing.T
	socket string

	mu         sync.Mutex
	containers []*fake
	calls      []string
	fail       func(method, path string) (status int, message string) // 0: no
}

type fake struct {
	id, name   string
	labels     map[string]string
	status     string // running, paused, exited, created
	health     string // "" has no check
	autoRemove bool
	stubborn   chan struct{} // it does not heed its stop signal until this is closed
	unkillable bool          // nor being killed
	healthy    string        // its health once it was started
}

func newEngine(t *testing.T, containers ...*fake) *engine {
	t.Helper()
	dir, err := os.MkdirTemp("", "eng") // a socket's path has at most 107 bytes
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	e := &engine{t: t, socket: filepath.Join(dir, "docker.sock"), containers: containers}
	l, err := net.Listen("unix", e.socket)
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /containers/json", e.list)
	mux.HandleFunc("GET /containers/{id}/json", e.one(e.inspect))
	mux.HandleFunc("POST /containers/{id}/stop", e.one(e.stop))
	mux.HandleFunc("POST /containers/{id}/start", e.one(e.start))
	mux.HandleFunc("POST /containers/{id}/pause", e.one(e.pause))
	srv := httptest.NewUnstartedServer(mux)
	srv.Listener.Close()
	srv.Listener = l
	srv.Start()
	t.Cleanup(srv.Close)
	return e
}

func container1(i int, name string) *fake {
	return &fake{id: fmt.Sprintf("%064x", i), name: name, status: "running", labels: map[string]string{}}
}

// compose makes a container of a compose project.
func compose(i int, project, service string) *fake {
	c := container1(i, project+"-"+service+"-"+strconv.Itoa(i))
	c.labels[projectLabel], c.labels[serviceLabel] = project, service
	return c
}

func (c *fake) running() bool { return c.status == "running" || c.status == "paused" }

func reject(w http.ResponseWriter, status int, format string, args ...any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(map[string]string{"message": fmt.Sprintf(format, args...)})
}

// one finds the container of a call, by ID, its beginning, or name; handle is called with e.mu held.
func (e *engine) one(handle func(w http.ResponseWriter, r *http.Request, c *fake)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		e.mu.Lock()
		defer e.mu.Unlock()
		if e.fail != nil {
			if status, message := e.fail(r.Method, r.URL.Path); status != 0 {
				reject(w, status, "%s", message)
				return
			}
		}
		ref := r.PathValue("id")
		for _, c := range e.containers {
			if c.id == ref || c.name == ref || len(ref) >= 12 && strings.HasPrefix(c.id, ref) {
				if r.Method == http.MethodPost {
					e.calls = append(e.calls, r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:]+" "+c.name)
				}
				handle(w, r, c)
				return
			}
		}
		reject(w, http.StatusNotFound, "No such container: %s", ref)
	}
}

func (e *engine) list(w http.ResponseWriter, r *http.Request) {
	e.mu.Lock()
	defer e.mu.Unlock()
	var filters struct{ Label []string }
	if err := json.Unmarshal([]byte(r.URL.Query().Get("filters")), &filters); err != nil {
		reject(w, http.StatusBadRequest, "invalid filter")
		return
	}
	out := []map[string]any{}
	for _, c := range e.containers {
		wanted := r.URL.Query().Get("all") == "true" || c.running()
		for _, l := range filters.Label {
			k, v, _ := strings.Cut(l, "=")
			wanted = wanted && c.labels[k] == v
		}
		if wanted {
			out = append(out, map[string]any{"Id": c.id, "Names": []string{"/" + c.name}, "State": c.status, "Labels": c.labels})
		}
	}
	json.NewEncoder(w).Encode(out)
}

func (e *engine) inspect(w http.ResponseWriter, _ *http.Request, c *fake) {
	state := map[string]any{"Status": c.status, "Running": c.running(), "Paused": c.status == "paused", "Restarting": false, "Dead": false}
	if c.health != "" {
		state["Health"] = map[string]any{"Status": c.health, "FailingStreak": 0}
	}
	json.NewEncoder(w).Encode(map[string]any{"Id": c.id, "Name": "/" + c.name, "State": state,
		"HostConfig": map[string]any{"AutoRemove": c.autoRemove}, "Config": map[string]any{"Labels": c.labels}})
}

func (e *engine) stop(w http.ResponseWriter, r *http.Request, c *fake) {
	if !c.running() {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	t, err := strconv.Atoi(r.URL.Query().Get("t"))
	if err != nil {
		reject(w, http.StatusBadRequest, "t is missing")
		return
	}
	done := make(chan struct{})
	stubborn, unkillable := c.stubborn, c.unkillable
	go func() {
		kill := time.NewTimer(time.Duration(t) * time.Second)
		defer kill.Stop()
		if stubborn != nil {
			if unkillable {
				<-stubborn
			} else {
				select {
				case <-stubborn:
				case <-kill.C:
				}
			}
		}
		e.mu.Lock()
		c.status, c.health = "exited", ""
		e.mu.Unlock()
		close(done)
	}()
	e.mu.Unlock()
	select {
	case <-done:
		e.mu.Lock()
		w.WriteHeader(http.StatusNoContent)
	case <-r.Context().Done():
		e.mu.Lock()
	}
}

func (e *engine) start(w http.ResponseWriter, _ *http.Request, c *fake) {
	switch c.status {
	case "running":
		w.WriteHeader(http.StatusNotModified)
	case "paused":
		reject(w, http.StatusConflict, "cannot start a paused container, try unpause instead")
	default:
		c.status, c.health = "running", c.healthy
		w.WriteHeader(http.StatusNoContent)
	}
}

func (e *engine) pause(w http.ResponseWriter, _ *http.Request, c *fake) {
	if c.status != "running" {
		reject(w, http.StatusConflict, "Container %s is not running", c.id)
		return
	}
	c.status = "paused"
	w.WriteHeader(http.StatusNoContent)
}

// statuses is "name status" of all, in their order.
func (e *engine) statuses() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	var out []string
	for _, c := range e.containers {
		out = append(out, c.name+" "+c.status)
	}
	return strings.Join(out, ", ")
}
