package web

import "github.com/safepoint-db/safepoint"

type logView struct {
	Op       safepoint.Operation
	Row      logRow
	Schedule string // its name, for a scheduled run
	Took     string
	Restores string // the restore that made this safety backup
	Way      string // how a restore goes about it
	Halted   string // how long services were halted
}

// ways are the modes of a restore in people's words.
var ways = map[safepoint.RestoreMode]string{
	"": "Guarded", safepoint.RestoreGuarded: "Guarded", safepoint.RestoreInstant: "Instant switch", safepoint.RestoreInPlace: "In place",
}

func showLog(v *visit) (reply, error) {
	op, err := v.app.Operation(v.ctx, v.actor, v.id())
	if err != nil {
		return nil, err
	}
	d := logView{Op: op, Row: v.row(op), Took: v.t.Lasted(op.Duration(v.t.now))}
	if op.Type == safepoint.TypeRestore && op.NewName == "" && op.Trigger != safepoint.TriggerUndo {
		d.Way = ways[op.Mode]
	}
	if !op.HaltedAt.IsZero() && !op.ResumedAt.IsZero() {
		d.Halted = v.t.Lasted(op.HaltTime())
	}
	if op.ScheduleID != "" {
		// The schedule may be gone by now: the log stands without it.
		if s, err := v.app.Schedule(v.ctx, v.actor, op.ScheduleID); err == nil {
			d.Schedule = s.Name + ", every " + v.t.every(s.Interval)
		} else if safepoint.ErrorCode(err) != safepoint.CodeNotFound {
			return nil, err
		}
	}
	p := &page{Name: "log", Title: op.Name + " · DB Logs", Tab: "logs", Live: true, Busy: !op.Status.Ended(), Data: d}
	switch {
	case !op.Status.Ended():
		p.State, p.Icon = d.Row.Label, "run"
		if d.Row.Measured {
			p.State = v.t.Number(op.Progress.Percent) + "%"
		}
		p.Say = quarter(v.t, op)
	case op.Status == safepoint.StatusSucceeded:
		p.Say = "Succeeded: " + op.Name
	case op.Failure != nil:
		p.State, p.Icon, p.Say = d.Row.Label, "bad", d.Row.Label+": "+op.Failure.Message
	}
	return p, nil
}

// quarter is what a screen reader is told of a running operation: it changes with the phase and at 25, 50 and 75%.
func quarter(c locale, op safepoint.Operation) string {
	phase := op.Progress.Phase
	if op.Type == safepoint.TypeRestore {
		phase = stepOf(op)
	}
	s := doing(c, op)
	if q := op.Progress.Percent / 25 * 25; q > 0 {
		s += ", " + c.Number(q) + " percent"
	}
	if phase != "" {
		s += ", " + phase
	}
	return s
}
