package catalog

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/safepoint-db/safepoint"
)

// AddAudit appends one line to the audit log, giving it an ID, and a time unless it has one.
func (c *Catalog) AddAudit(ctx context.Context, e safepoint.AuditEntry) (safepoint.AuditEntry, error) {
	e.ID = safepoint.NewID(safepoint.AuditPrefix)
	if e.At.IsZero() {
		e.At = c.Now().UTC().Truncate(time.Millisecond)
	}
	_, err := c.db.ExecContext(ctx, `INSERT INTO audit (id, organization_id, at, actor_id, actor_name, ip, via, action,
		object_type, object_id, object_name, outcome, detail) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)`,
		e.ID, e.OrganizationID, toMillis(e.At), e.ActorID, e.ActorName, e.IP, e.Via, e.Action,
		e.ObjectType, e.ObjectID, e.ObjectName, e.Outcome, e.Detail)
	return e, err
}

// CompleteAudit writes the outcome of an action on an object into its line. It says false if there is none that is
// still open.
func (c *Catalog) CompleteAudit(ctx context.Context, objectID, action, outcome, detail string) (bool, error) {
	n, err := c.exec(ctx, `UPDATE audit SET outcome = $1, detail = CASE WHEN $2 = '' THEN detail ELSE $2 END
		WHERE object_id = $3 AND action = $4 AND outcome = ''`, outcome, detail, objectID, action)
	return n > 0, err
}

// OpenAudit are the lines of an action, of every organization, that have no outcome yet, among the newest 100,000.
func (c *Catalog) OpenAudit(ctx context.Context, action string) (open []safepoint.AuditEntry, err error) {
	lines, err := collect(ctx, c.db, scanAudit, `SELECT seq, id, organization_id, at, actor_id, actor_name, ip, via, action,
		object_type, object_id, object_name, outcome, detail FROM audit
		WHERE seq > (SELECT max(seq) FROM audit) - 100000 AND action = $1 AND outcome = '' ORDER BY seq`, action)
	for _, l := range lines {
		open = append(open, l.AuditEntry)
	}
	return open, wrap("read audit", err)
}

// AuditFilter selects lines of the audit log. Zero fields select everything.
type AuditFilter struct {
	Who, What string // parts of the actor's name; of the action, the object's name or its ID
	From, To  time.Time
	Cursor    string
	Limit     int // 0 means 50; 200 at most
}

// AuditPage is one page of the audit log, newest first.
type AuditPage struct {
	Entries        []safepoint.AuditEntry
	Next, Previous string // cursors of the older and the newer page, "" at an end
	Total          int    // lines that match the filter
}

// auditLine is an entry with its place in the log.
type auditLine struct {
	safepoint.AuditEntry
	seq int64
}

func scanAudit(row scanner) (auditLine, error) {
	var e auditLine
	var at int64
	err := row.Scan(&e.seq, &e.ID, &e.OrganizationID, &at, &e.ActorID, &e.ActorName, &e.IP, &e.Via, &e.Action,
		&e.ObjectType, &e.ObjectID, &e.ObjectName, &e.Outcome, &e.Detail)
	e.At = fromMillis(at)
	return e, err
}

// Audit returns one page of an organization's audit log.
func (c *Catalog) Audit(ctx context.Context, orgID string, f AuditFilter) (AuditPage, error) {
	where, args := f.where(orgID)
	var page AuditPage
	if err := c.db.QueryRowContext(ctx, `SELECT count(*) FROM audit WHERE `+where, args...).Scan(&page.Total); err != nil {
		return page, err
	}
	newer, seq, err := parseAuditCursor(f.Cursor)
	if err != nil {
		return page, err
	}
	limit := f.Limit
	if limit <= 0 {
		limit = 50
	}
	limit = min(limit, 200)
	order := "DESC"
	if seq != 0 {
		args = append(args, seq)
		comparison := "<"
		if newer {
			comparison, order = ">", "ASC"
		}
		where += fmt.Sprintf(" AND seq %s $%d", comparison, len(args))
	}
	args = append(args, limit+1)
	lines, err := collect(ctx, c.db, scanAudit, `SELECT seq, id, organization_id, at, actor_id, actor_name, ip, via, action,
		object_type, object_id, object_name, outcome, detail FROM audit WHERE `+where+
		fmt.Sprintf(` ORDER BY seq %s LIMIT $%d`, order, len(args)), args...)
	if err != nil {
		return page, err
	}
	more := len(lines) > limit
	lines = lines[:min(len(lines), limit)]
	if newer {
		slices.Reverse(lines)
	}
	for _, l := range lines {
		page.Entries = append(page.Entries, l.AuditEntry)
	}
	if len(lines) > 0 {
		if newer || more {
			page.Next = "o" + strconv.FormatInt(lines[len(lines)-1].seq, 36)
		}
		if newer && more || !newer && seq != 0 {
			page.Previous = "n" + strconv.FormatInt(lines[0].seq, 36)
		}
	}
	return page, nil
}

// where is the condition of the filter without its cursor, with its arguments.
func (f AuditFilter) where(orgID string) (string, []any) {
	conditions, args := []string{"organization_id = $1"}, []any{orgID}
	add := func(condition string, arg any) {
		args = append(args, arg)
		conditions = append(conditions, strings.ReplaceAll(condition, "?", "$"+strconv.Itoa(len(args))))
	}
	if f.Who != "" {
		add(`(lower(actor_name) LIKE ? ESCAPE '\')`, "%"+escapeLike(strings.ToLower(f.Who))+"%")
	}
	if f.What != "" {
		add(`(action LIKE ? ESCAPE '\' OR lower(object_name) LIKE ? ESCAPE '\' OR object_id LIKE ? ESCAPE '\')`, "%"+escapeLike(strings.ToLower(f.What))+"%")
	}
	if !f.From.IsZero() {
		add(`at >= ?`, toMillis(f.From))
	}
	if !f.To.IsZero() {
		add(`at < ?`, toMillis(f.To))
	}
	return strings.Join(conditions, " AND "), args
}

func parseAuditCursor(cursor string) (newer bool, seq int64, err error) {
	if cursor == "" {
		return false, 0, nil
	}
	seq, err = strconv.ParseInt(cursor[1:], 36, 64)
	if err != nil || seq <= 0 || cursor[0] != 'o' && cursor[0] != 'n' {
		return false, 0, safepoint.Invalid("cursor", "This page of the list is not there. Start from the first one.")
	}
	return cursor[0] == 'n', seq, nil
}
