package engine

import "context"

// Counter is an engine that can say quickly how many rows stand in each table, for comparison with a backup.
type Counter interface {
	// Census lists every table that a fingerprint of the live database would list. It changes nothing, waits for nobody
	// longer than a moment, and does not scan what is large: once ctx ends, what was not counted until then is not known,
	// which is no error. What the user may not read is not known either.
	Census(ctx context.Context, t Target) ([]TableCount, error)
}

// TableCount is one table of a census.
type TableCount struct {
	Name  string // quoted, as in the fingerprint: `"app"."orders"`
	Rows  int64  // an estimate unless Exact; 0 if not Known
	Known bool
	Exact bool
}
