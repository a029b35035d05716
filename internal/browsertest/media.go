package browsertest

import (
	"context"
	"os"
	"path/filepath"
	"strings"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

// Emulate shows the page as a medium ("print", "" for the screen) to someone with these preferences, such as
// "forced-colors=active". It takes the place of what ColorScheme said.
func (p *Page) Emulate(medium string, preferences ...string) {
	p.tab.t.Helper()
	params := emulation.SetEmulatedMediaParams{Media: medium}
	for _, preference := range preferences {
		name, value, _ := strings.Cut(preference, "=")
		params.Features = append(params.Features, &emulation.MediaFeature{Name: name, Value: value})
	}
	err := p.do(chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, emulation.SetEmulatedMedia, params)
		return err
	}))
	if err != nil {
		p.tab.t.Fatalf("emulate %s %v: %v", medium, preferences, err)
	}
}

// TextSize is the size of text that the person set in the browser: 16 is what browsers start with, 32 is 200 %.
func (p *Page) TextSize(pixels int64) {
	p.tab.t.Helper()
	err := p.do(chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, page.SetFontSizes, page.SetFontSizesParams{FontSizes: &page.FontSizes{Standard: pixels, Fixed: pixels * 13 / 16}})
		return err
	}))
	if err != nil {
		p.tab.t.Fatalf("set the size of text: %v", err)
	}
}

// TimeZone is the zone that the system says it is in, such as "Europe/Kyiv".
func (p *Page) TimeZone(name string) {
	p.tab.t.Helper()
	err := p.do(chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, emulation.SetTimezoneOverride, emulation.SetTimezoneOverrideParams{TimezoneID: name})
		return err
	}))
	if err != nil {
		p.tab.t.Fatalf("emulate the time zone %s: %v", name, err)
	}
}

// Paper is a sheet's size in inches.
type Paper struct{ Width, Height float64 }

// A4 is 210 × 297 mm.
var A4 = Paper{8.27, 11.69}

// PDF prints the page as the browser's own print command does, with margins of 1 cm, and leaves it beside the
// screenshots as NAME.pdf.
func (p *Page) PDF(name string, paper Paper) []byte {
	p.tab.t.Helper()
	var printed page.PrintToPDFResult
	err := p.do(chromedp.Func(func(ctx context.Context, t *chromedp.Target) (err error) {
		printed, err = cdp.Call(ctx, t, page.PrintToPDF, page.PrintToPDFParams{PaperWidth: paper.Width, PaperHeight: paper.Height})
		return err
	}))
	if err != nil {
		p.tab.t.Fatalf("print %s: %v", name, err)
	}
	if err := os.WriteFile(p.artefact(name+".pdf"), printed.Data, 0o644); err != nil {
		p.tab.t.Fatal(err)
	}
	return printed.Data
}

// artefact is where a picture or a print is kept: in the folder SCREENSHOTS, which is tmp/screenshots if it is not set.
func (p *Page) artefact(name string) string {
	dir := os.Getenv("SCREENSHOTS")
	if dir == "" {
		dir = filepath.Join(root(p.tab.t), "tmp", "screenshots")
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		p.tab.t.Fatal(err)
	}
	return filepath.Join(dir, strings.Map(func(r rune) rune {
		if strings.ContainsRune(`/\: `, r) {
			return '-'
		}
		return r
	}, name))
}
