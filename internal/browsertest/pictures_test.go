package browsertest

import (
	"bytes"
	"context"
	"encoding/json"
	"image"
	"image/color"
	"image/png"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// TestPictures takes the pictures of the README and of the help from a running demo, where PICTURES=1 asks for them:
// make pictures.
func TestPictures(t *testing.T) {
	if os.Getenv("PICTURES") == "" {
		t.Skip("PICTURES=1 takes the pictures of the README and of the help: make pictures")
	}
	b := Start(t)
	const home = "/tmp/harborline" // it is on the pictures
	if err := os.Mkdir(home, 0o700); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(home) })
	link := strings.Replace(launch(t, `http://\S+/signin/link\?\S+`, "demo", "--addr", "127.0.0.1:0", "--dir", home)[0], "127.0.0.1", "localhost", 1) // passkeys need a name
	p := b.NewPage(t)
	p.Open(link)
	p.Follow("Sign in")
	p.WaitText("All 2 active schedules are up to date.")
	keep(t, p, "db-backup")

	a := &album{console: console{Page: p, t: t, origin: link[:strings.Index(link, "/signin")], scripts: true}, dir: filepath.Join(root(t), "docs", "help", "pictures")}
	a.window(800)
	a.schedules()
	a.logs()
	a.restore()
	a.others()
	a.passkeys()
	a.health()
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

// album takes the help's pictures, each of a part of a page.
type album struct {
	console
	dir string
}

// window is about as narrow as the column in which the pictures are read, and high enough for all that is taken.
func (a *album) window(width int64) {
	a.t.Helper()
	if err := a.do(chromedp.EmulateViewport(width, 2400)); err != nil {
		a.t.Fatal(err)
	}
}

func (a *album) schedules() {
	a.open("/backups")
	a.take("schedule-card", ".card")
	a.Click("css:.card [data-menu]")
	a.WaitText("Disable")
	a.take("schedule-menu", ".card", ".menu:popover-open")
	a.Follow("Edit")
	a.take("schedule-edit", "main h1", "main form")

	a.open("/backups/new")
	a.Fill("Name", "Shop, every night")
	a.Fill("css:[name=description]", "Before the office opens.")
	a.Click("24 hours")
	a.take("schedule-new", "main h1", "main form")

	a.open("/backups")
	a.ask("Manual Backup", "Start a manual backup?")
	a.take("manual-backup", "dialog[open]")
	a.Press(kb.Escape)
	a.Follow("css:.card h3 a")
	a.ask("Disable", "Disable this schedule?")
	a.take("disable", "dialog[open]")
}

func (a *album) logs() {
	a.window(960)
	a.open("/logs")
	a.take("logs", ".page-head", ".filters", "table.logs tbody:nth-of-type(2)")
	a.Click("css:.c-name a")
	a.WaitText("Backup details")
	a.take("backup-details", "dialog[open]")
	a.Press(kb.Escape)
	a.window(800)
	a.Click("css:tbody tr:nth-of-type(2) [data-menu]")
	a.Click("css:.menu:popover-open .danger")
	a.WaitText("Delete this backup?")
	a.take("delete", "dialog[open]")
}

func (a *album) restore() {
	a.open("/logs")
	var yesterday string
	if err := a.run("document.querySelectorAll('.c-name a')[1].href", &yesterday); err != nil {
		a.t.Fatal(err)
	}
	a.Open(yesterday)
	a.Click("Restore")
	a.WaitText("to an earlier state?")
	a.WaitText("service answers")
	a.Click("css:dialog details[open] summary")
	a.take("restore", "dialog[open]")

	// Without scripts the page stands still, as it was at one moment of the restore.
	a.Scripts(false)
	a.Open(yesterday)
	a.Follow("Restore")
	a.WaitText("service answers")
	a.Fill("css:[name=confirm]", "shop")
	a.Follow("Restore shop")
	restore := a.URL()
	a.Wait("a step that takes a moment", time.Minute, func() bool {
		a.Open(restore)
		return a.Count("[aria-current=step]") > 0
	})
	a.take("restore-running", "main h1", ".segs", ".steps")
	a.Scripts(true)
	a.Open(restore)
	a.WaitTextFor("shop is back to", 2*time.Minute)
	a.take("restore-done", ".outcome")
	a.SetViewport(1280)
	keep(a.t, a.Page, "restore")
	a.window(800)
	a.ask("Undo restore", "Undo this restore?")
	a.take("undo", "dialog[open]")
}

func (a *album) health() {
	a.open("/start")
	a.take("start", ".guide")
	a.open("/logs/upload")
	a.take("upload", "main form")
	a.window(1100)
	a.open("/health")
	a.take("health", ".page-head", ".table-wrap")
	a.window(800)
}

func (a *album) others() {
	a.open("/services")
	a.take("services", ".page-head", ".table-wrap")
	a.Follow("css:tbody th a")
	a.ask("Test halt and resume", "Halt and resume")
	a.take("service-test", "dialog[open]")

	a.open("/members/invite")
	a.Fill("Email", "tomas@harborline.example")
	a.Fill("Name", "Tomas Reyl")
	a.take("invite", "main h1", "main form")
	a.open("/members")
	a.take("members", ".page-head", ".table-wrap")
}

func (a *album) passkeys() {
	a.device()
	a.open("/profile/passkeys/new")
	a.Fill("Name", "Office laptop")
	a.take("passkey-new", "main form")
	a.Follow("Create passkey")
	a.take("passkeys", "#s-passkeys", "#s-passkeys ~ .table-wrap", "#s-passkeys ~ [data-when=ready]")
}

// take keeps the part of the page that some elements, each the first of its selector, cover.
func (a *album) take(name string, selectors ...string) {
	a.t.Helper()
	list, err := json.Marshal(selectors)
	if err != nil {
		a.t.Fatal(err)
	}
	var part struct{ X, Y, Width, Height float64 }
	if err := a.run(cover+"("+string(list)+")", &part); err != nil {
		a.t.Fatalf("picture %s: %v", name, err)
	}
	if part.Width == 0 || part.Height == 0 {
		a.t.Fatalf("picture %s: there is nothing of %s on %s", name, list, a.URL())
	}
	var taken []byte
	err = a.do(chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		r, err := cdp.Call(ctx, t, page.CaptureScreenshot, page.CaptureScreenshotParams{
			Clip: &page.Viewport{X: part.X, Y: part.Y, Width: part.Width, Height: part.Height, Scale: 1},
		})
		taken = r.Data
		return err
	}))
	if err != nil {
		a.t.Fatalf("picture %s: %v", name, err)
	}
	small, err := fewColours(taken)
	if err != nil {
		a.t.Fatalf("picture %s: %v", name, err)
	}
	if err := os.WriteFile(filepath.Join(a.dir, name+".png"), small, 0o644); err != nil {
		a.t.Fatal(err)
	}
	a.t.Logf("%s: %.0f × %.0f, %d bytes", name, part.Width, part.Height, len(small))
}

// cover is the rectangle around the first visible element of each selector, with some room, in pixels of the page.
const cover = `(selectors => {
	document.activeElement?.blur();
	const found = selectors.map(s => [...document.querySelectorAll(s)].find(e => e.checkVisibility())).filter(e => e).map(e => {
		const r = document.createRange();
		r.selectNodeContents(e);
		return e.tagName === 'H1' ? r.getBoundingClientRect() : e.getBoundingClientRect(); // a heading is as wide as its words
	});
	if (found.length < selectors.length) return { X: 0, Y: 0, Width: 0, Height: 0 };
	const left = Math.min(...found.map(r => r.left)) - 8, top = Math.min(...found.map(r => r.top)) - 8;
	const right = Math.max(...found.map(r => r.right)) + 8, bottom = Math.max(...found.map(r => r.bottom)) + 8;
	const x = Math.max(0, Math.floor(left)), y = Math.max(0, Math.floor(top + scrollY));
	return { X: x, Y: y, Width: Math.min(innerWidth, Math.ceil(right)) - x, Height: Math.ceil(bottom + scrollY) - y };
})`

// fewColours writes a picture with the 256 colours that it has most of, each other one as the nearest of these: a page
// of the console has few, besides the edges of its letters.
func fewColours(in []byte) ([]byte, error) {
	img, err := png.Decode(bytes.NewReader(in))
	if err != nil {
		return nil, err
	}
	count := map[color.RGBA]int{}
	at := func(x, y int) color.RGBA { return color.RGBAModel.Convert(img.At(x, y)).(color.RGBA) }
	b := img.Bounds()
	for y := b.Min.Y; y < b.Max.Y; y++ {
		for x := b.Min.X; x < b.Max.X; x++ {
			count[at(x, y)]++
		}
	}
	most := make([]color.RGBA, 0, len(count))
	for c := range count {
		most = append(most, c)
	}
	slices.SortFunc(most, func(a, b color.RGBA) int {
		if d := count[b] - count[a]; d != 0 {
			return d
		}
		return (int(a.R)<<16 | int(a.G)<<8 | int(a.B)) - (int(b.R)<<16 | int(b.G)<<8 | int(b.B))
	})
	var palette color.Palette
	for _, c := range most[:min(256, len(most))] {
		palette = append(palette, c)
	}
	index := map[color.RGBA]uint8{}
	for c := range count {
		index[c] = uint8(palette.Index(c))
	}
	out := image.NewPaletted(b, palette)
	for y := b.Min.Y; y < b.Max.Y; y++ {
		for x := b.Min.X; x < b.Max.X; x++ {
			out.SetColorIndex(x, y, index[at(x, y)])
		}
	}
	var file bytes.Buffer
	encoder := png.Encoder{CompressionLevel: png.BestCompression}
	err = encoder.Encode(&file, out)
	return file.Bytes(), err
}
