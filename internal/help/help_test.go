package help

import (
	"bytes"
	"image"
	"image/png"
	"io/fs"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"

	helptexts "github.com/safepoint-db/safepoint/docs/help"
)

// most is how many bytes all pictures together may have: they are part of the program.
const most = 1_500_000

// TestTexts renders every page of the help, follows every link of it, and looks at every picture.
func TestTexts(t *testing.T) {
	served := map[string]bool{}
	b, err := Load(helptexts.Files, "en", func(name string) string {
		served["pictures/"+name] = true
		return "/static/" + name
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, task := range []string{Index, "schedule", "manual-backup", "view", "edit", "disable", "restore", "undo", "delete", "services", "members", "passkeys"} {
		p, ok := b.Find(task)
		if !ok {
			t.Errorf("there is no help for %s", task)
			continue
		}
		if strings.Count(string(p.Body), "<h1") != 1 || p.Title == "" || p.Language != "en" {
			t.Errorf("%s has not one title: %q in %q", task, p.Title, p.Language)
		}
		if task != Index && !strings.Contains(string(p.Body), "<ol>") {
			t.Errorf("%s has no numbered steps", task)
		}
		if task != Index && !strings.Contains(string(p.Body), "What can go wrong") && task != "view" {
			t.Errorf("%s does not say what can go wrong", task)
		}
		if task != Index && !strings.Contains(string(p.Body), "<img ") {
			t.Errorf("%s has no picture", task)
		}
		for _, img := range regexp.MustCompile(`<img [^>]*>`).FindAllString(string(p.Body), -1) {
			if !regexp.MustCompile(`^<img src="/static/[a-z-]+\.png" alt="[^"]{10,}" .*width="\d{3,}" height="\d{3,}"`).MatchString(img) {
				t.Errorf("%s: %s", task, img)
			}
		}
		for _, link := range regexp.MustCompile(`href="([^"]*)"`).FindAllStringSubmatch(string(p.Body), -1) {
			if link[1] != "/help" && !strings.HasPrefix(link[1], "/help/") {
				t.Errorf("%s links to %s", task, link[1])
			}
		}
	}
	files, err := fs.Glob(helptexts.Files, "*.md")
	if err != nil || len(files) != len(b.Pages) {
		t.Errorf("the index leads to %d pages, and there are %d texts (%v): %v", len(b.Pages)-1, len(files), err, files)
	}
	pictures, err := fs.Glob(helptexts.Files, "pictures/*.png")
	if err != nil {
		t.Fatal(err)
	}
	size := 0
	for _, f := range pictures {
		data, err := fs.ReadFile(helptexts.Files, f)
		if err != nil {
			t.Fatal(err)
		}
		if size += len(data); !served[f] {
			t.Errorf("%s is on no page: remove it from docs/help and from TestPictures", f)
		}
	}
	if size > most {
		t.Errorf("the pictures have %d bytes, want %d at most", size, most)
	}
}

func picture(t *testing.T) *fstest.MapFile {
	t.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, image.NewGray(image.Rect(0, 0, 3, 2))); err != nil {
		t.Fatal(err)
	}
	return &fstest.MapFile{Data: b.Bytes()}
}

func words(s string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(s)} }

// TestTranslated takes what is translated, and the rest in English.
func TestTranslated(t *testing.T) {
	files := fstest.MapFS{
		"README.md": words("# Help\n\n[One](one.md) [Two](two.md)"), "one.md": words("# One\n\nSee [the second](two.md#part).\n\n![A form](pictures/a.png)"), "two.md": words("# Two"),
		"de/one.md": words("# Eins\n\n[Zwei](two.md), [Zwei](../two.md)\n\n![Ein Formular](../pictures/a.png)"), "pictures/a.png": picture(t),
	}
	for tag, want := range map[string][]string{
		"en": {"Help", `<p>See <a href="/help/two#part">the second</a>.</p>`, `<img src="/p/a.png" alt="A form" width="3" height="2" loading="lazy">`, "en"},
		"de": {"Help", `<a href="/help/two">Zwei</a>, <a href="/help/two">Zwei</a>`, `<img src="/p/a.png" alt="Ein Formular" width="3" height="2" loading="lazy">`, "de"},
	} {
		b, err := Load(files, tag, func(name string) string { return "/p/" + name })
		if err != nil {
			t.Fatal(err)
		}
		one, _ := b.Find("one")
		for _, w := range want[1:3] {
			if !strings.Contains(string(one.Body), w) {
				t.Errorf("%s: no %s in %s", tag, w, one.Body)
			}
		}
		if two, _ := b.Find("two"); b.Pages[0].Title != want[0] || one.Language != want[3] || two.Language != "en" {
			t.Errorf("%s: %q is in %q, and the other in %q", tag, b.Pages[0].Title, one.Language, two.Language)
		}
	}
}

// TestRefused is told at the start of the program, not to who reads the help.
func TestRefused(t *testing.T) {
	for want, one := range map[string]string{
		"no page of the help": "# One\n\n[Out](../services.md)", "no title": "Words", "pictures/b.png": "# One\n\n![B](pictures/b.png)", "says nothing": "# One\n\n![](pictures/a.png)",
	} {
		files := fstest.MapFS{"README.md": words("# Help\n\n[One](one.md)"), "one.md": words(one), "pictures/a.png": picture(t)}
		if _, err := Load(files, "en", func(string) string { return "" }); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", one, err, want)
		}
	}
	files := fstest.MapFS{"README.md": words("# Help\n\n[One](one.md)"), "one.md": words("# One\n\n<script>alert(1)</script>\n\n[x](javascript:alert(1))")}
	if _, err := Load(files, "en", func(string) string { return "" }); err == nil {
		t.Error("a link to a script was taken")
	}
}
