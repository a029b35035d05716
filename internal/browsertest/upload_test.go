package browsertest

import (
	"context"
	"crypto/rand"
	"database/sql"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
)

// TestUpload sends a backup's file over a slow line and sees how it comes along, and is refused one that is no backup by
// its first bytes, before the rest of it was sent.
func TestUpload(t *testing.T) {
	file := filepath.Join(t.TempDir(), "harbor.db")
	db, err := sql.Open("sqlite", file)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	execute(t, db, "CREATE TABLE ships (id INTEGER PRIMARY KEY, plan BLOB NOT NULL)",
		"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000) INSERT INTO ships (id, plan) SELECT i, randomblob(1000) FROM n")
	data := filepath.Join(t.TempDir(), "data")
	said := launch(t, `Open (http://\S+)/setup and enter this code within 30 minutes: (\S+)`, "serve", "--addr", "127.0.0.1:0", "--data", data)
	c := &console{Page: Start(t).NewPage(t), t: t, origin: said[1], scripts: true}
	c.setup(said[2])
	c.connect(file)
	c.open("/backups/manual")
	c.Follow("Start backup")
	c.WaitTextFor("Read again and found whole", time.Minute)
	backup := onlyFile(t, filepath.Join(data, "backups"))

	const sent = `performance.getEntriesByType('resource').filter(e => new URL(e.name).pathname === '/logs/upload').length`
	noise := filepath.Join(t.TempDir(), "holiday.sql.zst")
	b := make([]byte, 3<<20)
	rand.Read(b)
	if err := os.WriteFile(noise, b, 0o600); err != nil {
		t.Fatal(err)
	}
	c.open("/logs/upload")
	c.Expect("status of 4")
	c.choose(noise)
	c.Click("css:[data-upload] button.primary")
	c.WaitText("This is not a backup that Safepoint made.")
	if n := c.eval(sent); n != "0" {
		t.Errorf("%s requests sent the file, which was refused by its beginning", n)
	}

	c.throttle(1 << 20) // a second for each MiB: the file has three
	c.choose(backup)
	c.Click("css:[data-upload] button.primary")
	var seen []string // how much was sent, whenever that was looked at and was another
	c.Wait("the upload seen under way four times", time.Minute, func() bool {
		var at struct{ Percent, Bytes, Speed string }
		err := c.run("(part => ({ Percent: part('percent'), Bytes: part('bytes'), Speed: part('speed') }))(name => document.querySelector('[data-sending]:not([hidden]) [data-'+name+']')?.textContent ?? '')", &at)
		if err == nil && at.Percent != "" && at.Percent != "0%" && at.Percent != "100%" && at.Bytes != "" && at.Speed != "" && !slices.Contains(seen, at.Percent) {
			seen = append(seen, at.Percent)
		}
		return len(seen) >= 4
	})
	t.Logf("seen at %s", strings.Join(seen, ", "))
	c.WaitTextFor("Read again and found whole", time.Minute)
	c.open("/logs")
	if n := c.Count(`tr[id^="row-"]`); n != 2 {
		t.Errorf("DB Logs has %d entries, want the backup and the upload", n)
	}
}

// choose gives a file to the page's file field.
func (c *console) choose(path string) {
	c.t.Helper()
	if err := c.do(chromedp.SetUploadFiles(chromedp.CSS(`input[type="file"]`), []string{path})); err != nil {
		c.t.Fatalf("choose %s: %v", path, err)
	}
}

// throttle lets the page send so many bytes a second.
func (c *console) throttle(rate float64) {
	c.t.Helper()
	if err := c.do(chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		_, err := cdp.Call(ctx, target, network.EmulateNetworkConditionsByRule, network.EmulateNetworkConditionsByRuleParams{
			MatchedNetworkConditions: []*network.Conditions{{DownloadThroughput: -1, UploadThroughput: rate}},
		})
		return err
	})); err != nil {
		c.t.Fatalf("throttle: %v", err)
	}
}

// onlyFile is the one backup below the folder of a storage.
func onlyFile(t *testing.T, folder string) (found string) {
	t.Helper()
	err := filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() && d.Name() != ".lock" {
			if found != "" {
				t.Fatalf("%s and %s are in %s", found, path, folder)
			}
			found = path
		}
		return err
	})
	if err != nil || found == "" {
		t.Fatalf("no file in %s: %v", folder, err)
	}
	return found
}
