package systemd

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/halt"
	"github.com/safepoint-db/safepoint/internal/halt/halttest"
)

func service(bus string, timeout time.Duration, units ...string) safepoint.Service {
	return safepoint.Service{Name: "Shop", Kind: safepoint.ServiceSystemd, Timeout: timeout,
		Operator: &safepoint.HostService{Systemd: &safepoint.SystemdService{Units: units, Bus: bus}}}
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
		bus := startBus(t)
		systemd := newStandIn(t, bus, "shop.socket", "shop.service")
		return halttest.Service{
			Name: "Shop", Silent: true,
			New: func(t *testing.T, timeout time.Duration) halt.Halter {
				return halter(t, service(bus, timeout, "shop.socket", "shop.service"))
			},
			Works: func(context.Context) error {
				for _, u := range []string{"shop.socket", "shop.service"} {
					if a := systemd.state(u); a != "active" {
						return errors.New(u + " is " + a)
					}
				}
				return nil
			},
			Stick: func(*testing.T) func() {
				wait := make(chan struct{})
				set := func(to chan struct{}) {
					systemd.mu.Lock()
					systemd.stuck = to
					systemd.mu.Unlock()
				}
				set(wait)
				return func() { set(nil); close(wait) }
			},
			Gone: func(t *testing.T, timeout time.Duration) halt.Halter {
				return halter(t, service("unix:path="+t.TempDir()+"/none", timeout, "shop.service"))
			},
		}
	})
}

// What was stopped stays stopped, whoever resumes; units are stopped in order and started in the reverse one.
func TestPartial(t *testing.T) {
	bus := startBus(t)
	systemd := newStandIn(t, bus, "a.service", "b.service", "c.service")
	systemd.units["b.service"].set("inactive", "dead")
	s := service(bus, 10*time.Second, "a.service", "b.service", "c.service")
	st, err := halter(t, s).Probe(t.Context())
	if err != nil || st.Condition != halt.Running || st.Detail != "2 of 3 units run." {
		t.Fatalf("probe: %+v, %v", st, err)
	}
	r := halt.Request{Prior: st.Prior}
	if err := halter(t, s).Halt(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	if err := halter(t, s).Resume(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	want := []string{"stop a.service", "stop c.service", "start c.service", "start a.service"}
	if got := systemd.called(); !slices.Equal(got, want) || systemd.state("b.service") != "inactive" {
		t.Errorf("calls %v, want %v; b is %s", got, want, systemd.state("b.service"))
	}
	// What was started since the probe is not stopped, and neither is anything else.
	systemd.units["b.service"].set("active", "running")
	if err := halter(t, s).Halt(t.Context(), r); safepoint.ErrorCode(err) != safepoint.CodeHalt || !strings.Contains(err.Error(), "b.service was started just now") {
		t.Errorf("got %v", err)
	}
	for _, u := range s.Operator.Systemd.Units {
		if systemd.state(u) != "active" {
			t.Errorf("%s is %s", u, systemd.state(u))
		}
	}
	systemd.units["b.service"].set("inactive", "dead")
	// Without anybody's memory, all of it is started.
	if err := halter(t, s).Resume(t.Context(), halt.Request{}); err != nil || systemd.state("b.service") != "active" {
		t.Errorf("b is %s, %v", systemd.state("b.service"), err)
	}
}

func TestRefusals(t *testing.T) {
	bus := startBus(t)
	systemd := newStandIn(t, bus, "a.service", "a.timer", "broken.service", "guarded.service")
	systemd.mu.Lock()
	systemd.fails["broken.service"] = "failed"
	systemd.starts["a.service"] = "a.timer"
	systemd.mu.Unlock()
	ctx := t.Context()
	expect := func(what string, err error, code safepoint.Code, words ...string) {
		t.Helper()
		u := safepoint.UserError(err)
		for _, w := range words {
			if err == nil || u.Code != code || !strings.Contains(u.Message+" "+u.Hint, w) {
				t.Errorf("%s: %s %q %q, want %s, %q", what, u.Code, u.Message, u.Hint, code, w)
			}
		}
	}
	_, err := halter(t, service(bus, time.Second, "nosuch.service")).Probe(ctx)
	expect("a unit nobody installed", err, safepoint.CodeHalt, "nosuch.service, which systemd says is not-found")
	err = halter(t, service(bus, time.Second, "guarded.service")).Halt(ctx, halt.Request{})
	expect("no rights", err, safepoint.CodeHalt, "Interactive authentication required", "polkit")
	err = halter(t, service(bus, time.Second, "a.timer", "a.service")).Halt(ctx, halt.Request{})
	expect("started again", err, safepoint.CodeHalt, "something started a.timer again")
	broken := halter(t, service(bus, time.Second, "broken.service"))
	if err := broken.Halt(ctx, halt.Request{}); err != nil {
		t.Fatal(err)
	}
	expect("will not start", broken.Resume(ctx, halt.Request{}), safepoint.CodeHalt, "job for broken.service ended with \"failed\"", "journalctl -u broken.service")
}

func TestNew(t *testing.T) {
	for _, units := range [][]string{nil, {""}, {"shop"}, {".service"}, {"../shop.service"}, {"shop@*.service"}, {"a.service", "a.service"}, {"a b.service"}} {
		if _, err := New(service("", time.Second, units...)); safepoint.ErrorCode(err) != safepoint.CodeInvalid {
			t.Errorf("%q: %v", units, err)
		}
	}
	if _, err := New(safepoint.Service{Kind: safepoint.ServiceSystemd}); safepoint.ErrorCode(err) != safepoint.CodeInvalid {
		t.Errorf("not from the operator's file: %v", err)
	}
}
