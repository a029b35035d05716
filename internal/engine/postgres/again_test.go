package postgres

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/engine"
	"github.com/safepoint-db/safepoint/internal/pgtest"
)

// clash is a database in which our session deadlocks with another as often as a test wants, and is always the one that the
// server ends: it closes the circle, and looks for one sooner.
type clash struct {
	t                 *testing.T
	target            engine.Target
	ours, other, gate *pgx.Conn
	statements        []string // of ours
}

func newClash(t *testing.T) *clash {
	t.Helper()
	c := &clash{t: t, target: pgtest.Create(t, pgtest.Shared(t))}
	pgtest.Exec(t, c.target, "CREATE TABLE a (); CREATE TABLE b ()")
	for _, conn := range []**pgx.Conn{&c.ours, &c.other, &c.gate} {
		opened, err := connectContent(t.Context(), c.target)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { hangUp(opened) })
		*conn = opened
	}
	c.exec(c.ours, "SET deadlock_timeout = '10ms'; SET lock_timeout = 0")
	c.exec(c.other, "SET deadlock_timeout = '1h'; SET lock_timeout = 0; BEGIN; LOCK TABLE public.b; SAVEPOINT only_b")
	c.exec(c.gate, "SELECT pg_advisory_lock(1)")
	c.statements = []string{"COMMENT ON TABLE public.a IS 'ours'", "SELECT pg_advisory_xact_lock(1)", "COMMENT ON TABLE public.b IS 'ours'"}
	return c
}

func (c *clash) exec(conn *pgx.Conn, sql string) {
	c.t.Helper()
	if err := script(c.t.Context(), conn, sql); err != nil {
		c.t.Fatalf("%s: %v", sql, err)
	}
}

// waits polls until a session waits for a lock of a kind.
func (c *clash) waits(conn *pgx.Conn, kind string) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), time.Minute)
	defer cancel()
	for waiting := false; !waiting; {
		err := c.gate.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_locks WHERE pid = $1 AND NOT granted AND locktype = $2)", conn.PgConn().PID(), kind).Scan(&waiting)
		if err != nil {
			c.t.Fatalf("a session does not wait for a lock (%s): %v", kind, err)
		}
	}
}

// once lets our session, which has a and waits at the gate, go for b, while the other has b and waits for a. It returns when
// ours was ended for it, the other has both, and the gate is shut.
func (c *clash) once() {
	c.t.Helper()
	c.waits(c.ours, "advisory")
	locked := make(chan error, 1)
	go func() { locked <- script(c.t.Context(), c.other, "LOCK TABLE public.a") }()
	c.waits(c.other, "relation")
	c.exec(c.gate, "SELECT pg_advisory_unlock(1)")
	if err := <-locked; err != nil {
		c.t.Fatalf("the other session was ended: %v", err)
	}
	c.waits(c.ours, "relation") // for a: it has begun again
	c.exec(c.gate, "SELECT pg_advisory_lock(1)")
}

// TestAgainAfterADeadlock has our session meet a real deadlock twice, and succeed when the other is gone.
func TestAgainAfterADeadlock(t *testing.T) {
	c := newClash(t)
	done := make(chan error, 1)
	go func() { done <- (&privileges{own: c.ours.PgConn()}).again(t.Context(), c.statements) }()
	c.once()
	c.exec(c.other, "ROLLBACK TO only_b")
	c.once()
	c.exec(c.other, "ROLLBACK")
	c.exec(c.gate, "SELECT pg_advisory_unlock(1)")
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	got := pgtest.Query(t, c.target, "SELECT objoid::regclass || ' ' || description FROM pg_description WHERE objoid IN ('a'::regclass, 'b'::regclass) ORDER BY 1")
	if want := []string{"a ours", "b ours"}; !slices.Equal(got, want) {
		t.Errorf("the comments are %q, want %q", got, want)
	}
}

// TestAgainGivesUp has it meet one at every try. The last one's error says who stands in the way, and nothing was done.
func TestAgainGivesUp(t *testing.T) {
	c := newClash(t)
	done := make(chan error, 1)
	go func() { done <- (&privileges{own: c.ours.PgConn()}).again(t.Context(), c.statements) }()
	const tries = 5
	for range tries - 1 {
		c.once()
		c.exec(c.other, "ROLLBACK TO only_b")
	}
	c.waits(c.ours, "advisory")
	locked := make(chan error, 1)
	go func() { locked <- script(t.Context(), c.other, "LOCK TABLE public.a") }()
	c.waits(c.other, "relation")
	c.exec(c.gate, "SELECT pg_advisory_unlock(1)")
	if err := <-locked; err != nil {
		t.Fatalf("the other session was ended: %v", err)
	}
	err := explain(t.Context(), c.target, fmt.Errorf("give what has no owner to one: %w", <-done))
	if state(err) != stateDeadlock {
		t.Fatalf("it ended with %v", err)
	}
	if u := safepoint.UserError(err); u.Code != safepoint.CodeBlocked || u.Message != "Another session stands in the way: deadlock detected." || u.Hint == "" {
		t.Errorf("people are told %+v", u)
	}
	c.exec(c.other, "ROLLBACK")
	if got := pgtest.Query(t, c.target, "SELECT description FROM pg_description WHERE objoid IN ('a'::regclass, 'b'::regclass)"); len(got) > 0 {
		t.Errorf("the comments are %q", got)
	}
}
