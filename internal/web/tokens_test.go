package web

import (
	"cmp"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// TestContrast computes the contrast of the tokens' colours, light and dark, as WCAG 2.2 does: text needs 4.5 on its
// ground, and what is no text 3.
func TestContrast(t *testing.T) {
	css, err := os.ReadFile("static/tokens.css")
	if err != nil {
		t.Fatal(err)
	}
	colours := map[string][2]string{}
	for _, m := range regexp.MustCompile(`--([a-z-]+):\s*light-dark\((#[0-9a-f]{6}), (#[0-9a-f]{6})\)`).FindAllStringSubmatch(string(css), -1) {
		colours[m[1]] = [2]string{m[2], m[3]}
	}
	pairs := 0
	for need, list := range map[float64]string{
		4.5: "text canvas, text surface, text raised, text sunken, text hover, muted canvas, muted surface, muted raised, muted sunken, link canvas, link surface, link raised, " +
			"on-ink ink, on-ink ink-hover, on-danger danger, on-danger danger-hover, ok-text ok-bg, warn-text warn-bg, bad-text bad-bg, run-text run-bg, idle-text idle-bg, " +
			"text ok-bg, text warn-bg, text bad-bg, text run-bg, text idle-bg, ok-text surface, warn-text surface, bad-text surface, run-text surface, bad-text raised",
		3: "ok surface, bad surface, warn surface, run surface, off surface, spark surface, run track, ok track, bad track, line-strong surface, line-strong canvas, line-strong raised, focus surface, focus canvas, focus raised",
	} {
		for pair := range strings.SplitSeq(list, ", ") {
			pairs++
			front, ground, _ := strings.Cut(pair, " ")
			for i, scheme := range []string{"light", "dark"} {
				a, b := colours[front][i], colours[ground][i]
				if a == "" || b == "" {
					t.Fatalf("no colours for %s", pair)
				}
				if got := contrast(a, b); got < need {
					t.Errorf("%s, %s: %.2f, needs %.1f", pair, scheme, got, need)
				}
			}
		}
	}
	if got := fmt.Sprintf("%.1f %.1f", contrast("#ffffff", "#000000"), contrast("#777777", "#ffffff")); got != "21.0 4.5" || pairs < 41 {
		t.Errorf("the measure is off: %s, %d pairs", got, pairs)
	}
}

func contrast(a, b string) float64 {
	x, y := luminance(a), luminance(b)
	return (max(x, y) + .05) / (min(x, y) + .05)
}

func luminance(colour string) float64 {
	n, _ := strconv.ParseUint(colour[1:], 16, 32)
	part := func(shift int) float64 {
		c := float64(n>>shift&255) / 255
		if c <= .04045 {
			return c / 12.92
		}
		return math.Pow((c+.055)/1.055, 2.4)
	}
	return .2126*part(16) + .7152*part(8) + .0722*part(0)
}

// TestIconsAreUsed: every icon is sent with every page.
func TestIconsAreUsed(t *testing.T) {
	icons, err := os.ReadFile("templates/shared/icons.html")
	if err != nil {
		t.Fatal(err)
	}
	var rest strings.Builder
	err = filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() && d.Name() == "testdata" {
			return cmp.Or(err, fs.SkipDir)
		}
		if d.IsDir() || strings.HasSuffix(path, "_test.go") || strings.HasSuffix(path, "icons.html") {
			return nil
		}
		b, err := os.ReadFile(path)
		rest.Write(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	names := regexp.MustCompile(`<symbol id="i-([a-z-]+)"`).FindAllSubmatch(icons, -1)
	if len(names) < 10 {
		t.Fatalf("found %d icons", len(names))
	}
	for _, m := range names {
		if name := string(m[1]); !strings.Contains(rest.String(), `"`+name+`"`) && !strings.Contains(rest.String(), "#i-"+name) {
			t.Errorf("nothing shows the icon %s", name)
		}
	}
}
