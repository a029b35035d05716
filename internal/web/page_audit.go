package web

import (
	"encoding/csv"
	"net/http"
	"strings"
	"time"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/app"
)

type auditRow struct {
	safepoint.AuditEntry
	Rel, Abs, ISO    string
	What, How, Ended string // in words
	Bad              bool
	Changed          []safepoint.Change // with their fields in words
}

type auditView struct {
	Filter         app.AuditFilter
	FromDay, ToDay string
	Filtered       bool
	Actions        []audited // to choose from, in words
	Rows           []auditRow
	Pager          pager
	CSV            string // the same entries as a file
}

// auditFilter reads the filter out of the address. "what" is an action or, as in the API, a part of one or of an
// object's name.
func (v *visit) auditFilter() app.AuditFilter {
	q := v.r.URL.Query()
	f := app.AuditFilter{Who: strings.TrimSpace(q.Get("who")), What: strings.TrimSpace(q.Get("object")), Cursor: q.Get("page"), Limit: 50}
	if what := strings.TrimSpace(q.Get("what")); isAction(what) {
		f.Action = what
	} else if what != "" {
		f.What = what
	}
	f.From, f.To = v.dayStart(q.Get("from"), 0), v.dayStart(q.Get("to"), 1)
	return f
}

func showAudit(v *visit) (reply, error) {
	q := v.r.URL.Query()
	d := auditView{Filter: v.auditFilter(), FromDay: q.Get("from"), ToDay: q.Get("to"), CSV: "/audit.csv"}
	d.Filtered = d.Filter.Who != "" || d.Filter.What != "" || d.Filter.Action != "" || !d.Filter.From.IsZero() || !d.Filter.To.IsZero()
	if q.Del("page"); len(q) > 0 {
		d.CSV += "?" + q.Encode()
	}
	list, err := v.app.Audit(v.ctx, v.actor, d.Filter)
	if err != nil {
		return nil, err
	}
	for _, e := range list.Entries {
		row := auditRow{AuditEntry: e, Rel: v.t.Ago(e.At), Abs: v.t.Full(e.At), ISO: v.t.ISO(e.At),
			What: v.t.action(e.Action), How: v.t.via(e.Via), Ended: v.t.ended(e.Outcome), Bad: e.Outcome == "failed" || e.Outcome == "denied"}
		for _, c := range e.Changes {
			row.Changed = append(row.Changed, safepoint.Change{Field: v.t.field(c.Field), Before: c.Before, After: c.After})
		}
		d.Rows = append(d.Rows, row)
	}
	for _, a := range actions {
		d.Actions = append(d.Actions, audited{a.Action, v.t.Say(a.Words)})
	}
	d.Pager = pager{Previous: turn(v.r.URL, list.Previous), Next: turn(v.r.URL, list.Next), Text: entries(v.t, list), Dated: true}
	return &page{Name: "audit", Title: v.t.Say("Audit log"), Tab: "audit", Data: d}, nil
}

// entries says how many lines match the filter.
func entries(t locale, p app.AuditPage) string {
	if p.More {
		return t.Count(p.Total, "More than {n} entry", "More than {n} entries")
	}
	return t.Count(p.Total, "{n} entry", "{n} entries")
}

// doAuditCSV sends all entries of a filter as a file for a spreadsheet, in the words of the API.
func doAuditCSV(v *visit) (reply, error) {
	f := v.auditFilter()
	f.Cursor, f.Limit, f.Uncounted = "", 200, true
	list, err := v.app.Audit(v.ctx, v.actor, f)
	if err != nil {
		return nil, err
	}
	http.NewResponseController(v.w).SetWriteDeadline(time.Time{}) // a long log takes longer than any deadline for a page
	v.w.Header().Set("Content-Type", "text/csv; charset=utf-8; header=present")
	v.w.Header().Set("Content-Disposition", `attachment; filename="audit-`+v.t.now.UTC().Format("2006-01-02")+`.csv"`)
	out := csv.NewWriter(v.w)
	out.Write([]string{"time", "who", "action", "object_type", "object", "object_id", "outcome", "changes", "detail", "ip", "via"})
	for {
		for _, e := range list.Entries {
			out.Write(cells(e.At.UTC().Format(time.RFC3339), e.ActorName, e.Action, e.ObjectType, e.ObjectName, e.ObjectID, e.Outcome, changesText(e.Changes), e.Detail, e.IP, e.Via))
		}
		if out.Flush(); out.Error() != nil {
			return nil, nil // the browser went away
		}
		if f.Cursor = list.Next; f.Cursor == "" {
			return nil, nil
		}
		if list, err = v.app.Audit(v.ctx, v.actor, f); err != nil {
			v.s.Log.Error("audit file is not whole", "error", err)
			panic(http.ErrAbortHandler) // a file that ends early must not look whole
		}
	}
}

func changesText(list []safepoint.Change) string {
	var parts []string
	for _, c := range list {
		parts = append(parts, c.Field+": "+quoted(c.Before)+" to "+quoted(c.After))
	}
	return strings.Join(parts, "; ")
}

func quoted(s string) string { return `"` + strings.ReplaceAll(s, `"`, `""`) + `"` }

// cells keeps a spreadsheet from taking what a person typed for a formula.
func cells(list ...string) []string {
	for i, s := range list {
		if s != "" && strings.ContainsRune("=+-@\t\r", rune(s[0])) {
			list[i] = "'" + s
		}
	}
	return list
}
