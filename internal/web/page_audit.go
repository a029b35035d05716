package web

import (
	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/app"
)

type auditRow struct {
	safepoint.AuditEntry
	Rel, Abs, ISO    string
	What, How, Ended string // in words
	Look             string
}

type auditView struct {
	Filter         app.AuditFilter
	FromDay, ToDay string
	Filtered       bool
	Rows           []auditRow
	Pager          pager
}

func showAudit(v *visit) (reply, error) {
	q := v.r.URL.Query()
	d := auditView{FromDay: q.Get("from"), ToDay: q.Get("to")}
	d.Filter = app.AuditFilter{Who: q.Get("who"), What: q.Get("what"), Cursor: q.Get("page"), Limit: 50}
	d.Filter.From, d.Filter.To = v.dayStart(d.FromDay, 0), v.dayStart(d.ToDay, 1)
	d.Filtered = d.Filter.Who != "" || d.Filter.What != "" || !d.Filter.From.IsZero() || !d.Filter.To.IsZero()
	list, err := v.app.Audit(v.ctx, v.actor, d.Filter)
	if err != nil {
		return nil, err
	}
	for _, e := range list.Entries {
		row := auditRow{AuditEntry: e, Rel: v.t.Ago(e.At), Abs: v.t.Full(e.At), ISO: v.t.ISO(e.At)}
		row.What, row.How, row.Ended = v.t.action(e.Action), v.t.via(e.Via), v.t.ended(e.Outcome)
		if e.Outcome == "failed" || e.Outcome == "denied" {
			row.Look = "bad"
		}
		d.Rows = append(d.Rows, row)
	}
	d.Pager = pager{turn(v.r.URL, list.Previous), turn(v.r.URL, list.Next), entries(v.t, list)}
	return &page{Name: "audit", Title: v.t.Say("Audit log"), Tab: "audit", Data: d}, nil
}

// entries says how many lines match the filter.
func entries(t locale, p app.AuditPage) string {
	if p.More {
		return t.Count(p.Total, "More than {n} entry", "More than {n} entries")
	}
	return t.Count(p.Total, "{n} entry", "{n} entries")
}
