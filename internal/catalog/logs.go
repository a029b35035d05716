package catalog

import (
	"context"
	"encoding/base64"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/safepoint-db/safepoint"
)

// Operations is one page of the organization's DB Logs, newest first. A cursor names a place and a direction, so what
// is added or deleted between two pages neither repeats nor hides a row. Deleted backups are not listed.
//
// It reads about as much with a million rows as with a hundred (migration 00015): rows through an index that fits the
// filter, counts from what triggers keep by week. A search counts up to 1,000 matches; see safepoint.OperationPage.
func (c *Catalog) Operations(ctx context.Context, orgID string, f safepoint.OperationFilter) (safepoint.OperationPage, error) {
	page, err := c.logPage(ctx, orgID, f)
	if err != nil {
		return safepoint.OperationPage{}, fmt.Errorf("list operations: %w", err)
	}
	return page, nil
}

func (c *Catalog) logPage(ctx context.Context, orgID string, f safepoint.OperationFilter) (page safepoint.OperationPage, err error) {
	at, err := parseCursor(f.Cursor)
	if err != nil {
		return page, err
	}
	limit := f.Limit
	if limit <= 0 {
		limit = 50
	}
	limit = min(limit, 200)
	if page.All, err = c.countLogs(ctx, logs{orgID: orgID, to: maxPlace}); err != nil {
		return page, err
	}
	l, err := c.logsOf(ctx, orgID, f)
	if err != nil {
		return page, err
	}
	if l.text != "" {
		err = c.searchPage(ctx, l, at, limit, &page)
		return page, err
	}
	rows, err := c.logRows(ctx, l, at, limit)
	if err == nil && at.newer && len(rows) < limit {
		// The newest page was reached: show it full.
		at = logCursor{}
		rows, err = c.logRows(ctx, l, at, limit)
	}
	if err != nil {
		return page, err
	}
	if page.Total, err = c.countLogs(ctx, l); err != nil {
		return page, err
	}
	if len(rows) == 0 {
		if !at.isZero() {
			page.Offset, page.Previous = page.Total, logCursor{true, at.place}.String()
		}
		return page, nil
	}
	if !at.isZero() {
		if page.Offset, err = c.countLogs(ctx, l.newerThan(rows[0].place)); err != nil {
			return page, err
		}
	}
	show(&page, rows, page.Offset > 0, page.Offset+len(rows) < page.Total)
	return page, nil
}

// placed is an operation with its place in DB Logs.
type placed struct {
	safepoint.Operation
	place int64
}

// show puts rows on a page, with cursors to its neighbours.
func show(page *safepoint.OperationPage, rows []placed, newer, older bool) {
	page.Operations = make([]safepoint.Operation, 0, len(rows))
	for _, r := range rows {
		page.Operations = append(page.Operations, r.Operation)
	}
	if newer {
		page.Previous = logCursor{true, rows[0].place}.String()
	}
	if older {
		page.Next = logCursor{false, rows[len(rows)-1].place}.String()
	}
}

// logRows reads up to limit rows beside at, newest first.
func (c *Catalog) logRows(ctx context.Context, l logs, at logCursor, limit int) ([]placed, error) {
	order := ` ORDER BY place DESC`
	if at.newer {
		order = ` ORDER BY place`
	}
	w := l.beside(at).where()
	rows, err := c.placedRows(ctx, `WHERE `+w.sql+order+` LIMIT `+strconv.Itoa(limit), w.args...)
	if at.newer {
		slices.Reverse(rows)
	}
	return rows, err
}

func (c *Catalog) placedRows(ctx context.Context, where string, args ...any) ([]placed, error) {
	return collect(ctx, c.db, func(row scanner) (r placed, err error) {
		r.Operation, err = scanOperation(extra{row, []any{&r.place}})
		return r, err
	}, `SELECT `+operationColumns+`, place FROM operations `+where, args...)
}

// logs are the rows that a filter selects, at places from (inclusive) to to (exclusive).
type logs struct {
	orgID, typ, status, databaseID, scheduleID, text string
	from, to                                         int64
	by                                               string // the column whose index is read, "" for the organization's
}

const (
	maxPlace     = math.MaxInt64
	placesPerMs  = 1 << 20
	msPerWeek    = 7 * 24 * 60 * 60 * 1000
	placePerWeek = msPerWeek * placesPerMs
)

// logsOf reads a filter, and decides through which index its rows are found: the one that has the fewest.
func (c *Catalog) logsOf(ctx context.Context, orgID string, f safepoint.OperationFilter) (logs, error) {
	l := logs{orgID: orgID, typ: string(f.Type), status: string(f.Status), databaseID: f.DatabaseID, scheduleID: f.ScheduleID, text: f.Text, to: maxPlace}
	if !f.From.IsZero() {
		l.from = max(toMillis(f.From), 0) * placesPerMs
	}
	if !f.To.IsZero() {
		l.to = max(toMillis(f.To), 0) * placesPerMs
	}
	if l.scheduleID != "" {
		l.by = "schedule_id"
		return l, nil
	}
	var ways []logs
	for _, way := range []logs{
		{by: "database_id", databaseID: l.databaseID},
		{by: "status", status: l.status},
		{by: "type", typ: l.typ},
	} {
		if way.databaseID+way.status+way.typ != "" {
			way.orgID, way.from, way.to = l.orgID, l.from, l.to
			ways = append(ways, way)
		}
	}
	least := math.MaxInt
	for _, way := range ways {
		n := 0
		if len(ways) > 1 {
			var err error
			if n, err = c.countWeeks(ctx, way, l.from/placePerWeek, (l.to-1)/placePerWeek+1); err != nil {
				return l, err
			}
		}
		if n < least {
			l.by, least = way.by, n
		}
	}
	return l, nil
}

// newerThan are those of l whose places are after place, olderThan those before it.
func (l logs) newerThan(place int64) logs {
	l.from = max(l.from, place+1)
	return l
}

func (l logs) olderThan(place int64) logs {
	l.to = min(l.to, place)
	return l
}

// beside are those of l on one side of a cursor.
func (l logs) beside(at logCursor) logs {
	switch {
	case at.isZero():
		return l
	case at.newer:
		return l.newerThan(at.place)
	}
	return l.olderThan(at.place)
}

// where is the condition of everything but the text. Conditions on other columns than the one whose index shall be
// read are written so that no index fits them: they are looked at in the index that is read.
func (l logs) where() condition {
	// deleted_at = 0 and schedule_id <> '' are spelled as in the indices.
	w := condition{sql: "deleted_at = 0"}
	if l.by != "schedule_id" {
		w.add("organization_id = ?", l.orgID)
	} else {
		w.add("schedule_id <> '' AND schedule_id = ?", l.scheduleID)
		w.add("coalesce(organization_id, '') = ?", l.orgID)
	}
	for _, f := range []struct{ column, value string }{{"type", l.typ}, {"status", l.status}, {"database_id", l.databaseID}} {
		switch {
		case f.value == "":
		case f.column == l.by:
			w.add(f.column+" = ?", f.value)
		default:
			w.add("coalesce("+f.column+", '') = ?", f.value)
		}
	}
	w.add("place >= ?", l.from)
	w.add("place < ?", l.to)
	return w
}

// countLogs counts exactly the rows of l, whatever its text: whole weeks from the counts, the rest in an index.
func (c *Catalog) countLogs(ctx context.Context, l logs) (int, error) {
	if l.from >= l.to {
		return 0, nil
	}
	first, last := (l.from+placePerWeek-1)/placePerWeek, l.to/placePerWeek
	if l.scheduleID != "" || first >= last {
		return c.countRows(ctx, l)
	}
	total, err := c.countWeeks(ctx, l, first, last)
	if err != nil {
		return 0, err
	}
	for _, edge := range [][2]int64{{l.from, first * placePerWeek}, {last * placePerWeek, l.to}} {
		if edge[0] >= edge[1] || edge[1] == maxPlace {
			continue // nothing was made at the end of time
		}
		l.from, l.to = edge[0], edge[1]
		n, err := c.countRows(ctx, l)
		if err != nil {
			return 0, err
		}
		total += n
	}
	return total, nil
}

func (c *Catalog) countRows(ctx context.Context, l logs) (n int, err error) {
	w := l.where()
	err = c.db.QueryRowContext(ctx, `SELECT count(*) FROM operations WHERE `+w.sql, w.args...).Scan(&n)
	return n, err
}

// countWeeks counts the rows of l that were made from the week first to before the week last.
func (c *Catalog) countWeeks(ctx context.Context, l logs, first, last int64) (n int, err error) {
	database := l.databaseID
	if database == "" {
		database = "*"
	}
	w := condition{sql: "1 = 1"}
	w.add("organization_id = ?", l.orgID)
	w.add("database_id = ?", database)
	w.add("week >= ?", first)
	w.add("week < ?", last)
	if l.typ != "" {
		w.add("type = ?", l.typ)
	}
	if l.status != "" {
		w.add("status = ?", l.status)
	}
	err = c.db.QueryRowContext(ctx, `SELECT coalesce(sum(n), 0) FROM log_counts WHERE `+w.sql, w.args...).Scan(&n)
	return n, err
}

// condition is the text after WHERE, with its arguments.
type condition struct {
	sql  string
	args []any
}

func (w *condition) add(sql string, arg any) {
	w.args = append(w.args, arg)
	w.sql += " AND " + strings.ReplaceAll(sql, "?", "$"+strconv.Itoa(len(w.args)))
}

// escapeLike makes text match itself in LIKE with ESCAPE '\'.
func escapeLike(text string) string {
	return strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`).Replace(text)
}

// logCursor is just before or after a place, looking at newer or older rows.
type logCursor struct {
	newer bool
	place int64
}

func (c logCursor) isZero() bool { return c.place == 0 }

func (c logCursor) String() string {
	side := "o"
	if c.newer {
		side = "n"
	}
	return base64.RawURLEncoding.EncodeToString([]byte(side + "." + strconv.FormatInt(c.place, 36)))
}

func parseCursor(s string) (logCursor, error) {
	if s == "" {
		return logCursor{}, nil
	}
	raw, err := base64.RawURLEncoding.DecodeString(s)
	side, place, ok := strings.Cut(string(raw), ".")
	if err == nil && ok && (side == "n" || side == "o") {
		if place, err := strconv.ParseInt(place, 36, 64); err == nil && place > 0 && place < maxPlace {
			return logCursor{side == "n", place}, nil
		}
	}
	return logCursor{}, safepoint.Invalid("cursor", "This page does not exist.").WithHint("Start again from the first page.")
}
