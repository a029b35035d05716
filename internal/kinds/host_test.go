package kinds

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/halt"
	"github.com/safepoint-db/safepoint/internal/operator"
)

// The example of docs/services.md is one that a server would take.
func TestExampleOfServices(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "examples", "services.toml"))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "services.toml")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	services, err := operator.Read(path)
	if err != nil {
		t.Fatal(err)
	}
	kinds := map[safepoint.ServiceKind]bool{}
	for _, s := range services {
		kinds[s.Kind] = true
		if k := s.Operator.Kubernetes; k != nil {
			k.CAFile = "" // its file is on another machine
		}
		if _, err := Halter(s.Service, ""); err != nil {
			t.Errorf("%s: %v", s.Name, err)
		}
	}
	if len(kinds) != 4 {
		t.Errorf("the example has the kinds %v", kinds)
	}
}

// What an organization's admin could ever store has no Operator, and none of the host's kinds is made of it.
func TestHostKindsNeedTheOperator(t *testing.T) {
	for _, kind := range []safepoint.ServiceKind{safepoint.ServiceSystemd, safepoint.ServiceDocker, safepoint.ServiceKubernetes, safepoint.ServiceCommand} {
		h, err := Halter(safepoint.Service{Name: "mine", Kind: kind, HaltURL: "http://h", Host: "/run/docker.sock"}, "")
		if h != nil || safepoint.ErrorCode(err) != safepoint.CodeInvalid {
			t.Errorf("%s: %v, %v", kind, h, err)
		}
	}
}

// A health check of the operator's counts besides what the kind knows.
func TestHealth(t *testing.T) {
	dir := t.TempDir()
	run := func(script string) []string { return []string{"/bin/sh", "-c", script} }
	s := safepoint.Service{Name: "Till", Kind: safepoint.ServiceCommand, Timeout: time.Second, Operator: &safepoint.HostService{
		Command: &safepoint.CommandService{Halt: run("true"), Resume: run("true")},
		Health:  &safepoint.HealthCheck{Command: run("test -e " + filepath.Join(dir, "well") + " || { echo not well; exit 1; }")},
	}}
	h, err := Halter(s, "")
	if err != nil {
		t.Fatal(err)
	}
	if st, err := h.Probe(t.Context()); err != nil || st.Condition != halt.Failing || st.Detail != "Health check: the program ended with 1: not well" {
		t.Errorf("%+v, %v", st, err)
	}
	if err := h.Resume(t.Context(), halt.Request{}); safepoint.ErrorCode(err) != safepoint.CodeHalt {
		t.Errorf("resumed though it is not healthy: %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "well"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if st, err := h.Probe(t.Context()); err != nil || st.Condition != halt.Running {
		t.Errorf("%+v, %v", st, err)
	}
	if err := h.Resume(t.Context(), halt.Request{}); err != nil {
		t.Error(err)
	}
	for _, bad := range []safepoint.HealthCheck{{URL: "127.0.0.1:80"}, {Command: []string{"curl"}}} {
		s.Operator.Health = &bad
		if _, err := Halter(s, ""); safepoint.ErrorCode(err) != safepoint.CodeInvalid {
			t.Errorf("%+v: %v", bad, err)
		}
	}
}
