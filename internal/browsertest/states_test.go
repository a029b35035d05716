package browsertest

import (
	"bufio"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// states are every page in every state of internal/web's tests, served by that package's TestLook.
type states struct {
	url            string
	pages, dialogs []string
}

var lookDir string // where the program is, once a test needed it

var buildLook = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "browsertest")
	if err != nil {
		return "", err
	}
	lookDir = dir
	program := filepath.Join(dir, "look")
	out, err := exec.Command("go", "test", "-c", "-o", program, "../web").CombinedOutput()
	if err != nil {
		os.Stderr.Write(out)
	}
	return program, err
})

// look starts TestLook and ends it with the test.
func look(t *testing.T) *states {
	t.Helper()
	program, err := buildLook()
	if err != nil {
		t.Fatalf("build internal/web's tests: %v", err)
	}
	cmd := exec.Command(program, "-test.run=^TestLook$", "-test.timeout=10m")
	cmd.Dir = filepath.Join(root(t), "internal", "web")
	cmd.Env = append(os.Environ(), "SAFEPOINT_LOOK=127.0.0.1:0")
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(stdout)
	s := &states{}
	for s.url == "" && lines.Scan() {
		_, s.url, _ = strings.Cut(lines.Text(), "look: ")
	}
	rest := make(chan struct{})
	go func() {
		defer close(rest)
		io.Copy(io.Discard, stdout)
	}()
	t.Cleanup(func() {
		stdin.Close()
		<-rest
		if err := cmd.Wait(); err != nil {
			t.Errorf("TestLook ended badly: %v", err)
		}
	})
	if s.url == "" {
		t.Fatal("TestLook did not say where it listens")
	}
	resp, err := (&http.Client{Timeout: time.Minute}).Get(s.url + "/_/")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	for list := bufio.NewScanner(resp.Body); list.Scan(); {
		kind, name, _ := strings.Cut(list.Text(), " ")
		if kind == "dialog" {
			s.dialogs = append(s.dialogs, name)
		} else {
			s.pages = append(s.pages, name)
		}
	}
	if len(s.pages) < 100 || len(s.dialogs) < 5 {
		t.Fatalf("TestLook has %d pages and %d dialogs", len(s.pages), len(s.dialogs))
	}
	return s
}

// page is the address of a state in a language and a colour scheme; both may be "".
func (s *states) page(name, language string) string {
	return s.url + "/_/" + name + "?language=" + url.QueryEscape(language)
}

// shown draws one state after another into the document that is open, which must be a state in the same language, and
// returns what an expression of JavaScript says about each: a list of complaints. Dialogs are opened as dialogs.
//
// A document is not loaded for each of them, as that takes a second on a busy machine. What scripts do when a page is
// loaded is left out, except that they show what works with scripts only.
func (s *states) shown(p *Page, names []string, language, complaints string) map[string][]string {
	p.tab.t.Helper()
	found := map[string][]string{}
	for some := range slices.Chunk(names, 12) {
		list, err := json.Marshal(some)
		if err != nil {
			p.tab.t.Fatal(err)
		}
		var part map[string][]string
		expression := "(" + showJS + ")(" + string(list) + ", " + quote(language) + ", " + complaints + ")"
		if err := p.run(expression, &part); err != nil {
			p.tab.t.Fatalf("show %v: %v", some, err)
		}
		maps.Copy(found, part)
	}
	return found
}

const showJS = `async (names, language, complaints) => {
	const found = {};
	for (const name of names) {
		const html = await (await fetch('/_/' + name + '?language=' + language)).text();
		const next = new DOMParser().parseFromString(html, 'text/html'), whole = next.querySelector('main') !== null;
		const open = document.querySelector('dialog[open]');
		if (open) await new Promise(closed => { open.addEventListener('close', () => setTimeout(closed), { once: true }); open.close(); });
		if (whole) {
			document.body.replaceChildren(...next.body.childNodes);
			for (const a of ['lang', 'dir']) document.documentElement.setAttribute(a, next.documentElement.getAttribute(a));
			document.documentElement.dataset.theme = next.documentElement.dataset.theme ?? '';
		} else {
			const d = document.getElementById('dlg');
			d.replaceChildren(...next.body.childNodes);
			d.classList.toggle('wide', d.firstElementChild.hasAttribute('data-wide'));
			if (d.firstElementChild.hasAttribute('data-alert')) d.setAttribute('role', 'alertdialog'); else d.removeAttribute('role');
			d.showModal();
		}
		for (const e of document.querySelectorAll('[data-copy], [data-print], [data-reads]')) e.hidden = false;
		found[name] = await complaints();
	}
	return found;
}`
