package many

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/app"
	"github.com/safepoint-db/safepoint/internal/client"
	"github.com/safepoint-db/safepoint/internal/pgtest"
	"github.com/safepoint-db/safepoint/internal/server"
)

func TestMain(m *testing.M) {
	code := pgtest.Main(m)
	if built != "" {
		os.RemoveAll(filepath.Dir(built))
	}
	os.Exit(code)
}

var built string

// program builds the safepoint program, once.
var program = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "safepoint-many-")
	if err != nil {
		return "", err
	}
	built = filepath.Join(dir, "safepoint")
	out, err := exec.Command("go", "build", "-o", built, "../../cmd/safepoint").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build safepoint: %w\n%s", err, out)
	}
	return built, nil
})

// tenant is one organization and the token of its admin, who is a member of no other.
type tenant struct {
	Name, Admin  string
	Organization string
	token        string
}

// setUp makes a data directory with two organizations that know nothing of each other.
func setUp(t *testing.T, data string) (harbor, fjord tenant) {
	t.Helper()
	ctx := t.Context()
	s := must(server.Open(ctx, server.Config{DataDir: data, Addr: "127.0.0.1:0"}))(t)
	defer s.Close()
	const password = "seven tugboats at anchor"
	session := must(s.App.Setup(ctx, app.Setup{Code: s.SetupCode(), Email: "rahel@harbor.example", Name: "Rahel", Password: password,
		Organization: "Harbor", TimeZone: "UTC"}, "127.0.0.1", "many"))(t)
	rahel := must(s.App.Session(ctx, session, "127.0.0.1"))(t)
	undo := 2 * time.Minute
	// What restores set aside is dropped soon: five hundred of it would fill the disk.
	must(s.App.UpdateOrganization(ctx, rahel, app.OrganizationChange{UndoWindow: &undo}))(t)
	other := must(s.App.CreateOrganization(ctx, rahel, "Fjord", "UTC"))(t)
	there := rahel
	there.OrganizationID = other.ID
	_, link, err := s.App.InviteMember(ctx, there, app.MemberInput{Email: "ben@fjord.example", Name: "Ben", Role: safepoint.RoleAdmin})
	ok(t, err)
	session = must(s.App.AcceptInvite(ctx, link, "Ben", password, "127.0.0.1", "many"))(t)
	ben := must(s.App.Session(ctx, session, "127.0.0.1"))(t)
	token := func(by safepoint.Actor) string {
		_, secret, err := s.App.CreateToken(ctx, by, "many", 0)
		ok(t, err)
		return secret
	}
	return tenant{"Harbor", "Rahel", rahel.OrganizationID, token(rahel)}, tenant{"Fjord", "Ben", ben.OrganizationID, token(ben)}
}

// process is a server of its own, which can be killed and started again at the same address.
type process struct {
	data, addr string
	cmd        *exec.Cmd
	log        bytes.Buffer // of the last start
	dead       chan struct{}
}

func newProcess(t *testing.T, data string) *process {
	t.Helper()
	l := must(net.Listen("tcp", "127.0.0.1:0"))(t)
	defer l.Close()
	p := &process{data: data, addr: l.Addr().String()}
	t.Cleanup(func() {
		if p.cmd != nil {
			p.kill()
		}
		if t.Failed() {
			t.Logf("the server's log:\n%s", p.log.String())
		}
	})
	return p
}

// start runs the server and waits until it answers.
func (p *process) start(t *testing.T) {
	t.Helper()
	bin := must(program())(t)
	p.log.Reset()
	p.cmd = exec.Command(bin, "serve", "--data", p.data, "--addr", p.addr, "--log-level", "warn")
	p.cmd.Stdout, p.cmd.Stderr = &p.log, &p.log
	ok(t, p.cmd.Start())
	dead := make(chan struct{})
	p.dead = dead
	go func(cmd *exec.Cmd) {
		cmd.Wait()
		close(dead)
	}(p.cmd)
	eventually(t, "the server answers", func() bool {
		select {
		case <-dead:
			t.Fatalf("the server ended:\n%s", p.log.String())
		default:
		}
		resp, err := http.Get("http://" + p.addr + "/healthz")
		if err == nil {
			resp.Body.Close()
		}
		return err == nil
	})
}

// kill ends the server as a power cut would.
func (p *process) kill() {
	p.cmd.Process.Kill()
	<-p.dead
}

// errTransport marks errors of a connection: whether the request was carried out is not known.
var errTransport = errors.New("the connection broke")

type transport struct{ next http.RoundTripper }

func (tr transport) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := tr.next.RoundTrip(r)
	if err != nil {
		err = errors.Join(errTransport, err)
	}
	return resp, err
}

// client has connections enough for a hundred requests at once.
func (p *process) client(t *testing.T, as tenant) *client.Client {
	t.Helper()
	next := &http.Transport{MaxIdleConnsPerHost: 200}
	t.Cleanup(next.CloseIdleConnections)
	return must(client.New(client.Config{URL: "http://" + p.addr, Token: as.token, Organization: as.Organization,
		HTTP: &http.Client{Transport: transport{next}, Timeout: time.Minute}}))(t)
}

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// must unwraps a result whose error ends the test: must(f())(t).
func must[T any](v T, err error) func(t testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		ok(t, err)
		return v
	}
}

func eventually(t testing.TB, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(60 * time.Second); !condition(); {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain: %s", what)
		}
		<-time.After(5 * time.Millisecond)
	}
}

func background(t *testing.T) (context.Context, context.CancelFunc) {
	return context.WithCancel(context.WithoutCancel(t.Context()))
}
