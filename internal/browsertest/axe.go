package browsertest

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// axeRun waits until what fades or slides has come to rest, for halfway colours are nobody's choice, and then checks the
// document against WCAG 2.0 to 2.2 at levels A and AA, and axe's best practices.
const axeRun = `new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done))).then(() => Promise.allSettled(
	document.getAnimations().filter(a => a.effect.getComputedTiming().endTime !== Infinity).map(a => a.finished),
)).then(() => axe.run(document, {
	runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'],
	resultTypes: ['violations'],
})).then(r => ({
	passes: r.passes.length,
	violations: r.violations.map(v => ({
		rule: v.id, impact: v.impact, help: v.help,
		nodes: v.nodes.map(n => n.target.join(' ') + ': ' + (n.any[0] || n.all[0] || n.none[0] || {message: ''}).message),
	})),
}))`

// Violation is one rule of axe-core that the page breaks, and where.
type Violation struct {
	Rule   string   `json:"rule"`
	Impact string   `json:"impact"`
	Help   string   `json:"help"`
	Nodes  []string `json:"nodes"`
}

// String is for a test's log: the rule and the first places that break it.
func (v Violation) String() string {
	return fmt.Sprintf("%s (%s): %s, in %d places: %s", v.Rule, v.Impact, v.Help, len(v.Nodes),
		strings.Join(v.Nodes[:min(3, len(v.Nodes))], "; "))
}

// Axe fails the test for each rule of axe-core that the page as it stands breaks. It needs the page's scripts on.
// Where axe-core was not fetched it only says how to get it; under CI that is a failure.
func (p *Page) Axe() {
	p.tab.t.Helper()
	for _, v := range p.Violations() {
		p.tab.t.Errorf("axe at %s: %s", p.URL(), v)
	}
}

// Violations are the rules of axe-core that the page breaks.
func (p *Page) Violations() []Violation {
	p.tab.t.Helper()
	if !p.loadAxe() {
		return nil
	}
	var result struct {
		Passes     int
		Violations []Violation
	}
	if err := p.run(axeRun, &result); err != nil {
		p.tab.t.Fatalf("run axe-core: %v", err)
	}
	if result.Passes == 0 {
		p.tab.t.Fatalf("axe-core found nothing to check at %s", p.URL())
	}
	return result.Violations
}

// loadAxe puts axe-core into the document, if it was fetched.
func (p *Page) loadAxe() bool {
	p.tab.t.Helper()
	source, err := os.ReadFile(filepath.Join(root(p.tab.t), ".cache", "axe", "axe.min.js"))
	if errors.Is(err, fs.ErrNotExist) {
		message := "The accessibility check needs axe-core: run scripts/install-test-tools."
		if os.Getenv("CI") != "" {
			p.tab.t.Fatal(message)
		}
		p.tab.t.Log(message + " Not checked.")
		return false
	}
	if err != nil {
		p.tab.t.Fatal(err)
	}
	if err := p.run(string(source)+"\n;0", nil); err != nil {
		p.tab.t.Fatalf("load axe-core: %v", err)
	}
	return true
}
