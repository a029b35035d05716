package browsertest

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/chromedp/kb"
)

// policy is the console's own: nothing but files of the same origin.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; form-action 'self'"

const document = `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Harbor</title>
<meta name="viewport" content="width=device-width"><link rel="icon" href="/icon.svg"><link rel="stylesheet" href="/style.css">%s</head>
<body><main>%s</main></body></html>`

const home = `<h1>Harbor</h1>
<p id="scheme"></p>
<form method="post" action="/greet"><label for="n">Your name</label><input id="n" name="name">
<label for="e">Backup After Every</label><select id="e" name="every"><option>8 hours</option><option>3 days</option></select>
<button>Greet</button></form>
<button id="later" disabled>Later</button>
<table><tr><td>first</td><td><a href="/row/1">Restore</a></td></tr><tr><td>second</td><td><a href="/row/2">Restore</a></td></tr></table>
<div class="under"><button>Beneath</button><div class="cover"></div></div>
<div id="dialog"></div>`

// site serves a page with a form, rows, a script, and pages that do wrong on purpose.
func site(t *testing.T) string {
	mux := http.NewServeMux()
	page := func(route string, status int, head, body string) {
		mux.HandleFunc(route, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Security-Policy", policy)
			w.Header().Set("Content-Type", "text/html")
			w.WriteHeader(status)
			fmt.Fprintf(w, document, head, strings.ReplaceAll(body, "{name}", r.FormValue("name")+" "+r.FormValue("every")))
		})
	}
	file := func(route, kind, body string) {
		mux.HandleFunc(route, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", kind)
			fmt.Fprint(w, body)
		})
	}
	page("/{$}", 200, `<script type="module" src="/app.js"></script>`, home)
	page("/row/1", 200, "", "<h1>First row</h1>")
	page("/row/2", 200, "", "<h1>Second row</h1>")
	page("POST /greet", 422, "", "<h1>Hello {name}</h1>")
	page("/unlabelled", 200, "", `<h1>Form</h1><input name="q"><img src="/icon.svg">`)
	page("/inline", 200, "<script>document.title='inline'</script>", `<h1 style="color:red">Inline</h1>`)
	page("/broken", 200, `<script src="/broken.js"></script>`, "<h1>Broken</h1>")
	page("/cut", 200, "", `<h1>Cut</h1><div class="under"><p class="wide">A text that is longer than what it stands in, by far and far and far and far</p></div>`)
	page("/small", 200, "", `<h1>Small</h1><a class="tiny" href="/">x</a>`)
	page("/wide", 200, "", `<h1>Wide</h1><div class="wide">wide</div>`)
	file("/icon.svg", "image/svg+xml", `<svg xmlns="http://www.w3.org/2000/svg" width="1" height="1"/>`)
	file("/style.css", "text/css", `.wide{width:2000px} .under{position:relative;width:9rem;overflow:clip} .tiny{display:block;width:9px;height:9px;min-height:0 !important} .cover{position:absolute;inset:0;background:#fff}
:root{color-scheme:light dark} a,button,input,select{display:inline-block;min-height:24px}`)
	file("/broken.js", "text/javascript", `console.error("note", 7); nothing.at.all();`)
	file("/app.js", "text/javascript", `document.querySelector('#scheme').textContent = matchMedia('(prefers-color-scheme: dark)').matches ? 'It is dark' : 'It is light';
setTimeout(() => { document.querySelector('#later').disabled = false }, 300);
document.querySelector('#later').addEventListener('click', () => {
  document.querySelector('#dialog').innerHTML = '<dialog aria-labelledby="q"><h2 id="q">Sure?</h2><button>Restore</button></dialog>';
  const d = document.querySelector('dialog'); d.showModal();
  d.querySelector('button').addEventListener('click', () => { d.close(); d.remove(); document.querySelector('#scheme').textContent = 'Confirmed' });
});`)
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server.URL
}

func TestPage(t *testing.T) {
	url, b := site(t), Start(t)

	t.Run("words, rows and dialogs", func(t *testing.T) {
		p := b.NewPage(t)
		if status := p.Open(url); status != 200 {
			t.Fatalf("status %d", status)
		}
		p.Row("second").Follow("Restore")
		p.WaitText("Second row")
		p.Open(url)
		p.Click("Later") // enabled only after a while
		p.WaitText("Sure?")
		p.Click("Restore") // the dialog's, not a row's
		p.WaitText("Confirmed")
		p.WaitNoText("Sure?")
		if n := p.Within("table").Count("tr"); n != 2 {
			t.Errorf("%d rows", n)
		}
	})

	t.Run("forms, with scripts on and off", func(t *testing.T) {
		for _, scripts := range []bool{true, false} {
			p := b.NewPage(t)
			p.Scripts(scripts)
			p.Open(url)
			if ran := strings.Contains(p.Text(), "It is light"); !scripts && ran {
				t.Error("the page's script ran although it was off")
			}
			p.Fill("Your name", "someone else")
			p.Fill("Your name", "Ada \"👩‍💻\" <b>")
			p.Choose("Backup After Every", "3 days")
			p.Follow("Greet")
			p.WaitText("Hello")
			if p.Status() != 422 {
				t.Errorf("status %d", p.Status())
			}
			p.Expect("status of 422")
			p.Open(url)
			p.Fill("Your name", "Grace")
			p.Press(kb.Enter)
			p.WaitText("Hello Grace 8 hours")
		}
	})

	t.Run("light, dark, narrow, and pictures", func(t *testing.T) {
		p := b.NewPage(t)
		p.Open(url)
		p.WaitText("It is light")
		p.ColorScheme("dark")
		p.SetViewport(390)
		p.Open(url)
		p.WaitText("It is dark")
		p.NoSidewaysScroll()
		file := p.Screenshot("browsertest/dark 390")
		defer os.Remove(file)
		if info, err := os.Stat(file); err != nil || info.Size() < 1000 {
			t.Errorf("picture: %v %v", info, err)
		}
	})

	t.Run("a sound page passes axe", func(t *testing.T) {
		p := b.NewPage(t)
		p.Open(url)
		p.WaitText("It is light")
		p.Axe()
	})
}

// TestReports proves that what should fail a test does: a harness that cannot fail protects nothing.
func TestReports(t *testing.T) {
	url, b := site(t), Start(t)
	for _, test := range []struct {
		name string
		do   func(p *Page)
		want string // part of what the test is failed with
	}{
		{"inline script and style", func(p *Page) { p.Open(url + "/inline"); p.waitProblem("script-src") }, "content security policy: script-src"},
		{"inline style", func(p *Page) { p.Open(url + "/inline"); p.waitProblem("style-src") }, "content security policy: style-src"},
		{"uncaught error", func(p *Page) { p.Open(url + "/broken"); p.waitProblem("uncaught") }, "nothing is not defined"},
		{"console error", func(p *Page) { p.Open(url + "/broken"); p.waitProblem("console") }, `console.error: "note" 7`},
		{"page not found", func(p *Page) { p.Open(url + "/nowhere"); p.waitProblem("404") }, "status of 404"},
		{"unlabelled field", func(p *Page) { p.Open(url + "/unlabelled"); p.Axe() }, "axe at " + url + "/unlabelled: label (critical)"},
		{"too wide, measured", func(p *Page) { p.Open(url + "/wide"); p.complain() }, "px wider than its window"},
		{"cut off", func(p *Page) { p.Open(url + "/cut"); p.complain() }, "is cut by"},
		{"too small for a finger", func(p *Page) { p.Open(url + "/small"); p.complain() }, "a target needs 24"},
		{"too wide", func(p *Page) { p.Open(url + "/wide"); p.NoSidewaysScroll() }, "pixels wider"},
		{"missing text", func(p *Page) { p.Open(url + "/row/1"); p.WaitTextFor("Third row", pause) }, `"Third row" is not on the page, which says: First row`},
	} {
		t.Run(test.name, func(t *testing.T) {
			if strings.HasPrefix(test.want, "axe") && !axeFetched(t) {
				t.Skip("The accessibility check needs axe-core: run scripts/install-test-tools.")
			}
			got := observe(t, func(r *recorder) { test.do(b.NewPage(r)) })
			if !strings.Contains(got, test.want) {
				t.Errorf("the test was failed with %q, want %q in it", got, test.want)
			}
		})
	}

	t.Run("covered button", func(t *testing.T) {
		p := b.NewPage(t)
		p.Open(url)
		if why := p.find("point", "Beneath", "").Why; why != `"Beneath" is covered by <div> ""` {
			t.Error(why)
		}
		if why := p.find("point", "Nothing", "").Why; !strings.Contains(why, "Greet | Later | Restore") {
			t.Error(why)
		}
	})
}

// complain fails the test with what is broken in the layout, as TestLayout does.
func (p *Page) complain() {
	var broken []string
	if err := p.run("("+layoutJS+")(true)", &broken); err != nil {
		p.tab.t.Fatalf("measure: %v", err)
	}
	for _, b := range broken {
		p.tab.t.Errorf("%s", b)
	}
}

func (p *Page) waitProblem(text string) {
	p.Wait("a problem holding "+text, patience, func() bool { return strings.Contains(strings.Join(p.Problems(), "\n"), text) })
}

func axeFetched(t *testing.T) bool {
	_, err := os.Stat(root(t) + "/.cache/axe/axe.min.js")
	return err == nil || os.Getenv("CI") != ""
}

// recorder is a test that keeps what it was failed with instead of failing.
type recorder struct {
	testing.TB
	mu       sync.Mutex
	failures []string
	cleanups []func()
}

func (r *recorder) Helper()          {}
func (r *recorder) Cleanup(f func()) { r.cleanups = append(r.cleanups, f) }
func (r *recorder) Failed() bool     { return false } // no pictures of what fails on purpose
func (r *recorder) Fatal(args ...any) {
	r.Errorf("%s", fmt.Sprint(args...))
	runtime.Goexit()
}
func (r *recorder) Fatalf(format string, args ...any) {
	r.Errorf(format, args...)
	runtime.Goexit()
}
func (r *recorder) Errorf(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failures = append(r.failures, fmt.Sprintf(format, args...))
}

// observe runs f as a test of its own, to its end, and returns what it was failed with.
func observe(t *testing.T, f func(r *recorder)) string {
	r := &recorder{TB: t}
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() {
			for i := len(r.cleanups) - 1; i >= 0; i-- {
				r.cleanups[i]()
			}
		}()
		f(r)
	}()
	<-done
	return strings.Join(r.failures, "\n")
}
