package catalog

import (
	"cmp"
	"context"
	"database/sql"
	"sync"

	"github.com/safepoint-db/safepoint/internal/fault"
)

// pool is the catalog's connections. Who writes waits for a turn and not for SQLite's lock: the lock goes to whoever asks at
// the right moment, a connection is taken by each that waits, and ten seconds of a slow disk are the end of it. What is
// written says in words that the disk is full, and statements are compiled once per connection: for the short ones of a
// page or a claim that is most of their time.
type pool struct {
	*sql.DB
	turn     chan struct{} // holds one thing while somebody writes
	watch    func(query string)
	prepared *prepared
	reserve  *Reserve // nil: none
}

func newPool(db *sql.DB) pool {
	return pool{DB: db, turn: make(chan struct{}, 1), prepared: &prepared{byQuery: map[string]*sql.Stmt{}}}
}

// write runs fn, which writes, when everybody who asked before has written.
func (p pool) write(ctx context.Context, fn func() error) error {
	select {
	case p.turn <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-p.turn }()
	return fn()
}

// prepared are compiled statements by their text.
type prepared struct {
	mu      sync.RWMutex
	byQuery map[string]*sql.Stmt
}

const (
	maxPrepared  = 256 // how many are kept: more than the program has
	maxArguments = 12  // of a query that is kept: with more it is one for a list of IDs, and another one for each length
)

// statement is the compiled query, nil where it is not kept.
func (p pool) statement(ctx context.Context, query string, args int) *sql.Stmt {
	if p.prepared == nil || args > maxArguments {
		return nil
	}
	s, room := p.kept(query)
	if s != nil || !room {
		return s
	}
	return p.keep(ctx, query)
}

// kept is the compiled statement, nil if there is none, and whether there is room for one.
func (p pool) kept(query string) (s *sql.Stmt, room bool) {
	if p.prepared == nil {
		return nil, false
	}
	p.prepared.mu.RLock()
	defer p.prepared.mu.RUnlock()
	return p.prepared.byQuery[query], len(p.prepared.byQuery) < maxPrepared
}

// keep compiles a statement and keeps it; nil if it is wrong: whoever runs it gets the error.
func (p pool) keep(ctx context.Context, query string) *sql.Stmt {
	s, err := p.DB.PrepareContext(ctx, query)
	if err != nil {
		return nil
	}
	p.prepared.mu.Lock()
	defer p.prepared.mu.Unlock()
	if first := p.prepared.byQuery[query]; first != nil {
		s.Close()
		return first
	}
	p.prepared.byQuery[query] = s
	return s
}

// Watch has fn told of every statement that a list or a page is read with, from now on. For tests, before the catalog is
// used by others: they count statements, and ask how SQLite carries them out.
func (c *Catalog) Watch(fn func(query string)) { c.db.watch = fn }

func (p pool) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	if p.watch != nil {
		p.watch(query)
	}
	if s := p.statement(ctx, query, len(args)); s != nil {
		return s.QueryContext(ctx, args...)
	}
	return p.DB.QueryContext(ctx, query, args...)
}

func (p pool) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	if p.watch != nil {
		p.watch(query)
	}
	if s := p.statement(ctx, query, len(args)); s != nil {
		return s.QueryRowContext(ctx, args...)
	}
	return p.DB.QueryRowContext(ctx, query, args...)
}

func (p pool) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	var res sql.Result
	err := p.reserve.try(func() error {
		before, after := fault.Call("catalog")
		if before != nil {
			return before
		}
		err := p.write(ctx, func() (err error) {
			res, err = p.DB.ExecContext(ctx, query, args...)
			return err
		})
		return inWords(cmp.Or(err, after))
	})
	return res, err
}

// transaction is a transaction of a pool. A statement is compiled for it the first time, and kept when it has ended: to
// compile one meanwhile takes another connection, and all of them may be waiting for this transaction.
type transaction struct {
	*sql.Tx
	pool pool
	seen []string // statements to be kept
}

// begin starts a transaction that writes. It is for whoever has the turn.
func (p pool) begin(ctx context.Context) (*transaction, error) {
	tx, err := p.BeginTx(ctx, nil)
	if err != nil {
		return nil, err
	}
	return &transaction{Tx: tx, pool: p}, nil
}

// keep keeps the statements of a transaction that has ended.
func (t *transaction) keep(ctx context.Context) {
	for _, query := range t.seen {
		t.pool.statement(ctx, query, 0)
	}
}

func (t *transaction) statement(ctx context.Context, query string, many bool) *sql.Stmt {
	s, room := t.pool.kept(query)
	switch {
	case s != nil:
		return t.StmtContext(ctx, s)
	case room && !many:
		t.seen = append(t.seen, query)
	}
	return nil
}

func (t *transaction) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	if s := t.statement(ctx, query, len(args) > maxArguments); s != nil {
		return s.QueryContext(ctx, args...)
	}
	return t.Tx.QueryContext(ctx, query, args...)
}

func (t *transaction) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	if s := t.statement(ctx, query, len(args) > maxArguments); s != nil {
		return s.QueryRowContext(ctx, args...)
	}
	return t.Tx.QueryRowContext(ctx, query, args...)
}

// ExecContext runs a statement that changes rows: its text never is of a list's length.
func (t *transaction) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	if s := t.statement(ctx, query, false); s != nil {
		return s.ExecContext(ctx, args...)
	}
	return t.Tx.ExecContext(ctx, query, args...)
}
