// Package examples checks that the example services of docs/services.md do what that page says, by letting Safepoint's
// own code halt and resume them.
package examples

import (
	"bufio"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/halt"
	"github.com/safepoint-db/safepoint/internal/halt/webhook"
)

func TestGo(t *testing.T) {
	program := filepath.Join(t.TempDir(), "example")
	if out, err := exec.Command("go", "build", "-o", program, "./go").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	exercise(t, "/safepoint", program, "-listen", "127.0.0.1:0")
}

func TestPython(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("python3 is missing: run scripts/install-test-tools")
		}
		t.Skip("The example in Python needs python3: run scripts/install-test-tools")
	}
	exercise(t, "/health", python, "python/service.py", "127.0.0.1:0")
}

// exercise halts and resumes a running example, each twice, and tries to do it with another's secret. health is the path
// of its health URL.
func exercise(t *testing.T, health, program string, args ...string) {
	secret := halt.NewSecret()
	url := start(t, secret, program, args...)
	service := safepoint.Service{
		Name: "example", Kind: safepoint.ServiceWebhook, Timeout: 20 * time.Second,
		HaltURL: url + "/safepoint", ResumeURL: url + "/safepoint", HealthURL: url + health,
	}
	request := halt.Request{OperationID: "op_1", OrganizationID: "org_1", OrganizationName: "Harbor", Reason: "Restoring shop"}
	stranger, err := webhook.New(service, halt.NewSecret())
	if err != nil {
		t.Fatal(err)
	}
	h, err := webhook.New(service, secret)
	if err != nil {
		t.Fatal(err)
	}
	expect := func(want halt.Condition, status int) {
		t.Helper()
		if st, err := h.Probe(t.Context()); err != nil || st.Condition != want {
			t.Fatalf("it says %q (%v), want %q", st.Condition, err, want)
		}
		resp, err := http.Get(url + "/")
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != status {
			t.Fatalf("its users get %d, want %d", resp.StatusCode, status)
		}
	}

	expect(halt.Running, 200)
	if err := stranger.Halt(t.Context(), request); safepoint.ErrorCode(err) != safepoint.CodeHalt {
		t.Fatalf("another's secret was answered with %v", err)
	}
	expect(halt.Running, 200)
	for range 2 {
		if err := h.Halt(t.Context(), request); err != nil {
			t.Fatalf("halt: %v", err)
		}
		expect(halt.Halted, 503)
	}
	for range 2 {
		if err := h.Resume(t.Context(), request); err != nil {
			t.Fatalf("resume: %v", err)
		}
		expect(halt.Running, 200)
	}
}

// start runs an example until the test ends, and returns where it listens.
func start(t *testing.T, secret, program string, args ...string) string {
	t.Helper()
	cmd := exec.Command(program, args...)
	cmd.Env = append(os.Environ(), "SAFEPOINT_SECRET="+secret)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	url, ok := strings.CutPrefix(strings.TrimSpace(line), "listening on ")
	if err != nil || !ok {
		t.Fatalf("it said %q (%v)", line, err)
	}
	return url
}
