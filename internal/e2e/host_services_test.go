package e2e

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/api/wire"
	"github.com/safepoint-db/safepoint/internal/app"
	"github.com/safepoint-db/safepoint/internal/client"
	"github.com/safepoint-db/safepoint/internal/server"
)

// ctl is a service of kind command: it runs as long as a file is there, and writes down what it is told.
const ctl = `case "$2" in
halt) rm -f "$1/$3" ;;
resume) touch "$1/$3" ;;
probe) [ -e "$1/$3" ] || exit 3; exit 0 ;;
esac
echo "$2 $3" >> "$1/log"
`

// hostFile writes an operator's file with a command service for each "name order".
func hostFile(t *testing.T, dir, organization string, services ...string) string {
	t.Helper()
	sh := must(exec.LookPath("sh"))(t)
	var text strings.Builder
	for _, s := range services {
		name, order, _ := strings.Cut(s, " ")
		fmt.Fprintf(&text, "[[service]]\norganization = %q\nname = %q\nkind = \"command\"\norder = %s\ntimeout = \"20s\"\n", organization, name, order)
		for _, verb := range []string{"halt", "resume", "probe"} {
			fmt.Fprintf(&text, "command.%s = [%q, %q, %q, %q, %q]\n", verb, sh, filepath.Join(dir, "ctl"), dir, verb, name)
		}
	}
	path := filepath.Join(dir, "services.toml")
	for file, content := range map[string]string{"services.toml": text.String(), "ctl": ctl} {
		if err := os.WriteFile(filepath.Join(dir, file), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return path
}

func lines(t *testing.T, dir string) []string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "log"))
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return strings.Fields(strings.ReplaceAll(string(text), " ", ":"))
}

// TestHostServices restores with services of the operator's file around one of the organization's own: they are halted
// by order, resumed in the reverse one, what was down stays down, and nobody changes them but the operator.
func TestHostServices(t *testing.T) {
	t.Parallel()
	first := start(t, server.Config{}, "") // the organization is made first
	organization := first.admin().OrganizationID
	if err := first.stop(); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cfg := first.cfg
	cfg.Services = hostFile(t, dir, organization, "last 50", "first 0", "down 0")
	for _, name := range []string{"first", "last"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	b := start(t, cfg, first.token)
	b.openTill()
	ctx := t.Context()

	services := must(b.api.Services(ctx))(t)
	var names []string
	for _, s := range services {
		names = append(names, s.Name+" "+s.ManagedBy+" "+s.Where)
	}
	if want := []string{"first operator sh", "down operator sh", "till organization ", "last operator sh"}; !slices.Equal(names, want) {
		t.Fatalf("services %q, want %q", names, want)
	}
	host, till := services[0], services[2]
	_, err := b.App.UpdateService(ctx, b.admin(), host.ID, app.ServiceInput{Name: "mine", Kind: "webhook", HaltURL: "http://127.0.0.1:1/h", ResumeURL: "http://127.0.0.1:1/r"})
	wantRefusal(t, err, safepoint.CodeConflict, "first is managed by the operator")
	wantRefusal(t, b.api.RemoveService(ctx, host.ID), safepoint.CodeConflict, "first is managed by the operator")
	_, err = b.api.CreateService(ctx, wire.ServiceInput{Name: "First", Kind: "webhook", HaltURL: "http://127.0.0.1:1/h", ResumeURL: "http://127.0.0.1:1/r"})
	wantRefusal(t, err, safepoint.CodeInvalid, "A service of this server's operator is called First")
	b.must(b.api.OrderServices(ctx, []string{till.ID}))
	for _, kind := range []string{"command", "systemd", "docker", "kubernetes"} {
		if _, err := b.api.CreateService(ctx, wire.ServiceInput{Name: "mine", Kind: kind}); safepoint.ErrorCode(err) != safepoint.CodeInvalid {
			t.Errorf("kind %s from the API: %v", kind, err)
		}
	}
	if test := must(b.api.TestService(ctx, host.ID))(t); !test.Halted || !test.Resumed || test.Failure != nil {
		t.Errorf("the test of a host service: %+v", test)
	}
	// One that cannot be asked keeps nobody from hearing of the others.
	lost := must(b.api.CreateService(ctx, wire.ServiceInput{Name: "lost", Kind: "webhook", HaltURL: "http://no.invalid/h", ResumeURL: "http://no.invalid/r", HealthURL: "http://no.invalid/"}))(t)
	var listed []struct{ Status wire.ServiceStatus }
	safepointJSON(t, &listed, 0, "service", "list", "--status", "--url", b.URL(), "--token", b.token)
	if n := len(listed); n != 5 || listed[0].Status.Condition != "running" || listed[3].Status.Condition != "unknown" || listed[3].Status.Detail == "" {
		t.Errorf("the services and what they say: %+v", listed)
	}
	b.must(b.api.RemoveService(ctx, lost.ID))
	if st := must(b.api.ServiceStatus(ctx, services[1].ID))(t); st.Condition != "halted" {
		t.Errorf("what is down is %+v", st)
	}

	s := b.addSQLite("shop", ordersSQLite("200"))
	older := s.backup()
	os.Remove(filepath.Join(dir, "log"))
	b.till.onHalt = func(context.Context) {
		if got := lines(t, dir); !slices.Contains(got, "halt:first") || slices.Contains(got, "halt:last") {
			t.Errorf("the till is halted after %v", got)
		}
	}
	s.restore(older)
	got := slices.DeleteFunc(lines(t, dir), func(l string) bool { return strings.HasPrefix(l, "probe") })
	if want := []string{"halt:first", "halt:last", "resume:last", "resume:first"}; !slices.Equal(got, want) {
		t.Errorf("told %v, want %v", got, want)
	}
	status, page := b.console().get("/services")
	if status != 200 || !strings.Contains(page, "Managed by the operator") {
		t.Errorf("the page of services is %d", status)
	}
	if strings.Contains(page+b.seen.String(), dir) {
		t.Error("a command's arguments are shown")
	}
}

// TestHostServiceGone kills a server that has halted a service of the operator's file and starts it again without its
// entry: the restore ends, and says who needs a person. With the entry back, pressing Resume resumes it.
func TestHostServiceGone(t *testing.T) {
	t.Parallel()
	first := start(t, server.Config{}, "")
	s := first.addSQLite("shop", ordersSQLite("200"))
	older := s.backup()
	organization := first.admin().OrganizationID
	if err := first.stop(); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "worker"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	cfg := first.cfg
	cfg.Services = hostFile(t, dir, organization, "worker 0")

	// A process of its own, which can be killed while the till keeps the restore waiting.
	till := startTill(t)
	reached := make(chan struct{})
	till.onHalt = func(ctx context.Context) { close(reached); <-ctx.Done() }
	p := startProcess(t, cfg.DataDir, "--services", cfg.Services)
	api := p.client(t, first.token)
	svc := must(api.CreateService(t.Context(), wire.ServiceInput{Name: "till", Kind: "webhook", HaltURL: till.URL + "/halt", ResumeURL: till.URL + "/resume", HealthURL: till.URL + "/health"}))(t)
	till.setSecret(svc.Secret)
	op := must(api.StartRestore(t.Context(), older.ID, wire.RestoreInput{Confirm: s.Name}))(t)
	<-reached
	p.kill()
	till.onHalt = nil

	cfg.Services = hostFile(t, dir, organization)
	b := start(t, cfg, first.token)
	ended := b.wait(op.ID)
	if ended.Switched || !slices.Equal(ended.Attention, []string{"worker"}) {
		t.Errorf("the restore ended %s, %+v, and needs a person for %q", ended.Status, ended.Failure, ended.Attention)
	}
	if st := must(b.api.State(t.Context()))(t); !slices.Equal(st.Attention, []string{"worker"}) {
		t.Errorf("the organization does not name it: %+v", st)
	}
	if err := b.stop(); err != nil {
		t.Fatal(err)
	}
	cfg.Services = hostFile(t, dir, organization, "worker 0")
	b = start(t, cfg, first.token)
	b.must(b.api.ResumeRestore(t.Context(), op.ID))
	if _, err := os.Stat(filepath.Join(dir, "worker")); err != nil {
		t.Errorf("the worker was not resumed: %v", err)
	}
	if st := must(b.api.State(t.Context()))(t); st.State != "operating" || len(st.Attention) > 0 {
		t.Errorf("the organization is %+v", st)
	}
}

// process is a server of its own, which can be killed.
type process struct {
	cmd *exec.Cmd
	url string
}

func startProcess(t *testing.T, data string, args ...string) *process {
	t.Helper()
	p := &process{cmd: exec.Command(must(program())(t), append([]string{"serve", "--data", data, "--addr", "127.0.0.1:0"}, args...)...)}
	p.cmd.Stderr = t.Output()
	out := must(p.cmd.StdoutPipe())(t)
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.kill)
	line, err := bufio.NewReader(out).ReadString('\n')
	_, url, ok := strings.Cut(strings.TrimSpace(line), " on ")
	if err != nil || !ok {
		t.Fatalf("the server said %q: %v", line, err)
	}
	p.url = url
	return p
}

func (p *process) client(t *testing.T, token string) *client.Client {
	t.Helper()
	return must(client.New(client.Config{URL: p.url, Token: token}))(t)
}

func (p *process) kill() {
	p.cmd.Process.Kill()
	p.cmd.Wait()
}
