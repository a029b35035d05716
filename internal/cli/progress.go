package cli

import (
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"github.com/safepoint-db/safepoint/internal/api/wire"
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

	bars *mpb.Progress
	bar  *mpb.Bar
	mu   sync.Mutex // label is also read by the bar's own goroutine
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
	if done == 0 { // nothing is measured yet, or this part has no measure
		fmt.Fprintf(m.w, "%s\n", m.label)
		return
	}
	fmt.Fprintf(m.w, "%s: %s\n", m.label, m.amount(done, total))
}

// amount is "3 MiB of 8 MiB", "3 MiB" where the total is not known, "40%".
func (m *meter) amount(done, total int64) string {
	if m.unit == nil {
		return fmt.Sprintf("%d%%", done)
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

// showOperation shows a server's operation.
func (m *meter) showOperation(o wire.Operation) {
	label := o.Status
	var percent int64
	if p := o.Progress; p != nil && o.Status == "running" {
		label, percent = p.Phase, int64(p.Percent)
		if p.SecondsLeft > 0 && m.bar != nil {
			label += ", " + durationText(time.Duration(p.SecondsLeft)*time.Second) + " left"
		}
	}
	if o.Step != "" && o.Status == "running" {
		label = o.Step
	}
	if !o.FinishedAt.IsZero() && o.Status == "succeeded" {
		percent = 100
	}
	m.show(label, percent, 100)
}
