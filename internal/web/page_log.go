package web

import (
	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/language"
)

type logView struct {
	Op       safepoint.Operation
	Row      logRow
	Schedule string // its name, for a scheduled run
	Origin   string // what started it
	Took     string
	Restores string // the restore that made this safety backup
	Way      string // how a restore goes about it
	Halted   string // how long services were halted
}

// ways are the modes of a restore in people's words.
var ways = map[safepoint.RestoreMode]string{
	"": language.Mark("Guarded"), safepoint.RestoreGuarded: language.Mark("Guarded"), safepoint.RestoreInstant: language.Mark("Instant switch"),
	safepoint.RestoreInPlace: language.Mark("In place"),
}

func showLog(v *visit) (reply, error) {
	op, err := v.app.Operation(v.ctx, v.actor, v.id())
	if err != nil {
		return nil, err
	}
	d := logView{Op: op, Row: v.row(op), Origin: origin(v.t, op), Took: v.t.Lasted(op.Duration(v.t.now))}
	if op.Type == safepoint.TypeRestore && op.NewName == "" && op.Trigger != safepoint.TriggerUndo {
		d.Way = v.t.Say(ways[op.Mode])
	}
	if !op.HaltedAt.IsZero() && !op.ResumedAt.IsZero() {
		d.Halted = v.t.Lasted(op.HaltTime())
	}
	if op.ScheduleID != "" {
		// The schedule may be gone by now: the log stands without it.
		if s, err := v.app.Schedule(v.ctx, v.actor, op.ScheduleID); err == nil {
			d.Schedule = v.t.Say("{name}, every {interval}", "name", s.Name, "interval", v.t.every(s.Interval))
		} else if safepoint.ErrorCode(err) != safepoint.CodeNotFound {
			return nil, err
		}
	}
	p := &page{Name: "log", Title: v.t.Say("{name} · DB Logs", "name", op.Name), Tab: "logs", Live: true, Busy: !op.Status.Ended(), Data: d}
	switch {
	case !op.Status.Ended():
		p.State, p.Icon = d.Row.Label, "run"
		if d.Row.Measured {
			p.State = v.t.percent(op.Progress.Percent)
		}
		p.Say = quarter(v.t, op)
	case op.Status == safepoint.StatusSucceeded:
		p.Say = v.t.Say("Succeeded: {name}", "name", op.Name)
	case op.Failure != nil:
		p.State, p.Icon, p.Say = d.Row.Label, "bad", v.t.Say("{status}: {reason}", "status", d.Row.Label, "reason", v.t.Message(op.Failure.Failed()))
	}
	return p, nil
}

// percent is "62%".
func (c locale) percent(n int) string { return c.Say("{number}%", "number", n) }

// quarter is what a screen reader is told of a running operation: it changes with the phase and at 25, 50 and 75%.
func quarter(c locale, op safepoint.Operation) string {
	phase := ""
	switch {
	case op.Type == safepoint.TypeRestore:
		phase = stepOf(c, op)
	case op.Progress.Phase == "verify":
		phase = c.Say("Reading the file again")
	}
	what, percent := doing(c, op), op.Progress.Percent/25*25
	switch {
	case percent > 0 && phase != "":
		return c.Say("{operation}, {percent} percent, {phase}", "operation", what, "percent", percent, "phase", phase)
	case percent > 0:
		return c.Say("{operation}, {percent} percent", "operation", what, "percent", percent)
	case phase != "":
		return c.Say("{operation}, {phase}", "operation", what, "phase", phase)
	}
	return what
}
