package catalog

import (
	"context"
	"encoding/base64"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/safepoint-db/safepoint"
)

// Operations is one page of the organization's DB Logs, newest first. A cursor names a row and a direction, so what
// is added or deleted between two pages neither repeats nor hides a row. Deleted backups are not listed.
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
	filter := logCondition(orgID, f)

	page.Operations, err = c.logRows(ctx, filter, at, limit)
	if err == nil && at.newer && len(page.Operations) < limit {
		// The newest page was reached: show it full.
		page.Operations, err = c.logRows(ctx, filter, logCursor{}, limit)
	}
	if err != nil {
		return page, err
	}
	// Counting is what costs with a million rows: count nothing twice.
	everything := logCondition(orgID, safepoint.OperationFilter{})
	if page.All, err = c.count(ctx, everything); err != nil {
		return page, err
	}
	page.Total = page.All
	if filter.sql != everything.sql {
		if page.Total, err = c.count(ctx, filter); err != nil {
			return page, err
		}
	}
	if len(page.Operations) == 0 {
		if !at.isZero() {
			page.Offset, page.Previous = page.Total, logCursor{true, at.ms, at.id}.String()
		}
		return page, nil
	}
	first, last := page.Operations[0], page.Operations[len(page.Operations)-1]
	if !at.isZero() {
		newer := filter.and(logCursor{true, toMillis(first.CreatedAt), first.ID})
		if page.Offset, err = c.count(ctx, newer); err != nil {
			return page, err
		}
	}
	if page.Offset > 0 {
		page.Previous = logCursor{true, toMillis(first.CreatedAt), first.ID}.String()
	}
	if page.Offset+len(page.Operations) < page.Total {
		page.Next = logCursor{false, toMillis(last.CreatedAt), last.ID}.String()
	}
	return page, nil
}

// logRows reads up to limit rows beside at, newest first.
func (c *Catalog) logRows(ctx context.Context, filter condition, at logCursor, limit int) ([]safepoint.Operation, error) {
	order := ` ORDER BY created_at DESC, id DESC`
	if at.newer {
		order = ` ORDER BY created_at, id`
	}
	filter = filter.and(at)
	ops, err := operations(ctx, c.db, `WHERE `+filter.sql+order+` LIMIT `+strconv.Itoa(limit), filter.args...)
	if at.newer {
		slices.Reverse(ops)
	}
	return ops, err
}

func (c *Catalog) count(ctx context.Context, filter condition) (n int, err error) {
	err = c.db.QueryRowContext(ctx, `SELECT count(*) FROM operations WHERE `+filter.sql, filter.args...).Scan(&n)
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

// and returns the condition restricted to one side of a cursor.
func (w condition) and(at logCursor) condition {
	if at.isZero() {
		return w
	}
	w.args = append(slices.Clone(w.args), at.ms, at.id)
	side := "<"
	if at.newer {
		side = ">"
	}
	w.sql += fmt.Sprintf(" AND (created_at, id) %s ($%d, $%d)", side, len(w.args)-1, len(w.args))
	return w
}

func logCondition(orgID string, f safepoint.OperationFilter) condition {
	// deleted_at = 0 is spelled as in the index operations_log.
	w := condition{sql: "deleted_at = 0"}
	w.add("organization_id = ?", orgID)
	if f.Type != "" {
		w.add("type = ?", string(f.Type))
	}
	if f.Status != "" {
		w.add("status = ?", string(f.Status))
	}
	if f.DatabaseID != "" {
		w.add("database_id = ?", f.DatabaseID)
	}
	if f.ScheduleID != "" {
		w.add("schedule_id = ?", f.ScheduleID)
	}
	if f.Text != "" {
		w.add(`lower(name) LIKE lower(?) ESCAPE '\'`, "%"+escapeLike(f.Text)+"%")
	}
	if !f.From.IsZero() {
		w.add("created_at >= ?", toMillis(f.From))
	}
	if !f.To.IsZero() {
		w.add("created_at < ?", toMillis(f.To))
	}
	return w
}

// escapeLike makes text match itself in LIKE with ESCAPE '\'.
func escapeLike(text string) string {
	return strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`).Replace(text)
}

// logCursor is a place between two rows: just before or after the row (ms, id), looking at newer or older rows.
type logCursor struct {
	newer bool
	ms    int64
	id    string
}

func (c logCursor) isZero() bool { return c.id == "" }

func (c logCursor) String() string {
	side := "o"
	if c.newer {
		side = "n"
	}
	return base64.RawURLEncoding.EncodeToString([]byte(side + "." + strconv.FormatInt(c.ms, 36) + "." + c.id))
}

func parseCursor(s string) (logCursor, error) {
	if s == "" {
		return logCursor{}, nil
	}
	raw, err := base64.RawURLEncoding.DecodeString(s)
	parts := strings.SplitN(string(raw), ".", 3)
	if err == nil && len(parts) == 3 && parts[2] != "" && (parts[0] == "n" || parts[0] == "o") {
		if ms, err := strconv.ParseInt(parts[1], 36, 64); err == nil {
			return logCursor{parts[0] == "n", ms, parts[2]}, nil
		}
	}
	return logCursor{}, safepoint.Invalid("cursor", "This page does not exist.").WithHint("Start again from the first page.")
}
