package many

import (
	"slices"
	"strings"

	"github.com/anishathalye/porcupine"

	"github.com/safepoint-db/safepoint"
)

// act is a request about the one database of an organization, or the end of what one started.
type act string

const (
	backup  act = "backup"
	restore act = "restore"
	undo    act = "undo"
	remove  act = "delete"
	end     act = "end"     // not a request: the server ends an operation by itself
	foreign act = "foreign" // a delete or a restore of another organization's backup
)

// input is what was asked, about which backup, restore or operation.
type input struct {
	Act act
	Of  string // restore, delete: the backup; undo: the restore; end: the operation
}

// output is what came back.
type output struct {
	OK     bool
	ID     string // of the operation started
	Code   safepoint.Code
	Says   string           // what of phrases it says
	Status safepoint.Status // end: how it ended
	Moved  bool             // end: the live database is another one now
}

// state is what the model knows of one organization with one database. IDs are joined by spaces, so that states compare.
type state struct {
	Backup  string // the backup under way, "" if none
	Restore string // the restore or undo under way
	Source  string // what it restores or undoes
	Undoing bool
	Deleted string // backups
	Undone  string // restores
	Taken   string // restores that took the live database's place and were not undone, newest last
}

// model is what an organization may do at once, one step at a time: what CreateOperation and MarkDeleting promise.
var model = porcupine.Model{
	Init: func() any { return state{} },
	Step: func(s, in, out any) (bool, any) {
		may, next := step(s.(state), in.(input), out.(output))
		return may, next
	},
}

func step(s state, in input, out output) (bool, state) {
	if !out.OK {
		return refusable(s, in, out), s
	}
	switch in.Act {
	case backup:
		if s.Backup != "" {
			return false, s
		}
		s.Backup = out.ID
	case restore:
		if s.Restore != "" || has(s.Deleted, in.Of) { // a backup under way is waited for
			return false, s
		}
		s.Restore, s.Source, s.Undoing = out.ID, in.Of, false
	case undo:
		if s.Restore != "" || last(s.Taken) != in.Of {
			return false, s
		}
		s.Restore, s.Source, s.Undoing = out.ID, in.Of, true
	case remove:
		if has(s.Deleted, in.Of) || s.Restore != "" && s.Source == in.Of {
			return false, s
		}
		s.Deleted = with(s.Deleted, in.Of)
	case end:
		return finish(s, in.Of, out)
	default:
		return false, s // another organization's things are never touched
	}
	return true, s
}

// finish is the end of a backup, a restore or an undo.
func finish(s state, id string, out output) (bool, state) {
	switch {
	case s.Backup == id:
		s.Backup = ""
		return true, s
	case s.Restore != id:
		return false, s
	case s.Undoing && out.Status == safepoint.StatusSucceeded:
		s.Undone, s.Taken = with(s.Undone, s.Source), without(s.Taken, s.Source)
	case !s.Undoing && out.Moved:
		s.Taken = strings.TrimSpace(s.Taken + " " + id)
	}
	s.Restore, s.Source, s.Undoing = "", "", false
	return true, s
}

// refusable says whether a request may be refused with these words in this state: the words must be true.
func refusable(s state, in input, out output) bool {
	if in.Act == foreign {
		return out.Code == safepoint.CodeNotFound
	}
	gone := has(s.Deleted, in.Of)
	if out.Code == safepoint.CodeNotFound {
		return gone && (in.Act == restore || in.Act == remove)
	}
	if out.Code != safepoint.CodeConflict {
		return false
	}
	says := func(words string) bool { return strings.Contains(out.Says, words) }
	named := says("a backup of shop") && s.Backup != "" ||
		says("a restore of shop") && !says("an undo of") && s.Restore != "" && !s.Undoing ||
		says("an undo of") && s.Restore != "" && s.Undoing
	switch in.Act {
	case backup:
		return named && says("a backup of shop")
	case restore:
		return named && !says("a backup of shop") || gone && says("is deleted")
	case undo:
		under := s.Undoing && s.Source == in.Of // its success is recorded before its end
		later := last(s.Taken) != in.Of || s.Restore != "" && !s.Undoing
		return named && !says("a backup of shop") || (has(s.Undone, in.Of) || under) && (says("undone already") || says("no longer be undone")) || later && says("has taken the place")
	case remove:
		return named && says("in use") && s.Source == in.Of || gone && says("being deleted")
	}
	return false
}

// phrases are what the model knows of the words of a refusal.
var phrases = []string{"a backup of shop", "a restore of shop", "an undo of", "in use", "is deleted", "being deleted", "undone already", "no longer be undone", "has taken the place"}

func saidIn(message string) (said string) {
	for _, words := range phrases {
		if strings.Contains(message, words) {
			said += words + "; "
		}
	}
	return said
}

func has(list, id string) bool { return slices.Contains(strings.Fields(list), id) }

func last(list string) string {
	all := strings.Fields(list)
	if len(all) == 0 {
		return ""
	}
	return all[len(all)-1]
}

func with(list, id string) string {
	all := append(strings.Fields(list), id)
	slices.Sort(all)
	return strings.Join(all, " ")
}

func without(list, id string) string {
	return strings.Join(slices.DeleteFunc(strings.Fields(list), func(x string) bool { return x == id }), " ")
}
