package catalog

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"
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
