package catalog

import (
	"cmp"
	"context"
	"encoding/json"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/safepoint-db/safepoint"
)

// AddAudit appends one line to the audit log, giving it an ID, and a time unless it has one.
func (c *Catalog) AddAudit(ctx context.Context, e safepoint.AuditEntry) (safepoint.AuditEntry, error) {
	e, err := c.addAudit(ctx, c.db, e)
	return e, wrap("write audit log", err)
}

func (c *Catalog) addAudit(ctx context.Context, q execer, e safepoint.AuditEntry) (safepoint.AuditEntry, error) {
	e.ID = safepoint.NewID(safepoint.AuditPrefix)
	if e.At.IsZero() {
		e.At = c.Now().UTC().Truncate(time.Millisecond)
	}
	changes := ""
	if len(e.Changes) > 0 {
		b, err := json.Marshal(e.Changes)
		if err != nil {
			return e, err
		}
		changes = string(b)
	}
	_, err := q.ExecContext(ctx, `INSERT INTO audit (id, organization_id, at, actor_id, actor_name, ip, via, action,
		object_type, object_id, object_name, outcome, detail, changes) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)`,
		e.ID, e.OrganizationID, toMillis(e.At), e.ActorID, e.ActorName, e.IP, e.Via, e.Action,
		e.ObjectType, e.ObjectID, e.ObjectName, e.Outcome, e.Detail, changes)
	return e, err
}

// EndAudit writes the outcome of one line, if it is still open.
func (c *Catalog) EndAudit(ctx context.Context, id, outcome, detail string) error {
	_, err := c.exec(ctx, `UPDATE audit SET outcome = $1, detail = CASE WHEN $2 = '' THEN detail ELSE $2 END WHERE id = $3 AND outcome = ''`, outcome, detail, id)
	return wrap("complete audit line", err)
}

// auditOperation writes how an operation ended into the line of who asked for it, in the transaction that ends it. One that
// nobody asked for (a scheduled run, a safety backup) gets its line here.
func (c *Catalog) auditOperation(ctx context.Context, tx *transaction, op safepoint.Operation) error {
	detail := ""
	if op.Failure != nil {
		detail = op.Failure.Message
	}
	n, err := affected(tx.ExecContext(ctx, `UPDATE audit SET outcome = $1, detail = CASE WHEN $2 = '' THEN detail ELSE $2 END
		WHERE object_id = $3 AND action = $4 AND outcome = ''`, string(op.Status), detail, op.ID, op.Action()))
	if err != nil || n > 0 {
		return err
	}
	_, err = c.addAudit(ctx, tx, safepoint.AuditEntry{
		OrganizationID: op.OrganizationID, ActorID: op.CreatedBy, ActorName: cmp.Or(op.CreatedByName, "Scheduler"), Via: "system",
		Action: op.Action(), ObjectType: "operation", ObjectID: op.ID, ObjectName: op.Name, Outcome: string(op.Status), Detail: detail,
	})
	return err
}

// OpenAudit are the lines of an action, of every organization, that have no outcome yet, among the newest 100,000.
func (c *Catalog) OpenAudit(ctx context.Context, action string) (open []safepoint.AuditEntry, err error) {
	lines, err := collect(ctx, c.db, scanAudit, `SELECT `+auditColumns+` FROM audit
		WHERE seq > (SELECT max(seq) FROM audit) - 100000 AND action = $1 AND outcome = '' ORDER BY seq`, action)
	for _, l := range lines {
		open = append(open, l.AuditEntry)
	}
	return open, wrap("read audit", err)
}

// AuditFilter selects lines of the audit log. Zero fields select everything.
type AuditFilter struct {
	Who, What string // parts of the actor's name; of the action, the object's name or its ID
	Action    string // exactly this one
	From, To  time.Time
	Cursor    string
	Limit     int  // 0 means 50; 200 at most
	Uncounted bool // AuditPage.Total is not needed
}

// AuditPage is one page of the audit log, newest first.
type AuditPage struct {
	Entries        []safepoint.AuditEntry
	Next, Previous string // cursors of the older and the newer page, "" at an end
	Total          int    // lines that match the filter
	More           bool   // there are more than Total: of those that match Who or What, only the newest are counted
}

// auditLine is an entry with its place in the log.
type auditLine struct {
	safepoint.AuditEntry
	seq int64
}

const auditColumns = `seq, id, organization_id, at, actor_id, actor_name, ip, via, action, object_type, object_id, object_name, outcome, detail, changes`

func scanAudit(row scanner) (auditLine, error) {
	var e auditLine
	var at int64
	var changes string
	err := row.Scan(&e.seq, &e.ID, &e.OrganizationID, &at, &e.ActorID, &e.ActorName, &e.IP, &e.Via, &e.Action,
		&e.ObjectType, &e.ObjectID, &e.ObjectName, &e.Outcome, &e.Detail, &changes)
	e.At = fromMillis(at)
	if err == nil && changes != "" {
		err = json.Unmarshal([]byte(changes), &e.Changes)
	}
	return e, err
}

// Audit returns one page of an organization's audit log. Days are counted by a trigger, words are found in an index
// (migration 00015): it reads about as much with a million lines as with a hundred.
func (c *Catalog) Audit(ctx context.Context, orgID string, f AuditFilter) (AuditPage, error) {
	page, err := c.auditPage(ctx, orgID, f)
	if err != nil {
		return AuditPage{}, wrap("read audit log", err)
	}
	return page, nil
}

func (c *Catalog) auditPage(ctx context.Context, orgID string, f AuditFilter) (page AuditPage, err error) {
	newer, seq, err := parseAuditCursor(f.Cursor)
	if err != nil {
		return page, err
	}
	limit := f.Limit
	if limit <= 0 {
		limit = 50
	}
	limit = min(limit, 200)
	l, err := c.auditLines(ctx, orgID, f)
	if err != nil || l.first > l.last {
		return page, err
	}
	if l.words, err = c.auditWords(ctx, l); err != nil {
		return page, err
	}
	if f.Uncounted {
		page.Total = 0
	} else if l.who+l.what+l.action == "" {
		page.Total, err = c.countAudit(ctx, l)
	} else if page.Total, err = c.countFound(ctx, l); err == nil && page.Total > c.limits.counted {
		page.Total, page.More = c.limits.counted, true
	}
	if err != nil {
		return page, err
	}
	order := "DESC"
	if newer {
		l.first, order = max(l.first, seq+1), "ASC"
	} else if seq != 0 {
		l.last = min(l.last, seq-1)
	}
	from, by, w, err := c.auditSource(ctx, l)
	if err != nil {
		return page, err
	}
	lines, err := collect(ctx, c.db, scanAudit, `SELECT `+auditColumns+from+` WHERE `+w.sql+` ORDER BY `+by+` `+order+` LIMIT `+strconv.Itoa(limit+1), w.args...)
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

// auditLines are the lines that a filter selects: of numbers first to last, made from from (inclusive) to to (exclusive).
type auditLines struct {
	orgID, who, what string
	action           string
	first, last      int64
	from, to         int64
	words            string // what the index of words is asked for; "" if it cannot help
}

const (
	msPerDay = 24 * 60 * 60 * 1000
	maxTime  = math.MaxInt64
)

// auditLines reads a filter. What was made between two times lies between two numbers; the counts by day know which.
func (c *Catalog) auditLines(ctx context.Context, orgID string, f AuditFilter) (auditLines, error) {
	l := auditLines{orgID: orgID, who: f.Who, what: f.What, action: f.Action, last: math.MaxInt64, to: maxTime}
	if f.From.IsZero() && f.To.IsZero() {
		return l, nil
	}
	if !f.From.IsZero() {
		l.from = toMillis(f.From)
	}
	if !f.To.IsZero() {
		l.to = toMillis(f.To)
	}
	err := c.db.QueryRowContext(ctx, `SELECT coalesce(min(first_seq), 1), coalesce(max(last_seq), 0) FROM audit_counts
		WHERE organization_id = $1 AND day >= $2 AND day <= $3`, orgID, l.from/msPerDay, (l.to-1)/msPerDay).Scan(&l.first, &l.last)
	return l, err
}

// countAudit counts exactly the lines of l, whatever words it asks for.
func (c *Catalog) countAudit(ctx context.Context, l auditLines) (total int, err error) {
	first, last := (l.from+msPerDay-1)/msPerDay, l.to/msPerDay // whole days
	edges := [][2]int64{{l.from, min(first*msPerDay, l.to)}}
	if first <= last {
		err = c.db.QueryRowContext(ctx, `SELECT coalesce(sum(n), 0) FROM audit_counts WHERE organization_id = $1 AND day >= $2 AND day < $3`,
			l.orgID, first, last).Scan(&total)
		edges = append(edges, [2]int64{last * msPerDay, l.to})
	}
	for _, edge := range edges {
		if err != nil || edge[0] >= edge[1] || edge[1] == maxTime {
			continue
		}
		var n int
		err = c.db.QueryRowContext(ctx, `SELECT count(*) FROM audit JOIN audit_counts d ON d.organization_id = audit.organization_id AND d.day = $4
			WHERE audit.organization_id = $1 AND seq >= d.first_seq AND seq <= d.last_seq AND at >= $2 AND at < $3`,
			l.orgID, edge[0], edge[1], edge[0]/msPerDay).Scan(&n)
		total += n
	}
	return total, err
}

// countFound counts the lines of l, one more than are counted at most.
func (c *Catalog) countFound(ctx context.Context, l auditLines) (n int, err error) {
	from, by, w, err := c.auditSource(ctx, l)
	if err != nil {
		return 0, err
	}
	err = c.db.QueryRowContext(ctx, `SELECT count(*) FROM (SELECT 1`+from+` WHERE `+w.sql+` ORDER BY `+by+` DESC LIMIT `+strconv.Itoa(c.limits.counted+1)+`)`, w.args...).Scan(&n)
	return n, err
}

// auditWords asks the index of words for the lines that may have the words of l: those of three letters and more.
func (c *Catalog) auditWords(ctx context.Context, l auditLines) (string, error) {
	var terms []term
	for _, part := range []struct {
		column int
		text   string
	}{{0, l.who}, {1, l.what}, {1, l.action}} {
		if searchable(part.text) && utf8.RuneCountInString(part.text) >= piece {
			terms = append(terms, pieces(part.text, part.column)...)
		}
	}
	if len(terms) == 0 {
		return "", nil
	}
	letters, err := c.letters(ctx, l.orgID)
	if err != nil {
		return "", err
	}
	terms = append([]term{{piece: letters}}, terms...)
	var first, last int64
	if err := c.db.QueryRowContext(ctx, `SELECT coalesce((SELECT min(seq) FROM audit), 0), coalesce((SELECT max(seq) FROM audit), 0)`).Scan(&first, &last); err != nil {
		return "", err
	}
	terms, err = c.rare(ctx, auditWords, max(first, l.first), min(last, l.last), terms)
	return auditWords.match(terms), err
}

// searchable says whether an index of words has what text has.
func searchable(text string) bool { return utf8.ValidString(text) && !strings.ContainsRune(text, 0) }

// auditSource is where lines of l are read from, by which column they are in order there, and on which condition. What
// the index of words finds is compared with them; words that it does not have are looked for line by line.
func (c *Catalog) auditSource(ctx context.Context, l auditLines) (from, by string, w condition, err error) {
	from, by, w = ` FROM audit`, `seq`, condition{sql: "1 = 1"}
	for _, text := range []string{l.who, l.what, l.action} {
		if text == "" || !searchable(text) || !isASCII(text) || utf8.RuneCountInString(text) >= piece {
			continue
		}
		n, err := c.countPieces(ctx, "audit_pieces", text)
		if err != nil {
			return "", "", w, err
		}
		if n <= c.limits.pieces {
			w.add(`seq IN (SELECT doc FROM audit_pieces WHERE term >= lower(?) AND term < lower(?)||char(1114111))`, text)
		}
	}
	if l.words != "" {
		// In the order of the index it is read only until enough is found.
		from, by = ` FROM audit_words CROSS JOIN audit ON seq = audit_words.rowid`, `audit_words.rowid`
		w.add(`audit_words MATCH ?`, l.words)
		w.add(`audit_words.rowid >= ?`, l.first)
		w.add(`audit_words.rowid <= ?`, l.last)
	} else {
		w.add(`seq >= ?`, l.first)
		w.add(`seq <= ?`, l.last)
	}
	w.add(`organization_id = ?`, l.orgID)
	if l.who != "" {
		w.add(`actor_name LIKE ? ESCAPE '\'`, "%"+escapeLike(l.who)+"%")
	}
	if l.what != "" {
		w.add(`(action LIKE ? ESCAPE '\' OR object_name LIKE ? ESCAPE '\' OR object_id LIKE ? ESCAPE '\')`, "%"+escapeLike(l.what)+"%")
	}
	if l.action != "" {
		w.add(`action = ?`, l.action)
	}
	if l.from != 0 {
		w.add(`at >= ?`, l.from)
	}
	if l.to != maxTime {
		w.add(`at < ?`, l.to)
	}
	return from, by, w, nil
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
