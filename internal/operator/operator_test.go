package operator

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/safepoint-db/safepoint"
)

const complete = `
# Everything of the shop, in the order in which it is halted.
[[service]]
organization = "org_a"
name = "shop"
kind = "systemd"
order = 10
timeout = "90s"
systemd.units = ["shop.socket", "shop.service"]
health.url = "http://127.0.0.1:8080/health"

[[service]]
organization = "org_k3jq7w2mfz5xv4na"
name = "workers"
kind = "docker"
docker.project = "shop"
docker.services = ["worker"]
docker.stop_timeout = "20s"

[[service]]
organization = "org_a"
name = "cluster"
kind = "kubernetes"
[service.kubernetes]
namespace = "shop"
workloads = ["deployment/web", "statefulset/queue"]

[[service]]
organization = "org_a"
name = "import"
kind = "command"
[service.command]
halt = ["/usr/local/bin/import", "stop"]
resume = ["/usr/local/bin/import", "start"]
probe = ["/usr/local/bin/import", "status"]
env = ["IMPORT_HOME"]
`

func write(t *testing.T, text string, mode os.FileMode) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "services.toml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil { // past the umask
		t.Fatal(err)
	}
	return path
}

func TestRead(t *testing.T) {
	services, err := Read(write(t, complete, 0o644))
	if err != nil {
		t.Fatal(err)
	}
	if len(services) != 4 {
		t.Fatalf("%d services, want 4", len(services))
	}
	shop := services[0].Resolve()
	want := safepoint.Service{ID: safepoint.HostServiceID("org_a", "shop"), OrganizationID: "org_a", Name: "shop", Kind: safepoint.ServiceSystemd, Position: 10,
		Timeout: 90 * time.Second, Operator: &safepoint.HostService{
			Systemd: &safepoint.SystemdService{Units: []string{"shop.socket", "shop.service"}},
			Health:  &safepoint.HealthCheck{URL: "http://127.0.0.1:8080/health"},
		}}
	if !reflect.DeepEqual(shop, want) {
		t.Errorf("got  %+v\nwant %+v", shop, want)
	}
	other := services[0]
	other.Organization = "org_b"
	if again := services[0].Resolve(); again.ID != shop.ID || again.ID == other.Resolve().ID || !strings.HasPrefix(shop.ID, "svc_") {
		t.Errorf("the ID is %s, and then %s", shop.ID, again.ID)
	}
	if d := services[1].Operator.Docker; d.StopTimeout != 20*time.Second || d.Project != "shop" || services[1].Timeout != time.Minute {
		t.Errorf("docker: %+v", services[1])
	}
	for i, where := range []string{"shop.socket, shop.service", "project shop, worker", "shop: deployment/web, statefulset/queue", "import"} {
		if got := services[i].Where(); got != where {
			t.Errorf("where is %q, want %q", got, where)
		}
	}
}

func TestReadNothing(t *testing.T) {
	if services, err := Read(write(t, "# none yet\n", 0o600)); err != nil || len(services) != 0 {
		t.Errorf("got %v, %v", services, err)
	}
}

// What is wrong is said with its place, and nothing of it is passed over.
func TestRefuses(t *testing.T) {
	const head = "[[service]]\norganization = \"org_a\"\nname = \"s\"\nkind = \"systemd\"\nsystemd.units = [\"a.service\"]\n"
	for text, want := range map[string]string{
		head + "ordre = 3\n":                                       "line 6: service.ordre is not known",
		head + "systemd.unit = \"a\"\n":                            "line 6: service.systemd.unit is not known",
		"[services]\n":                                             "line 1",
		head + "order = \"first\"\n":                               "line 6",
		head + "timeout = 90\n":                                    "line 6",
		head + "timeout = \"90\"\n":                                "timeout is not a time",
		head + "timeout = \"2h\"\n":                                "between 1s and 30m",
		head + "order = 1\norder = 2\n":                            "line 7",
		head + "docker.project = \"x\"\n":                          "systemd and docker",
		head + "health = {}\n":                                     "health",
		head + head:                                                "another one",
		"[[service]]\nname = \"s\"\n":                              "organization",
		"[[service]]\norganization = \"org_a\"\nname = \"s\\n\"\n": "name",
		"[[service]]\norganization = \"org_a\"\nname = \"s\"\n":    "no kind",
		strings.Replace(head, "\"systemd\"", "\"command\"", 1):     "kind",
		strings.Replace(head, "\"systemd\"", "\"webhook\"", 1):     "kind",
		strings.Replace(head, "org_a", "Harbor", 1):                "organization is the ID of one",
		strings.Replace(head, "org_a", "org_../b", 1):              "organization is the ID of one",
		"[[service]]\norganization = \"org_a\nname = \"s\"\n":      "line 2",
		head + "password = \"hunter2\"\n":                          "line 6: service.password is not known",
	} {
		_, err := Read(write(t, text, 0o600))
		if safepoint.ErrorCode(err) != safepoint.CodeInvalid || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s\n got %v\nwant %s", text, err, want)
		}
	}
}

// Who can write the file can run commands as the server.
func TestRefusesWhatOthersMayWrite(t *testing.T) {
	for _, mode := range []os.FileMode{0o620, 0o602, 0o666} {
		if _, err := Read(write(t, complete, mode)); safepoint.ErrorCode(err) != safepoint.CodeInvalid || !strings.Contains(err.Error(), "written by others") {
			t.Errorf("mode %o: %v", mode, err)
		}
	}
	if _, err := Read(t.TempDir()); safepoint.ErrorCode(err) != safepoint.CodeInvalid {
		t.Errorf("a folder: %v", err)
	}
	if _, err := Read(filepath.Join(t.TempDir(), "none")); safepoint.ErrorCode(err) != safepoint.CodeInvalid {
		t.Errorf("no file: %v", err)
	}
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Read(pipe); safepoint.ErrorCode(err) != safepoint.CodeInvalid || !strings.Contains(err.Error(), "regular") {
		t.Errorf("a pipe: %v", err)
	}
	if os.Geteuid() != 0 {
		return
	}
	path := write(t, complete, 0o600)
	if err := os.Chown(path, 4711, -1); err != nil {
		t.Fatal(err)
	}
	if _, err := Read(path); safepoint.ErrorCode(err) != safepoint.CodeInvalid || !strings.Contains(err.Error(), "another user") {
		t.Errorf("another's file: %v", err)
	}
}
