package catalog

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/safepoint-db/safepoint"
)

// TestTransactionsKeepStatements: a statement is compiled for the first transaction that runs it, and not for the next.
func TestTransactionsKeepStatements(t *testing.T) {
	f := newFixture(t)
	for round, compiled := range []int{2, 0} {
		tx, err := f.db.begin(f.ctx)
		f.ok(err)
		_, err = tx.ExecContext(f.ctx, `UPDATE organizations SET name = $1 WHERE id = $2`, "Harbor", "org_none")
		f.ok(err)
		var n int
		f.ok(tx.QueryRowContext(f.ctx, `SELECT count(*) FROM organizations WHERE id = $1`, "org_none").Scan(&n))
		f.ok(tx.Commit())
		if len(tx.seen) != compiled {
			t.Errorf("round %d compiled %q, want %d", round, tx.seen, compiled)
		}
		tx.keep(f.ctx)
	}
}

// TestTransactionsNeverWaitForAConnection: with more transactions at once than there are connections, all with statements
// that nobody has run before, each ends: none needs a second connection while it holds the lock.
func TestTransactionsNeverWaitForAConnection(t *testing.T) {
	f := newFixture(t)
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Second) // less than SQLite waits for a lock
	defer cancel()
	var all sync.WaitGroup
	for n := range 24 {
		all.Go(func() {
			err := f.tx(ctx, func(tx *transaction) error {
				_, err := tx.ExecContext(ctx, fmt.Sprintf(`UPDATE organizations SET name = $1 WHERE id = $2 AND name <> 'other %d'`, n), "Harbor", "org_none")
				return err
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
}

// TestWritersTakeTurns: while one transaction goes on, those that wait to write keep nobody from reading, and one that
// gives up is gone; then each of the others has its turn.
func TestWritersTakeTurns(t *testing.T) {
	f := newFixture(t)
	rename := func(ctx context.Context) error {
		return f.tx(ctx, func(tx *transaction) error {
			_, err := tx.ExecContext(ctx, `UPDATE organizations SET name = name || '+' WHERE id = 'org_a'`)
			return err
		})
	}
	writing, letGo := make(chan struct{}), make(chan struct{})
	ended := make(chan error)
	go func() {
		ended <- f.tx(f.ctx, func(*transaction) error {
			close(writing)
			<-letGo
			return nil
		})
	}()
	<-writing
	const many = 24
	for range many {
		go func() { ended <- rename(f.ctx) }()
	}
	ctx, giveUp := context.WithCancel(f.ctx)
	gaveUp := make(chan error)
	go func() { gaveUp <- rename(ctx) }()
	giveUp()
	if err := <-gaveUp; !errors.Is(err, context.Canceled) {
		t.Errorf("a writer that gave up got %v", err)
	}
	name := func() (name string) {
		f.ok(f.db.QueryRowContext(f.ctx, `SELECT name FROM organizations WHERE id = 'org_a'`).Scan(&name))
		return name
	}
	before := name()
	if open := f.db.Stats().OpenConnections; open > 2 {
		t.Errorf("%d connections are open, for one that writes and one that reads", open)
	}
	close(letGo)
	for range many + 1 {
		f.ok(<-ended)
	}
	if got := len(name()) - len(before); got != many {
		t.Errorf("%d of %d writers had their turn", got, many)
	}
}

// TestBeatsTakeTurns: a heartbeat and the end of a token wait with the others, and not for SQLite's lock, which they would
// hardly get while others take turns.
func TestBeatsTakeTurns(t *testing.T) {
	f := newFixture(t)
	claim := f.claim(f.create(backupOf("org_a", "db_1")).ID)
	writing, letGo, ended := make(chan struct{}), make(chan struct{}), make(chan error)
	go func() {
		ended <- f.db.write(f.ctx, func() error { // the turn, and no lock
			close(writing)
			<-letGo
			return nil
		})
	}()
	<-writing
	soon, done := context.WithTimeout(f.ctx, 20*time.Millisecond)
	defer done()
	if _, err := f.Beat(soon, claim, safepoint.Progress{}, time.Minute); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a heartbeat did not wait for its turn: %v", err)
	}
	if _, err := f.RevokeToken(soon, "org_a", "usr_1", "tok_1"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the end of a token did not wait for its turn: %v", err)
	}
	close(letGo)
	f.ok(<-ended)
	_, err := f.Beat(f.ctx, claim, safepoint.Progress{}, time.Minute)
	f.ok(err)
}

// TestBusyCatalog: a program that holds the file for longer than SQLite waits is named as what stands in the way.
func TestBusyCatalog(t *testing.T) {
	path := filepath.Join(t.TempDir(), "catalog.db")
	f := newFixtureAt(t, path)
	other, err := sql.Open("sqlite", "file:"+path+"?_txlock=immediate")
	f.ok(err)
	t.Cleanup(func() { other.Close() })
	held, err := other.BeginTx(f.ctx, nil)
	f.ok(err)
	defer held.Rollback()

	f.db.SetMaxOpenConns(1)
	_, err = f.db.DB.ExecContext(f.ctx, `PRAGMA busy_timeout = 20`)
	f.ok(err)
	_, created := f.CreateOperation(f.ctx, backupOf("org_a", "db_1"))
	_, written := f.db.ExecContext(f.ctx, `UPDATE organizations SET name = 'Quay' WHERE id = 'org_a'`)
	for _, err := range []error{created, written} {
		if e := safepoint.UserError(err); e.Code != safepoint.CodeUnreachable || e.Hint == "" {
			t.Errorf("a file that is held gave %v", err)
		}
	}
	f.ok(held.Rollback())
	f.create(backupOf("org_a", "db_1")) // it would be refused as the second, had the first been stored
}
