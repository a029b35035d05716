package web

import (
	"html/template"
	"time"

	"github.com/safepoint-db/safepoint"
)

type restoreView struct {
	Op         safepoint.Operation
	Heading    template.HTML
	Lede       []template.HTML
	WayBack    string
	CancelText template.HTML
	Undo       bool // this is an undo
	Running    bool
	Queued     bool
	Recovering bool
	Steps      []stepView
	Now        *stepView // the running one
	StepText   string
	ValueText  string // for screen readers, of the bar
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
	HaltedText string // how long services were halted
	Guarding   bool   // services run again, and the safety backup is made
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
	p.Title = v.t.Say("Restoring {database}", "database", op.DatabaseName)
	switch {
	case d.Outcome != nil:
		p.Title = d.Outcome.Title
		p.Say = d.Outcome.Title
		if d.Outcome.Look == "bad" || d.Outcome.Look == "warn" {
			p.Icon = d.Outcome.Look
		}
	case d.Queued:
		p.State, p.Icon = v.t.Say("Waiting"), "run"
	default:
		p.State, p.Icon, p.Say = v.t.percent(op.Progress.Percent), "run", quarter(v.t, op)
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
		d.Way = v.t.Say(ways[op.Mode])
	}
	d.HaltedText, d.Guarding = haltedWords(v.t, op), op.CanYield()
	var usual map[safepoint.Step]time.Duration
	if !op.Status.Ended() && op.NewName == "" && !d.Undo {
		if usual, err = v.app.StepTimes(v.ctx, v.actor, op.ID); err != nil {
			return d, err
		}
	}
	d.Steps = steps(v.t, op, journal, usual)
	for i := range d.Steps {
		if d.Steps[i].State == "now" {
			d.Now = &d.Steps[i]
		}
	}
	d.StepText, d.Left, d.SoFar = stepOf(v.t, op), left(v.t, op), v.t.Lasted(op.Duration(v.t.now))
	d.ValueText = v.t.Say("{percent} percent, {step}", "percent", op.Progress.Percent, "step", d.StepText)
	if d.Left != "" {
		d.ValueText = v.t.Say("{percent} percent, {step}, {left}", "percent", op.Progress.Percent, "step", d.StepText, "left", d.Left)
	}
	d.Recovering = d.Running && recovering(journal)
	if !op.HaltedAt.IsZero() && op.ResumedAt.IsZero() && !op.Status.Ended() {
		d.HaltedFor = v.t.Since(op.HaltedAt)
	}
	d.Slow = slow(v.t, op, journal, usual)
	d.lines(v.t, op, services, journal)
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
	d.Heading, d.Lede = restoreHeading(v.t, op, d.Outcome != nil), restoreLede(v.t, op, d.SourceLink)
	d.WayBack, d.CancelText = d.wayBack(v.t), d.cancelWords(v.t)
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
	return len(journal) > 0 && journal[len(journal)-1].Kind == safepoint.JournalRecovering
}

// lines says of each service what the journal says of it.
func (d *restoreView) lines(c locale, op safepoint.Operation, services []safepoint.Service, journal []safepoint.JournalEntry) {
	running := serviceLine{State: c.Say("Running"), Look: "ok"}
	halted := serviceLine{State: c.Say("Halted"), Look: "warn"}
	idle := serviceLine{State: c.Say("Was not running"), Look: "off"}
	told := map[string]serviceLine{}
	for _, e := range journal {
		switch e.Kind {
		case safepoint.JournalHalted:
			told[e.ServiceID] = halted
		case safepoint.JournalResumed:
			told[e.ServiceID] = running
		case safepoint.JournalIdle:
			told[e.ServiceID] = idle
		}
	}
	for _, s := range byName(services, op.Attention) {
		told[s.ID] = serviceLine{State: c.Say("Did not resume"), Look: "bad"}
	}
	for _, s := range services {
		line, known := told[s.ID]
		if !known {
			line = running
		}
		if line == halted && !op.ResumedAt.IsZero() { // whatever of the story was not written down
			line = running
		}
		if line == halted {
			d.Halted++
		}
		line.ID, line.Name = s.ID, s.Name
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
