package pages

import (
	"context"
	"database/sql"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/safepoint-db/safepoint/internal/api"
	"github.com/safepoint-db/safepoint/internal/event"
	"github.com/safepoint-db/safepoint/internal/server"
	"github.com/safepoint-db/safepoint/internal/web"
)

// TestPagesReadLittle asks for every page of a small and of a larger organization, and looks at the statements they are
// made with: as many for 300 schedules as for 3, and none that goes through all operations or all of the audit log.
// It counts and measures no time.
func TestPagesReadLittle(t *testing.T) {
	small := look(t, Size{Databases: 3, Schedules: 3, Entries: 300, Audit: 300, Other: 100})
	large := look(t, Size{Databases: 30, Schedules: 300, Entries: 3000, Audit: 3000, Other: 100})
	if len(small) < 100 || len(small) != len(large) {
		t.Fatalf("%d and %d pages were looked at", len(small), len(large))
	}
	for i, s := range small {
		l := large[i]
		// Filters by time may count one edge more; health reads the runs of each database: of 25 on a page, of all in the API.
		// Where a filter selects no card of the small one, neither schedules nor their last runs nor their strips are read.
		may := 2
		switch {
		case strings.Contains(s.path, "/health"):
			may = 30
		case strings.HasPrefix(s.path, "/backups?show="):
			may = 3
		}
		if n, m := len(s.statements), len(l.statements); m > n+may || n == 0 && strings.HasPrefix(s.path, "/logs") {
			t.Errorf("%s: %d statements with 3 schedules, %d with 300:\n%s", l.path, n, m, strings.Join(l.statements, "\n"))
		}
		if s.status != l.status || s.status >= 500 {
			t.Errorf("%s: status %d with 3 schedules, %d with 300", l.path, s.status, l.status)
		}
		for _, bad := range l.scans {
			t.Errorf("%s reads everything: %s", l.path, bad)
		}
	}
}

type seen struct {
	path       string
	status     int
	statements []string
	scans      []string // how a statement that reads a whole long table is carried out
}

var ids = regexp.MustCompile(`[a-z]+_[a-z2-7]{16}`)

func look(t *testing.T, size Size) (pages []seen) {
	t.Helper()
	ctx := t.Context()
	w, err := Build(ctx, t.TempDir(), size)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if err := w.Busy(ctx); err != nil {
		t.Fatal(err)
	}
	s, err := server.Open(ctx, server.Config{DataDir: w.Dir, Addr: "127.0.0.1:0", Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var mu sync.Mutex
	var statements []string
	s.App.Catalog.Watch(func(query string) {
		mu.Lock()
		defer mu.Unlock()
		statements = append(statements, query)
	})
	// The server's own work would be counted too: nothing but its pages and its API run.
	console, err := web.New(web.Config{App: s.App})
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/", console)
	mux.Handle("/api/", api.New(api.Config{App: s.App}))
	front := httptest.NewServer(mux)
	defer front.Close()
	b := NewBrowser(front.URL, w.Session, w.Token, 1)
	paths, err := w.Paths()
	if err != nil {
		t.Fatal(err)
	}
	deep, err := b.Descend(ctx, Deep, 3)
	if err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite", "file:"+filepath.Join(w.Dir, "catalog.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, path := range append(append(paths, deep...), w.APIPaths()...) {
		// What is kept in memory until something changes is found again for each page.
		s.App.Hub.Publish(event.Event{OrganizationID: w.Organization, Kind: "operation"})
		mu.Lock()
		statements = nil
		mu.Unlock()
		a, err := b.Get(ctx, path)
		if err != nil {
			t.Fatal(err)
		}
		mu.Lock()
		p := seen{path: ids.ReplaceAllString(path, "…"), status: a.status, statements: statements}
		mu.Unlock()
		for _, q := range p.statements {
			p.scans = append(p.scans, scans(ctx, t, db, q)...)
		}
		pages = append(pages, p)
	}
	return pages
}

// whole is how SQLite says that it goes through all of a long table, or through all rows of an organization in it.
var whole = regexp.MustCompile(`^(SCAN (operations|audit|journal|o|a|r|g|f)\b|SEARCH (operations|audit|o|a|r|g|f) USING .*\(organization_id=\?\)$)`)

// scans asks SQLite how it carries a statement out, and returns where it goes through a long table.
func scans(ctx context.Context, t *testing.T, db *sql.DB, query string) (bad []string) {
	t.Helper()
	rows, err := db.QueryContext(ctx, `EXPLAIN QUERY PLAN `+query, make([]any, strings.Count(query, "$"))...)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	defer rows.Close()
	for rows.Next() {
		var id, parent, unused int
		var detail string
		if err := rows.Scan(&id, &parent, &unused, &detail); err != nil {
			t.Fatal(err)
		}
		if whole.MatchString(detail) && !strings.Contains(query, "LIMIT 1") && !strings.Contains(detail, "operations_stuck") && !strings.Contains(detail, "operations_safety") {
			bad = append(bad, detail+" of "+query)
		}
	}
	return bad
}

// TestWorld compares what a world is filled with with what the catalog's triggers make of the same rows.
func TestWorld(t *testing.T) {
	w, err := Build(t.Context(), t.TempDir(), Size{Databases: 3, Schedules: 7, Entries: 400, Audit: 100, Other: 30})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(w.Dir, "catalog.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	kept := map[string]string{
		"counts": `SELECT group_concat(organization_id || database_id || week || type || status || n) FROM log_counts WHERE n > 0`,
		"kept":   `SELECT group_concat(organization_id || database_id || n || bytes) FROM kept_counts WHERE n > 0`,
		"audit":  `SELECT group_concat(organization_id || day || n || first_seq || '-' || last_seq) FROM audit_counts`,
		"days":   `SELECT group_concat(day || organization_id || bytes) FROM (SELECT * FROM storage_days WHERE bytes <> 0)`,
		"last":   `SELECT group_concat(id || last_run || last_status || last_good) FROM (SELECT * FROM schedules ORDER BY id)`,
		"words":  `SELECT group_concat(term || id) FROM (SELECT term, id FROM log_pieces JOIN operations ON place = doc ORDER BY term, id)`,
		"who":    `SELECT group_concat(term || doc || col) FROM (SELECT term, doc, col FROM audit_pieces ORDER BY term, doc, col)`,
		"order":  `SELECT group_concat(id) FROM (SELECT id FROM operations ORDER BY place)`,
	}
	read := func() map[string]string {
		found := map[string]string{}
		for name, q := range kept {
			var text string
			if err := db.QueryRowContext(t.Context(), q).Scan(&text); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			found[name] = text
		}
		return found
	}
	before := read()
	for _, q := range []string{
		`PRAGMA foreign_keys = OFF`, `CREATE TEMP TABLE ops AS SELECT * FROM operations ORDER BY place`, `CREATE TEMP TABLE lines AS SELECT * FROM audit`,
		`UPDATE ops SET place = 0`, `DELETE FROM operations`, `DELETE FROM audit`, `DELETE FROM audit_counts`, `DELETE FROM audit_words`, `DELETE FROM log_counts`, `DELETE FROM kept_counts`, `DELETE FROM storage_days`,
		`INSERT INTO operations SELECT * FROM ops`, `INSERT INTO audit SELECT * FROM lines`,
	} {
		if _, err := db.ExecContext(t.Context(), q); err != nil {
			t.Fatalf("%s: %v", q, err)
		}
	}
	after := read()
	for name := range kept {
		if before[name] != after[name] {
			t.Errorf("%s: the world has\n%.300s\nthe triggers make\n%.300s", name, before[name], after[name])
		}
	}
}
