package browsertest

import (
	"slices"
	"testing"
)

const pseudo = "en-XB" // longer by two fifths, and read from right to left

// TestLayout shows every page and dialog in every state: in the pseudo language, wide, narrow and with text of 200 %, and
// in English and German on a phone. Nothing is wider than its window or cut off, buttons do not touch, no word of a label is
// broken, and every target is large enough for a finger.
func TestLayout(t *testing.T) {
	b, s := Start(t), look(t)
	for _, c := range []struct {
		name, language string
		width          int
		text           int64
	}{
		{"pseudo language, wide", pseudo, 1280, 16},
		{"pseudo language, narrow", pseudo, 320, 16},
		{"pseudo language, text of 200 %", pseudo, 1280, 32},
		{"phone", "", 390, 16},
		{"phone, German", "de", 390, 16},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := b.NewPage(t)
			p.SetViewport(c.width)
			p.TextSize(c.text)
			p.Open(s.page("organization-new", c.language))
			phone := map[bool]string{true: "true", false: "false"}[c.width == 390]
			for name, broken := range s.shown(p, slices.Concat(s.pages, s.dialogs), c.language, "() => ("+layoutJS+")("+phone+")") {
				for _, b := range broken {
					t.Errorf("%s: %s", name, b)
				}
			}
		})
	}
}
