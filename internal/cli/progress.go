package cli

import (
	"cmp"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/api/wire"
	"github.com/safepoint-db/safepoint/internal/language"
)

// plainEvery is how often a plain line of progress is printed where no bar can be drawn.
const plainEvery = 10 * time.Second

// meter shows how far something has got: a bar on a terminal, a line now and then elsewhere, nothing with --quiet or
// --json. Its methods may be called from one goroutine at a time; end must be called.
type meter struct {
	w     io.Writer
	unit  func(int64) string
	lines bool
	last  time.Time
	label string
	more  string // behind the amount
	bars  *mpb.Progress
	bar   *mpb.Bar
	mu    sync.Mutex // label and more are also read by the bar's own goroutine
}

// meter starts a meter; unit writes its numbers, nil means percent.
func (env *Env) meter(unit func(int64) string) *meter {
	m := &meter{w: env.Err, unit: unit}
	if env.Quiet || env.JSON {
		m.w = io.Discard
		return m
	}
	if !isTerminal(env.Err) {
		m.lines = true
		return m
	}
	m.bars = mpb.New(mpb.WithOutput(env.Err), mpb.WithWidth(40))
	m.bar = m.bars.AddBar(0,
		mpb.BarRemoveOnComplete(),
		mpb.PrependDecorators(decor.Any(func(decor.Statistics) string { return m.current() }, decor.WCSyncSpaceR)),
		mpb.AppendDecorators(decor.Any(func(s decor.Statistics) string {
			return m.amount(s.Current, s.Total)
		})),
	)
	return m
}

func (m *meter) current() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.label
}

// show says where it stands. A total of 0 is not known.
func (m *meter) show(label string, done, total int64) {
	m.mu.Lock()
	changed := label != m.label
	m.label = oneLine(label)
	m.mu.Unlock()
	if m.bar != nil {
		m.bar.SetTotal(total, false)
		m.bar.SetCurrent(done)
		return
	}
	if !m.lines || !changed && time.Since(m.last) < plainEvery {
		return
	}
	m.last = time.Now()
	if done == 0 && m.more == "" { // nothing is measured yet, or this part has no measure
		fmt.Fprintf(m.w, "%s\n", m.label)
		return
	}
	fmt.Fprintf(m.w, "%s: %s\n", m.label, m.amount(done, total))
}

// amount is "3 MiB of 8 MiB", "3 MiB" where the total is not known, "40%, 84 MiB/s".
func (m *meter) amount(done, total int64) string {
	if m.unit == nil {
		m.mu.Lock()
		defer m.mu.Unlock()
		if m.more == "" {
			return fmt.Sprintf("%d%%", done)
		}
		return fmt.Sprintf("%d%%, %s", done, m.more)
	}
	if total <= 0 {
		return m.unit(done)
	}
	return m.unit(done) + " of " + m.unit(total)
}

func (m *meter) end() {
	if m.bar != nil {
		m.bar.SetTotal(-1, true)
		m.bars.Wait()
	}
}

// showOperation shows a server's operation in the console's words: phase, percent, done of expected, rate, time left.
func (m *meter) showOperation(o wire.Operation) {
	var percent int64
	var more []string
	if p := o.Progress; p != nil && o.Status == string(safepoint.StatusRunning) {
		percent, more = int64(p.Percent), progressFacts(o)
	}
	if o.Status == string(safepoint.StatusSucceeded) {
		percent = 100
	}
	m.mu.Lock()
	m.more = strings.Join(more, ", ")
	m.mu.Unlock()
	m.show(phaseText(o), percent, 100)
}

// progressFacts are done of expected, rate, and the time left once it can be told: from 5 percent and 10 seconds on.
func progressFacts(o wire.Operation) (facts []string) {
	p := *o.Progress
	if o.Type == string(safepoint.TypeRestore) && p.Phase != o.Step { // these are of the step before
		p.TablesOf, p.Bytes, p.BytesOf, p.Rate = 0, 0, 0, 0
	}
	if p.TablesOf > 0 && p.Phase != "verify" {
		facts = append(facts, fmt.Sprintf("table %s of %s", grouped(min(p.Tables+1, p.TablesOf)), grouped(p.TablesOf)))
	}
	switch {
	case p.BytesOf > 0:
		facts = append(facts, bytesText(p.Bytes)+" of about "+bytesText(p.BytesOf))
	case p.Bytes > 0:
		facts = append(facts, bytesText(p.Bytes))
	}
	if p.Rate > 0 {
		facts = append(facts, bytesText(p.Rate)+"/s")
	}
	if p.SecondsLeft > 0 && p.Percent >= 5 && p.At.Sub(o.StartedAt) >= 10*time.Second {
		facts = append(facts, plain(language.English.About(time.Duration(p.SecondsLeft)*time.Second))+" left")
	}
	return facts
}

// stepTexts are a restore's steps in people's words.
var stepTexts = map[string]string{
	"check": "Checking", "stage": "Restoring into staging", "verify": "Verifying", "halt": "Halting services",
	"guard": "Safety backup", "switch": "Switching", "resume": "Resuming services", "clean": "Setting aside",
}

// phaseText says what o is doing, or that it ended.
func phaseText(o wire.Operation) string {
	switch {
	case o.Status == string(safepoint.StatusQueued):
		return "Waiting for its turn"
	case o.Ended():
		return title(o.Status)
	case o.CancelAsked:
		return "Stopping"
	case o.Type == string(safepoint.TypeRestore):
		if o.Mode == string(safepoint.RestoreInPlace) && o.Step == "stage" {
			return "Loading"
		}
		return cmp.Or(stepTexts[o.Step], title(o.Step), "Starting")
	case o.Progress != nil && o.Progress.Phase == "verify":
		return "Reading the file again"
	}
	return "Writing"
}
