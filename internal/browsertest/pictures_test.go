package browsertest

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestPictures takes the pictures of the README from a running demo, into docs/img, where PICTURES=1 asks for them.
func TestPictures(t *testing.T) {
	if os.Getenv("PICTURES") == "" {
		t.Skip("PICTURES=1 takes the README's pictures")
	}
	b := Start(t)
	link := launch(t, `http://\S+/signin/link\?\S+`, "demo", "--addr", "127.0.0.1:0")[0]
	p := b.NewPage(t)
	p.Open(link)
	p.Follow("Sign in")
	p.WaitText("All 2 active schedules are up to date.")
	keep(t, p, "db-backup")

	p.Follow("DB Logs")
	var yesterday string
	if err := p.run("document.querySelectorAll('.c-name a')[1].href", &yesterday); err != nil {
		t.Fatal(err)
	}
	p.Open(yesterday)
	p.Click("Restore")
	p.WaitText("to an earlier state?")
	p.Fill("css:[name=confirm]", "shop")
	p.Follow("Restore shop")
	p.WaitTextFor("shop is back to", 2*time.Minute)
	keep(t, p, "restore")
}

func keep(t *testing.T, p *Page, name string) {
	t.Helper()
	picture, err := os.ReadFile(p.Screenshot("readme-" + name))
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(root(t), "docs", "img")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name+".png"), picture, 0o644); err != nil {
		t.Fatal(err)
	}
}
