package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/engine"
)

// What hangs on a database's identity and does not follow its name: prepared transactions, logical replication slots and
// subscriptions. Each keeps a rename or a drop from taking place, or would be lost with what was set aside.

// nothingAttached refuses a switch of the database called name while something hangs on it.
func nothingAttached(ctx context.Context, conn *pgx.Conn, name string) error {
	if err := noPreparedTransactions(ctx, conn, name); err != nil {
		return err
	}
	if err := noSlots(ctx, conn, name); err != nil {
		return err
	}
	return noSubscriptions(ctx, conn, name)
}

// attachedTo are queries that find what hangs on the database of an OID, $1 for each: what nothingAttached looks for.
const (
	preparedIn = "SELECT FROM pg_catalog.pg_prepared_xacts x JOIN pg_catalog.pg_database d ON d.datname = x.database WHERE d.oid::text = "
	slotsIn    = "SELECT FROM pg_catalog.pg_replication_slots s JOIN pg_catalog.pg_database d ON d.datname = s.database WHERE d.oid::text = "
	subscribed = "SELECT FROM pg_catalog.pg_subscription WHERE subdbid::text = "
)

// refuseAttached raises stateAttached, which undoes the whole switch, if one of the queries finds something of the
// database: it came since the last look. The server would wait for a prepared transaction in vain, five seconds each time.
func refuseAttached(oid string, queries ...string) string {
	b := strings.Builder{}
	b.WriteString("DO $safepoint$ BEGIN\n")
	for _, q := range queries {
		fmt.Fprintf(&b, "  IF EXISTS (%s%s) THEN RAISE EXCEPTION USING ERRCODE = '%s', MESSAGE = 'something hangs on the database'; END IF;\n", q, literal(oid), stateAttached)
	}
	b.WriteString("END $safepoint$;\n")
	return b.String()
}

// whatIsAttached says in words why a switch was refused with stateAttached. What is gone by now is no reason to give up:
// the caller may look again.
func whatIsAttached(ctx context.Context, conn *pgx.Conn, name string, look func(context.Context, *pgx.Conn, string) error, cause error) error {
	if err := look(ctx, conn, name); err != nil {
		return err
	}
	return safepoint.Errorf(safepoint.CodeConflict, "Something hung on the database %s for a moment: a prepared transaction, a replication slot or a subscription.", name).
		WithHint("Nothing was switched. Start the restore again.").WithCause(cause)
}

func noPreparedTransactions(ctx context.Context, conn *pgx.Conn, name string) error {
	gids, err := column(ctx, conn, "SELECT gid FROM pg_catalog.pg_prepared_xacts WHERE database = $1::text::name ORDER BY prepared", name)
	if err != nil {
		return fmt.Errorf("look for prepared transactions: %w", err)
	}
	if len(gids) == 0 {
		return nil
	}
	return safepoint.Errorf(safepoint.CodeBlocked, "Prepared transactions wait in %s: %s.", name, naming(gids)).
		WithHint("COMMIT PREPARED or ROLLBACK PREPARED each of them; only you know which.")
}

// slot is a logical replication slot.
type slot struct {
	name   string
	active bool
}

func slotsOf(ctx context.Context, conn *pgx.Conn, name string) (slots []slot, err error) {
	rows, err := conn.Query(ctx, "SELECT slot_name::text, active FROM pg_catalog.pg_replication_slots WHERE database = $1::text::name ORDER BY active DESC, 1", name)
	if err == nil {
		slots, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (s slot, err error) { return s, row.Scan(&s.name, &s.active) })
	}
	if err != nil {
		return nil, fmt.Errorf("look for replication slots: %w", err)
	}
	return slots, nil
}

// described names slots, and which of them are being read.
func described(slots []slot) string {
	names := make([]string, len(slots))
	for i, s := range slots {
		names[i] = s.name
		if s.active {
			names[i] += " (being read now)"
		}
	}
	return naming(names)
}

func dropSlots(slots []slot) string {
	names := make([]string, min(3, len(slots)))
	for i := range names {
		names[i] = fmt.Sprintf("SELECT pg_drop_replication_slot(%s)", strings.TrimLeft(literal(slots[i].name), " "))
	}
	return strings.Join(names, "; ")
}

// noSlots: a slot stays with the earlier database, and is dropped with it.
func noSlots(ctx context.Context, conn *pgx.Conn, name string) error {
	slots, err := slotsOf(ctx, conn, name)
	if err != nil || len(slots) == 0 {
		return err
	}
	return safepoint.Errorf(safepoint.CodeBlocked, "Logical replication reads from %s: %s. A slot stays with the earlier database and is lost when that is dropped; the restored one is not what its reader could go on from.", name, described(slots)).
		WithHint("Stop the reader and drop the slot: %s. Let the reader take a new copy after the restore.", dropSlots(slots))
}

func noSubscriptions(ctx context.Context, conn *pgx.Conn, name string) error {
	names, err := column(ctx, conn, "SELECT subname::text FROM pg_catalog.pg_subscription WHERE subdbid = (SELECT oid FROM pg_catalog.pg_database WHERE datname = $1::text::name) ORDER BY 1", name)
	if err != nil {
		return fmt.Errorf("look for subscriptions: %w", err)
	}
	if len(names) == 0 {
		return nil
	}
	return safepoint.Errorf(safepoint.CodeBlocked, "The database %s subscribes to another: %s. Its rows would go on arriving in the earlier database.", name, naming(names)).
		WithHint("DROP SUBSCRIPTION first, and create it anew after the restore.")
}

// standbysOf counts servers that follow this one. A reader of logical changes is none, nor is a program that keeps the log.
const standbysOf = `SELECT count(*) FROM pg_catalog.pg_stat_replication r WHERE application_name NOT IN ('safepoint', 'pg_receivewal', 'pg_basebackup')
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_replication_slots s WHERE s.active_pid = r.pid AND s.slot_type = 'logical')`

// unsubscribe makes the subscriptions of a database that was just loaded such that nothing starts them and that they can
// be dropped without the other server: they were made without connecting, but name the slot of the database they come from.
func unsubscribe(ctx context.Context, conn *pgx.Conn) error {
	statements, err := column(ctx, conn, `SELECT 'ALTER SUBSCRIPTION ' || pg_catalog.quote_ident(subname) || ' SET (slot_name = NONE)' FROM pg_catalog.pg_subscription
WHERE subdbid = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()) AND NOT subenabled AND subslotname IS NOT NULL`)
	if err != nil {
		return fmt.Errorf("look for subscriptions: %w", err)
	}
	for _, s := range statements {
		if err := script(ctx, conn, s); err != nil {
			return fmt.Errorf("part a subscription from its slot: %w", err)
		}
	}
	return nil
}

// mayGo refuses to drop a database with a slot in it, which the server would drop along or wait for, and drops what
// subscriptions a load left in staging, for the server drops no database that has one.
func mayGo(ctx context.Context, conn *pgx.Conn, t engine.Target, name, role string) error {
	slots, err := slotsOf(ctx, conn, name)
	if err != nil {
		return err
	}
	if len(slots) > 0 {
		return safepoint.Errorf(safepoint.CodeNeedsOperator, "Logical replication reads from %s, which was to be dropped: %s.", name, described(slots)).
			WithHint("Its reader would lose its place. If nobody needs it: %s. Then %s is dropped.", dropSlots(slots), name)
	}
	err = noSubscriptions(ctx, conn, name)
	if err == nil || safepoint.ErrorCode(err) != safepoint.CodeBlocked {
		return err
	}
	if role == roleStaging {
		if err := dropSubscriptions(ctx, t, name); err != nil {
			return err
		}
		if err = noSubscriptions(ctx, conn, name); err == nil {
			return nil
		}
	}
	var known *safepoint.Error
	errors.As(err, &known)
	return safepoint.Errorf(safepoint.CodeNeedsOperator, "%s was to be dropped. %s", name, known.Message).
		WithHint("The server drops no database with a subscription. In %s: DROP SUBSCRIPTION each of them. Then it is dropped.", name)
}

// dropSubscriptions drops those that were parted from their slots and start nothing.
func dropSubscriptions(ctx context.Context, t engine.Target, name string) error {
	t.Name = name
	conn, err := connect(ctx, t)
	if err != nil {
		return err
	}
	defer hangUp(conn)
	if err := unsubscribe(ctx, conn); err != nil {
		return err
	}
	statements, err := column(ctx, conn, `SELECT 'DROP SUBSCRIPTION ' || pg_catalog.quote_ident(subname) FROM pg_catalog.pg_subscription
WHERE subdbid = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()) AND NOT subenabled AND subslotname IS NULL`)
	if err != nil {
		return fmt.Errorf("look for subscriptions: %w", err)
	}
	for _, s := range statements {
		if err := script(ctx, conn, s); err != nil {
			return fmt.Errorf("drop a subscription of the copy: %w", err)
		}
	}
	return nil
}
