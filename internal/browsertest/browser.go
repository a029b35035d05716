// Package browsertest drives a real Chromium through the console as a person would: it finds things by the words on
// them, clicks where a mouse would, and fails the test when the page breaks its own rules on the way.
//
// A test starts one Browser and opens pages in it, each with its own cookies:
//
//	b := browsertest.Start(t)
//	p := b.NewPage(t)
//	p.Open(link)
//	p.Follow("DB Logs")
//	p.Row("shop").Follow("Restore")
//	p.Fill("Type the database's name to confirm", "shop")
//	p.WaitText("Restored")
//	p.Axe()
//
// Every method that cannot do what it is told fails the test and says what the page showed instead. When a test ends,
// each page's uncaught errors, console errors and violations of its Content-Security-Policy fail it, unless Expect
// named them; a failed test leaves a picture in the folder SCREENSHOTS, which is
// tmp/screenshots where it is not set.
package browsertest

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/chromedp/cdproto/audits"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/chromedp"
)

// Browser is one Chromium without a window, with a profile of its own in a temporary folder. It reaches this
// machine, as 127.0.0.1 or localhost, and nothing else.
type Browser struct {
	ctx context.Context
}

// Start starts a Chromium that ends with the test, with more options if there are any. Where there is none, the test is
// skipped; under CI it fails.
func Start(t testing.TB, more ...chromedp.ExecAllocatorOption) *Browser {
	t.Helper()
	program, err := findChromium()
	if err != nil {
		missing(t, "This test drives a real browser. Run scripts/install-test-tools, or: apt-get install chromium")
	}
	home, err := os.MkdirTemp("", "browsertest") // not t.TempDir: Chromium's sockets need a short path
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(home) })
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(program),
		chromedp.NoSandbox, // it does not start as root with one, and loads our own pages only
		chromedp.DisableGPU,
		chromedp.Flag("disable-component-update", true),
		chromedp.Flag("no-proxy-server", true),
		chromedp.Flag("host-resolver-rules", "MAP * ~NOTFOUND , EXCLUDE 127.0.0.1, EXCLUDE localhost"),
		chromedp.Flag("font-render-hinting", "none"),
		chromedp.WindowSize(1280, 900),
		chromedp.Env("HOME="+home, "TMPDIR="+home),
	)
	allocator, release := chromedp.NewExecAllocator(context.Background(), append(options, more...)...)
	t.Cleanup(release)
	ctx, cancel := chromedp.NewContext(allocator)
	t.Cleanup(cancel)
	// The first run starts the browser, which lives as long as the context of that run: no deadline here.
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("start %s: %v", program, err)
	}
	return &Browser{ctx: ctx}
}

func findChromium() (string, error) {
	var err error
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "chrome"} {
		var path string
		if path, err = exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", err
}

// missing ends a test that lacks a tool: skipped on a developer's machine, failed where CI is set, for there a skip
// would pass for a success.
func missing(t testing.TB, message string) {
	t.Helper()
	if os.Getenv("CI") != "" {
		t.Fatal(message)
	}
	t.Skip(message)
}

// NewPage opens an empty tab with no cookies, 1280 pixels wide, light, with scripts on. It is closed, and its
// problems are reported, when t ends.
func (b *Browser) NewPage(t testing.TB) *Page {
	t.Helper()
	tab := &tab{t: t}
	ctx, cancel := chromedp.NewContext(b.ctx, chromedp.WithNewBrowserContext(), chromedp.WithListener(tab.listen))
	tab.ctx = ctx
	t.Cleanup(func() {
		tab.close()
		cancel()
	})
	enable := chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		_, err := cdp.Call(ctx, target, audits.Enable, cdp.Empty{})
		return err
	})
	if err := chromedp.Do(ctx, enable); err != nil {
		t.Fatalf("open a tab: %v", err)
	}
	p := &Page{tab: tab}
	p.SetViewport(1280)
	p.ColorScheme("light")
	return p
}

// root is the top of the source tree, where .cache and tmp are.
func root(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			t.Fatal("go.mod is in no folder above the test")
		}
		dir = parent
	}
}

const (
	patience = 15 * time.Second      // how long a page may take to show what it was asked for
	pause    = 40 * time.Millisecond // between two looks at the page
)
