package web

import (
	"html/template"
	"time"

	"github.com/safepoint-db/safepoint/internal/app"
)

// noticeBar is the bar on every page while something wants a person.
type noticeBar struct {
	Look           string // "bad" or "warn"
	Count          template.HTML
	Text, More     string
	Link, LinkText string
}

// noticeRow is a notice on the page of all of them.
type noticeRow struct {
	app.Notice
	Look           string
	Text, Hint     string
	Why            string
	Facts          string // what more is known, in a line
	Link, LinkText string
	Dismissed      string
}

type noticesView struct{ Open, Dismissed []noticeRow }

func showNotices(v *visit) (reply, error) {
	d := noticesView{}
	for _, n := range v.notices.Open {
		d.Open = append(d.Open, newNoticeRow(v.t, n))
	}
	for _, n := range v.notices.Dismissed {
		row := newNoticeRow(v.t, n)
		row.Dismissed = v.t.Say("Dealt with by {name}, {time}.", "name", n.DismissedBy, "time", v.t.Day(n.DismissedAt))
		d.Dismissed = append(d.Dismissed, row)
	}
	p := &page{Name: "notices", Title: v.t.Say("Notices"), Tab: "backups", Live: true, Data: d}
	if n := len(d.Open); n > 0 {
		p.State = v.t.Number(n)
	}
	return p, nil
}

func doNoticeDismiss(v *visit) (reply, error) {
	if err := v.app.DismissNotice(v.ctx, v.actor, v.value("notice")); err != nil {
		return nil, err
	}
	return redirect("/notices?done=dismissed"), nil
}

// noticeBar folds the notices into one line: the worst of them, and how many more there are.
func (v *visit) noticeBar() *noticeBar {
	open := v.notices.Open
	if len(open) == 0 || v.r.URL.Path == "/notices" {
		return nil
	}
	first := newNoticeRow(v.t, open[0])
	bar := &noticeBar{Look: first.Look, Text: first.Text, More: first.Hint, Link: first.Link, LinkText: first.LinkText}
	if first.Why != "" && first.Kind == app.NoticeFailing {
		bar.More = first.Why
	}
	if len(open) > 1 || first.CanDismiss() {
		bar.Link, bar.LinkText = "/notices", v.t.Say("Show")
	}
	if len(open) > 1 {
		bar.Count = v.t.CountHTML(len(open), "{n} notice", "{n} notices")
		bar.LinkText = v.t.Say("Show all")
		bar.More = ""
	}
	return bar
}

func newNoticeRow(c locale, n app.Notice) noticeRow {
	r := noticeRow{Notice: n, Look: "warn", Text: c.Message(n.Said), Hint: c.Hint(n.Said), Why: why(c, n.Why)}
	if n.Urgent {
		r.Look = "bad"
	}
	if !n.DismissedAt.IsZero() {
		r.Look = "off"
	}
	r.Link, r.LinkText = "/backups/"+n.ScheduleID, c.Say("Schedule")
	switch n.Kind {
	case app.NoticeRestore, app.NoticeUnguarded:
		r.Link, r.LinkText = "/restores/"+n.OperationID, c.Say("See the restore")
		r.Facts = c.since(n.Since)
	case app.NoticeService:
		r.Link, r.LinkText = "/services", c.Say("Services")
		r.Facts = c.since(n.Since)
	case app.NoticeFailing:
		r.Link, r.LinkText = "/logs/"+n.OperationID, c.Say("Details")
		r.Facts = c.Count(n.Runs, "{n} run, since {time}", "{n} runs in a row, since {time}", "time", c.Day(n.Since))
	case app.NoticeMissed:
		r.Link, r.LinkText = "/logs?status=missed&schedule="+n.ScheduleID, c.Say("DB Logs")
		r.Facts = c.Count(n.Runs, "{n} run, due {last}", "{n} runs, the last of them due {last}", "last", c.Day(n.Newest))
	case app.NoticeOverdue:
		r.Link, r.LinkText = "/logs?type=backup&database="+n.DatabaseID, c.Say("DB Logs")
		r.Facts = c.Say("It is from {time}, and there should be one every {interval}.", "time", c.Day(n.Newest), "interval", c.every(n.Interval))
	case app.NoticeNever:
		if r.Link, r.LinkText = "/backups/new?database="+n.DatabaseID, c.Say("New schedule"); n.ScheduleID != "" {
			r.Link, r.LinkText = "/backups/"+n.ScheduleID, c.Say("Schedule")
		}
		r.Facts = c.Say("Connected {time}", "time", c.Ago(n.Since))
	case app.NoticeStorage:
		r.Link, r.LinkText = "/storage/"+app.StorageID, c.Say("Storage")
		if n.Space.Total > 0 {
			r.Facts = c.Say("{free} of {total} are free", "free", c.Size(n.Space.Free), "total", c.Size(n.Space.Total))
		}
	}
	return r
}

// since says from when on something is so, "" if that is not known.
func (c locale) since(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return c.Say("Since {time}", "time", c.Day(t))
}
