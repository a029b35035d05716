package postgres

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/safepoint-db/safepoint"
)

// table is one that users made, or whose rows an extension wants backed up.
type table struct {
	oid         uint32
	schema      string
	name        string
	partitioned bool     // rows are in its partitions
	config      bool     // extension configuration
	condition   string   // of it: "WHERE …" of the rows that are the user's; "" is all
	columns     []string // those that are stored, in their order
	readable    bool     // the user may SELECT from it
	hidden      bool     // row security hides rows from the user
}

func (t table) String() string { return qualified(t.schema, t.name) }

// copyTarget is `"s"."t" ("a","b")`. A table without stored columns has no list.
func (t table) copyTarget() string {
	if len(t.columns) == 0 {
		return t.String()
	}
	return t.String() + " (" + quotedList(t.columns) + ")"
}

func quotedList(names []string) string {
	quoted := make([]string, len(names))
	for i, n := range names {
		quoted[i] = ident(n)
	}
	return strings.Join(quoted, ",")
}

// copySource is what COPY … TO takes. Extension configuration is read by a query, for its condition.
func (t table) copySource() string {
	if t.condition == "" {
		return t.copyTarget()
	}
	return "(SELECT " + quotedList(t.columns) + " FROM ONLY " + t.String() + " " + t.condition + ")"
}

// userSchemas are those that are not PostgreSQL's own; n is pg_namespace.
const userSchemas = `n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'`

// notOfExtension leaves out what an extension made, unless it says that its content is the user's; c is pg_class.
const configOfExtension = `LEFT JOIN (SELECT unnest(extconfig) AS oid, unnest(extcondition) AS condition FROM pg_catalog.pg_extension) x ON x.oid = c.oid`
const notOfExtension = `(x.oid IS NOT NULL OR NOT EXISTS (SELECT FROM pg_catalog.pg_depend d
  WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = c.oid AND d.deptype = 'e'))`

// Nothing in it waits for a table's lock: pg_relation_size would.
const listTables = `
SELECT c.oid, n.nspname::text, c.relname::text, c.relkind = 'p', x.oid IS NOT NULL, coalesce(x.condition, ''),
  pg_catalog.has_schema_privilege(n.oid, 'USAGE') AND pg_catalog.has_table_privilege(c.oid, 'SELECT'),
  pg_catalog.row_security_active(c.oid)
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace ` + configOfExtension + `
WHERE ` + isTable + `
ORDER BY 2, 3`

const isTable = `c.relkind IN ('r', 'p') AND c.relpersistence <> 't' AND ` + userSchemas + ` AND ` + notOfExtension

// No arrays: the client reads them as UTF-8, which names need not be. Columns of a child table are in the order of their
// names: where a column was added to its parent later, the restored table has them in another order of its own.
const listColumns = `
SELECT a.attrelid, a.attname::text
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace ` + configOfExtension + `
JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
WHERE ` + isTable + `
ORDER BY a.attrelid,
  CASE WHEN NOT c.relispartition AND EXISTS (SELECT FROM pg_catalog.pg_inherits i WHERE i.inhrelid = c.oid) THEN a.attname END, a.attnum`

// tables lists what is to be dumped or digested.
func tables(ctx context.Context, conn *pgx.Conn) ([]table, error) {
	list, err := namedTables(ctx, conn)
	if err != nil {
		return nil, err
	}
	rows, err := conn.Query(ctx, listColumns)
	if err != nil {
		return nil, fmt.Errorf("list columns: %w", err)
	}
	c := columnLists{tables: make(map[uint32]*table, len(list)), known: map[string][]string{}}
	for i := range list {
		c.tables[list[i].oid] = &list[i]
	}
	var oid uint32
	var name pgtype.DriverBytes // good until the next row
	_, err = pgx.ForEachRow(rows, []any{&oid, &name}, func() error { c.add(oid, name); return nil })
	if err != nil {
		return nil, fmt.Errorf("list columns: %w", err)
	}
	c.end()
	return list, nil
}

// columnLists takes the columns of tables, one after the other. Tables whose columns have the same names share one list of them:
// where tables are many, most of them are alike.
type columnLists struct {
	tables map[uint32]*table
	known  map[string][]string
	oid    uint32 // of the table whose columns come
	names  []byte // of them so far, each behind its length
	count  int
}

func (c *columnLists) add(oid uint32, name []byte) {
	if oid != c.oid {
		c.end()
		c.oid = oid
	}
	c.names = append(binary.AppendUvarint(c.names, uint64(len(name))), name...)
	c.count++
}

// end gives a table its list.
func (c *columnLists) end() {
	if t := c.tables[c.oid]; t != nil && c.count > 0 {
		list, known := c.known[string(c.names)]
		if !known {
			all := string(c.names)
			for rest := c.names; len(rest) > 0; {
				length, size := binary.Uvarint(rest)
				from := len(c.names) - len(rest) + size
				list = append(list, all[from:from+int(length)])
				rest = c.names[from+int(length):]
			}
			list = slices.Clip(list)
			c.known[all] = list
		}
		t.columns = list
	}
	c.names, c.count = c.names[:0], 0
}

// namedTables is tables without their columns.
func namedTables(ctx context.Context, conn *pgx.Conn) ([]table, error) {
	rows, err := conn.Query(ctx, listTables)
	if err != nil {
		return nil, fmt.Errorf("list tables: %w", err)
	}
	schema := "" // one text for all tables in it
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (t table, err error) {
		err = row.Scan(&t.oid, &t.schema, &t.name, &t.partitioned, &t.config, &t.condition, &t.readable, &t.hidden)
		if t.schema == schema {
			t.schema = schema
		}
		schema = t.schema
		return t, err
	})
	if err != nil {
		return nil, fmt.Errorf("list tables: %w", err)
	}
	return list, nil
}

// unreadable names what keeps the user from dumping everything, nil if nothing does.
func unreadable(user string, list []table) *safepoint.Error {
	var denied, hidden []string
	for _, t := range list {
		switch {
		case !t.readable:
			denied = append(denied, t.String())
		case t.hidden:
			hidden = append(hidden, t.String())
		}
	}
	switch {
	case denied != nil:
		return safepoint.Errorf(safepoint.CodePrivilege, "The user %s may not read %s. A backup without it would not be one.", user, naming(denied)).
			WithHint("GRANT SELECT on it (and USAGE on its schema) to %s, or back up as the database's owner.", user)
	case hidden != nil:
		return safepoint.Errorf(safepoint.CodePrivilege, "Row security hides rows of %s from the user %s. A backup without them would not be one.", naming(hidden), user).
			WithHint("Back up as the tables' owner, or give %s BYPASSRLS.", user)
	}
	return nil
}

// naming lists a few names and counts the rest.
func naming(names []string) string {
	const few = 5
	if len(names) <= few {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:few], ", "), len(names)-few)
}

// errMoved says that tables came or went before all were locked.
var errMoved = errors.New("tables came or went")

// lockTables begins the transaction of a dump: every table is locked against TRUNCATE and ALTER first (neither heeds
// a snapshot), and only then the snapshot is taken. beside, nil or not, is a session that gets the same locks in a
// transaction of its own, as yet without a snapshot: see lockBoth.
func lockTables(ctx context.Context, conn *pgx.Conn, beside *pgconn.PgConn, user string) ([]table, error) {
	const tries = 20
	for try := 1; ; try++ {
		list, batch, err := lockOnce(ctx, conn, beside, user)
		if !errors.Is(err, errMoved) && !errors.Is(err, errQueued) {
			return list, err
		}
		if try == tries && errors.Is(err, errQueued) {
			return nil, whoBlocks(ctx, conn, batch, err)
		}
		if err := rollBack(ctx, conn, beside); err != nil {
			return nil, err
		}
		if try == tries {
			return nil, safepoint.Errorf(safepoint.CodeBlocked, "Tables are made and dropped all the time: no moment was found to begin the backup.").
				WithHint("Try again when less is going on.")
		}
	}
}

func rollBack(ctx context.Context, conn *pgx.Conn, beside *pgconn.PgConn) error {
	if err := script(ctx, conn, "ROLLBACK"); err != nil {
		return err
	}
	if beside == nil {
		return nil
	}
	return beside.Exec(ctx, "ROLLBACK").Close()
}

// errQueued says that somebody asked for a table for himself after one of two sessions had locked it and before the
// other did: he waits for the first, and the second for him.
var errQueued = errors.New("another session waits for a table")

// queuedGrace is how long the second session may go on waiting when the first has its locks.
const queuedGrace = 300 * time.Millisecond

// lockBoth executes LOCK in two sessions at once: where both wait for the same transaction to end, both go on when it
// has. Were the second to lock later, it would nearly always find somebody waiting in a database whose tables are
// altered or emptied all the time.
func lockBoth(ctx context.Context, conn *pgx.Conn, beside *pgconn.PgConn, sql string) error {
	if beside == nil {
		return script(ctx, conn, sql)
	}
	ctxBeside, cancel := context.WithCancel(ctx)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- beside.Exec(ctxBeside, sql).Close() }()
	if err := script(ctx, conn, sql); err != nil {
		cancel()
		<-done
		return err
	}
	grace := time.NewTimer(queuedGrace)
	defer grace.Stop()
	var err error
	select {
	case err = <-done:
	case <-grace.C:
		cancel()
		err = <-done
	}
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	case ctxBeside.Err() != nil, state(err) == stateLockNotAvailable, state(err) == stateDeadlock:
		return errQueued
	}
	return err
}

func lockOnce(ctx context.Context, conn *pgx.Conn, beside *pgconn.PgConn, user string) (list, last []table, err error) {
	before, err := namedTables(ctx, conn)
	if err != nil {
		return nil, nil, err
	}
	if err := unreadable(user, before); err != nil {
		return nil, nil, err
	}
	const begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
	if err := script(ctx, conn, begin); err != nil {
		return nil, nil, err
	}
	if beside != nil {
		if err := beside.Exec(ctx, begin).Close(); err != nil {
			return nil, nil, err
		}
	}
	for batch := range slices.Chunk(before, 200) {
		names := make([]string, len(batch))
		for i, t := range batch {
			names[i] = "ONLY " + t.String()
		}
		err := lockBoth(ctx, conn, beside, "LOCK TABLE "+strings.Join(names, ", ")+" IN ACCESS SHARE MODE")
		if errors.Is(err, errQueued) {
			return nil, batch, err
		}
		switch state(err) {
		case "":
			if err != nil {
				return nil, nil, err
			}
		case "42P01", "3F000": // a table or schema has gone
			return nil, nil, errMoved
		case stateLockNotAvailable:
			return nil, nil, whoBlocks(ctx, conn, batch, err)
		default:
			return nil, nil, fmt.Errorf("lock tables: %w", err)
		}
	}
	after, err := tables(ctx, conn)
	if err != nil {
		return nil, nil, err
	}
	same := slices.EqualFunc(before, after, func(a, b table) bool { return a.oid == b.oid && a.String() == b.String() })
	if !same {
		return nil, nil, errMoved
	}
	return after, nil, unreadableOrNil(user, after)
}

// stillNamed makes sure that what was read under the tables' names were the tables: a lock keeps a table from being
// renamed, and not its schema. A session that is in a transaction may not have heard of that, so conn is in none, as the
// relay's is when pg_dump has left it; the lead has the locks.
func stillNamed(ctx context.Context, conn *pgconn.PgConn, list []table) error {
	moved := 0
	for part := range slices.Chunk(list, 10_000) {
		names, oids := make([]string, len(part)), make([]string, len(part))
		for i, t := range part {
			names[i], oids[i] = literal(t.String()), strconv.FormatUint(uint64(t.oid), 10)
		}
		results, err := conn.Exec(ctx, "SELECT count(*) FROM ROWS FROM (pg_catalog.unnest(ARRAY["+strings.Join(names, ",")+"]::text[]), pg_catalog.unnest('{"+strings.Join(oids, ",")+`}'::oid[])) AS l (name, oid)
WHERE pg_catalog.to_regclass(l.name)::oid IS DISTINCT FROM l.oid`).ReadAll()
		if err != nil {
			return fmt.Errorf("look for renamed schemas: %w", err)
		}
		n, err := strconv.Atoi(string(results[0].Rows[0][0]))
		if err != nil {
			return fmt.Errorf("look for renamed schemas: %w", err)
		}
		moved += n
	}
	if moved > 0 {
		return safepoint.Errorf(safepoint.CodeBlocked, "A schema was renamed while the backup was made: %d tables are no longer where they were.", moved).
			WithHint("Try again.")
	}
	return nil
}

// unreadableOrNil keeps a nil *safepoint.Error from becoming an error that is not nil.
func unreadableOrNil(user string, list []table) error {
	if err := unreadable(user, list); err != nil {
		return err
	}
	return nil
}

// whoBlocks names the table and the session that kept us from locking it.
func whoBlocks(ctx context.Context, conn *pgx.Conn, batch []table, cause error) error {
	oids := make([]uint32, len(batch))
	for i, t := range batch {
		oids[i] = t.oid
	}
	blocked := safepoint.Errorf(safepoint.CodeBlocked, "A table is locked by another session.")
	if err := script(ctx, conn, "ROLLBACK"); err == nil {
		var name, who string
		err = conn.QueryRow(ctx, `SELECT l.relation::pg_catalog.regclass::text,
  pg_catalog.format('session %s of user %s (%s)', a.pid, a.usename, coalesce(nullif(a.application_name, ''), 'no name'))
FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_stat_activity a USING (pid)
WHERE l.locktype = 'relation' AND l.relation = ANY ($1::oid[]) AND l.mode = 'AccessExclusiveLock'
ORDER BY l.granted DESC LIMIT 1`, oids).Scan(&name, &who)
		if err == nil {
			blocked = safepoint.Errorf(safepoint.CodeBlocked, "The table %s is locked by %s.", name, who)
		}
	}
	return blocked.WithHint("Wait until that session has finished, or end it, and try again.").WithCause(cause)
}
