package browsertest

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

//go:embed find.js
var findJS string

// Page is a tab, or a part of one (see Within and Row). It is used from the test's goroutine only.
//
// Things to click are named by the words on them: the visible text, the label, or the accessible name; the whole of
// it, or else its first words. "css:…" names one by a selector instead. Of several the first visible one is taken.
type Page struct {
	tab   *tab
	scope []scope
}

// scope narrows a page to the first visible element of a CSS selector, or to the innermost table row, list item or
// article that holds a text.
type scope struct {
	CSS string `json:"css,omitempty"`
	Row string `json:"row,omitempty"`
}

// answer is what find.js found, or why it did not.
type answer struct {
	Why   string  `json:"why"`
	Text  string  `json:"text"`
	Value string  `json:"value"`
	Count int     `json:"count"`
	X     float64 `json:"x"`
	Y     float64 `json:"y"`
	Same  bool    `json:"same"` // the link stays on this document
}

// Within is the same page, looked at through the first visible element of a CSS selector.
func (p *Page) Within(css string) *Page { return p.narrow(scope{CSS: css}) }

// Row is the same page, looked at through the innermost table row, list item or article (a card) that holds text.
func (p *Page) Row(text string) *Page { return p.narrow(scope{Row: text}) }

func (p *Page) narrow(s scope) *Page {
	return &Page{tab: p.tab, scope: append(append([]scope(nil), p.scope...), s)}
}

// Open goes to a URL, waits until it has loaded, and returns the status of the answer.
func (p *Page) Open(url string) int {
	p.tab.t.Helper()
	ctx, cancel := context.WithTimeout(p.tab.ctx, time.Minute)
	defer cancel()
	if err := chromedp.Do(ctx, chromedp.Navigate(url)); err != nil {
		p.tab.t.Fatalf("open %s: %v", url, err)
	}
	return p.Status()
}

// Status is the HTTP status of the document last loaded.
func (p *Page) Status() int {
	p.tab.mu.Lock()
	defer p.tab.mu.Unlock()
	return p.tab.status
}

// Click presses the mouse in the middle of target, once it is there, enabled, and not covered by anything.
func (p *Page) Click(target string) {
	p.tab.t.Helper()
	p.press(target)
}

// DoubleClick presses the mouse twice in the middle of target, as fast as a hand can.
func (p *Page) DoubleClick(target string) {
	p.tab.t.Helper()
	p.press(target, chromedp.ClickCount(1), chromedp.ClickCount(2))
}

// ClickAt presses the mouse at a place of the window, in pixels from its corner.
func (p *Page) ClickAt(x, y float64) {
	p.tab.t.Helper()
	if err := p.do(chromedp.MouseClickXY(x, y)); err != nil {
		p.tab.t.Fatalf("click at %g, %g: %v", x, y, err)
	}
}

// Follow clicks target and waits until the document it leads to has loaded: a link, or a form's button.
func (p *Page) Follow(target string) {
	p.tab.t.Helper()
	if err := p.run("document.documentElement.browsertestOld = true", nil); err != nil {
		p.tab.t.Fatalf("before following %q: %v", target, err)
	}
	p.press(target)
	var state string
	p.until(patience, func() string {
		expression := "document.documentElement?.browsertestOld ? 'old' : document.readyState"
		if err := p.run(expression, &state); err != nil || state != "complete" {
			return "clicking " + quote(target) + " led to no new page; the document is " + state
		}
		return ""
	})
	if strings.HasPrefix(p.URL(), "chrome-error:") {
		p.tab.t.Fatalf("following %q led to a page that could not be loaded", target)
	}
}

func (p *Page) press(target string, clicks ...chromedp.MouseOption) {
	p.tab.t.Helper()
	var at answer
	var last answer
	p.until(patience, func() string {
		// Twice the same place: what still moves is not clicked.
		if at = p.find("point", target, ""); at.Why != "" {
			last = answer{}
			return at.Why
		}
		if at.X != last.X || at.Y != last.Y {
			last = at
			return quote(target) + " does not stand still"
		}
		return ""
	})
	var presses []chromedp.Action[chromedp.Void]
	for _, click := range append(clicks, chromedp.ClickCount(1))[:max(1, len(clicks))] {
		presses = append(presses, chromedp.MouseClickXY(at.X, at.Y, click))
	}
	if err := p.do(presses...); err != nil {
		p.tab.t.Fatalf("click %q: %v", target, err)
	}
}

// Fill replaces what is in a text field.
func (p *Page) Fill(field, value string) {
	p.tab.t.Helper()
	p.until(patience, func() string { return p.find("focus", field, "").Why })
	typed := chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, input.InsertText, input.InsertTextParams{Text: value})
		return err
	})
	if value == "" {
		typed = chromedp.KeyEvent(kb.Delete)
	}
	if err := p.do(typed); err != nil {
		p.tab.t.Fatalf("fill %q: %v", field, err)
	}
	if got := p.Value(field); got != value {
		p.tab.t.Fatalf("field %q took %q instead of %q", field, got, value)
	}
}

// Value is what a field holds.
func (p *Page) Value(field string) string {
	p.tab.t.Helper()
	a := p.find("value", field, "")
	if a.Why != "" {
		p.tab.t.Fatal(a.Why)
	}
	return a.Value
}

// Choose takes an option of a list by its words.
func (p *Page) Choose(list, option string) {
	p.tab.t.Helper()
	p.until(patience, func() string { return p.find("choose", list, option).Why })
}

// Press types one key into whatever has the focus: kb.Enter, kb.Escape, kb.Tab, "a".
func (p *Page) Press(key string) {
	p.tab.t.Helper()
	if err := p.do(chromedp.KeyEvent(key)); err != nil {
		p.tab.t.Fatalf("press %q: %v", key, err)
	}
}

// WaitText waits until a text is visible, with any run of white space counting as one space.
func (p *Page) WaitText(text string) { p.tab.t.Helper(); p.WaitTextFor(text, patience) }

// WaitTextFor is WaitText with a patience of its own, for what takes longer than a page.
func (p *Page) WaitTextFor(text string, patience time.Duration) {
	p.tab.t.Helper()
	p.until(patience, func() string {
		a := p.find("text", "", "")
		if a.Why == "" && !strings.Contains(a.Text, text) {
			a.Why = quote(text) + " is not on the page, which says: " + shorten(a.Text)
		}
		return a.Why
	})
}

// WaitNoText waits until a text is gone.
func (p *Page) WaitNoText(text string) {
	p.tab.t.Helper()
	p.until(patience, func() string {
		if a := p.find("text", "", ""); strings.Contains(a.Text, text) {
			return quote(text) + " is still on the page: " + shorten(a.Text)
		}
		return ""
	})
}

// Text is everything visible, with runs of white space as one space.
func (p *Page) Text() string { return p.find("text", "", "").Text }

// Count is how many elements a CSS selector has.
func (p *Page) Count(css string) int { return p.find("count", css, "").Count }

// URL is the address of the document.
func (p *Page) URL() string {
	var url string
	_ = p.run("location.href", &url) // a tab without a document has none
	return url
}

// Wait polls until ok, or fails the test saying what it was waiting for.
func (p *Page) Wait(what string, patience time.Duration, ok func() bool) {
	p.tab.t.Helper()
	p.until(patience, func() string {
		if ok() {
			return ""
		}
		return "still waiting for " + what
	})
}

// SetViewport sets the window's width in pixels: 1280 is a desk, 390 a phone.
func (p *Page) SetViewport(width int) {
	p.tab.t.Helper()
	height := int64(900)
	if width < 600 {
		height = 844
	}
	if err := p.do(chromedp.EmulateViewport(int64(width), height)); err != nil {
		p.tab.t.Fatalf("set viewport: %v", err)
	}
}

// ColorScheme is what the system prefers: "light" or "dark". Motion is reduced in both, so that pictures hold still.
func (p *Page) ColorScheme(scheme string) {
	p.tab.t.Helper()
	features := []*emulation.MediaFeature{
		{Name: "prefers-color-scheme", Value: scheme},
		{Name: "prefers-reduced-motion", Value: "reduce"},
	}
	err := p.do(chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: features})
		return err
	}))
	if err != nil {
		p.tab.t.Fatalf("emulate %s: %v", scheme, err)
	}
}

// Scripts turns the page's own scripts on or off, from the next document on.
func (p *Page) Scripts(on bool) {
	p.tab.t.Helper()
	err := p.do(chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: !on})
		return err
	}))
	if err != nil {
		p.tab.t.Fatalf("switch scripts: %v", err)
	}
}

// NoSidewaysScroll fails the test if the page is wider than its window (WCAG 1.4.10).
func (p *Page) NoSidewaysScroll() {
	p.tab.t.Helper()
	var over struct {
		Pixels int
		Widest string
	}
	if err := p.run(sideways, &over); err != nil {
		p.tab.t.Fatalf("measure the page: %v", err)
	}
	if over.Pixels > 0 {
		p.tab.t.Errorf("%s is %d pixels wider than its window, because of %s", p.URL(), over.Pixels, over.Widest)
	}
}

// sideways measures how much wider the page is than its window, and names the innermost element that reaches furthest,
// those aside that are inside something that scrolls by itself.
const sideways = `(() => {
	const inScroller = e => e && e !== document.body && (getComputedStyle(e).overflowX !== 'visible' || inScroller(e.parentElement));
	const root = document.documentElement, all = [...document.body.querySelectorAll('*')].filter(e => e.checkVisibility() && !inScroller(e.parentElement));
	const right = e => e.getBoundingClientRect().right, furthest = Math.max(...all.map(right));
	const e = all.findLast(e => right(e) === furthest);
	return { Pixels: root.scrollWidth - root.clientWidth, Widest: e ? '<' + e.tagName.toLowerCase() + ' class="' + e.className + '"> "' + e.textContent.trim().slice(0, 60) + '"' : 'nothing' };
})()`

// find asks find.js. An error of the browser, such as a document that is just being replaced, is a reason too.
func (p *Page) find(action, target, value string) answer {
	args, err := json.Marshal([]any{append([]scope{}, p.scope...), action, target, value})
	if err != nil {
		return answer{Why: err.Error()}
	}
	var a answer
	if err := p.run("("+findJS+")(..."+string(args)+")", &a); err != nil {
		return answer{Why: "the page does not answer: " + err.Error()}
	}
	return a
}

// run evaluates an expression in the page; into may be nil.
func (p *Page) run(expression string, into any) error {
	ctx, cancel := context.WithTimeout(p.tab.ctx, patience)
	defer cancel()
	result, err := chromedp.Run(ctx, chromedp.Evaluate[[]byte](expression, returnByValue, chromedp.EvalAwaitPromise))
	if err != nil || into == nil {
		return err
	}
	if len(result) == 0 {
		return errors.New("the page answered nothing")
	}
	return json.Unmarshal(result, into)
}

func returnByValue(params *runtime.EvaluateParams) { yes := true; params.ReturnByValue = &yes }

func (p *Page) do(steps ...chromedp.Action[chromedp.Void]) error {
	ctx, cancel := context.WithTimeout(p.tab.ctx, patience)
	defer cancel()
	return chromedp.Do(ctx, steps...)
}

// until looks again and again until there is no reason left to wait, or fails the test with the last reason.
func (p *Page) until(patience time.Duration, reason func() string) {
	p.tab.t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	tick := time.NewTicker(pause)
	defer tick.Stop()
	for {
		why := reason()
		if why == "" {
			return
		}
		select {
		case <-tick.C:
		case <-deadline.C:
			p.tab.t.Fatalf("after %s at %s: %s", patience, p.URL(), why)
		}
	}
}

func quote(s string) string { return `"` + s + `"` }

func shorten(s string) string {
	if r := []rune(s); len(r) > 1500 {
		return string(r[:1500]) + " …"
	}
	return s
}
