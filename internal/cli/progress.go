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

// meter starts a meter; unit writes its numbers (bytesText, or percentText).
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
			if s.Total <= 0 {
				return unit(s.Current)
			}
			return fmt.Sprintf("%s of %s", unit(s.Current), unit(s.Total))
		})),
	)
	return m
}

func percentText(n int64) string { return fmt.Sprintf("%d%%", n) }

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
	switch {
	case total > 0:
		fmt.Fprintf(m.w, "%s: %s of %s\n", m.label, m.unit(done), m.unit(total))
	case done > 0:
		fmt.Fprintf(m.w, "%s: %s\n", m.label, m.unit(done))
	default:
		fmt.Fprintln(m.w, m.label)
	}
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
	m.show(label, percent, 100)
}
