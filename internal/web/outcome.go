package web

import (
	"html/template"
	"strings"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/language"
)

// outcome is how a restore ended: what your data is now, whether services run, what to do next.
type outcome struct {
	Look    string        // "ok", "bad", "warn" or "off"
	Title   string        // for the tab and for screen readers
	Heading template.HTML // Title, with names marked as such
	Text    string
	Facts   []fact
	Safety  bool // the facts name the safety backup
	Resume  []safepoint.Service
	All     bool // "Resume services", all at once, and open the database
	Choose  bool // "Choose another backup"
	Again   bool // "Try again"
	Space   bool // "Free up space"
	Service bool // "Services"
}

// titled sets the title: a sentence that is marked for translation. {database} in it is a name.
func (o *outcome) titled(c locale, sentence string, values ...any) *outcome {
	o.Title = c.Say(sentence, values...)
	marked := make([]any, len(values))
	for i, v := range values {
		marked[i] = v
		if i > 0 && values[i-1] == "database" {
			marked[i] = properName(v.(string))
		}
	}
	o.Heading = c.HTML(sentence, marked...)
	return o
}

// newOutcome tells the outcomes of a restore that has ended, or that needs a person while it still tries.
func newOutcome(c locale, op safepoint.Operation, stuck []safepoint.Service) *outcome {
	cause := why(c, op.Failure)
	switch {
	case op.NewName != "":
		return intoOutcome(c, op, cause)
	case op.NeedsOperator:
		return needsOperator(c, op, cause, stuck)
	case op.Status == safepoint.StatusSucceeded:
		return succeeded(c, op, stuck)
	case op.Status.Ended():
		return stopped(c, op, cause, stuck)
	}
	return nil
}

// why is what a record says of a failure and what to do about it, "" for none.
func why(c locale, f *safepoint.Failure) string {
	if f == nil {
		return ""
	}
	return sentences(c.Message(f.Failed()), c.Hint(f.Failed()))
}

// sentences puts whole sentences one after another.
func sentences(list ...string) string {
	var said []string
	for _, s := range list {
		if s != "" {
			said = append(said, s)
		}
	}
	return strings.Join(said, " ")
}

// succeeded is a restore that put its backup in place.
func succeeded(c locale, op safepoint.Operation, stuck []safepoint.Service) *outcome {
	db := op.DatabaseName
	took := c.Say("Took {time}.", "time", c.Lasted(op.Duration(c.now)))
	back := language.Mark("{database} is back to {moment}")
	switch n := len(op.Attention); {
	case n > 0:
		o := &outcome{Look: "warn", Title: c.Count(n, "{n} service did not resume", "{n} services did not resume"), Safety: true, Resume: stuck,
			Text:  c.Count(n, "{database} is restored and verified. {services} is still halted.", "{database} is restored and verified. {services} are still halted.", "database", db, "services", c.List(op.Attention)),
			Facts: []fact{{c.Say("Running"), c.Count(op.Services, "{running} of {n} service", "{running} of {n} services", "running", op.Services-n)}}}
		o.Heading = template.HTML(template.HTMLEscapeString(o.Title))
		return o
	case op.SafetyFailure != nil && op.UndoneByID == "":
		return unguarded(c, op)
	case op.Trigger == safepoint.TriggerUndo:
		o := &outcome{Look: "ok", Text: sentences(took, servicesAfter(c, op)), Safety: true}
		return o.titled(c, language.Mark("The restore was undone. {database} is as it was before it."), "database", db)
	case op.Mode == safepoint.RestoreInPlace:
		o := &outcome{Look: "ok", Text: sentences(c.Say("Took {time}, in place.", "time", c.Lasted(op.Duration(c.now))), servicesAfter(c, op)), Safety: true,
			Facts: []fact{checked(c, op), {c.Say("Undo"), c.Say("Not possible: nothing was set aside. Restore the safety backup to go back")}}}
		return o.titled(c, back, "database", db, "moment", sourceTime(c, op))
	}
	o := &outcome{Look: "ok", Text: sentences(took, servicesAfter(c, op)), Facts: []fact{checked(c, op)}, Safety: true}
	return o.titled(c, back, "database", db, "moment", sourceTime(c, op))
}

// stopped is a restore that did not succeed.
func stopped(c locale, op safepoint.Operation, cause string, stuck []safepoint.Service) *outcome {
	db, services := op.DatabaseName, servicesAfter(c, op)
	asBefore := c.Say("As it was before, nothing lost")
	unchanged := c.Say("{database} was not changed", "database", db)
	o := &outcome{Look: "bad", Text: cause, Resume: stuck}
	switch {
	case op.Status == safepoint.StatusCancelled:
		o.Look, o.Resume, o.Choose, o.Facts = "off", nil, true, data(c, asBefore, services)
		return o.titled(c, language.Mark("The restore was cancelled. {database} was not changed."), "database", db)
	case op.Failure != nil && op.Failure.Code == safepoint.CodeNeedsOperator: // a person has resumed since
		o.Look, o.Safety = "warn", true
		o.Facts = data(c, c.Say("Nothing was deleted. Look at {database} before you restore again.", "database", db), servicesResumed(c, op))
		return o.titled(c, language.Mark("The restore was left to you"))
	case op.Switched:
		o.Look, o.Safety, o.Facts = "warn", true, data(c, c.Say("As in the backup"), services)
		return o.titled(c, language.Mark("{database} was restored, but the restore did not end well"), "database", db)
	case op.Step == safepoint.StepHalt:
		o.Facts, o.Again, o.Service = data(c, unchanged, services), true, true
		return o.titled(c, language.Mark("The restore did not start. Services could not be halted."))
	case op.Step == safepoint.StepGuard:
		o.Facts, o.Space, o.Again = data(c, unchanged, services), true, true
		return o.titled(c, language.Mark("The restore did not start. The safety backup failed."))
	case op.Step >= safepoint.StepResume:
		o.Facts, o.Choose = data(c, c.Say("As it was before the restore"), services), true
		return o.titled(c, language.Mark("The restore was undone. {database} is as it was before."), "database", db)
	}
	o.Text, o.Facts, o.Choose = failedIn(c, op, cause), data(c, asBefore, services), true
	return o.titled(c, language.Mark("The restore stopped. {database} was not changed."), "database", db)
}

// unguarded is a restore that went well, and of what it replaced there is no safety backup.
func unguarded(c locale, op safepoint.Operation) *outcome {
	o := &outcome{Look: "warn", Text: why(c, op.SafetyFailure), Facts: []fact{checked(c, op), {c.Say("Services"), servicesAfter(c, op)}}}
	if op.Unguarded() {
		o.Text = sentences(o.Text, c.Say("It is tried again by itself. Until it is made, the earlier database is kept and the restore can be undone."))
		o.Space = op.SafetyFailure.Code == safepoint.CodeSpace
	}
	return o.titled(c, language.Mark("{database} is back to {moment}, without a safety backup"), "database", op.DatabaseName, "moment", sourceTime(c, op))
}

// checked is what is known of the restored rows. A dump that another program made, whose time is not known either,
// carries nothing to compare them with.
func checked(c locale, op safepoint.Operation) fact {
	tables, rows := c.Count(op.Tables, "{n} table", "{n} tables"), c.Count(op.Rows, "{n} row", "{n} rows")
	if op.SourceAt.IsZero() {
		return fact{c.Say("Loaded"), c.Say("{tables}, {rows}, as many as the file holds. It carries nothing to compare their contents with", "tables", tables, "rows", rows)}
	}
	return fact{c.Say("Verified"), c.Say("{tables}, {rows}, every table’s contents", "tables", tables, "rows", rows)}
}

// sourceTime is the moment that was restored, where it is known.
func sourceTime(c locale, op safepoint.Operation) string {
	if op.SourceAt.IsZero() {
		return op.SourceName
	}
	return c.Say("{day}, {time}", "day", c.Date(op.SourceAt), "time", c.Hour(op.SourceAt))
}

// intoOutcome is how a restore into a new database ended. It replaced nothing, whatever happened.
func intoOutcome(c locale, op safepoint.Operation, cause string) *outcome {
	o := &outcome{Look: "bad", Text: cause, Facts: []fact{{c.Say("Your data"), c.Say("{database} was not touched", "database", op.DatabaseName)}}}
	switch {
	case op.NeedsOperator:
		return o.titled(c, language.Mark("The restore needs you"))
	case !op.Status.Ended():
		return nil
	case op.Status == safepoint.StatusCancelled:
		o.Look = "off"
		return o.titled(c, language.Mark("The restore was cancelled. {database} was not made."), "database", op.NewName)
	case op.Status == safepoint.StatusSucceeded:
		o.Look, o.Facts = "ok", append([]fact{checked(c, op)}, o.Facts...)
		o.Text = c.Say("Took {time}. Add it under Databases to back it up.", "time", c.Lasted(op.Duration(c.now)))
		return o.titled(c, language.Mark("{database} is there, as of {moment}"), "database", op.NewName, "moment", sourceTime(c, op))
	}
	o.Text, o.Choose = failedIn(c, op, cause), true
	return o.titled(c, language.Mark("The restore stopped. {database} was not made."), "database", op.NewName)
}

func needsOperator(c locale, op safepoint.Operation, cause string, stuck []safepoint.Service) *outcome {
	o := &outcome{Look: "bad", Text: cause, Safety: true, Resume: stuck, All: true}
	kept := c.Say("Nothing is deleted. The earlier database and the safety backup are kept.")
	if op.Mode == safepoint.RestoreInPlace {
		kept = c.Say("{database} holds exactly what it held before or exactly the backup. The safety backup, once made, is kept.", "database", op.DatabaseName)
	}
	o.Facts = []fact{
		{c.Say("Your data"), kept},
		{c.Say("What stands where"), c.Say("On the machine that runs Safepoint, “{command}” shows it, and offers the next safe step", "command", "safepoint doctor --data DIR")},
	}
	if op.ResumedAt.IsZero() && !op.HaltedAt.IsZero() {
		o.Facts = append(o.Facts, fact{c.Say("Services"), c.Count(op.Services, "{n} service stays halted, so that nothing writes to {database}", "{n} services stay halted, so that nothing writes to {database}", "database", op.DatabaseName)})
	}
	return o.titled(c, language.Mark("The restore needs you"))
}

func data(c locale, state, services string) []fact {
	return []fact{{c.Say("Your data"), state}, {c.Say("Services"), services}}
}

// servicesAfter says what services did: "All 6 services are running again, halted for 8 min 37 s."
func servicesAfter(c locale, op safepoint.Operation) string {
	switch {
	case op.Services == 0:
		return c.Say("No service is set up, so none was halted.")
	case op.HaltedAt.IsZero():
		return c.Say("No service was halted.")
	case len(op.Attention) > 0:
		return c.Say("{services} did not resume.", "services", c.List(op.Attention))
	case op.ResumedAt.IsZero():
		return c.Say("They are not resumed yet.")
	}
	return c.Count(op.Services, "{n} service is running again, halted for {time}.", "All {n} services are running again, halted for {time}.", "time", c.Lasted(op.HaltTime()))
}

// servicesResumed is servicesAfter for services that a person resumed, of which the restore itself knows nothing.
func servicesResumed(c locale, op safepoint.Operation) string {
	if op.ResumedAt.IsZero() && len(op.Attention) == 0 && op.Services > 0 {
		return c.Say("They were resumed by hand.")
	}
	return servicesAfter(c, op)
}
