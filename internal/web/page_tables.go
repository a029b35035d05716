package web

import (
	"bufio"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/app"
)

// tablesPage is how many tables one page of the list holds.
const tablesPage = 200

type tablesView struct {
	Op     safepoint.Operation
	Tables []app.BackupTable // of this page
	Total  int               // that match
	All    int
	Search string
	Pager  pager
}

// showTables lists the tables of a backup, to choose from.
func showTables(v *visit) (reply, error) {
	op, all, err := v.app.BackupTables(v.ctx, v.actor, v.id())
	if err != nil {
		return nil, err
	}
	q := v.r.URL.Query()
	d := tablesView{Op: op, All: len(all), Search: strings.TrimSpace(q.Get("q"))}
	var match []app.BackupTable
	for _, t := range all {
		if strings.Contains(strings.ToLower(t.Name), strings.ToLower(d.Search)) {
			match = append(match, t)
		}
	}
	d.Total = len(match)
	n := min(pageNumber(q), max(1, (d.Total+tablesPage-1)/tablesPage))
	from, to := (n-1)*tablesPage, min(d.Total, n*tablesPage)
	d.Tables = match[from:to]
	if d.Total > tablesPage {
		d.Pager = numbered(v.r.URL, n, to < d.Total)
		d.Pager.Text = v.t.Count(d.Total, "{first}–{last} of {n} table", "{first}–{last} of {n} tables", "first", from+1, "last", to)
	}
	return &page{Name: "tables", Title: v.t.Say("Tables of {name} · DB Logs", "name", op.Name), Tab: "logs", Data: d}, nil
}

// doTables sends the SQL of chosen tables. It is a GET, as the download of the whole file is: the browser comes back to
// it once the password was entered.
func doTables(v *visit) (reply, error) {
	q := v.r.URL.Query()
	c := app.TableChoice{Tables: given(q["t"]), SchemaOnly: q.Get("what") == "schema", DataOnly: q.Get("what") == "rows"}
	d, err := v.app.OpenTables(v.ctx, v.actor, v.id(), c)
	if safepoint.ErrorCode(err) == safepoint.CodeStepUp {
		return redirect("/stepup?next=" + url.QueryEscape(v.r.URL.RequestURI())), nil
	}
	if err != nil {
		return nil, err
	}
	defer d.Close()
	http.NewResponseController(v.w).SetWriteDeadline(time.Time{})
	h := v.w.Header()
	h.Set("Content-Type", "application/octet-stream")
	h.Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": d.Name}))
	out := bufio.NewWriterSize(v.w, 64<<10)
	if err := d.Write(v.ctx, out); err != nil {
		v.s.Log.WarnContext(v.ctx, "the download of chosen tables broke off", "error", err)
		panic(http.ErrAbortHandler) // half a script must not look like a whole one
	}
	if err := out.Flush(); err != nil {
		panic(http.ErrAbortHandler)
	}
	return nil, nil
}
