package web

import (
	"time"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/language"
)

// stepWords are what is said of a step. Each sentence is whole, so that a language can order it.
type stepWords struct {
	name   string // of the step
	lead   string // what it does
	done   string // what it did
	at     string // where a running restore stands
	failed string // where and why it stopped
	weight int    // share of the bar
}

// wordsOf are a restore's steps in people's words.
var wordsOf = map[safepoint.Step]stepWords{
	safepoint.StepCheck: {
		name:   language.Mark("Checking"),
		lead:   language.Mark("Reads the whole backup and asks the server what stands in the way."),
		done:   language.Mark("The backup is whole, and nothing stands in the way."),
		at:     language.Mark("Step {step} of {steps}, checking"),
		failed: language.Mark("Step {step}, checking: {reason}"), weight: 2,
	},
	safepoint.StepStage: {
		name:   language.Mark("Restoring into staging"),
		lead:   language.Mark("Loads the backup into a staging copy. Services still run, and the live database is not touched."),
		done:   language.Mark("The staging copy is loaded."),
		at:     language.Mark("Step {step} of {steps}, restoring into staging"),
		failed: language.Mark("Step {step}, restoring into staging: {reason}"), weight: 7,
	},
	safepoint.StepVerify: {
		name:   language.Mark("Verifying"),
		lead:   language.Mark("Compares tables, rows and contents with the backup’s own record."),
		done:   language.Mark("What was loaded is what the backup holds."),
		at:     language.Mark("Step {step} of {steps}, verifying"),
		failed: language.Mark("Step {step}, verifying: {reason}"), weight: 3,
	},
	safepoint.StepHalt: {
		name:   language.Mark("Halting services"),
		lead:   language.Mark("Services stop in order, then the database lets nobody else in."),
		done:   language.Mark("Services are halted, and the database lets nobody else in."),
		at:     language.Mark("Step {step} of {steps}, halting services"),
		failed: language.Mark("Step {step}, halting services: {reason}"), weight: 1,
	},
	safepoint.StepGuard: {
		name:   language.Mark("Safety backup"),
		lead:   language.Mark("Backs up the database as it is now, so you can come back to it."),
		done:   language.Mark("Stored, read again and listed in DB Logs."),
		at:     language.Mark("Step {step} of {steps}, making the safety backup"),
		failed: language.Mark("Step {step}, making the safety backup: {reason}"), weight: 5,
	},
	safepoint.StepSwitch: {
		name:   language.Mark("Switching"),
		lead:   language.Mark("The verified copy takes the place of the live database in one step."),
		done:   language.Mark("The restored database is live."),
		at:     language.Mark("Step {step} of {steps}, switching"),
		failed: language.Mark("Step {step}, switching: {reason}"), weight: 1,
	},
	safepoint.StepResume: {
		name:   language.Mark("Resuming services"),
		lead:   language.Mark("Services start again in reverse order and are checked for health."),
		done:   language.Mark("The database is open, and services run again."),
		at:     language.Mark("Step {step} of {steps}, resuming services"),
		failed: language.Mark("Step {step}, resuming services: {reason}"), weight: 1,
	},
	safepoint.StepClean: {
		name:   language.Mark("Setting aside"),
		lead:   language.Mark("The earlier database is kept for the undo window."),
		done:   language.Mark("The restore is done."),
		at:     language.Mark("Step {step} of {steps}, setting aside"),
		failed: language.Mark("Step {step}, setting aside: {reason}"), weight: 1,
	},
}

// undoSteps are those of an undo, which needs no staging copy: the earlier database is still there.
var undoSteps = []safepoint.Step{safepoint.StepCheck, safepoint.StepHalt, safepoint.StepSwitch, safepoint.StepResume, safepoint.StepClean}

// instantSteps are those of a restore that switches before it makes the safety backup.
var instantSteps = []safepoint.Step{
	safepoint.StepCheck, safepoint.StepStage, safepoint.StepVerify, safepoint.StepHalt, safepoint.StepSwitch, safepoint.StepResume, safepoint.StepGuard, safepoint.StepClean,
}

// intoSteps are those of a restore into a new database, which replaces nothing.
var intoSteps = []safepoint.Step{safepoint.StepCheck, safepoint.StepStage, safepoint.StepVerify, safepoint.StepSwitch}

// inPlaceSteps are those of a restore in place, where what would be a copy is a transaction inside the live database.
var inPlaceSteps = []safepoint.Step{
	safepoint.StepCheck, safepoint.StepHalt, safepoint.StepGuard, safepoint.StepStage, safepoint.StepVerify, safepoint.StepSwitch, safepoint.StepResume,
}

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

// stepSays are the words for a step of this restore, which may go about it in a way of its own.
func stepSays(op safepoint.Operation, s safepoint.Step) stepWords {
	w := wordsOf[s]
	switch {
	case op.NewName != "":
		intoWords(&w, s)
	case op.Trigger == safepoint.TriggerUndo:
		undoWords(&w, s)
	case op.Mode == safepoint.RestoreInstant:
		instantWords(&w, s)
	case op.Mode == safepoint.RestoreInPlace:
		inPlaceWords(&w, s)
	}
	if op.Services == 0 && op.NewName == "" {
		noServiceWords(&w, op, s)
	}
	if s == safepoint.StepVerify && op.SourceAt.IsZero() { // a dump of another program carries no record
		w.done = language.Mark("The server took as many rows of each block as the file holds. It carries nothing to compare their contents with.")
	}
	return w
}

// noServiceWords are those where no service is set up, once the step is done: until then that is not known.
func noServiceWords(w *stepWords, op safepoint.Operation, s safepoint.Step) {
	switch {
	case s == safepoint.StepHalt && op.Mode == safepoint.RestoreInPlace:
		w.done = language.Mark("No service is set up, so none is halted.")
	case s == safepoint.StepHalt:
		w.done = language.Mark("No service is set up. The database lets nobody else in.")
	case s == safepoint.StepResume:
		w.done = language.Mark("The database is open.")
	}
}

func intoWords(w *stepWords, s safepoint.Step) {
	if s == safepoint.StepSwitch {
		w.name = language.Mark("Naming")
		w.lead = language.Mark("The verified copy gets its name. The live database is not touched.")
		w.done = language.Mark("The new database is there.")
		w.at = language.Mark("Step {step} of {steps}, naming")
		w.failed = language.Mark("Step {step}, naming: {reason}")
	}
}

func undoWords(w *stepWords, s safepoint.Step) {
	switch s {
	case safepoint.StepCheck:
		w.lead = language.Mark("Asks the server whether the earlier database is still there.")
		w.done = language.Mark("The earlier database is there.")
	case safepoint.StepSwitch:
		w.lead = language.Mark("The earlier database takes the place of the restored one in one step.")
		w.done = language.Mark("The earlier database is live again.")
	case safepoint.StepClean:
		w.lead = language.Mark("What was restored is dropped.")
		w.done = language.Mark("The undo is done.")
	}
}

func instantWords(w *stepWords, s safepoint.Step) {
	switch s {
	case safepoint.StepHalt:
		w.lead = language.Mark("Services stop in order.")
	case safepoint.StepGuard:
		w.lead = language.Mark("Backs up the earlier database, which nobody changes any more. Services run again.")
	}
}

func inPlaceWords(w *stepWords, s safepoint.Step) {
	switch s {
	case safepoint.StepHalt:
		w.lead, w.done = language.Mark("Services stop in order."), language.Mark("Services are halted.")
	case safepoint.StepStage:
		w.name = language.Mark("Loading")
		w.lead = language.Mark("Empties the database and loads the backup into it, in one transaction that nobody sees yet.")
		w.done = language.Mark("Loaded. Nobody sees it yet.")
		w.at = language.Mark("Step {step} of {steps}, loading the backup")
		w.failed = language.Mark("Step {step}, loading the backup: {reason}")
	case safepoint.StepVerify:
		w.lead = language.Mark("Compares tables, rows and contents with the backup’s own record, before anybody sees them.")
	case safepoint.StepSwitch:
		w.name = language.Mark("Committing")
		w.lead = language.Mark("The restored content becomes the database’s, at once and as a whole.")
		w.done = language.Mark("The restored content is live.")
		w.at = language.Mark("Step {step} of {steps}, committing")
		w.failed = language.Mark("Step {step}, committing: {reason}")
	}
}

// stepOf is "Step 3 of 8, verifying" for a running restore.
func stepOf(c locale, op safepoint.Operation) string {
	steps := stepsOf(op)
	for i, s := range steps {
		if s == op.Step {
			return c.Say(stepSays(op, s).at, "step", i+1, "steps", len(steps))
		}
	}
	return ""
}

// failedIn is "Step 4, verifying: why", or why alone where it was in no step.
func failedIn(c locale, op safepoint.Operation, why string) string {
	for i, s := range stepsOf(op) {
		if s == op.Step {
			return c.Say(stepSays(op, s).failed, "step", i+1, "reason", why)
		}
	}
	return why
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

// fact is a name and what it is; both are said already. Value is text or HTML.
type fact struct {
	Name  string
	Value any
}

// span is when a step began and ended, from the journal. Zero: it did not.
type span struct {
	began, ended time.Time
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
			s.ended = e.At
		case "failed":
			s.ended, s.failed = e.At, true
		}
		out[e.Step] = s
	}
	return out
}

// steps turns an operation and its journal into the list on its page.
// usual is how long each step takes, where that is known.
func steps(c locale, op safepoint.Operation, journal []safepoint.JournalEntry, usual map[safepoint.Step]time.Duration) []stepView {
	times := spans(journal)
	var out []stepView
	for i, s := range stepsOf(op) {
		at, says := times[s], stepSays(op, s)
		v := stepView{N: i + 1, Name: c.Say(says.name), Lead: c.Say(says.lead), Weight: says.weight, State: "todo"}
		switch {
		case at.failed || op.Status == safepoint.StatusFailed && s == op.Step:
			v.State = "fail"
			if op.Failure != nil {
				v.Lead = c.Message(op.Failure.Failed())
			}
		case op.Status == safepoint.StatusCancelled && s == op.Step:
			v.State, v.Lead = "fail", c.Say("Cancelled here.")
		case op.Status == safepoint.StatusSucceeded || !at.ended.IsZero() && !at.began.IsZero() || s < op.Step && !at.began.IsZero():
			v.State, v.Percent, v.Lead = "done", 100, c.Say(says.done)
		case op.Status == safepoint.StatusRunning && s == op.Step:
			v.State = "now"
			v.running(c, op)
		}
		switch {
		case v.State == "todo" && usual[s] > 0 && !op.Status.Ended():
			v.Time = roughly(c, usual[s])
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

// slow says that a running restore takes longer than planned, or that it does not move; "" where neither is so.
func slow(c locale, op safepoint.Operation, journal []safepoint.JournalEntry, usual map[safepoint.Step]time.Duration) string {
	if op.Status != safepoint.StatusRunning {
		return ""
	}
	if at := op.Progress.At; !at.IsZero() && c.now.Sub(at) > 2*time.Minute {
		return c.Say("No progress for {time}. The last sign of it was at {moment}.", "time", c.Lasted(c.now.Sub(at)), "moment", c.Time(at))
	}
	began, planned := spans(journal)[op.Step].began, usual[op.Step]
	if planned <= 0 || began.IsZero() || c.now.Sub(began) <= max(2*planned, planned+10*time.Second) {
		return ""
	}
	for i, s := range stepsOf(op) {
		if s == op.Step {
			return c.Say("Step {step} takes longer than planned: {time} so far, and {usual} the last time. It is still moving.", "step", i+1, "time", c.Since(began), "usual", c.Lasted(planned))
		}
	}
	return ""
}

// running fills in what moves. A step without a measure shows a moving bar, never an invented percent.
func (v *stepView) running(c locale, op safepoint.Operation) {
	p := op.Progress
	if p.Phase != op.Step.String() {
		return
	}
	if p.BytesOf > 0 {
		v.Measured, v.Percent = true, int(min(p.Bytes, p.BytesOf)*100/p.BytesOf)
		v.Facts = append(v.Facts, fact{c.Say("Read"), c.Say("{done} of about {total}", "done", c.Size(p.Bytes), "total", c.Size(p.BytesOf))})
	} else if p.Bytes > 0 {
		v.Facts = append(v.Facts, fact{c.Say("Read"), c.Size(p.Bytes)})
	}
	if p.Rate > 0 {
		v.Facts = append(v.Facts, fact{c.Say("Rate"), rate(c, p.Rate)})
	}
	if p.TablesOf > 0 {
		v.Facts = append(v.Facts, fact{c.Say("Tables"), c.Say("{n} of {all}", "n", p.Tables, "all", p.TablesOf)})
	}
	if d := timeLeft(op); d > 0 {
		v.Facts = append(v.Facts, fact{c.Say("Left"), c.About(d)})
	}
}

// timeLeft is what an operation still needs: from 5 percent and 10 seconds on; 0 while it is a guess.
func timeLeft(op safepoint.Operation) time.Duration {
	p := op.Progress
	if p.Percent < 5 || p.SecondsETA <= 0 || p.At.Sub(op.StartedAt) < 10*time.Second {
		return 0
	}
	return time.Duration(p.SecondsETA) * time.Second
}

// left says timeLeft in whole minutes: "about 5 min left"; "" while it is a guess.
func left(c locale, op safepoint.Operation) string {
	if d := timeLeft(op); d > 0 {
		return c.Say("{time} left", "time", c.About(d))
	}
	return ""
}
