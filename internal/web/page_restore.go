package web

import (
	"strings"
	"time"

	"github.com/safepoint-db/safepoint"
)

type restoreView struct {
	Op         safepoint.Operation
	Undo       bool // this is an undo
	Running    bool
	Queued     bool
	Recovering bool
	Steps      []stepView
	Now        *stepView // the running one
	StepText   string
	Left       string
	SoFar      string
	HaltedFor  string
	Slow       string
	Safety     *safepoint.Operation
	Services   []serviceLine
	Halted     int
	CanCancel  bool
	CanUndo    bool
	UndoUntil  string
	UndoneBy   string
	Outcome    *outcome
	Log        []logLine
	SourceLink string
	Busy       *safepoint.Operation
	Way        string // how it goes about it
	Took       string // how long services were halted
	Instant    bool
	Guarding   bool // services run again, and the safety backup is made
}

type serviceLine struct{ ID, Name, State, Look string }

type logLine struct{ Time, Step, Event, Detail string }

func showRestore(v *visit) (reply, error) {
	op, err := v.app.Operation(v.ctx, v.actor, v.id())
	if err != nil {
		return nil, err
	}
	if op.Type != safepoint.TypeRestore {
		return redirect("/logs/" + op.ID), nil
	}
	d, err := v.restoreView(op)
	if err != nil {
		return nil, err
	}
	p := &page{Name: "restore", Tab: "logs", Live: true, Busy: !op.Status.Ended(), Data: d}
	p.Title = "Restoring " + op.DatabaseName
	switch {
	case d.Outcome != nil:
		p.Title = d.Outcome.Title
		p.Say = d.Outcome.Title
		if d.Outcome.Look == "bad" || d.Outcome.Look == "warn" {
			p.Icon = d.Outcome.Look
		}
	case d.Queued:
		p.State, p.Icon = "Waiting", "run"
	default:
		p.State, p.Icon, p.Say = v.t.Number(op.Progress.Percent)+"%", "run", quarter(v.t, op)
	}
	return p, nil
}

func (v *visit) restoreView(op safepoint.Operation) (restoreView, error) {
	d := restoreView{Op: op, Undo: op.Trigger == safepoint.TriggerUndo, Running: op.Status == safepoint.StatusRunning, Queued: op.Status == safepoint.StatusQueued}
	journal, err := v.app.Journal(v.ctx, v.actor, op.ID)
	if err != nil {
		return d, err
	}
	services, err := v.app.Services(v.ctx, v.actor)
	if err != nil {
		return d, err
	}
	if op.NewName == "" && !d.Undo {
		d.Way = ways[op.Mode]
	}
	if t := op.HaltTime(); t > 0 {
		d.Took = v.t.Lasted(t)
	}
	d.Instant, d.Guarding = op.Mode == safepoint.RestoreInstant && op.NewName == "" && !d.Undo, op.CanYield()
	d.Steps = steps(v.t, op, journal)
	for i := range d.Steps {
		if d.Steps[i].State == "now" {
			d.Now = &d.Steps[i]
		}
	}
	d.StepText, d.Left, d.SoFar = stepOf(op), left(v.t, op), v.t.Lasted(op.Duration(v.t.now))
	d.Recovering = d.Running && recovering(journal)
	if !op.HaltedAt.IsZero() && op.ResumedAt.IsZero() && !op.Status.Ended() {
		d.HaltedFor = v.t.Since(op.HaltedAt)
	}
	if d.Running && !op.Progress.At.IsZero() && v.t.now.Sub(op.Progress.At) > 2*time.Minute {
		d.Slow = "No progress for " + v.t.Lasted(v.t.now.Sub(op.Progress.At)) + ". The last sign of it was at " + v.t.Time(op.Progress.At) + "."
	}
	d.lines(op, services, journal)
	d.Log = technical(v.t, journal)
	d.CanCancel = cancellable(op) && v.admin()
	d.CanUndo, d.UndoneBy = v.canUndo(op), op.UndoneByID
	if !op.UndoUntil.IsZero() {
		d.UndoUntil = v.t.At(op.UndoUntil)
	}
	d.Outcome = newOutcome(v.t, op, byName(services, op.Attention))
	if op.SourceID != "" {
		d.SourceLink = "/logs/" + op.SourceID
		if d.Undo {
			d.SourceLink = "/restores/" + op.SourceID
		}
	}
	if d.Queued {
		for _, o := range v.running {
			if o.ID != op.ID && o.Status == safepoint.StatusRunning {
				d.Busy = &o
				break
			}
		}
	}
	if op.SafetyID != "" {
		safety, err := v.app.Operation(v.ctx, v.actor, op.SafetyID)
		switch {
		case err == nil:
			d.Safety = &safety
		case safepoint.ErrorCode(err) != safepoint.CodeNotFound: // it may have been deleted since
			return d, err
		}
	}
	return d, nil
}

func doRestoreResume(v *visit) (reply, error) {
	if err := v.app.ResumeRestore(v.ctx, v.actor, v.id()); err != nil {
		return nil, err
	}
	return redirect("/restores/" + v.id()), nil
}

func (v *visit) canUndo(op safepoint.Operation) bool {
	if !v.admin() || op.Trigger == safepoint.TriggerUndo || op.UndoneByID != "" {
		return false
	}
	return op.CanYield() || op.Status == safepoint.StatusSucceeded && (op.UndoUntil.After(v.t.now) || op.Unguarded())
}

func recovering(journal []safepoint.JournalEntry) bool {
	return len(journal) > 0 && journal[len(journal)-1].Event == "note" && strings.HasPrefix(journal[len(journal)-1].Detail, "The server started again")
}

// lines says of each service what the journal says of it.
func (d *restoreView) lines(op safepoint.Operation, services []safepoint.Service, journal []safepoint.JournalEntry) {
	told := map[string]string{}
	for _, e := range journal {
		for _, s := range services {
			switch e.Detail {
			case "Halted " + s.Name + ".":
				told[s.Name] = "Halted"
			case "Resumed " + s.Name + ".":
				told[s.Name] = "Running"
			case s.Name + " was not running; it is left as it is.":
				told[s.Name] = "Was not running"
			}
		}
	}
	for _, name := range op.Attention {
		told[name] = "Did not resume"
	}
	for _, s := range services {
		line := serviceLine{ID: s.ID, Name: s.Name, State: told[s.Name], Look: "ok"}
		switch line.State {
		case "":
			line.State = "Running"
		case "Halted":
			d.Halted++
			line.Look = "warn"
		case "Did not resume":
			line.Look = "bad"
		case "Was not running":
			line.Look = "off"
		}
		d.Services = append(d.Services, line)
	}
}

func technical(c locale, journal []safepoint.JournalEntry) []logLine {
	var out []logLine
	for _, e := range journal {
		out = append(out, logLine{Time: c.Time(e.At), Step: e.Step.String(), Event: e.Event, Detail: e.Detail})
	}
	return out
}

func byName(services []safepoint.Service, names []string) []safepoint.Service {
	var out []safepoint.Service
	for _, s := range services {
		for _, n := range names {
			if s.Name == n {
				out = append(out, s)
			}
		}
	}
	return out
}
