package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/safepoint-db/safepoint/internal/engine"
)

// openWorkers opens so many sessions, or those for which the server has room: a limit on connections makes the work
// slower and not impossible.
func openWorkers(ctx context.Context, t engine.Target, n int) ([]*pgx.Conn, error) {
	var workers []*pgx.Conn
	for range n {
		conn, err := connectContent(ctx, t)
		if err != nil {
			if state(err) == stateTooManyConns {
				return workers, nil
			}
			hangUpAll(workers)
			return nil, err
		}
		workers = append(workers, conn)
	}
	return workers, nil
}

func hangUpAll(conns []*pgx.Conn) {
	for _, c := range conns {
		hangUp(c)
	}
}

// readPlan makes the server read a range of pages as such, and never by way of the whole table; and nothing but tables:
// a view that somebody put in a table's place, by renaming its schema, would execute what he likes with our rights.
const readPlan = "SET LOCAL enable_seqscan = off; SET LOCAL max_parallel_workers_per_gather = 0; SET LOCAL jit = off; " +
	"SELECT pg_catalog.set_config(name, 'view, foreign-table', true) FROM pg_catalog.pg_settings WHERE name = 'restrict_nonsystem_relation_kind'"

// enter begins a transaction that sees what the lead's snapshot sees, in a session that reads rows.
func enter(ctx context.Context, conn *pgx.Conn, snapshot string) error {
	for _, sql := range []string{
		"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
		"SET TRANSACTION SNAPSHOT " + literal(snapshot),
		readPlan,
	} {
		if err := script(ctx, conn, sql); err != nil {
			return fmt.Errorf("share the snapshot: %w", err)
		}
	}
	return nil
}
