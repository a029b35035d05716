package systemd

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/godbus/dbus/v5"
	"github.com/godbus/dbus/v5/prop"
)

// startBus runs a real dbus-daemon of the test's own, which lets everyone own and send everything.
func startBus(t *testing.T) (address string) {
	t.Helper()
	program, err := exec.LookPath("dbus-daemon")
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("dbus-daemon is missing: run scripts/install-test-tools")
		}
		t.Skip("This test needs dbus-daemon: run scripts/install-test-tools")
	}
	dir, err := os.MkdirTemp("", "bus") // a socket's path has at most 107 bytes
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	conf := filepath.Join(dir, "bus.conf")
	err = os.WriteFile(conf, fmt.Appendf(nil, `<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN" "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><listen>unix:path=%s/socket</listen><auth>EXTERNAL</auth>
<policy context="default"><allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/><allow own="*"/></policy></busconfig>`, dir), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "--config-file="+conf, "--nofork", "--print-address")
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	address, err = bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("dbus-daemon gave no address: %v", err)
	}
	return strings.TrimSpace(address)
}

// standIn speaks the part of systemd's D-Bus interface that is used here, as org.freedesktop.systemd1(5) describes it: jobs
// that are queued and end with a signal, units that are loaded on demand, states that follow their jobs.
type standIn struct {
	t    *testing.T
	conn *dbus.Conn

	mu         sync.Mutex
	units      map[string]*fakeUnit
	jobs       uint32
	stuck      chan struct{}     // stop jobs wait for it to be closed; nil lets them go
	fails      map[string]string // unit → result of its start jobs
	starts     map[string]string // unit → another that it starts when it is stopped
	subscribed bool
	calls      []string
}

type fakeUnit struct {
	name  string
	path  dbus.ObjectPath
	props *prop.Properties
	load  string
}

func newStandIn(t *testing.T, address string, units ...string) *standIn {
	t.Helper()
	conn, err := dbus.Connect(address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	s := &standIn{t: t, conn: conn, units: map[string]*fakeUnit{}, fails: map[string]string{}, starts: map[string]string{}}
	if err := conn.ExportMethodTable(map[string]any{
		"Subscribe": s.subscribe, "LoadUnit": s.loadUnit, "StartUnit": s.startUnit, "StopUnit": s.stopUnit,
	}, managerPath, managerIface); err != nil {
		t.Fatal(err)
	}
	for _, u := range units {
		s.add(u, "loaded", "active")
	}
	if reply, err := conn.RequestName(destination, dbus.NameFlagDoNotQueue); err != nil || reply != dbus.RequestNameReplyPrimaryOwner {
		t.Fatalf("take the name: %v, %v", reply, err)
	}
	return s
}

func (s *standIn) add(name, load, active string) *fakeUnit {
	u := &fakeUnit{name: name, path: dbus.ObjectPath("/org/freedesktop/systemd1/unit/" + escape(name)), load: load}
	props, err := prop.Export(s.conn, u.path, prop.Map{unitIface: {
		"Id":        {Value: name},
		"LoadState": {Value: load}, "ActiveState": {Value: active}, "SubState": {Value: map[string]string{"active": "running"}[active]},
		"Job": {Value: struct {
			ID   uint32
			Path dbus.ObjectPath
		}{0, "/"}},
	}})
	if err != nil {
		s.t.Fatal(err)
	}
	u.props = props
	s.units[name] = u
	return u
}

// escape is systemd's own for object paths: what is no letter or digit is "_" and two hexadecimal digits.
func escape(name string) string {
	var b strings.Builder
	for _, c := range []byte(name) {
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "_%02x", c)
		}
	}
	return b.String()
}

func (u *fakeUnit) set(active, sub string) {
	u.props.SetMust(unitIface, "SubState", sub)
	u.props.SetMust(unitIface, "ActiveState", active)
}

func (u *fakeUnit) active() string {
	v, _ := u.props.Get(unitIface, "ActiveState")
	s, _ := v.Value().(string)
	return s
}

func (s *standIn) state(name string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.units[name].active()
}

func (s *standIn) called() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.calls)
}

func (s *standIn) subscribe() *dbus.Error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.subscribed = true
	return nil
}

func (s *standIn) loadUnit(name string) (dbus.ObjectPath, *dbus.Error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	u := s.units[name]
	if u == nil {
		u = s.add(name, "not-found", "inactive")
	}
	return u.path, nil
}

func (s *standIn) startUnit(name, mode string) (dbus.ObjectPath, *dbus.Error) {
	return s.enqueue("start", name, mode)
}

func (s *standIn) stopUnit(name, mode string) (dbus.ObjectPath, *dbus.Error) {
	return s.enqueue("stop", name, mode)
}

func (s *standIn) enqueue(verb, name, mode string) (dbus.ObjectPath, *dbus.Error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	u := s.units[name]
	s.calls = append(s.calls, verb+" "+name)
	switch {
	case mode != "replace":
		return "", dbus.NewError("org.freedesktop.DBus.Error.InvalidArgs", []any{"mode " + mode})
	case name == "guarded.service":
		return "", dbus.NewError("org.freedesktop.DBus.Error.InteractiveAuthorizationRequired", []any{"Interactive authentication required."})
	case u == nil || u.load == "not-found":
		return "", dbus.NewError("org.freedesktop.systemd1.NoSuchUnit", []any{"Unit " + name + " not found."})
	}
	s.jobs++
	id, path := s.jobs, dbus.ObjectPath(fmt.Sprintf("/org/freedesktop/systemd1/job/%d", s.jobs))
	go s.carryOut(verb, u, id, path, s.stuck, s.fails[name], s.starts[name])
	return path, nil
}

// carryOut is a job: the unit passes through the states between, and whoever subscribed hears of its end.
func (s *standIn) carryOut(verb string, u *fakeUnit, id uint32, path dbus.ObjectPath, stuck chan struct{}, fails, starts string) {
	result := "done"
	if verb == "stop" {
		if u.active() != "inactive" {
			u.set("deactivating", "stop-sigterm")
		}
		if stuck != nil {
			<-stuck
		}
		u.set("inactive", "dead")
		if starts != "" {
			s.mu.Lock()
			s.units[starts].set("active", "running")
			s.mu.Unlock()
		}
	} else {
		u.set("activating", "start-pre")
		if fails != "" {
			result = fails
			u.set("failed", "failed")
		} else {
			u.set("active", "running")
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.subscribed {
		s.conn.Emit(managerPath, managerIface+".JobRemoved", id, path, u.name, result)
	}
}
