package cli

import (
	"cmp"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/safepoint-db/safepoint/internal/api/wire"
	"github.com/safepoint-db/safepoint/internal/encrypt"
)

type ioWriter = io.Writer

// waitEvery is how often an operation is asked about.
const waitEvery = 500 * time.Millisecond

func printOperation(w io.Writer, o wire.Operation) {
	facts(w,
		"ID", o.ID, "Name", o.Name, "Type", title(o.Type), "Trigger", title(o.Trigger), "Status", title(o.Status),
		"Why", failureText(o.Failure), "Database", o.DatabaseName, "Date Created", exactly(o.CreatedAt),
		"Started", exactly(o.StartedAt), "Finished", exactly(o.FinishedAt), "Took", seconds(o.DurationSeconds), "By", by(o),
		"File Size", exactSize(o.Size), "SQL", sizeText(o.RawSize), "Tables", number(o.Tables), "Rows", number(o.Rows),
		"SHA-256", o.SHA256, "Encrypted for", encryptedFor(o), "Verified", exactly(o.VerifiedAt), "Server version", o.ServerVersion, "Deleted", exactly(o.DeletedAt),
		"Made by restore", o.RestoreID, "Restored from", joined(o.SourceName, o.SourceID), "Of", exactly(o.SourceAt),
		"Mode", modeOf(o), "Safety backup", o.SafetyID, "No safety backup", failureText(o.SafetyFailure), "Step", o.Step, haltedName(o), span(o.HaltedAt, o.ResumedAt),
		"Can be undone until", undoable(o), "Undone by", o.UndoneByID, "Did not resume", strings.Join(o.Attention, ", "),
	)
}

// encryptedFor names the recipients of a backup's file, "" if it is not encrypted.
func encryptedFor(o wire.Operation) string {
	short := make([]string, len(o.Recipients))
	for i, r := range o.Recipients {
		short[i] = encrypt.Short(r)
	}
	return strings.Join(short, ", ")
}

// modeOf is how a restore that replaces a database goes about it.
func modeOf(o wire.Operation) string {
	if o.Type != "restore" || o.Trigger == "undo" || o.NewName != "" {
		return ""
	}
	if o.Mode == "in_place" {
		return "in place, in one transaction; there is no undo, restore the safety backup to go back"
	}
	return cmp.Or(o.Mode, "guarded")
}

// undoable is until when a restore can be undone. An undo cannot.
func undoable(o wire.Operation) string {
	if o.Trigger == "undo" {
		return ""
	}
	return when(o.UndoUntil)
}

// haltedName says what stood still: where no service is declared, only the database let nobody in.
func haltedName(o wire.Operation) string {
	if o.Services == 0 {
		return "Closed to others"
	}
	return "Services halted"
}

func by(o wire.Operation) string {
	if o.CreatedBy == "" && o.Trigger == "scheduled" {
		return "the scheduler"
	}
	return o.CreatedBy
}

func joined(name, id string) string {
	if name == "" || id == "" {
		return name + id
	}
	return name + " (" + id + ")"
}

// span is how long something lasted, or since when it lasts.
func span(from, to time.Time) string {
	switch {
	case from.IsZero():
		return ""
	case to.IsZero():
		return "since " + when(from)
	}
	return durationText(to.Sub(from))
}

func operationRow(o wire.Operation) []string {
	name := o.Name
	if name == "" {
		name = o.SourceName
	}
	status := title(o.Status)
	if o.Progress != nil {
		status += fmt.Sprintf(" %d%%", o.Progress.Percent)
	}
	if !o.DeletedAt.IsZero() {
		status += ", deleted"
	}
	return []string{o.ID, when(o.CreatedAt), title(o.Type), title(o.Trigger), status, o.DatabaseName, sizeText(o.Size), seconds(o.DurationSeconds), name}
}

var operationColumns = columns("id", "date created", "type", "trigger 5", "status", "~database 1", ">file size 2", ">took 3", "~name 4")
