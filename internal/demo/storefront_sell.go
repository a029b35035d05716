package demo

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"strings"
	"time"
)

// remembered is how many numbers of orders are kept: a day's worth.
const remembered = 400_000

// sell writes orders until ctx ends.
func (s *Storefront) sell(ctx context.Context) {
	tick := time.NewTicker(s.options.Every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		number, err := s.sellOne(ctx)
		if err == nil || ctx.Err() == nil && !errors.Is(err, errHalted) { // what was saved counts, also as the last before the end
			s.outcome(number, err)
		}
	}
}

var errHalted = errors.New("the storefront is halted")

// sellOne writes one order. The order counts once its commit was acknowledged.
func (s *Storefront) sellOne(ctx context.Context) (number string, err error) {
	s.use.RLock()
	defer s.use.RUnlock()
	if s.db == nil {
		return "", errHalted
	}
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return "", fmt.Errorf("save an order: %w", err)
	}
	defer tx.Rollback()
	number = "SF-" + strings.ToLower(rand.Text()[:12])
	if err := writeOrder(ctx, tx, number); err != nil {
		return "", fmt.Errorf("save an order: %w", err)
	}
	if err := tx.Commit(); err != nil {
		return "", fmt.Errorf("save an order: %w", err)
	}
	return number, nil
}

func writeOrder(ctx context.Context, tx *sql.Tx, number string) error {
	var customers, products int
	if err := tx.QueryRowContext(ctx, "SELECT (SELECT max(id) FROM customers), (SELECT max(id) FROM products)").Scan(&customers, &products); err != nil {
		return err
	}
	now := sqliteTime(time.Now())
	var id int64
	err := tx.QueryRowContext(ctx, "INSERT INTO orders (number, customer_id, status, placed_at, total_cents) VALUES (?, ?, 'paid', ?, 0) RETURNING id",
		number, 1+mathrand.IntN(customers), now).Scan(&id)
	if err != nil {
		return err
	}
	for position := 1; position <= 1+mathrand.IntN(3); position++ {
		_, err := tx.ExecContext(ctx, "INSERT INTO order_lines (order_id, position, product_id, quantity, price_cents) SELECT ?, ?, id, ?, price_cents FROM products WHERE id = ?",
			id, position, 1+mathrand.IntN(3), 1+mathrand.IntN(products))
		if err != nil {
			return err
		}
	}
	if _, err := tx.ExecContext(ctx, "UPDATE orders SET total_cents = (SELECT sum(amount_cents) FROM order_lines WHERE order_id = ?1) WHERE id = ?1", id); err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, "INSERT INTO payments (order_id, method, amount_cents, paid_at) SELECT id, 'card', total_cents, ? FROM orders WHERE id = ?", now, id)
	return err
}

// outcome remembers a saved order, or that one could not be saved. Without either it forgets earlier failures.
func (s *Storefront) outcome(number string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		s.failures, s.failure = s.failures+1, err
		return
	}
	s.failures, s.failure = 0, nil
	if number == "" {
		return
	}
	s.total++
	if s.saved = append(s.saved, number); len(s.saved) > remembered {
		s.saved = append(s.saved[:0], s.saved[remembered/2:]...)
	}
}
