package web

import (
	"fmt"
	"strings"

	"github.com/safepoint-db/safepoint"
)

// outcome is how a restore ended: what your data is now, whether services run, what to do next.
type outcome struct {
	Look    string // "ok", "bad", "warn" or "off"
	Title   string
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

// newOutcome tells the outcomes of a restore that has ended, or that needs a person while it still tries.
func newOutcome(c locale, op safepoint.Operation, stuck []safepoint.Service) *outcome {
	db := op.DatabaseName
	why := ""
	if op.Failure != nil {
		why = strings.TrimSpace(op.Failure.Message + " " + op.Failure.Hint)
	}
	if op.NewName != "" {
		return intoOutcome(c, op, why)
	}
	switch {
	case op.NeedsOperator:
		return needsOperator(c, op, why, stuck)
	case !op.Status.Ended():
		return nil
	case op.Status == safepoint.StatusCancelled:
		return &outcome{Look: "off", Title: "The restore was cancelled. " + db + " was not changed.", Text: why,
			Facts: data("As it was before, nothing lost", servicesAfter(c, op)), Choose: true}
	case op.Status == safepoint.StatusSucceeded && len(op.Attention) > 0:
		return &outcome{Look: "warn", Title: c.Count(len(op.Attention), "{n} service", "{n} services") + " did not resume",
			Text:  fmt.Sprintf("%s is restored and verified. %s %s still halted.", db, c.List(op.Attention), isAre(op.Attention)),
			Facts: []fact{{"Running", fmt.Sprintf("%d of %s", op.Services-len(op.Attention), c.Count(op.Services, "{n} service", "{n} services"))}}, Safety: true, Resume: stuck}
	case op.Status == safepoint.StatusSucceeded && op.SafetyFailure != nil && op.UndoneByID == "":
		return unguarded(c, op)
	case op.Status == safepoint.StatusSucceeded && op.Trigger == safepoint.TriggerUndo:
		return &outcome{Look: "ok", Title: "The restore was undone. " + db + " is as it was before it.",
			Text: fmt.Sprintf("Took %s. %s", c.Lasted(op.Duration(c.now)), sentence(servicesAfter(c, op))), Safety: true}
	case op.Status == safepoint.StatusSucceeded && op.Mode == safepoint.RestoreInPlace:
		return &outcome{Look: "ok", Title: db + " is back to " + sourceTime(c, op),
			Text:  fmt.Sprintf("Took %s, in place. %s", c.Lasted(op.Duration(c.now)), sentence(servicesAfter(c, op))),
			Facts: []fact{checked(c, op), {"Undo", "Not possible: nothing was set aside. Restore the safety backup to go back"}}, Safety: true}
	case op.Status == safepoint.StatusSucceeded:
		return &outcome{Look: "ok", Title: db + " is back to " + sourceTime(c, op),
			Text:  fmt.Sprintf("Took %s. %s", c.Lasted(op.Duration(c.now)), sentence(servicesAfter(c, op))),
			Facts: []fact{checked(c, op)}, Safety: true}
	case op.Failure != nil && op.Failure.Code == safepoint.CodeNeedsOperator: // a person has resumed since
		return &outcome{Look: "warn", Title: "The restore was left to you", Text: why, Safety: true, Resume: stuck,
			Facts: data("Nothing was deleted. Look at "+db+" before you restore again.", servicesResumed(c, op))}
	case op.Switched:
		return &outcome{Look: "warn", Title: db + " was restored, but the restore did not end well", Text: why,
			Facts: data("As in the backup", servicesAfter(c, op)), Safety: true, Resume: stuck}
	case op.Step == safepoint.StepHalt:
		return &outcome{Look: "bad", Title: "The restore did not start. Services could not be halted.", Text: why,
			Facts: data(db+" was not changed", servicesAfter(c, op)), Again: true, Service: true, Resume: stuck}
	case op.Step == safepoint.StepGuard:
		return &outcome{Look: "bad", Title: "The restore did not start. The safety backup failed.", Text: why,
			Facts: data(db+" was not changed", servicesAfter(c, op)), Space: true, Again: true, Resume: stuck}
	case op.Step >= safepoint.StepResume:
		return &outcome{Look: "bad", Title: "The restore was undone. " + db + " is as it was before.", Text: why,
			Facts: data("As it was before the restore", servicesAfter(c, op)), Choose: true, Resume: stuck}
	}
	return &outcome{Look: "bad", Title: "The restore stopped. " + db + " was not changed.", Text: failedIn(op) + why,
		Facts: data("As it was before, nothing lost", servicesAfter(c, op)), Choose: true, Resume: stuck}
}

// unguarded is a restore that went well, and of what it replaced there is no safety backup.
func unguarded(c locale, op safepoint.Operation) *outcome {
	o := &outcome{Look: "warn", Title: op.DatabaseName + " is back to " + sourceTime(c, op) + ", without a safety backup",
		Text: strings.TrimSpace(op.SafetyFailure.Message + " " + op.SafetyFailure.Hint), Facts: []fact{checked(c, op), {"Services", servicesAfter(c, op)}}}
	if op.Unguarded() {
		o.Text += " It is tried again by itself. Until it is made, the earlier database is kept and the restore can be undone."
		o.Space = op.SafetyFailure.Code == safepoint.CodeSpace
	}
	return o
}

// checked is what is known of the restored rows. A dump that another program made, whose time is not known either,
// carries nothing to compare them with.
func checked(c locale, op safepoint.Operation) fact {
	n := c.Count(op.Tables, "{n} table", "{n} tables") + ", " + c.Count(op.Rows, "{n} row", "{n} rows")
	if op.SourceAt.IsZero() {
		return fact{"Loaded", n + ", as many as the file holds. It carries nothing to compare their contents with"}
	}
	return fact{"Verified", n + ", every table’s contents"}
}

// sourceTime is the moment that was restored, where it is known.
func sourceTime(c locale, op safepoint.Operation) string {
	if op.SourceAt.IsZero() {
		return op.SourceName
	}
	return c.Date(op.SourceAt) + ", " + c.Hour(op.SourceAt)
}

// intoOutcome is how a restore into a new database ended. It replaced nothing, whatever happened.
func intoOutcome(c locale, op safepoint.Operation, why string) *outcome {
	live := []fact{{"Your data", op.DatabaseName + " was not touched"}}
	switch {
	case op.NeedsOperator:
		return &outcome{Look: "bad", Title: "The restore needs you", Text: why, Facts: live}
	case !op.Status.Ended():
		return nil
	case op.Status == safepoint.StatusCancelled:
		return &outcome{Look: "off", Title: "The restore was cancelled. " + op.NewName + " was not made.", Text: why, Facts: live}
	case op.Status == safepoint.StatusSucceeded:
		return &outcome{Look: "ok", Title: op.NewName + " is there, as of " + sourceTime(c, op),
			Text:  fmt.Sprintf("Took %s. Add it under Databases to back it up.", c.Lasted(op.Duration(c.now))),
			Facts: append([]fact{checked(c, op)}, live...)}
	}
	return &outcome{Look: "bad", Title: "The restore stopped. " + op.NewName + " was not made.", Text: failedIn(op) + why, Facts: live, Choose: true}
}

func needsOperator(c locale, op safepoint.Operation, why string, stuck []safepoint.Service) *outcome {
	o := &outcome{Look: "bad", Title: "The restore needs you", Text: why, Safety: true, Resume: stuck, All: true}
	o.Facts = []fact{{"Your data", "Nothing is deleted. The earlier database and the safety backup are kept."}}
	if op.Mode == safepoint.RestoreInPlace {
		o.Facts = []fact{{"Your data", op.DatabaseName + " holds exactly what it held before or exactly the backup. The safety backup, once made, is kept."}}
	}
	o.Facts = append(o.Facts, fact{"What stands where", "On the machine that runs Safepoint, “safepoint doctor --data DIR” shows it, and offers the next safe step"})
	if op.ResumedAt.IsZero() && !op.HaltedAt.IsZero() {
		o.Facts = append(o.Facts, fact{"Services", c.Count(op.Services, "{n} service stays", "{n} services stay") + " halted, so that nothing writes to " + op.DatabaseName})
	}
	return o
}

func failedIn(op safepoint.Operation) string {
	for i, s := range stepsOf(op) {
		if s == op.Step {
			_, doing, _ := stepWords(op, s)
			return fmt.Sprintf("Step %d, %s: ", i+1, doing)
		}
	}
	return ""
}

func data(state, services string) []fact {
	return []fact{{"Your data", state}, {"Services", services}}
}

// servicesAfter says what services did: "all 6 are running again, halted for 8 min 37 s".
func servicesAfter(c locale, op safepoint.Operation) string {
	switch {
	case op.Services == 0:
		return "no service is set up, so none was halted"
	case op.HaltedAt.IsZero():
		return "no service was halted"
	case len(op.Attention) > 0:
		return c.List(op.Attention) + " did not resume"
	case op.ResumedAt.IsZero():
		return "not resumed yet"
	case op.Services == 1:
		return "1 service is running again, halted for " + c.Lasted(op.ResumedAt.Sub(op.HaltedAt))
	}
	return fmt.Sprintf("all %d are running again, halted for %s", op.Services, c.Lasted(op.ResumedAt.Sub(op.HaltedAt)))
}

// servicesResumed is servicesAfter for services that a person resumed, of which the restore itself knows nothing.
func servicesResumed(c locale, op safepoint.Operation) string {
	if op.ResumedAt.IsZero() && len(op.Attention) == 0 && op.Services > 0 {
		return "resumed by hand"
	}
	return servicesAfter(c, op)
}

func sentence(s string) string {
	if strings.HasPrefix(s, "all ") {
		s = "services: " + s
	}
	return title(s) + "."
}

func isAre(names []string) string {
	if len(names) == 1 {
		return "is"
	}
	return "are"
}
