package sqlite

import (
	"database/sql"
	"net/url"
	"testing"
)

// dsn names a file to database/sql whatever its characters are.
func dsn(path string) string {
	return "file://" + (&url.URL{Path: path}).EscapedPath() + "?_time_format=sqlite"
}

func openSQL(t *testing.T, path string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", dsn(path))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}
