package docker

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/halt"
	"github.com/safepoint-db/safepoint/internal/halt/halttest"
)

func service(timeout time.Duration, d safepoint.DockerService) safepoint.Service {
	return safepoint.Service{Name: "Shop", Kind: safepoint.ServiceDocker, Timeout: timeout, Operator: &safepoint.HostService{Docker: &d}}
}

func halter(t *testing.T, s safepoint.Service) *Halter {
	t.Helper()
	h, err := New(s)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func (e *engine) project(t *testing.T, services ...string) *Halter {
	return halter(t, service(10*time.Second, safepoint.DockerService{Host: "unix://" + e.socket, Project: "shop", Services: services, StopTimeout: time.Second}))
}

func TestHalter(t *testing.T) {
	halttest.Run(t, func(t *testing.T) halttest.Service {
		e := newEngine(t, compose(1, "shop", "web"), compose(2, "shop", "worker"), compose(3, "other", "web"))
		at := func(socket string, timeout time.Duration) safepoint.Service {
			return service(max(timeout, 3*time.Second), safepoint.DockerService{Host: "unix://" + socket, Project: "shop", StopTimeout: time.Second})
		}
		return halttest.Service{
			Name: "Shop", Silent: true,
			New: func(t *testing.T, timeout time.Duration) halt.Halter { return halter(t, at(e.socket, timeout)) },
			Works: func(context.Context) error {
				if s := e.statuses(); s != "shop-web-1 running, shop-worker-2 running, other-web-3 running" {
					return errors.New(s)
				}
				return nil
			},
			Stick: func(*testing.T) func() {
				stubborn := make(chan struct{})
				set := func(ch chan struct{}, unkillable bool) {
					e.mu.Lock()
					defer e.mu.Unlock()
					e.containers[1].stubborn, e.containers[1].unkillable = ch, unkillable
				}
				set(stubborn, true)
				return func() { set(nil, false); close(stubborn) }
			},
			Gone: func(t *testing.T, timeout time.Duration) halt.Halter {
				return halter(t, at(t.TempDir()+"/none", timeout))
			},
		}
	})
}

// 1 of 3 containers ran, and one was paused: they are put back to exactly that.
func TestPartial(t *testing.T) {
	e := newEngine(t, compose(1, "shop", "web"), compose(2, "shop", "worker"), compose(3, "shop", "cron"))
	e.containers[1].status, e.containers[2].status = "exited", "paused"
	h := e.project(t)
	st, err := h.Probe(t.Context())
	if err != nil || st.Condition != halt.Failing || st.Detail != "shop-cron-3 is paused." {
		t.Fatalf("probe: %+v, %v", st, err)
	}
	r := halt.Request{Prior: st.Prior}
	for range 2 {
		if err := h.Halt(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		if s := e.statuses(); s != "shop-web-1 exited, shop-worker-2 exited, shop-cron-3 exited" {
			t.Fatal(s)
		}
		if err := e.project(t).Resume(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		if s := e.statuses(); s != "shop-web-1 running, shop-worker-2 exited, shop-cron-3 paused" {
			t.Fatal(s)
		}
	}
}

// What was started since the probe is not stopped, and neither is anything else.
func TestStartedMeanwhile(t *testing.T) {
	e := newEngine(t, compose(1, "shop", "web"), compose(2, "shop", "worker"))
	e.containers[1].status = "exited"
	h := e.project(t)
	st, err := h.Probe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	e.mu.Lock()
	e.containers[1].status = "running"
	e.mu.Unlock()
	err = h.Halt(t.Context(), halt.Request{Prior: st.Prior})
	if safepoint.ErrorCode(err) != safepoint.CodeHalt || !strings.Contains(err.Error(), "shop-worker-2 was started just now") || len(e.calls) != 0 {
		t.Errorf("%v, after %v", err, e.calls)
	}
}

// The services of a project are halted in the order in which they are named, and the others not at all: the database may
// be one of them.
func TestOrder(t *testing.T) {
	e := newEngine(t, compose(1, "shop", "db"), compose(2, "shop", "worker"), compose(3, "shop", "web"), compose(4, "shop", "web"))
	h := e.project(t, "web", "worker")
	st, err := h.Probe(t.Context())
	if err != nil || st.Condition != halt.Running {
		t.Fatalf("probe: %+v, %v", st, err)
	}
	if err := errors.Join(h.Halt(t.Context(), halt.Request{Prior: st.Prior}), h.Resume(t.Context(), halt.Request{Prior: st.Prior})); err != nil {
		t.Fatal(err)
	}
	slices.Sort(e.calls[:2])
	slices.Sort(e.calls[4:])
	want := []string{"stop shop-web-3", "stop shop-web-4", "stop shop-worker-2", "start shop-worker-2", "start shop-web-3", "start shop-web-4"}
	if !slices.Equal(e.calls, want) {
		t.Errorf("calls %v\nwant  %v", e.calls, want)
	}
}

// A container that will not stop is killed by the engine in time; that is a halt.
func TestKilled(t *testing.T) {
	e := newEngine(t, compose(1, "shop", "web"))
	e.containers[0].stubborn = make(chan struct{})
	if err := e.project(t).Halt(t.Context(), halt.Request{}); err != nil || e.statuses() != "shop-web-1 exited" {
		t.Errorf("%s, %v", e.statuses(), err)
	}
}

// A stop that another process asked for is still on its way when this one resumes: the container runs in the end.
func TestResumeDuringStop(t *testing.T) {
	e := newEngine(t, compose(1, "shop", "web"))
	e.containers[0].stubborn = make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	asked := make(chan error, 1)
	go func() {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://docker/containers/shop-web-1/stop?t=1", nil)
		if err == nil {
			_, err = e.project(t).api.HTTP.Do(req)
		}
		asked <- err
	}()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(10 * time.Second); ; <-tick.C {
		e.mu.Lock()
		n := len(e.calls)
		e.mu.Unlock()
		if n == 1 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("nobody asked for the stop")
		}
	}
	cancel() // as if the process that asked was killed
	<-asked
	if err := e.project(t).Resume(t.Context(), halt.Request{}); err != nil {
		t.Fatal(err)
	}
	if s := e.statuses(); s != "shop-web-1 running" || !slices.Contains(e.calls, "start shop-web-1") {
		t.Errorf("%s after %v", s, e.calls)
	}
}

func TestHealth(t *testing.T) {
	e := newEngine(t, compose(1, "shop", "web"))
	e.containers[0].health, e.containers[0].healthy = "healthy", "starting"
	h := halter(t, service(3*time.Second, safepoint.DockerService{Host: "unix://" + e.socket, Containers: []string{"shop-web-1"}, StopTimeout: time.Second}))
	if err := h.Halt(t.Context(), halt.Request{}); err != nil {
		t.Fatal(err)
	}
	err := h.Resume(t.Context(), halt.Request{})
	if safepoint.ErrorCode(err) != safepoint.CodeHalt || !strings.Contains(err.Error(), "shop-web-1 is starting") {
		t.Errorf("while it starts: %v", err)
	}
	e.mu.Lock()
	e.containers[0].health = "healthy"
	e.mu.Unlock()
	if err := h.Resume(t.Context(), halt.Request{}); err != nil {
		t.Errorf("when it is healthy: %v", err)
	}
}

// What could not be put back is not halted, and what is not there is said.
func TestRefusals(t *testing.T) {
	e := newEngine(t, container1(1, "web"), compose(2, "shop", "web"))
	named := func(names ...string) *Halter {
		return halter(t, service(5*time.Second, safepoint.DockerService{Host: "unix://" + e.socket, Containers: names, StopTimeout: time.Second}))
	}
	expect := func(what string, err error, words string) {
		t.Helper()
		if safepoint.ErrorCode(err) != safepoint.CodeHalt || !strings.Contains(err.Error(), words) {
			t.Errorf("%s: %v, want %q", what, err, words)
		}
	}
	_, err := named("nobody").Probe(t.Context())
	expect("no such container", err, "there is no container nobody")
	_, err = e.project(t, "web", "worker").Probe(t.Context())
	expect("no such service", err, "no containers of its service worker")
	e.containers[0].autoRemove = true
	_, err = named("web").Probe(t.Context())
	expect("--rm", err, "removed when it stops")
	e.containers[0].autoRemove, e.containers[0].labels["com.docker.swarm.service.id"] = false, "x"
	_, err = named("web").Probe(t.Context())
	expect("swarm", err, "swarm service")
	delete(e.containers[0].labels, "com.docker.swarm.service.id")

	st, err := named("web").Probe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := named("web").Halt(t.Context(), halt.Request{}); err != nil {
		t.Fatal(err)
	}
	replaced := container1(9, "web")
	replaced.status, e.containers[0] = "created", replaced
	expect("made anew meanwhile", named("web").Resume(t.Context(), halt.Request{Prior: st.Prior}), "is not there any more")
	e.fail = func(method, _ string) (int, string) {
		if method == http.MethodPost {
			return http.StatusForbidden, "denied by a plugin."
		}
		return 0, ""
	}
	expect("refused", named("web").Resume(t.Context(), halt.Request{}), "the Docker engine refused")
}

func TestNew(t *testing.T) {
	for name, d := range map[string]safepoint.DockerService{
		"nothing":           {},
		"both":              {Project: "a", Containers: []string{"b"}},
		"services alone":    {Containers: []string{"b"}, Services: []string{"c"}},
		"an empty name":     {Containers: []string{""}},
		"no such scheme":    {Project: "a", Host: "ssh://h"},
		"too long a stop":   {Project: "a", StopTimeout: 59 * time.Second},
		"no such CA":        {Project: "a", Host: "tcp://h:1", CAFile: "/no/such/file"},
		"a socket's folder": {Project: "a", Host: "unix://"},
	} {
		if _, err := New(service(time.Minute, d)); safepoint.ErrorCode(err) != safepoint.CodeInvalid {
			t.Errorf("%s: %v", name, err)
		}
	}
}
