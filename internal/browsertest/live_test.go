package browsertest

import (
	"bufio"
	"context"
	"database/sql"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/cdproto/audits"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/chromedp"
)

// NewTab opens another tab of the same person.
func (p *Page) NewTab() *Page {
	t := p.tab.t
	t.Helper()
	other := &tab{t: t}
	ctx, cancel := chromedp.NewContext(p.tab.ctx, chromedp.WithListener(other.listen))
	other.ctx = ctx
	t.Cleanup(func() {
		other.close()
		cancel()
	})
	if err := chromedp.Do(ctx, chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		_, err := cdp.Call(ctx, target, audits.Enable, cdp.Empty{})
		return err
	})); err != nil {
		t.Fatalf("open a tab: %v", err)
	}
	return &Page{tab: other}
}

// eval runs a script in the page and returns what it says.
func (p *Page) eval(script string) string {
	p.tab.t.Helper()
	var out string
	if err := p.run("String("+script+")", &out); err != nil {
		p.tab.t.Fatalf("%s: %v", script, err)
	}
	return out
}

// mortal is a server in a process of its own, which is killed and started again at the same address.
type mortal struct {
	t       *testing.T
	data    string
	addr    string
	cmd     *exec.Cmd
	said    chan []string // URL and setup code
	stopped chan struct{}
}

func newMortal(t *testing.T) *mortal {
	t.Helper()
	if err := build(); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0") // a free port, kept over the restart
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	m := &mortal{t: t, data: filepath.Join(t.TempDir(), "data"), addr: l.Addr().String(), said: make(chan []string, 1)}
	t.Cleanup(func() { m.signal(syscall.SIGTERM) })
	return m
}

func (m *mortal) start() {
	m.t.Helper()
	m.cmd = exec.Command(built, "serve", "--addr", m.addr, "--data", m.data)
	m.cmd.Env = append(os.Environ(), "HOME="+m.t.TempDir())
	out, err := m.cmd.StdoutPipe()
	if err == nil {
		err = m.cmd.Start()
	}
	if err != nil {
		m.t.Fatal(err)
	}
	stopped := make(chan struct{})
	m.stopped = stopped
	cmd := m.cmd
	go func() {
		defer close(stopped)
		want := regexp.MustCompile(`Open (http://\S+)/setup and enter this code within 30 minutes: (\S+)`)
		all := ""
		for lines := bufio.NewScanner(out); lines.Scan(); {
			all += lines.Text() + "\n"
			if found := want.FindStringSubmatch(all); found != nil && len(m.said) == 0 {
				m.said <- found
			}
		}
		cmd.Wait()
	}()
}

func (m *mortal) signal(s syscall.Signal) {
	if m.cmd != nil {
		m.cmd.Process.Signal(s)
		<-m.stopped
		m.cmd = nil
	}
}

// tabCount is how many tabs are open at once: SAFEPOINT_TABS=200 opens as many as that.
func tabCount() int {
	if n, err := strconv.Atoi(os.Getenv("SAFEPOINT_TABS")); err == nil && n > 0 {
		return n
	}
	return 10
}

// openTabs opens tabs of the same person, some at a time, and waits until each is live. A script may run before the
// pages' own.
func (c *console) openTabs(n int, script string) (all []*Page) {
	c.t.Helper()
	const batch = 20
	for len(all) < n {
		for range min(batch, n-len(all)) {
			p := c.Page.NewTab()
			if script != "" {
				p.before(script)
			}
			// Not Open: it waits until all of the page is there, which the other tabs need not.
			if err := p.run(fmt.Sprintf("void (location.href = %q)", fmt.Sprintf("%s/logs?tab=%d", c.origin, len(all))), nil); err != nil {
				c.t.Fatal(err)
			}
			all = append(all, p)
		}
		for i, p := range all[max(0, len(all)-batch):] {
			p.Wait(fmt.Sprintf("tab %d of the last %d to be live", i, batch), time.Minute, func() bool { return p.live() })
		}
	}
	for _, p := range all {
		p.eval("window.loaded = 'once'")
	}
	return all
}

// live says whether the page says that it is live.
func (p *Page) live() bool {
	var n int
	return p.run(`document.querySelectorAll('.live[data-live="on"]').length`, &n) == nil && n == 1
}

// TestLive opens more tabs than a browser gives a host connections, and kills the server in the middle of a restore.
// Every tab follows what happens, says so when nothing comes any more, and goes on by itself when the server is back.
func TestLive(t *testing.T) {
	server := newMortal(t)
	server.start()
	said := <-server.said
	file := filepath.Join(t.TempDir(), "harbor.db")
	db, err := sql.Open("sqlite", file)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	execute(t, db, "CREATE TABLE ships (id INTEGER PRIMARY KEY, name TEXT NOT NULL)",
		"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 400000) INSERT INTO ships (id, name) SELECT i, hex(randomblob(40)) FROM n")

	// All tabs in a few processes: one for each takes longer to start than everything else.
	b := Start(t, chromedp.Flag("renderer-process-limit", "4"))
	c := &console{Page: b.NewPage(t), t: t, origin: said[1], scripts: true}
	c.setup(said[2])
	c.connect(file)

	began := time.Now()
	all := c.openTabs(tabCount(), "")
	for _, p := range all {
		p.Expect("ERR_") // the server dies
	}
	t.Logf("%d tabs are live within %v", len(all), time.Since(began).Round(time.Millisecond))
	each := func(what string, within time.Duration, ok func(p *Page) bool) {
		t.Helper()
		deadline := time.Now().Add(within)
		for i, p := range all {
			p.Wait(fmt.Sprintf("tab %d: %s", i, what), time.Until(deadline), func() bool { return ok(p) })
		}
	}
	each("is live", time.Minute, (*Page).live)

	c.Expect("ERR_")
	c.open("/backups")
	c.ask("Manual Backup", "Start a manual backup?")
	c.Follow("Start backup")
	c.WaitTextFor("Read again and found whole", time.Minute)
	each("shows the backup", time.Minute, func(p *Page) bool { return p.Count(".p-ok") == 1 })

	// An open menu is not changed under the hand that is about to choose.
	menu := all[0]
	menu.Click("css:.icon-btn[data-menu]")
	menu.WaitText("Download")
	opened := func(when string) {
		t.Helper()
		if n := menu.eval("document.querySelectorAll('.menu:popover-open').length"); n != "1" {
			t.Errorf("%s %s menus are open, want the one that was opened", when, n)
		}
	}
	opened("At first")

	c.ask("Restore", "to an earlier state?")
	c.Fill("css:[name=confirm]", "harbor")
	c.Follow("Restore harbor")
	c.eval("window.loaded = 'once'")
	c.WaitTextFor("Step 2 of", time.Minute)
	opened("While the restore runs")
	server.signal(syscall.SIGKILL)
	killed := time.Now()
	all = append(all, c.Page)
	lost := `#not-live:not([hidden])`
	c.Wait("says that it is not live", 20*time.Second, func() bool { return c.Count(lost) == 1 })
	if took := time.Since(killed); took > 16*time.Second { // 12 s, and what polling costs on a busy machine
		t.Errorf("Not live was said %v after the server was killed", took)
	}
	each("says that it is not live", 20*time.Second, func(p *Page) bool { return p.Count(lost) == 1 })
	t.Logf("%d tabs say Not live within %v", len(all), time.Since(killed).Round(time.Millisecond))
	c.WaitText("The console has not answered for")
	c.WaitText("Trying again")

	server.start()
	began = time.Now()
	each("is live again", time.Minute, func(p *Page) bool { return p.live() && p.Count(lost) == 0 })
	t.Logf("%d tabs are live again within %v", len(all), time.Since(began).Round(time.Millisecond))
	c.Wait("the outcome", time.Minute, func() bool { return c.Count(".outcome") == 1 })
	opened("When all came")
	for i, p := range all {
		if p.eval("window.loaded") != "once" {
			t.Errorf("tab %d was loaded again", i)
		}
	}

	// The organization is the session's: a tab that shows another one never mixes the two.
	c.open("/organizations/new")
	c.Fill("Organization name", "Fjord Charter")
	c.Follow("Create organization")
	all[1].WaitText("Fjord Charter")
	if n := all[1].Count(`tr[id^="row-"]`); n != 0 || all[1].eval("window.loaded") == "once" {
		t.Errorf("the other tab shows %d entries of the organization it showed before", n)
	}
}
