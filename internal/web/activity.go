package web

import "github.com/safepoint-db/safepoint"

// activity is the bar under the tabs while something runs.
type activity struct {
	Text, ETA, Link, LinkText string
	Percent                   int
	Measured                  bool
	More                      int
}

// halted is the bar on every page while services are halted.
type halted struct {
	For, Step, ETA, Link string
	Doing                string // who does what, in a sentence
}

func (v *visit) activity() *activity {
	if len(v.running) == 0 || v.state.State == safepoint.StateHalted {
		return nil
	}
	op := v.running[0]
	for _, o := range v.running {
		if o.Status == safepoint.StatusRunning && op.Status != safepoint.StatusRunning {
			op = o
		}
	}
	a := &activity{Percent: op.Progress.Percent, Measured: op.Progress.Percent > 0, More: len(v.running) - 1, ETA: left(v.t, op)}
	a.Text, a.Link, a.LinkText = doing(v.t, op), pathOf(op), v.t.Say("Follow in DB Logs")
	if op.Type == safepoint.TypeRestore {
		a.LinkText = v.t.Say("Follow the restore")
	}
	return a
}

// doing names a running operation.
func doing(c locale, op safepoint.Operation) string {
	db := op.DatabaseName
	switch {
	case op.Status == safepoint.StatusQueued && op.Type == safepoint.TypeRestore:
		return c.Say("Restore of {database} is waiting", "database", db)
	case op.Status == safepoint.StatusQueued:
		return c.Say("Backup of {database} is waiting", "database", db)
	case op.Trigger == safepoint.TriggerUndo:
		return c.Say("Undoing a restore of {database}", "database", db)
	case op.Type == safepoint.TypeRestore:
		return c.Say("Restoring {database}", "database", db)
	case op.Trigger == safepoint.TriggerManual:
		return c.Say("Manual backup of {database}", "database", db)
	case op.Trigger == safepoint.TriggerUpload:
		return c.Say("Uploaded backup of {database}", "database", db)
	case op.Trigger == safepoint.TriggerSafety:
		return c.Say("Safety backup of {database}", "database", db)
	}
	return c.Say("Scheduled backup of {database}", "database", db)
}

func (v *visit) halted() *halted {
	if v.state.State != safepoint.StateHalted {
		return nil
	}
	h := &halted{For: v.t.Since(v.state.Since), Doing: v.state.Reason}
	if v.state.OperationID != "" {
		h.Link = "/restores/" + v.state.OperationID
	}
	if !v.state.Until.IsZero() && v.state.Until.After(v.t.now) {
		h.ETA = v.t.Say("{time} left", "time", v.t.About(v.state.Until.Sub(v.t.now)))
	}
	for _, op := range v.running {
		if op.ID == v.state.OperationID {
			h.Step = stepOf(v.t, op)
			if op.CreatedByName == "" {
				continue
			}
			h.Doing = v.t.Say("{who} is restoring {database}.", "who", op.CreatedByName, "database", op.DatabaseName)
			if op.Trigger == safepoint.TriggerUndo {
				h.Doing = v.t.Say("{who} is undoing a restore of {database}.", "who", op.CreatedByName, "database", op.DatabaseName)
			}
		}
	}
	return h
}
