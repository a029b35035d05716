package web

import (
	"html/template"

	"github.com/safepoint-db/safepoint"
)

// The sentences of a restore's page that depend on what kind of restore it is, and on how far it got.

// restoreHeading is the page's heading. A restore into a new database has two names.
func restoreHeading(c locale, op safepoint.Operation, ended bool) template.HTML {
	database, fresh := properName(op.DatabaseName), properName(op.NewName)
	going := !ended && op.Status != safepoint.StatusQueued
	switch undo := op.Trigger == safepoint.TriggerUndo; {
	case undo && going:
		return c.HTML("Undoing a restore of {database}", "database", database)
	case undo:
		return c.HTML("Undo of a restore of {database}", "database", database)
	case op.NewName != "" && going:
		return c.HTML("Restoring {database} into {new}", "database", database, "new", fresh)
	case op.NewName != "":
		return c.HTML("Restore of {database} into {new}", "database", database, "new", fresh)
	case going:
		return c.HTML("Restoring {database}", "database", database)
	}
	return c.HTML("Restore of {database}", "database", database)
}

// restoreLede says what is put in place, and who began.
func restoreLede(c locale, op safepoint.Operation, source string) []template.HTML {
	var said []template.HTML
	file := monoName(op.SourceName)
	if source != "" {
		file = fileLink(source, op.SourceName)
	}
	switch {
	case op.Trigger == safepoint.TriggerUndo && source != "":
		said = append(said, c.HTML("Back to what it was before {restore}.", "restore", link(source, c.Say("this restore"))))
	case op.Trigger == safepoint.TriggerUndo:
		said = append(said, c.HTML("Back to what it was before."))
	case op.SourceAt.IsZero():
		said = append(said, c.HTML("From {file}.", "file", file))
	default:
		said = append(said, c.HTML("To {moment}, from {file}.", "moment", c.Minute(op.SourceAt), "file", file))
	}
	if len(op.Only) > 0 {
		said = append(said, c.HTML("Only {tables}.", "tables", c.List(op.Only)))
	}
	if op.CreatedByName != "" {
		return append(said, c.HTML("Started by {who} {when}.", "who", op.CreatedByName, "when", c.At(op.CreatedAt)))
	}
	return append(said, c.HTML("Started {when}.", "when", c.At(op.CreatedAt)))
}

// wayBack says how to return to what is there now.
func (d restoreView) wayBack(c locale) string {
	op := d.Op
	switch {
	case d.Running && op.Mode == safepoint.RestoreInPlace:
		return c.Say("Until the backup is loaded, compared and committed nobody sees a change, and whatever fails is taken back by the server. After that, restore the safety backup to come back.")
	case d.Running && d.Guarding:
		return c.Say("The earlier database is kept as it was until the safety backup of it is made.")
	case d.Running:
		step := 0
		for i, s := range stepsOf(op) {
			if s == safepoint.StepSwitch {
				step = i + 1
			}
		}
		return c.Say("Until step {step} the live database is not changed. After that the restore can be undone, and you can return to the safety backup at any time.", "step", step)
	case d.CanUndo && d.UndoUntil != "":
		return c.Say("The earlier database is kept until {moment}.", "moment", d.UndoUntil)
	case d.CanUndo:
		return c.Say("The earlier database is kept as it was until the safety backup of it is made.")
	case op.Switched:
		return c.Say("Restore the safety backup to come back to what was replaced.")
	}
	return c.Say("The live database was not changed.")
}

// cancelWords say what cancelling would do, or why it is too late.
func (d restoreView) cancelWords(c locale) template.HTML {
	op, database := d.Op, properName(d.Op.DatabaseName)
	switch {
	case d.CanCancel && op.Mode == safepoint.RestoreInPlace:
		return c.HTML("You can cancel until the commit starts. What was loaded is taken back, services resume, and {database} stays as it is.", "database", database)
	case d.CanCancel && op.NewName != "":
		return c.HTML("You can cancel until the copy gets its name. What was loaded is thrown away, and {database} stays as it is.", "database", database)
	case d.CanCancel:
		return c.HTML("You can cancel until the switch starts. The staging copy is thrown away, services resume, and {database} stays as it is.", "database", database)
	case op.CancelAsked:
		return c.HTML("Cancelling. Services resume first.")
	case d.Guarding:
		return c.HTML("Too late to cancel: the restored database is live. The restore can be undone.")
	}
	return c.HTML("Too late to cancel: the switch takes a few seconds.")
}

// haltedWords say for how long services were halted.
func haltedWords(c locale, op safepoint.Operation) string {
	switch {
	case op.HaltTime() <= 0:
		return ""
	case op.Services == 0:
		return c.Say("The database was closed for {time}.", "time", c.Lasted(op.HaltTime()))
	}
	return c.Say("Services were halted for {time}.", "time", c.Lasted(op.HaltTime()))
}

// link is a link inside a sentence, and fileLink one that is a file's name.
func link(href, text string) template.HTML {
	return template.HTML(`<a href="` + template.HTMLEscapeString(href) + `">` + template.HTMLEscapeString(text) + `</a>`)
}

func fileLink(href, file string) template.HTML {
	return template.HTML(`<a class="mono" translate="no" href="` + template.HTMLEscapeString(href) + `">` + template.HTMLEscapeString(file) + `</a>`)
}
