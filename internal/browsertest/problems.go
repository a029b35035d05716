package browsertest

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/audits"
	"github.com/chromedp/cdproto/inspector"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// tab is what all scopes of one page share: the browser's tab, and what went wrong in it.
type tab struct {
	t   testing.TB
	ctx context.Context

	mu       sync.Mutex
	problems []string
	expected []string
	status   int // of the last document
}

// listen runs on the goroutine that reads the browser's messages: it only takes notes.
func (b *tab) listen(event any) {
	switch e := event.(type) {
	case *runtime.EventExceptionThrown:
		text := e.ExceptionDetails.Text
		if e.ExceptionDetails.Exception != nil {
			text += " " + e.ExceptionDetails.Exception.Description
		}
		b.note("uncaught: " + text)
	case *runtime.EventConsoleAPICalled:
		if e.Type == runtime.ConsoleAPICalledTypeError || e.Type == runtime.ConsoleAPICalledTypeAssert {
			b.note("console." + string(e.Type) + ": " + arguments(e.Args))
		}
	case *log.EventEntryAdded:
		if e.Entry.Level == log.EntryLevelError {
			b.note(fmt.Sprintf("%s error: %s %s", e.Entry.Source, e.Entry.Text, e.Entry.URL))
		}
	case *audits.EventIssueAdded:
		if e.Issue.Details != nil && e.Issue.Details.ContentSecurityPolicyIssueDetails != nil {
			d := e.Issue.Details.ContentSecurityPolicyIssueDetails
			b.note(strings.TrimSpace(fmt.Sprintf("content security policy: %s violated (%s) %s",
				d.ViolatedDirective, d.ContentSecurityPolicyViolationType, d.BlockedURL)))
		}
	case *inspector.EventTargetCrashed:
		b.note("the tab crashed")
	case *network.EventRequestWillBeSent:
		if other := otherHost(e.DocumentURL, e.Request.URL); other != "" {
			b.note("request to another host: " + other)
		}
	case *network.EventResponseReceived:
		if e.Type == network.ResourceTypeDocument {
			b.mu.Lock()
			b.status = int(e.Response.Status)
			b.mu.Unlock()
		}
	}
}

// otherHost is the address that a page asks for, if that is not on its own host: nothing of a page comes from elsewhere.
func otherHost(page, address string) string {
	from, err := url.Parse(page)
	to, errTo := url.Parse(address)
	if err != nil || errTo != nil || !strings.HasPrefix(to.Scheme, "http") && !strings.HasPrefix(to.Scheme, "ws") || to.Host == from.Host {
		return ""
	}
	return address
}

func arguments(args []*runtime.RemoteObject) string {
	var texts []string
	for _, a := range args {
		if a.Description != "" {
			texts = append(texts, a.Description)
		} else {
			texts = append(texts, string(a.Value))
		}
	}
	return strings.Join(texts, " ")
}

func (b *tab) note(problem string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.problems = append(b.problems, problem)
}

// Problems are the uncaught errors, console errors and policy violations so far that no Expect named.
func (p *Page) Problems() []string {
	p.tab.flush()
	return p.tab.unexpected()
}

// Expect says that a problem holding this text is part of the test, such as "status of 422" for a refused form.
func (p *Page) Expect(text string) {
	p.tab.mu.Lock()
	defer p.tab.mu.Unlock()
	p.tab.expected = append(p.tab.expected, text)
}

// flush waits for the answer to an empty question: messages sent by the page before it have been noted then.
func (b *tab) flush() {
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	_, _ = chromedp.Run(ctx, chromedp.Evaluate[int]("0")) // a page that cannot answer has failed its test already
}

func (b *tab) unexpected() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(b.problems), func(problem string) bool {
		return slices.ContainsFunc(b.expected, func(text string) bool { return strings.Contains(problem, text) })
	})
}

// close reports what went wrong in the tab, and leaves a picture of a failed test.
func (b *tab) close() {
	b.flush()
	for _, problem := range b.unexpected() {
		b.t.Errorf("the page reported: %s", problem)
	}
	if !b.t.Failed() {
		return
	}
	p := &Page{tab: b}
	if file, err := p.picture("failed-" + b.t.Name()); err == nil {
		b.t.Logf("at %s; picture: %s", p.URL(), file)
	}
}

// Screenshot writes a picture of the whole page, NAME.png, and returns its path. See artefact.
func (p *Page) Screenshot(name string) string {
	p.tab.t.Helper()
	file, err := p.picture(name)
	if err != nil {
		p.tab.t.Fatalf("screenshot %s: %v", name, err)
	}
	return file
}

func (p *Page) picture(name string) (string, error) {
	ctx, cancel := context.WithTimeout(p.tab.ctx, time.Minute)
	defer cancel()
	png, err := chromedp.Run(ctx, chromedp.FullScreenshot(100))
	if err != nil {
		return "", err
	}
	file := p.artefact(name + ".png")
	return file, os.WriteFile(file, png, 0o644)
}
