package browsertest

import (
	"bytes"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestAxe checks every page and dialog in every state with axe-core. Each dialog is looked at light and dark at three
// widths, each state of a page in one of these six ways, and their kinds so in all of them.
func TestAxe(t *testing.T) {
	if !axeFetched(t) {
		t.Skip("The accessibility check needs axe-core: run scripts/install-test-tools.")
	}
	b, s := Start(t), look(t)
	p := b.NewPage(t)
	p.Open(s.page("organization-new", ""))
	p.loadAxe()
	const complaints = `() => ` + axeRun + `.then(r => r.passes === 0 ? ['axe-core found nothing to check'] : r.violations.map(v => v.rule + ': ' + v.help + ': ' + v.nodes.slice(0, 3).join('; ')))`
	way := 0
	for _, width := range []int{1280, 390, 320} {
		for _, scheme := range []string{"light", "dark"} {
			t.Run(fmt.Sprint(width, " ", scheme), func(t *testing.T) {
				p.SetViewport(width)
				p.ColorScheme(scheme)
				states := slices.Clone(s.dialogs)
				for i, name := range s.pages {
					if i%6 == way {
						states = append(states, name)
					}
				}
				for name, violations := range s.shown(p, states, "", complaints) {
					for _, v := range violations {
						t.Errorf("%s: %s", name, v)
					}
				}
			})
			way++
		}
	}
}

// printed is a sheet of A4 without margins of 1 cm, in pixels of 1/96 inch.
const printed = 718

// TestPrint prints DB Logs and what became of restores on A4: no column is cut, what cannot be pressed on paper is gone,
// and the sheet says when, in which zone and by whom it was printed. (UI.md section 11: print fits A4.)
func TestPrint(t *testing.T) {
	b, s := Start(t), look(t)
	sheets := append([]string{"logs", "logs-paged", "audit", "schedule"}, slices.DeleteFunc(slices.Clone(s.pages), func(name string) bool {
		return !strings.HasPrefix(name, "restore-") || strings.HasPrefix(name, "restore-new") || strings.HasPrefix(name, "restore-into")
	})...)
	for _, language := range []string{"", pseudo} {
		p := b.NewPage(t)
		p.SetViewport(printed)
		p.Open(s.page("organization-new", language))
		p.Emulate("print")
		for name, broken := range s.shown(p, sheets, language, "() => ("+layoutJS+")(false)") {
			for _, b := range broken {
				t.Errorf("%s %s: %s", name, language, b)
			}
		}
	}
	p := b.NewPage(t)
	for _, name := range []string{"logs", "restore-done", "restore-stopped"} {
		p.Open(s.page(name, ""))
		p.Emulate("print")
		text := p.Text()
		if !strings.Contains(text, "Printed 22 November 2026, 15:14:00 CET (UTC+01:00), by Ines Marlow.") {
			t.Errorf("%s does not say when and by whom it was printed: %s", name, shorten(text))
		}
		for _, gone := range []string{"Print report", "Manual Backup", "Search", "Follow the restore", " ago"} {
			if strings.Contains(text, gone) {
				t.Errorf("the print of %s says %q", name, gone)
			}
		}
		pdf := p.PDF("print-"+name, A4)
		if size := regexp.MustCompile(`/MediaBox \[0 0 (\d+)[.\d]* (\d+)[.\d]*\]`).FindSubmatch(pdf); size == nil || string(size[1]) != "595" || string(size[2]) != "841" {
			t.Errorf("a sheet of %s is %q, want A4", name, size)
		}
		if n := bytes.Count(pdf, []byte("/Type /Page\n")); n < 1 || n > 3 {
			t.Errorf("%s takes %d sheets", name, n)
		}
		p.Emulate("")
	}
}

// TestForcedColours shows pages in the colours that a person's system dictates: what was told by a ground alone still is.
func TestForcedColours(t *testing.T) {
	b, s := Start(t), look(t)
	p := b.NewPage(t)
	for _, scheme := range []string{"light", "dark"} {
		p.Emulate("", "forced-colors=active", "prefers-color-scheme="+scheme)
		for _, name := range []string{"backups", "schedule-new", "restore-step-2-stage", "storage", "logs"} {
			p.Open(s.page(name, ""))
			var lost []string
			if err := p.run(forcedColoursJS, &lost); err != nil {
				t.Fatal(err)
			}
			for _, what := range lost {
				t.Errorf("%s, %s: %s", name, scheme, what)
			}
			p.Screenshot("forced-colours-" + name + "-" + scheme)
		}
	}
}

// forcedColoursJS says what cannot be told apart: by a border, an outline or a fill that is not the ground's.
const forcedColoursJS = `(() => {
	const lost = [], ground = getComputedStyle(document.body).backgroundColor;
	const edge = (e) => { const s = getComputedStyle(e); return ['Top', 'Right', 'Bottom', 'Left'].some(d => parseFloat(s['border' + d + 'Width']) > 0 && s['border' + d + 'Style'] !== 'none' && s['border' + d + 'Color'] !== ground) || s.outlineStyle !== 'none' && parseFloat(s.outlineWidth) > 0; };
	const all = (css) => [...document.querySelectorAll(css)].filter(e => e.checkVisibility() && e.getClientRects().length);
	const want = (css, ok, why) => all(css).forEach(e => ok(e) || lost.push((e.className.baseVal ?? e.className) + ' "' + (e.textContent || '').trim().slice(0, 30) + '": ' + why));
	if (!matchMedia('(forced-colors: active)').matches) lost.push('colours are not forced');
	want('.tabs a[aria-current]', edge, 'the current tab has no line');
	want('.tabs a:not([aria-current])', e => !edge(e), 'a tab that is not current has a line');
	want('.pill, .callout, .st-mark, .findings li', edge, 'no edge');
	want('.choices input:checked + span', edge, 'the choice is not marked');
	want('.choices input:not(:checked) + span', e => !edge(e), 'a choice that is not made is marked');
	want('.btn', edge, 'a button has no edge');
	want('progress, meter', e => edge(e) || getComputedStyle(e).forcedColorAdjust === 'none', 'a bar has lost its colours');
	want('.strip rect, .k rect', e => { const s = getComputedStyle(e); return s.fill !== 'none' && s.fill !== ground || s.stroke !== 'none' && s.stroke !== ground; }, 'a cell of the strip is not seen');
	want('.dot, .live-dot, .sq, .w-track span', e => { const s = getComputedStyle(e); return s.backgroundColor !== ground || edge(e) || s.backgroundImage !== 'none'; }, 'a mark is not seen');
	return lost;
})()`

// TestReducedMotion shows what moves to someone who asked for less motion: nothing does.
func TestReducedMotion(t *testing.T) {
	b, s := Start(t), look(t)
	p := b.NewPage(t)
	const moving = `document.getAnimations().map(a => (a.animationName ?? a.transitionProperty) + ' of ' + a.effect.target.className)`
	for _, motion := range []string{"no-preference", "reduce"} {
		p.Emulate("", "prefers-reduced-motion="+motion)
		for _, name := range []string{"backups", "restore-step-2-stage", "logs"} {
			p.Open(s.page(name, ""))
			var moves []string
			if err := p.run(moving, &moves); err != nil {
				t.Fatal(err)
			}
			if motion == "reduce" && len(moves) > 0 {
				t.Errorf("%s moves for someone who asked for less: %v", name, moves)
			}
			if motion != "reduce" && len(moves) == 0 {
				t.Errorf("nothing of %s moves, so this test shows nothing", name)
			}
		}
		opened := s.shown(p, []string{"restore-new-dialog"}, "", "() => "+moving)["restore-new-dialog"]
		if rises := slices.ContainsFunc(opened, func(m string) bool { return strings.HasPrefix(m, "rise") }); rises != (motion != "reduce") {
			t.Errorf("with %s a dialog opens with %v", motion, opened)
		}
	}
}
