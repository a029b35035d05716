package web

import (
	"cmp"
	"net/url"
	"strings"
	"time"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/app"
	"github.com/safepoint-db/safepoint/internal/language"
)

// logRow is one operation as DB Logs shows it.
type logRow struct {
	ID, Name, Link    string
	Restore           bool   // no backup
	Kind              string // "Backup" or "Restore", said
	State, Label      string // the pill
	Sub               string // a name: the database, or the file restored
	Facts             []string
	ISO, Rel, Abs     string
	Took              string
	Running           bool
	Size              string
	Verified, Gone    bool
	Error, Hint       string
	CanRestore        bool
	CanDelete         bool
	CanCancel, Asked  bool
	Percent           int
	Measured          bool
	Phase, Done, Rate string
	ETA               string
}

type logDay struct {
	Label string
	Rows  []logRow
	day   int
}

type logsView struct {
	Filter    safepoint.OperationFilter
	FromDay   string
	ToDay     string
	Filtered  bool
	Databases []safepoint.Database
	Days      []logDay
	Page      safepoint.OperationPage
	Statuses  []statusChoice
	Pager     pager
	Words     string // the filter in words
	FirstDue  string
}

func showLogs(v *visit) (reply, error) {
	q := v.r.URL.Query()
	d := logsView{FromDay: q.Get("from"), ToDay: q.Get("to")}
	d.Filter = safepoint.OperationFilter{
		Type: safepoint.OperationType(q.Get("type")), Status: safepoint.Status(q.Get("status")), DatabaseID: q.Get("database"),
		ScheduleID: q.Get("schedule"), Text: strings.TrimSpace(q.Get("q")), Cursor: q.Get("page"), Limit: 50,
	}
	d.Filter.From = v.dayStart(d.FromDay, 0)
	d.Filter.To = v.dayStart(d.ToDay, 1)
	bare := d.Filter
	bare.Cursor, bare.Limit = "", 0
	d.Filtered = bare != safepoint.OperationFilter{}
	var err error
	if d.Databases, err = v.app.Databases(v.ctx, v.actor); err != nil {
		return nil, err
	}
	if d.Page, err = v.app.Operations(v.ctx, v.actor, d.Filter); err != nil {
		return nil, err
	}
	for _, op := range d.Page.Operations {
		day := v.t.days(op.CreatedAt)
		if n := len(d.Days); n == 0 || d.Days[n-1].day != day {
			d.Days = append(d.Days, logDay{Label: v.t.Heading(op.CreatedAt), day: day})
		}
		last := &d.Days[len(d.Days)-1]
		last.Rows = append(last.Rows, v.row(op))
	}
	d.Pager = pager{Previous: turn(v.r.URL, d.Page.Previous), Next: turn(v.r.URL, d.Page.Next), Dated: true}
	if len(d.Page.Operations) > 0 {
		d.Pager.Text = shownOf(v.t, d.Page)
	}
	for _, status := range statusOrder {
		d.Statuses = append(d.Statuses, statusChoice{status, v.t.Say(statusLabels[status])})
	}
	d.Words = filterWords(v.t, d)
	if len(d.Days) == 0 && !d.Filtered {
		if d.FirstDue, err = v.firstDue(); err != nil {
			return nil, err
		}
	}
	return &page{Name: "logs", Title: v.t.Say("DB Logs"), Tab: "logs", Live: true, Busy: len(v.running) > 0, Data: d}, nil
}

// statusLabels are the statuses in people's words.
var statusLabels = map[safepoint.Status]string{
	safepoint.StatusQueued: language.Mark("Queued"), safepoint.StatusRunning: language.Mark("Running"), safepoint.StatusSucceeded: language.Mark("Succeeded"),
	safepoint.StatusFailed: language.Mark("Failed"), safepoint.StatusCancelled: language.Mark("Cancelled"), safepoint.StatusMissed: language.Mark("Missed"),
}

// word is what stands for k among words, said; k itself where nothing does.
func word[K ~string](c locale, words map[K]string, k K) string {
	if w := words[k]; w != "" {
		return c.Say(w)
	}
	return string(k)
}

// typeLabels are the types of operations.
var typeLabels = map[safepoint.OperationType]string{safepoint.TypeBackup: language.Mark("Backup"), safepoint.TypeRestore: language.Mark("Restore")}

// statusChoice is an option of the filter by status.
type statusChoice struct {
	Status safepoint.Status
	Label  string
}

var statusOrder = []safepoint.Status{
	safepoint.StatusQueued, safepoint.StatusRunning, safepoint.StatusSucceeded, safepoint.StatusFailed, safepoint.StatusCancelled, safepoint.StatusMissed,
}

// shownOf says which of the matching rows a page shows.
func shownOf(t locale, p safepoint.OperationPage) string {
	if p.Offset < 0 {
		return t.Say("More than {total}", "total", t.Number(p.Total))
	}
	from, to := t.Number(p.Offset+1), t.Number(p.Offset+len(p.Operations))
	if p.More {
		return t.Say("{from}–{to} of more than {total}", "from", from, "to", to, "total", t.Number(p.Total))
	}
	return t.Say("{from}–{to} of {total}", "from", from, "to", to, "total", t.Number(p.Total))
}

// pager turns the pages of a list: the addresses of the one before and the one after, "" for none.
type pager struct {
	Previous, Next string
	Text           string
	Dated          bool // the newest come first, and the words say so
}

// firstDue names the first run to come, for an empty log.
func (v *visit) firstDue() (string, error) {
	list, err := v.app.ScheduleList(v.ctx, v.actor, app.ScheduleFilter{Limit: 1, Bare: true})
	if err != nil || list.NextRun.IsZero() {
		return "", err
	}
	return v.t.Say("The first run of {name} is due {when}. It will appear here while it runs.", "name", list.NextOf, "when", v.t.At(list.NextRun)), nil
}

// dayStart reads "2026-11-22" in the organization's zone and adds days; zero for anything else.
func (v *visit) dayStart(s string, days int) time.Time {
	t, err := time.ParseInLocation("2006-01-02", s, v.t.loc)
	if err != nil {
		return time.Time{}
	}
	return t.AddDate(0, 0, days)
}

// turn is the same page with another cursor, "" for none.
func turn(u *url.URL, cursor string) string {
	if cursor == "" {
		return ""
	}
	q := u.Query()
	q.Set("page", cursor)
	q.Del("done")
	return u.Path + "?" + q.Encode()
}

// filterWords says what is selected: "Type is Restore and Status is Failed".
func filterWords(c locale, d logsView) string {
	var w []string
	if d.Filter.Type != "" {
		w = append(w, c.Say("Type is {type}", "type", word(c, typeLabels, d.Filter.Type)))
	}
	if d.Filter.Status != "" {
		w = append(w, c.Say("Status is {status}", "status", word(c, statusLabels, d.Filter.Status)))
	}
	for _, db := range d.Databases {
		if db.ID == d.Filter.DatabaseID {
			w = append(w, c.Say("Database is {name}", "name", db.Name))
		}
	}
	if d.Filter.Text != "" {
		w = append(w, c.Say("Name has “{text}”", "text", d.Filter.Text))
	}
	if d.FromDay != "" {
		w = append(w, c.Say("From {day}", "day", d.FromDay))
	}
	if d.ToDay != "" {
		w = append(w, c.Say("To {day}", "day", d.ToDay))
	}
	return c.List(w)
}

// pill is the look and the word of a status.
func pill(c locale, op safepoint.Operation) (state, label string) {
	label = word(c, statusLabels, op.Status)
	switch op.Status {
	case safepoint.StatusSucceeded:
		if len(op.Attention) > 0 || op.Unguarded() {
			return "warn", c.Say("Needs care")
		}
		return "ok", label
	case safepoint.StatusFailed, safepoint.StatusMissed:
		return "bad", label
	case safepoint.StatusCancelled, safepoint.StatusQueued:
		return "off", label
	}
	return "run", label
}

// origin says what started an operation.
func origin(c locale, op safepoint.Operation) string {
	by := cmp.Or(op.CreatedByName, "Safepoint")
	switch op.Trigger {
	case safepoint.TriggerScheduled:
		return c.Say("Scheduled")
	case safepoint.TriggerSafety:
		return c.Say("Safety backup, made by a restore")
	case safepoint.TriggerUpload:
		return c.Say("Uploaded by {name}", "name", by)
	case safepoint.TriggerUndo:
		return c.Say("Undo, by {name}", "name", by)
	}
	if op.Type == safepoint.TypeRestore {
		return c.Say("By {name}", "name", by)
	}
	return c.Say("Manual, by {name}", "name", by)
}

// pathOf is an operation's own page.
func pathOf(op safepoint.Operation) string {
	if op.Type == safepoint.TypeRestore {
		return "/restores/" + op.ID
	}
	return "/logs/" + op.ID
}

func (v *visit) row(op safepoint.Operation) logRow {
	c := v.t
	r := logRow{ID: op.ID, Name: op.Name, Link: pathOf(op), Restore: op.Type == safepoint.TypeRestore, Kind: word(c, typeLabels, op.Type), Sub: op.DatabaseName, Facts: []string{origin(c, op)},
		ISO: c.ISO(op.CreatedAt), Rel: c.Ago(op.CreatedAt), Abs: c.Time(op.CreatedAt) + nb + c.zone(op.CreatedAt),
		Verified: !op.VerifiedAt.IsZero(), Gone: !op.DeletedAt.IsZero(), Asked: op.CancelAsked}
	r.State, r.Label = pill(c, op)
	if r.Restore {
		if op.Mode == safepoint.RestoreInstant {
			r.Facts = append(r.Facts, c.Say("instant switch"))
		}
		switch t := op.HaltTime(); {
		case t <= 0:
		case op.Services == 0:
			r.Facts = append(r.Facts, c.Say("database closed {time}", "time", c.Lasted(t)))
		default:
			r.Facts = append(r.Facts, c.Say("services halted {time}", "time", c.Lasted(t)))
		}
	} else if op.Size > 0 {
		r.Size = c.Size(op.Size)
	}
	if r.Gone {
		r.Facts = append(r.Facts, c.Say("deleted"))
	}
	if !op.StartedAt.IsZero() {
		r.Took = c.Lasted(op.Duration(c.now))
	}
	switch {
	case op.Failure != nil && op.Status != safepoint.StatusSucceeded:
		r.Error, r.Hint = c.Message(op.Failure.Failed()), c.Hint(op.Failure.Failed())
	case op.SafetyFailure != nil && op.UndoneByID == "" && op.Status.Ended():
		why := op.SafetyFailure.Failed()
		r.Error, r.Hint = c.Say("There is no safety backup: {reason}", "reason", c.Message(why)), c.Hint(why)
	}
	whole := op.Type == safepoint.TypeBackup && op.Status == safepoint.StatusSucceeded && op.DeletedAt.IsZero()
	r.CanRestore, r.CanDelete = whole, whole
	if !op.Status.Ended() {
		r.Running, r.CanCancel = true, cancellable(op)
		r.progress(c, op)
	}
	return r
}

// cancellable: a backup at any time, a restore until its switch.
func cancellable(op safepoint.Operation) bool {
	return !op.Status.Ended() && !op.CancelAsked && (op.Type == safepoint.TypeBackup || op.Step < safepoint.StepSwitch && !op.Switched)
}

func (r *logRow) progress(c locale, op safepoint.Operation) {
	p := op.Progress
	r.Percent, r.Measured, r.ETA = p.Percent, p.Percent > 0, left(c, op)
	if op.Status == safepoint.StatusQueued {
		r.Phase = c.Say("Waiting for its turn")
		return
	}
	r.Phase = phaseWords(c, op)
	switch {
	case p.BytesOf > 0:
		r.Done = c.Say("{done} of about {total}", "done", c.Size(p.Bytes), "total", c.Size(p.BytesOf))
	case p.Bytes > 0:
		r.Done = c.Size(p.Bytes)
	}
	if p.Rate > 0 {
		r.Rate = rate(c, p.Rate)
	}
}

// rate is bytes per second: "50 MiB/s".
func rate(c locale, bytes int64) string { return c.Say("{size}/s", "size", c.Size(bytes)) }

func phaseWords(c locale, op safepoint.Operation) string {
	p := op.Progress
	switch {
	case op.CancelAsked:
		return c.Say("Stopping")
	case op.Type == safepoint.TypeRestore:
		return stepOf(c, op)
	case p.Phase == "verify":
		return c.Say("Reading the file again")
	case p.TablesOf > 0:
		return c.Say("Writing table {table} of {tables}", "table", min(p.Tables+1, p.TablesOf), "tables", p.TablesOf)
	}
	return c.Say("Writing")
}
