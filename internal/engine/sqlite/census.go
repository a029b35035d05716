package sqlite

import (
	"context"
	"strings"

	"github.com/safepoint-db/safepoint/internal/engine"
)

var _ engine.Counter = (*Engine)(nil)

// Census counts the rows of one table after the other, each in a transaction of its own, so that nobody who writes waits
// longer than for one of them. See engine.Counter.
func (e *Engine) Census(ctx context.Context, t engine.Target) ([]engine.TableCount, error) {
	path, err := e.find(t)
	if err != nil {
		return nil, err
	}
	c, err := e.open(ctx, path, readOnly)
	if err != nil {
		return nil, err
	}
	defer c.close()
	if err := c.exec("BEGIN"); err != nil {
		return nil, plainWords(err, path)
	}
	all, err := readSchema(c)
	if err == nil {
		err = c.exec("COMMIT")
	}
	if err != nil {
		return nil, plainWords(err, path)
	}
	var counts []engine.TableCount
	for _, table := range all.tables {
		if !table.carriesRows() || strings.HasPrefix(table.name, "sqlite_") {
			continue
		}
		count := engine.TableCount{Name: quote(table.name)}
		if ctx.Err() == nil {
			rows, err := c.int("SELECT count(*) FROM main." + quote(table.name))
			if err != nil && ctx.Err() == nil && resultCode(err) != resultError { // dropped meanwhile: not known
				return nil, plainWords(err, path)
			}
			if err == nil {
				count.Rows, count.Known, count.Exact = rows, true, true
			}
		}
		counts = append(counts, count)
	}
	return counts, nil
}
