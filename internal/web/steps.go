package web

import (
	"fmt"
	"strings"
	"time"

	"github.com/safepoint-db/safepoint"
)

// stepNames are a restore's steps in people's words. Weight is the share of the bar.
var stepNames = map[safepoint.Step]struct {
	name, doing, lead string
	weight            int
}{
	safepoint.StepCheck:  {"Checking", "checking", "Reads the whole backup and asks the server what stands in the way.", 2},
	safepoint.StepStage:  {"Restoring into staging", "restoring into staging", "Loads the backup into a staging copy. Services still run, and the live database is not touched.", 7},
	safepoint.StepVerify: {"Verifying", "verifying", "Compares tables, rows and contents with the backup’s own record.", 3},
	safepoint.StepHalt:   {"Halting services", "halting services", "Services stop in order, then the database lets nobody else in.", 1},
	safepoint.StepGuard:  {"Safety backup", "making the safety backup", "Backs up the database as it is now, so you can come back to it.", 5},
	safepoint.StepSwitch: {"Switching", "switching", "The verified copy takes the place of the live database in one step.", 1},
	safepoint.StepResume: {"Resuming services", "resuming services", "Services start again in reverse order and are checked for health.", 1},
	safepoint.StepClean:  {"Setting aside", "setting aside", "The earlier database is kept for the undo window.", 1},
}

// undoSteps are those of an undo, which needs no staging copy: the earlier database is still there.
var undoSteps = []safepoint.Step{safepoint.StepCheck, safepoint.StepHalt, safepoint.StepSwitch, safepoint.StepResume, safepoint.StepClean}

// instantSteps are those of a restore that switches before it makes the safety backup.
var instantSteps = []safepoint.Step{
	safepoint.StepCheck, safepoint.StepStage, safepoint.StepVerify, safepoint.StepHalt, safepoint.StepSwitch, safepoint.StepResume, safepoint.StepGuard, safepoint.StepClean,
}

// instantLeads are what its steps do otherwise.
var instantLeads = map[safepoint.Step]string{
	safepoint.StepHalt:  "Services stop in order.",
	safepoint.StepGuard: "Backs up the earlier database, which nobody changes any more. Services run again.",
}

// intoSteps are those of a restore into a new database, which replaces nothing.
var intoSteps = []safepoint.Step{safepoint.StepCheck, safepoint.StepStage, safepoint.StepVerify, safepoint.StepSwitch}

// inPlaceSteps are those of a restore in place, where what would be a copy is a transaction inside the live database.
var inPlaceSteps = []safepoint.Step{
	safepoint.StepCheck, safepoint.StepHalt, safepoint.StepGuard, safepoint.StepStage, safepoint.StepVerify, safepoint.StepSwitch, safepoint.StepResume,
}

// inPlaceNames are the words for what is different then: name, doing and lead.
var inPlaceNames = map[safepoint.Step][3]string{
	safepoint.StepHalt:   {"Halting services", "halting services", "Services stop in order."},
	safepoint.StepStage:  {"Loading", "loading the backup", "Empties the database and loads the backup into it, in one transaction that nobody sees yet."},
	safepoint.StepVerify: {"Verifying", "verifying", "Compares tables, rows and contents with the backup’s own record, before anybody sees them."},
	safepoint.StepSwitch: {"Committing", "committing", "The restored content becomes the database’s, at once and as a whole."},
}

// stepWords are a step's name, what it does, and its lead.
func stepWords(op safepoint.Operation, s safepoint.Step) (name, doing, lead string) {
	if w, ok := inPlaceNames[s]; ok && op.Mode == safepoint.RestoreInPlace {
		return w[0], w[1], w[2]
	}
	w := stepNames[s]
	return w.name, w.doing, w.lead
}

// stepView is one step of a restore as its page shows it.
type stepView struct {
	N        int
	Name     string
	Lead     string
	State    string // "done", "now", "todo" or "fail"
	Time     string
	Weight   int
	Percent  int // of the step
	Measured bool
	Facts    []fact
}

type fact struct{ Name, Value string }

func stepsOf(op safepoint.Operation) []safepoint.Step {
	if op.Trigger == safepoint.TriggerUndo {
		return undoSteps
	}
	if op.NewName != "" {
		return intoSteps
	}
	switch op.Mode {
	case safepoint.RestoreInstant:
		return instantSteps
	case safepoint.RestoreInPlace:
		return inPlaceSteps
	}
	return safepoint.Steps
}

// stepOf is "Step 3 of 8, verifying" for a running restore.
func stepOf(op safepoint.Operation) string {
	steps := stepsOf(op)
	for i, s := range steps {
		if s == op.Step {
			_, doing, _ := stepWords(op, s)
			return fmt.Sprintf("Step %d of %d, %s", i+1, len(steps), doing)
		}
	}
	return ""
}

// span is when a step began and ended, from the journal. Zero: it did not.
type span struct {
	began, ended time.Time
	outcome      string
	failed       bool
}

func spans(journal []safepoint.JournalEntry) map[safepoint.Step]span {
	out := map[safepoint.Step]span{}
	for _, e := range journal {
		if e.Event == "intent" { // a step that wrote no outcome of its own ends where the next one begins
			for step, s := range out {
				if step != e.Step && s.ended.IsZero() {
					s.ended = e.At
					out[step] = s
				}
			}
		}
		s := out[e.Step]
		switch e.Event {
		case "intent":
			s.began, s.ended, s.failed = e.At, time.Time{}, false
		case "done":
			s.ended, s.outcome = e.At, e.Detail
		case "failed":
			s.ended, s.outcome, s.failed = e.At, e.Detail, true
		}
		out[e.Step] = s
	}
	return out
}

// steps turns an operation and its journal into the list on its page.
func steps(c locale, op safepoint.Operation, journal []safepoint.JournalEntry) []stepView {
	times := spans(journal)
	var out []stepView
	for i, s := range stepsOf(op) {
		at := times[s]
		name, _, lead := stepWords(op, s)
		v := stepView{N: i + 1, Name: name, Lead: lead, Weight: stepNames[s].weight, State: "todo"}
		if lead := instantLeads[s]; lead != "" && op.Mode == safepoint.RestoreInstant {
			v.Lead = lead
		}
		if op.NewName != "" && s == safepoint.StepSwitch {
			v.Name, v.Lead = "Naming", "The verified copy gets its name, "+op.NewName+". The live database is not touched."
		}
		switch {
		case at.failed || op.Status == safepoint.StatusFailed && s == op.Step:
			v.State = "fail"
			if op.Failure != nil {
				v.Lead = op.Failure.Message
			}
		case op.Status == safepoint.StatusCancelled && s == op.Step:
			v.State, v.Lead = "fail", "Cancelled here."
		case op.Status == safepoint.StatusSucceeded || !at.ended.IsZero() && !at.began.IsZero() || s < op.Step && !at.began.IsZero():
			v.State, v.Percent = "done", 100
			if at.outcome != "" {
				v.Lead = at.outcome
			}
		case op.Status == safepoint.StatusRunning && s == op.Step:
			v.State = "now"
			v.running(c, op)
		}
		switch {
		case at.began.IsZero():
		case at.ended.IsZero() && v.State == "now":
			v.Time = c.Since(at.began)
		case !at.ended.IsZero():
			v.Time = c.Lasted(at.ended.Sub(at.began))
		}
		out = append(out, v)
	}
	return out
}

// running fills in what moves. A step without a measure shows a moving bar, never an invented percent.
func (v *stepView) running(c locale, op safepoint.Operation) {
	p := op.Progress
	if p.Phase != op.Step.String() {
		return
	}
	if p.BytesOf > 0 {
		v.Measured, v.Percent = true, int(min(p.Bytes, p.BytesOf)*100/p.BytesOf)
		v.Facts = append(v.Facts, fact{"Read", c.Size(p.Bytes) + " of about " + c.Size(p.BytesOf)})
	} else if p.Bytes > 0 {
		v.Facts = append(v.Facts, fact{"Read", c.Size(p.Bytes)})
	}
	if p.Rate > 0 {
		v.Facts = append(v.Facts, fact{"Rate", c.Size(p.Rate) + "/s"})
	}
	if p.TablesOf > 0 {
		v.Facts = append(v.Facts, fact{"Tables", c.Number(p.Tables) + " of " + c.Number(p.TablesOf)})
	}
	if l := left(c, op); l != "" {
		v.Facts = append(v.Facts, fact{"Left", strings.TrimSuffix(l, " left")})
	}
}
