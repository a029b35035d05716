package browsertest

import (
	"context"
	"database/sql"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"

	"github.com/safepoint-db/safepoint/internal/certtest"
)

// TestLiveOverHTTP2 follows a backup over HTTPS, where the server speaks HTTP/2 itself: in tabs that share one stream,
// and in more tabs with a stream of their own each than HTTP/1.1 has connections.
func TestLiveOverHTTP2(t *testing.T) {
	cert, key, hash := certtest.New(t)
	b := Start(t, chromedp.Flag("ignore-certificate-errors-spki-list", hash))
	said := launch(t, `Open (https://\S+)/setup and enter this code within 30 minutes: (\S+)`,
		"serve", "--addr", "127.0.0.1:0", "--data", filepath.Join(t.TempDir(), "data"), "--tls-cert", cert, "--tls-key", key)
	file := filepath.Join(t.TempDir(), "harbor.db")
	db, err := sql.Open("sqlite", file)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	execute(t, db, "CREATE TABLE ships (id INTEGER PRIMARY KEY, name TEXT NOT NULL)", "INSERT INTO ships (name) VALUES ('Adria')")
	c := &console{Page: b.NewPage(t), t: t, origin: said[1], scripts: true}
	c.setup(said[2])
	c.connect(file)

	const alone = 8 // HTTP/1.1 has six
	all := c.openTabs(3, "")
	all = append(all, c.openTabs(alone, "delete Navigator.prototype.locks")...) // such tabs do not know of each other
	c.open("/backups/manual")
	c.Follow("Start backup")
	c.WaitTextFor("Read again and found whole", time.Minute)
	for i, p := range all {
		p.Wait(fmt.Sprintf("tab %d to show the backup", i), time.Minute, func() bool { return p.Count(".p-ok") == 1 })
		if p.eval("window.loaded") != "once" {
			t.Errorf("tab %d was loaded again", i)
		}
		if got := p.eval("performance.getEntriesByType('navigation')[0].nextHopProtocol"); got != "h2" {
			t.Errorf("tab %d came over %q", i, got)
		}
		if got := p.eval("!!navigator.locks"); (got == "true") != (i < len(all)-alone) {
			t.Errorf("tab %d has Web Locks: %s", i, got)
		}
	}
}

// before runs a script in each document of the page before its own, from the next on.
func (p *Page) before(script string) {
	p.tab.t.Helper()
	err := p.do(chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{Source: script})
		return err
	}))
	if err != nil {
		p.tab.t.Fatalf("add a script: %v", err)
	}
}
