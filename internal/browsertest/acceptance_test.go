package browsertest

import (
	"context"
	"database/sql"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	_ "modernc.org/sqlite" // the database that is backed up
)

// The acceptance list of the console's guide, and where each item is shown:
//
//	every page renders in every state             internal/web TestPages
//	axe: 0 violations, each dialog open           TestAxe, and TestConsole on the real server
//	the keyboard script, on the real server       TestAcceptance/keyboard…, /restore dialog…
//	with scripts off everything works             TestFirstRun and TestConsole without scripts, TestAcceptance/edit without scripts
//	no report of the content security policy      every test of this package: see NewPage; that it is seen: TestReports
//	the server killed during a restore            TestLive
//	409 when the state moved on                   TestAcceptance/the state moved on
//	a double submit starts one job                TestAcceptance/a double submit, internal/web TestDoubleSubmit
//	texts come from the catalogue                 internal/web TestEveryWordIsInTheCatalogue
//	a language two fifths longer, right to left   TestLayout
//	print fits A4                                 TestPrint
func TestAcceptance(t *testing.T) {
	file := filepath.Join(t.TempDir(), "harbor.db")
	db, err := sql.Open("sqlite", file)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	execute(t, db, "CREATE TABLE ships (id INTEGER PRIMARY KEY, name TEXT NOT NULL)", "INSERT INTO ships (name) VALUES ('Adria'), ('Boreas')")
	b := Start(t)
	said := launch(t, `Open (http://\S+)/setup and enter this code within 30 minutes: (\S+)`, "serve", "--addr", "127.0.0.1:0", "--data", filepath.Join(t.TempDir(), "data"))
	c := &console{Page: b.NewPage(t), t: t, origin: said[1], scripts: true}
	c.setup(said[2])
	c.connect(file)
	c.schedule()
	c.open("/backups/manual")
	c.Follow("Start backup")
	c.WaitTextFor("Read again and found whole", time.Minute)
	for _, part := range []struct {
		name    string
		scripts bool
		do      func(*console)
	}{
		{"keyboard: menus and questions", true, (*console).menuKeys},
		{"keyboard: the restore dialog", true, (*console).restoreKeys},
		{"edit without scripts", false, (*console).edit},
		{"the state moved on", true, (*console).conflict},
		{"a double submit", true, (*console).twice},
		{"a double submit without scripts", false, (*console).twice},
	} {
		t.Run(part.name, func(t *testing.T) { part.do(c.with(t, part.scripts)) })
	}
}

// focused is what has the focus: its text, or its id.
func (c *console) focused() (name string) {
	c.t.Helper()
	if err := c.run("(e => (e.innerText || e.getAttribute('aria-label') || e.id || e.tagName).trim())(document.activeElement)", &name); err != nil {
		c.t.Fatal(err)
	}
	return name
}

// press presses keys and waits until a thing has the focus.
func (c *console) keys(want string, keys ...string) {
	c.t.Helper()
	for _, k := range keys {
		c.Press(k)
	}
	c.until(patience, func() string {
		if got := c.focused(); got != want {
			return quote(got) + " has the focus instead of " + quote(want)
		}
		return ""
	})
}

// holds waits until an expression is true.
func (c *console) holds(what, expression string) {
	c.t.Helper()
	c.until(patience, func() string {
		var is bool
		if err := c.run("!!("+expression+")", &is); err != nil || !is {
			return "it is not so that " + what
		}
		return ""
	})
}

// stays looks whether an expression is true, and again after the page has drawn itself twice: what a key did is done then.
func (c *console) stays(what, expression string) {
	c.t.Helper()
	var is bool
	err := c.run("new Promise(done => { const is = !!("+expression+"); requestAnimationFrame(() => requestAnimationFrame(() => done(is && !!("+expression+")))) })", &is)
	if err != nil || !is {
		c.t.Errorf("it is not so that %s (%v)", what, err)
	}
}

// enter presses Enter, and keeps it down until it was repeated some times.
func (c *console) enter(times int) {
	c.t.Helper()
	event := func(kind input.DispatchKeyEventType, text string, again bool) input.DispatchKeyEventParams {
		return input.DispatchKeyEventParams{Type: kind, Key: "Enter", Code: "Enter", Text: text, UnmodifiedText: text, WindowsVirtualKeyCode: 13, NativeVirtualKeyCode: 13, AutoRepeat: &again}
	}
	events := []input.DispatchKeyEventParams{event(input.DispatchKeyEventTypeKeyDown, "\r", false)}
	for range times {
		events = append(events, event(input.DispatchKeyEventTypeKeyDown, "\r", true))
	}
	events = append(events, event(input.DispatchKeyEventTypeKeyUp, "", false))
	err := c.do(chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		for _, e := range events {
			if _, err := cdp.Call(ctx, t, input.DispatchKeyEvent, e); err != nil {
				return err
			}
		}
		return nil
	}))
	if err != nil {
		c.t.Fatal(err)
	}
}

func (c *console) focus(css string) {
	c.t.Helper()
	c.holds("there is "+css, "document.querySelector("+quote(css)+")?.focus() === undefined && document.activeElement.matches("+quote(css)+")")
}

// menuKeys is the pattern of a menu button (APG), and where the focus goes with a question.
func (c *console) menuKeys() {
	c.open("/backups")
	const button = ".card [data-menu]"
	expanded := func(is string) {
		c.t.Helper()
		c.holds("the menu button says it is expanded: "+is, "document.querySelector('"+button+"').getAttribute('aria-expanded') === '"+is+"'")
	}
	c.focus(button)
	name := c.focused()
	c.keys("View", kb.Enter)
	expanded("true")
	c.keys("Edit", kb.ArrowDown)
	c.keys("Disable", kb.End)
	c.keys("View", kb.ArrowDown) // around
	c.keys("Disable", kb.ArrowUp)
	c.keys("View", kb.Home)
	c.keys("Disable", "d")
	c.keys(name, kb.Escape)
	expanded("false")
	c.keys("View", " ")
	c.Press(kb.Tab)
	expanded("false")
	c.focus(button)
	c.keys("View", kb.ArrowDown)
	c.keys(name, kb.Escape)
	c.keys("Disable", kb.ArrowUp) // opens on the last

	c.keys("Cancel", kb.Enter) // the question opens on what does nothing
	c.holds("the question is an alert", "document.getElementById('dlg').matches(':modal[role=alertdialog][aria-labelledby][aria-describedby]')")
	c.keys(name, kb.Escape)
	c.holds("the question is closed", "!document.getElementById('dlg').open")
	for _, repeated := range []int{0, 5} { // the key that closes the question opens nothing beneath it, however long it is held
		c.keys("Disable", kb.ArrowUp)
		c.keys("Cancel", kb.Enter)
		c.enter(repeated)
		c.keys(name)
		c.holds("the question is closed", "!document.getElementById('dlg').open")
		c.stays("the menu is closed", "!document.querySelector('.menu:popover-open')")
	}
	c.spaceKeys(button, name)
	c.WaitText("Active")
}

// spaceKeys press links that look like buttons, and items of a menu: in a dialog and on a page.
func (c *console) spaceKeys(button, name string) {
	c.t.Helper()
	c.keys("Disable", kb.ArrowUp)
	c.keys("Cancel", " ")
	c.holds("Cancel closes, and says that it is a button", "document.activeElement.matches('[role=button]')")
	c.keys(name, " ")
	c.holds("the question is closed", "!document.getElementById('dlg').open")
	c.stays("the menu is closed", "!document.querySelector('.menu:popover-open')")
	c.focus("main a.btn[href='/backups/manual']")
	c.Press(" ")
	c.WaitText("Start a manual backup?")
	c.keys("Manual Backup", kb.Escape)
	c.open("/backups/manual")
	c.focus("main footer a.btn")
	c.Press(" ")
	c.Wait("Cancel leads back to DB Backup", patience, func() bool { return strings.HasSuffix(c.URL(), "/backups") })
	c.focus(button)
}

// restoreKeys opens the restore dialog from a row's menu, and restores with keys alone.
func (c *console) restoreKeys() {
	c.open("/logs")
	const button = ".logs [data-menu]"
	c.focus(button)
	row := c.focused()
	c.keys("View", kb.Enter)
	c.keys("Backup details", kb.Enter)
	c.keys(row, kb.Escape)
	c.keys("View", kb.Enter)
	c.keys("Backup details", kb.Enter)
	c.ClickAt(8, 8) // beside it: what only shows is closed
	c.holds("the details are closed", "document.getElementById('dlg').childElementCount === 0")
	c.keys(row)
	c.keys("View", kb.Enter)
	c.keys("Restore", "r")
	c.keys("Restore harbor to an earlier state?", kb.Enter) // read from the top
	c.ClickAt(8, 8)
	const submit = "#dlg footer button[type=submit]"
	c.holds("the button says that it waits", "document.querySelector('"+submit+"').getAttribute('aria-disabled') === 'true'")
	c.focus(submit)
	c.keys("f-confirm", kb.Enter) // it explains instead of staying dead
	c.WaitText("exactly as shown.")
	c.holds("the field is marked", "document.activeElement.getAttribute('aria-invalid') === 'true'")
	c.Fill("css:#f-confirm", "harbo")
	c.Press(kb.Enter)
	c.holds("Enter with the wrong name does nothing", "document.getElementById('dlg').open && location.pathname === '/logs'")
	c.Fill("css:#f-confirm", "harbor")
	c.holds("the button is ready", "document.querySelector('"+submit+"').getAttribute('aria-disabled') === 'false'")
	c.Press(kb.Enter)
	c.WaitTextFor("harbor is back to", time.Minute)
	if !strings.Contains(c.URL(), "/restores/") {
		c.t.Errorf("the restore is at %s", c.URL())
	}
}

// edit changes a schedule.
func (c *console) edit() {
	c.open("/backups")
	c.Follow("css:.card h3 a")
	c.Follow("Edit")
	c.Fill("Description", "Every ship")
	c.Follow("Submit")
	c.WaitText("Your changes are saved.")
	c.WaitText("Every ship")
	c.Follow("Edit")
	c.Fill("Name", "")
	c.Expect("status of 422")
	c.Follow("Submit")
	c.WaitText("Enter a name.")
	if got := c.Value("Description"); got != "Every ship" {
		c.t.Errorf("what was typed is gone: %q", got)
	}
}

// conflict edits a schedule that somebody else changes meanwhile.
func (c *console) conflict() {
	c.open("/backups")
	c.Follow("css:.card h3 a")
	c.Follow("Edit")
	c.Fill("Description", "Mine")
	meanwhile := `(async () => { const f = document.querySelector('main form'), b = new URLSearchParams(new FormData(f));
		b.set('description', 'Theirs'); b.set('once', ''); return (await fetch(f.action, {method: 'POST', body: b})).redirected })()`
	c.holds("the other change is saved", meanwhile)
	c.Expect("status of 409")
	c.Follow("Submit")
	c.WaitText("changed while you were editing")
	if c.Status() != 409 || c.Value("Description") != "Mine" {
		c.t.Errorf("status %d, description %q", c.Status(), c.Value("Description"))
	}
	c.Follow("Keep mine")
	c.WaitText("Your changes are saved.")
	c.WaitText("Mine")
}

// twice presses a button twice.
func (c *console) twice() {
	manual := func() int {
		c.open("/logs?type=backup")
		return strings.Count(c.Text(), "Manual, by")
	}
	before := manual()
	c.open("/backups/manual")
	if c.scripts {
		c.DoubleClick("Start backup")
	} else { // two requests at once, as a browser without scripts sends them
		both := `(() => { const f = document.querySelector('main form'), b = new URLSearchParams(new FormData(f));
			const send = () => fetch(f.action, {method: 'POST', body: b}).then(r => r.redirected ? r.url : r.status);
			return Promise.all([send(), send()]).then(([a, b]) => a === b && /\/logs\/op_/.test(a)) })()`
		c.holds("both presses lead to one job", both)
		c.open("/logs")
	}
	c.WaitTextFor("Succeeded", time.Minute)
	if after := manual(); after != before+1 {
		c.t.Errorf("%d backups were started", after-before)
	}
}
