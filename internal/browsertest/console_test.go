package browsertest

import (
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/safepoint-db/safepoint/internal/web"
)

// TestConsole goes through the console as an Organization Admin would, on the demo: with scripts, without them, and
// then over every page, light and dark, on a desk and on a phone.
func TestConsole(t *testing.T) {
	b := Start(t)
	link := launch(t, `http://\S+/signin/link\?\S+`, "demo", "--addr", "127.0.0.1:0")[0]
	p := b.NewPage(t)
	p.Open(link)
	p.Follow("Sign in")
	p.WaitText("DB Backup")
	c := &console{Page: p, t: t, origin: link[:strings.Index(link, "/signin")]}
	c.open("/logs")
	if long := regexp.MustCompile(`\d+.min.\d+.s\b`).FindString(c.Text()); long != "" {
		t.Errorf("a backup of the demo took %s: its clock went on while the backup ran", long)
	}

	for _, scripts := range []bool{true, false} {
		name := map[bool]string{true: "with scripts", false: "without scripts"}[scripts]
		if !t.Run(name, func(t *testing.T) { c.with(t, scripts).work() }) {
			return
		}
	}
	t.Run("every page", func(t *testing.T) { c.with(t, true).everyPage() })
}

// console is a signed-in page of the console.
type console struct {
	*Page
	t       *testing.T
	origin  string
	scripts bool
}

// with is the same page for a part of the test, which it fails instead of the whole.
func (c *console) with(t *testing.T, scripts bool) *console {
	whole := c.tab.t
	c.tab.t = t
	t.Cleanup(func() { c.tab.t = whole })
	c.Scripts(scripts)
	return &console{Page: c.Page, t: t, origin: c.origin, scripts: scripts}
}

func (c *console) open(path string) {
	c.t.Helper()
	if status := c.Open(c.origin + path); status != http.StatusOK {
		c.t.Fatalf("%s: status %d", path, status)
	}
}

// ask opens a question: in a dialog where scripts run, else on a page of its own.
func (c *console) ask(target, title string) {
	c.t.Helper()
	if c.scripts {
		c.Click(target)
	} else {
		c.Follow(target)
	}
	c.WaitText(title)
}

// work does the daily work: a backup, its restore with the storefront halted, the undo, a delete, a schedule.
func (c *console) work() {
	c.open("/backups")
	c.ask("Manual Backup", "Start a manual backup?")
	c.Choose("Database", "shop")
	c.Follow("Start backup")
	c.WaitTextFor("Succeeded", 90*time.Second)
	backup := c.URL()
	c.WaitText("Read again and found whole")

	health := c.storefront()
	c.Open(backup)
	c.ask("Restore", "to an earlier state?")
	c.WaitText("rows in the backup.") // compared with what is live
	c.WaitText("service answers")
	database := c.confirmation()
	c.Fill("css:[name=confirm]", "something else")
	c.refuse("Restore " + database)
	c.Fill("css:[name=confirm]", database)
	seen := watch(c.t, health)
	c.Follow("Restore " + database)
	c.WaitTextFor(database+" is back to", 2*time.Minute)
	c.WaitText("running again")
	if statuses := seen(); !slices.Equal(statuses, []int{200, 503, 200}) {
		c.t.Errorf("during the restore the storefront answered %v, want 200, then 503 while it was halted, then 200", statuses)
	}

	c.ask("Undo restore", "Undo this restore?")
	seen = watch(c.t, health)
	c.Follow("Undo restore")
	c.WaitTextFor("The restore was undone.", time.Minute)
	if statuses := seen(); !slices.Equal(statuses, []int{200, 503, 200}) {
		c.t.Errorf("during the undo the storefront answered %v, want 200, then 503 while it was halted, then 200", statuses)
	}

	c.Open(backup)
	c.ask("Delete", "Delete this backup?")
	c.Follow("Delete backup")
	c.Open(backup)
	c.WaitText("The file was deleted")

	c.open("/backups")
	c.Follow("css:.card h3 a")
	c.ask("Disable", "Disable this schedule?")
	c.Follow("Disable schedule")
	c.WaitText("Disabled")
	c.ask("Enable", "Enable this schedule?")
	c.Follow("Enable schedule")
	c.WaitText("Active")
}

// confirmation is the text that a question wants to be typed.
func (c *console) confirmation() string {
	c.t.Helper()
	_, after, ok := strings.Cut(c.Text(), "To confirm, type ")
	if !ok {
		c.t.Fatalf("nothing is asked to be typed on %s: %s", c.URL(), c.Text())
	}
	word, _, _ := strings.Cut(after, " ")
	return word
}

// refuse presses a button whose form is not right yet, and expects to be told so, with nothing started.
func (c *console) refuse(button string) {
	c.t.Helper()
	if c.scripts {
		c.Click(button)
	} else {
		c.Expect("status of 422")
		c.Follow(button)
	}
	c.WaitText("exactly as shown. Nothing was started.")
}

// storefront is the health URL of the service that the demo runs.
func (c *console) storefront() string {
	c.t.Helper()
	c.open("/services")
	c.Follow("css:tbody th a")
	url := regexp.MustCompile(`Health URL (http://\S+)`).FindStringSubmatch(c.Text())
	if url == nil {
		c.t.Fatalf("the service has no health URL: %s", c.Text())
	}
	return url[1]
}

// watch asks a URL all the time, and returns a function that ends this and tells the statuses seen, without repeats.
func watch(t *testing.T, url string) func() []int {
	var statuses []int
	stop, stopped := make(chan struct{}), make(chan struct{})
	first := make(chan struct{})
	go func() {
		defer close(stopped)
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for begun := false; ; {
			if resp, err := http.Get(url); err == nil {
				resp.Body.Close()
				if len(statuses) == 0 || statuses[len(statuses)-1] != resp.StatusCode {
					statuses = append(statuses, resp.StatusCode)
				}
			}
			if !begun {
				close(first)
				begun = true
			}
			select {
			case <-stop:
				return
			case <-tick.C:
			}
		}
	}()
	<-first
	end := sync.OnceFunc(func() { close(stop); <-stopped })
	t.Cleanup(end)
	return func() []int { end(); return statuses }
}

// elsewhere are the routes that no link of a signed-in admin leads to, and why.
var elsewhere = map[string]string{
	"/{$}":                          "leads on to /backups",
	"/":                             "is every address that there is not",
	"/setup":                        "is only there while no account exists",
	"/signin":                       "is looked at after signing out",
	"/signin/link":                  "was used to come in",
	"/invite":                       "needs an invitation's link",
	"/logs/{id}/file":               "is a file",
	"/logs/{id}/tables.sql":         "is a file",
	"/audit.csv":                    "is a file",
	"/logs/{id}/cancel":             "is only there while something runs",
	"/restores/{id}/undo":           "was asked in the daily work, and is gone once a restore was undone",
	"/start":                        "is led to until everything is set up: TestFirstRunFilmed goes through it",
	"/events":                       "is a stream",
	"/profile/passkeys/new":         "is only there where the console has a name: TestPasskey goes through it",
	"/profile/passkeys/{id}/rename": "is only there where the console has a name: TestPasskey goes through it",
	"/profile/passkeys/{id}/remove": "is only there where the console has a name: TestPasskey goes through it",
	"/static/{file}":                "is not a page",
}

// prepare makes what some pages are about: a schedule that can be enabled, a token that can be revoked.
func (c *console) prepare() {
	c.open("/backups")
	c.Follow("css:.card h3 a")
	c.ask("Disable", "Disable this schedule?")
	c.Follow("Disable schedule")
	c.open("/profile")
	c.Within("form[action='/profile/tokens']").Fill("Token name", "laptop")
	c.Within("form[action='/profile/tokens']").Follow("css:button")
	c.WaitText("laptop")
	c.encrypt()
}

// encrypt turns encryption on with a key that is made, shown once and given back, and leaves another recipient unproven.
func (c *console) encrypt() {
	c.t.Helper()
	c.open("/settings/encryption")
	c.WaitText("New backups are not encrypted.")
	c.Follow("Go on")
	c.WaitText("shown only now")
	c.look("the recovery key")
	words := strings.Fields(c.Within("[data-secret]").Text()) // two lines of comment, and the key
	key := words[len(words)-1]
	if !strings.HasPrefix(key, "AGE-SECRET-KEY-1") {
		c.t.Fatalf("no key is shown: %d words", len(words))
	}
	c.Fill("css:[name=identity]", strings.Replace(key, "AGE-SECRET-KEY-1", "AGE-SECRET-KEY-1Q", 1))
	c.Follow("Prove the key")
	c.Expect("status of 422")
	c.WaitText("is no key of age")
	if strings.Contains(c.Value("css:[name=identity]"), "AGE") {
		c.t.Error("the key came back in the form")
	}
	c.Fill("css:[name=identity]", key)
	c.Follow("Prove the key")
	c.WaitText("New backups are encrypted.")
	c.Fill("Name", "Second")
	c.Follow("Go on")
	c.WaitText("shown only now")
	c.Follow("Later")
	c.WaitText("Not proven yet")
}

// everyPage follows every link from page to page, and looks at each kind of page in both colours and widths.
func (c *console) everyPage() {
	c.prepare()
	queue, seen, looked := []string{"/backups", "/stepup?next=/logs", "/nowhere"}, map[string]bool{}, map[string]int{}
	for len(queue) > 0 {
		path := queue[0]
		queue = queue[1:]
		kind := kindOf(path)
		if seen[path] || looked[kind] >= 2 || strings.HasSuffix(kind, "/file") || kind == "/audit.csv" {
			continue
		}
		seen[path] = true
		looked[kind]++
		if path == "/nowhere" {
			c.Expect("status of 404")
		}
		if status := c.Open(c.origin + path); status != 200 && path != "/nowhere" {
			c.t.Errorf("%s: status %d", path, status)
			continue
		}
		c.look(kind)
		for _, link := range c.links() {
			if target, ok := strings.CutPrefix(link, c.origin); ok {
				queue = append(queue, target)
			}
		}
	}
	for _, route := range web.Routes() {
		if route.Method == "GET" && looked[route.Pattern] == 0 && elsewhere[route.Pattern] == "" {
			c.t.Errorf("no link led to %s. Add one to the console, or a reason to this test", route.Pattern)
		}
	}

	c.helpPages()
	for _, dialog := range [][2]string{{"/backups", "Manual Backup"}, {"/logs", "Manual Backup"}} {
		c.open(dialog[0])
		c.ask(dialog[1], "Start a manual backup?")
		c.look("dialog " + dialog[1])
	}
	c.open("/backups")
	c.Click("css:button.avatar")
	c.Follow("Sign out")
	c.look("/signin")
}

// look checks the page as it stands: light on a desk, and dark on a phone. TestAxe and TestLayout look at every state of
// every page in more ways.
func (c *console) look(kind string) {
	for width, scheme := range map[int]string{1280: "light", 390: "dark"} {
		c.SetViewport(width)
		c.ColorScheme(scheme)
		c.Axe()
		c.NoSidewaysScroll()
	}
	c.SetViewport(1280)
	c.ColorScheme("light")
}

func (c *console) links() (links []string) {
	c.t.Helper()
	if err := c.run("[...document.querySelectorAll('a[href]')].map(a => a.href.split('#')[0])", &links); err != nil {
		c.t.Fatalf("links of %s: %v", c.URL(), err)
	}
	return links
}

var identifier = regexp.MustCompile(`/[a-z]+_[0-9a-z]{6,}`)

// kindOf is the route of a path: identifiers and the query are left out.
func kindOf(path string) string {
	path, _, _ = strings.Cut(path, "?")
	if strings.HasPrefix(path, "/help/") {
		return "/help/{task}"
	}
	if strings.HasPrefix(path, "/storage/") { // which is named by the operator
		return "/storage/{id}"
	}
	return identifier.ReplaceAllString(path, "/{id}")
}
