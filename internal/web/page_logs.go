package web

import (
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/safepoint-db/safepoint"
)

// logRow is one operation as DB Logs shows it.
type logRow struct {
	ID, Name, Link    string
	Kind              string // "Backup" or "Restore"
	State, Label      string // the pill
	Sub, Origin       string
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
	if len(d.Page.Operations) > 0 {
		d.Pager.Text = shownOf(v.t, d.Page)
	}
	d.Pager.Newer, d.Pager.Older = turn(v.r.URL, d.Page.Previous), turn(v.r.URL, d.Page.Next)
	d.Statuses = statusChoices
	d.Words = filterWords(v.t, d)
	if len(d.Days) == 0 && !d.Filtered {
		if d.FirstDue, err = v.firstDue(); err != nil {
			return nil, err
		}
	}
	return &page{Name: "logs", Title: "DB Logs", Tab: "logs", Live: true, Busy: len(v.running) > 0, Data: d}, nil
}

// statusChoice is an option of the filter by status.
type statusChoice safepoint.Status

func (s statusChoice) Label() string { return title(string(s)) }

var statusChoices = []statusChoice{"queued", "running", "succeeded", "failed", "cancelled", "missed"}

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

// pager turns pages of a list that is read by cursor.
type pager struct{ Newer, Older, Text string }

// firstDue names the first run to come, for an empty log.
func (v *visit) firstDue() (string, error) {
	cards, err := v.app.Schedules(v.ctx, v.actor)
	if err != nil {
		return "", err
	}
	var next time.Time
	name := ""
	for _, c := range cards {
		if !c.NextRun.IsZero() && (next.IsZero() || c.NextRun.Before(next)) {
			next, name = c.NextRun, c.Name
		}
	}
	if name == "" {
		return "", nil
	}
	return "The first run of " + name + " is due " + v.t.At(next) + ".", nil
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

func filterWords(c locale, d logsView) string {
	var w []string
	if d.Filter.Type != "" {
		w = append(w, "Type is "+title(string(d.Filter.Type)))
	}
	if d.Filter.Status != "" {
		w = append(w, "Status is "+title(string(d.Filter.Status)))
	}
	for _, db := range d.Databases {
		if db.ID == d.Filter.DatabaseID {
			w = append(w, "Database is "+db.Name)
		}
	}
	if d.Filter.Text != "" {
		w = append(w, "Name has “"+d.Filter.Text+"”")
	}
	if d.FromDay != "" {
		w = append(w, "From "+d.FromDay)
	}
	if d.ToDay != "" {
		w = append(w, "To "+d.ToDay)
	}
	return c.List(w)
}

func title(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

// pill is the look and the word of a status.
func pill(op safepoint.Operation) (state, label string) {
	switch op.Status {
	case safepoint.StatusSucceeded:
		if len(op.Attention) > 0 || op.Unguarded() {
			return "warn", "Needs care"
		}
		return "ok", "Succeeded"
	case safepoint.StatusFailed:
		return "bad", "Failed"
	case safepoint.StatusMissed:
		return "bad", "Missed"
	case safepoint.StatusCancelled:
		return "off", "Cancelled"
	case safepoint.StatusQueued:
		return "off", "Queued"
	}
	return "run", "Running"
}

func origin(op safepoint.Operation) string {
	by := cmpOr(op.CreatedByName, "Safepoint")
	switch op.Trigger {
	case safepoint.TriggerScheduled:
		return "Scheduled"
	case safepoint.TriggerSafety:
		return "Safety backup, made by a restore"
	case safepoint.TriggerUpload:
		return "Uploaded by " + by
	case safepoint.TriggerUndo:
		return "Undo, by " + by
	}
	if op.Type == safepoint.TypeRestore {
		return "By " + by
	}
	return "Manual, by " + by
}

func (v *visit) row(op safepoint.Operation) logRow {
	r := logRow{ID: op.ID, Name: op.Name, Link: "/logs/" + op.ID, Kind: "Backup", Sub: op.DatabaseName, Origin: origin(op),
		ISO: v.t.ISO(op.CreatedAt), Rel: v.t.Ago(op.CreatedAt), Abs: v.t.Time(op.CreatedAt) + nb + v.t.zone(op.CreatedAt),
		Verified: !op.VerifiedAt.IsZero(), Gone: !op.DeletedAt.IsZero(), Asked: op.CancelAsked}
	r.State, r.Label = pill(op)
	if op.Type == safepoint.TypeRestore {
		r.Kind, r.Link = "Restore", "/restores/"+op.ID
		if op.Mode == safepoint.RestoreInstant {
			r.Origin += ", instant switch"
		}
		if !op.HaltedAt.IsZero() && !op.ResumedAt.IsZero() {
			r.Origin += ", services halted " + v.t.Lasted(op.ResumedAt.Sub(op.HaltedAt))
		}
	} else if op.Size > 0 {
		r.Size = v.t.Size(op.Size)
	}
	if !op.StartedAt.IsZero() {
		r.Took = v.t.Lasted(op.Duration(v.t.now))
	}
	switch {
	case op.Failure != nil && op.Status != safepoint.StatusSucceeded:
		r.Error, r.Hint = op.Failure.Message, op.Failure.Hint
	case op.SafetyFailure != nil && op.UndoneByID == "" && op.Status.Ended():
		r.Error, r.Hint = "There is no safety backup: "+op.SafetyFailure.Message, op.SafetyFailure.Hint
	}
	whole := op.Type == safepoint.TypeBackup && op.Status == safepoint.StatusSucceeded && op.DeletedAt.IsZero()
	r.CanRestore, r.CanDelete = whole, whole
	if !op.Status.Ended() {
		r.Running, r.CanCancel = true, cancellable(op)
		r.progress(v.t, op)
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
		r.Phase = "Waiting for its turn"
		return
	}
	r.Phase = phaseWords(c, op)
	switch {
	case p.BytesOf > 0:
		r.Done = c.Size(p.Bytes) + " of about " + c.Size(p.BytesOf)
	case p.Bytes > 0:
		r.Done = c.Size(p.Bytes)
	}
	if p.Rate > 0 {
		r.Rate = c.Size(p.Rate) + "/s"
	}
}

func phaseWords(c locale, op safepoint.Operation) string {
	p := op.Progress
	if op.CancelAsked {
		return "Stopping"
	}
	if op.Type == safepoint.TypeRestore {
		return stepOf(op)
	}
	switch p.Phase {
	case "verify":
		return "Reading the file again"
	case "dump", "":
		if p.TablesOf > 0 {
			return fmt.Sprintf("Writing table %s of %s", c.Number(min(p.Tables+1, p.TablesOf)), c.Number(p.TablesOf))
		}
		return "Writing"
	}
	return title(p.Phase)
}
