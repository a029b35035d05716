package demo

import (
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	_ "modernc.org/sqlite" // the driver "sqlite"
)

const shopSQLite = `
CREATE TABLE customers (
	id INTEGER PRIMARY KEY,
	name TEXT NOT NULL,
	email TEXT NOT NULL UNIQUE,
	phone TEXT,
	city TEXT NOT NULL,
	since TEXT NOT NULL
);
CREATE TABLE products (
	id INTEGER PRIMARY KEY,
	sku TEXT NOT NULL UNIQUE,
	name TEXT NOT NULL,
	category TEXT NOT NULL,
	description TEXT,
	price_cents INTEGER NOT NULL CHECK (price_cents > 0),
	stock INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE orders (
	id INTEGER PRIMARY KEY AUTOINCREMENT,
	number TEXT NOT NULL UNIQUE,
	customer_id INTEGER NOT NULL REFERENCES customers (id),
	status TEXT NOT NULL,
	placed_at TEXT NOT NULL,
	total_cents INTEGER NOT NULL
);
CREATE TABLE order_lines (
	order_id INTEGER NOT NULL REFERENCES orders (id),
	position INTEGER NOT NULL,
	product_id INTEGER NOT NULL REFERENCES products (id),
	quantity INTEGER NOT NULL,
	price_cents INTEGER NOT NULL,
	amount_cents INTEGER GENERATED ALWAYS AS (quantity * price_cents) VIRTUAL,
	PRIMARY KEY (order_id, position)
) WITHOUT ROWID;
CREATE TABLE payments (
	id INTEGER PRIMARY KEY,
	order_id INTEGER NOT NULL REFERENCES orders (id),
	method TEXT NOT NULL,
	amount_cents INTEGER NOT NULL,
	paid_at TEXT NOT NULL
);
`

const shopSQLiteAfter = `
CREATE INDEX orders_by_customer ON orders (customer_id, placed_at);
CREATE INDEX orders_by_time ON orders (placed_at);
CREATE INDEX order_lines_by_product ON order_lines (product_id);
CREATE INDEX payments_by_order ON payments (order_id);
CREATE VIEW sales_by_day AS
	SELECT substr(placed_at, 1, 10) AS day, count(*) AS orders, sum(total_cents) AS cents
	FROM orders WHERE status <> 'cancelled' GROUP BY 1;
CREATE TRIGGER stock_goes_down AFTER INSERT ON order_lines BEGIN
	UPDATE products SET stock = CASE WHEN stock > NEW.quantity THEN stock - NEW.quantity ELSE 500 END WHERE id = NEW.product_id;
END;
PRAGMA user_version = 12;
`

// CreateShop makes the sample shop in a new SQLite file at path, in WAL mode. It takes about a second. A file that is
// there already is an error, and half a shop is not left behind.
func CreateShop(ctx context.Context, path string) (err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("create shop: %w", err)
	}
	if err := f.Close(); err != nil {
		return fmt.Errorf("create shop: %w", err)
	}
	db, err := openShop(path)
	if err != nil {
		return fmt.Errorf("create shop: %w", err)
	}
	defer func() {
		if closed := db.Close(); err == nil {
			err = closed
		}
		if err != nil {
			for _, suffix := range []string{"", "-wal", "-shm", "-journal"} {
				os.Remove(path + suffix)
			}
			err = fmt.Errorf("create shop: %w", err)
		}
	}()
	if _, err := db.ExecContext(ctx, "PRAGMA journal_mode=WAL; PRAGMA foreign_keys=OFF"); err != nil {
		return err
	}
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	if _, err := tx.ExecContext(ctx, shopSQLite); err != nil {
		return err
	}
	for _, t := range makeShop(shopEnd()).tables() {
		if err := fillSQLite(ctx, tx, t); err != nil {
			return fmt.Errorf("fill %s: %w", t.name, err)
		}
	}
	if _, err := tx.ExecContext(ctx, shopSQLiteAfter); err != nil {
		return err
	}
	return tx.Commit()
}

// fillSQLite inserts a hundred rows with each statement.
func fillSQLite(ctx context.Context, tx *sql.Tx, t shopTable) error {
	const batch = 100
	marks := "(" + strings.TrimSuffix(strings.Repeat("?,", len(t.columns)), ",") + ")"
	insert := func(rows int) string {
		return "INSERT INTO " + t.name + " (" + strings.Join(t.columns, ", ") + ") VALUES " + strings.TrimSuffix(strings.Repeat(marks+",", rows), ",")
	}
	full, err := tx.PrepareContext(ctx, insert(batch))
	if err != nil {
		return err
	}
	defer full.Close()
	values := make([]any, 0, batch*len(t.columns))
	for row := range t.rows {
		for _, v := range row {
			if at, ok := v.(time.Time); ok {
				v = sqliteTime(at)
			}
			values = append(values, v)
		}
		if len(values) < cap(values) {
			continue
		}
		if _, err := full.ExecContext(ctx, values...); err != nil {
			return err
		}
		values = values[:0]
	}
	if len(values) == 0 {
		return nil
	}
	_, err = tx.ExecContext(ctx, insert(len(values)/len(t.columns)), values...)
	return err
}

func sqliteTime(t time.Time) string { return t.UTC().Format(time.DateTime) }

// openShop opens the shop's file with one connection, for database/sql.
func openShop(path string) (*sql.DB, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	db, err := sql.Open("sqlite", "file://"+(&url.URL{Path: path}).EscapedPath()+"?_busy_timeout=2000&_foreign_keys=on&_txlock=immediate&mode=rw")
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	return db, nil
}
