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
	c, path, err := e.read(ctx, t)
	if err != nil {
		return nil, err
	}
	defer c.close()
	names, err := countable(c)
	if err == nil {
		err = c.exec("COMMIT")
	}
	if err != nil {
		return nil, plainWords(err, path)
	}
	var counts []engine.TableCount
	for _, name := range names {
		count := engine.TableCount{Name: quote(name)}
		if ctx.Err() == nil {
			rows, err := c.int("SELECT count(*) FROM main." + quote(name))
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

// countable are the tables whose rows a backup has, in the order they were made, without SQLite's own. Their columns are
// not looked at, which is most of the work of readSchema.
func countable(c *conn) (names []string, err error) {
	objects, listed, err := readObjects(c)
	if err != nil {
		return nil, err
	}
	for _, o := range objects {
		kind := listed[o.name].kind
		if o.kind != "table" || kind == "shadow" || strings.HasPrefix(strings.ToLower(o.name), "sqlite_") {
			continue
		}
		if kind == "virtual" {
			t, err := virtualTable(c, o)
			if err != nil {
				return nil, err
			}
			if !t.carriesRows() {
				continue
			}
		}
		names = append(names, o.name)
	}
	return names, nil
}
