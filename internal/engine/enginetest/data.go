package enginetest

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"time"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/archive"
	"github.com/safepoint-db/safepoint/internal/engine"
)

func testInspect(t *testing.T, h Harness) {
	target := h.New(t, "")
	info, err := h.Engine.Inspect(t.Context(), target)
	if err != nil {
		t.Fatal(err)
	}
	if !info.Empty || info.Tables != 0 || info.DatabaseID == "" || info.ServerVersion == "" {
		t.Errorf("a new database: %+v", info)
	}
	fill(t, h, target, 10, "old")
	again, err := h.Engine.Inspect(t.Context(), target)
	if err != nil {
		t.Fatal(err)
	}
	if again.Empty || again.Tables != 2 || again.Size <= 0 {
		t.Errorf("with two tables: %+v", again)
	}
	if again.DatabaseID != info.DatabaseID || again.ServerID != info.ServerID {
		t.Errorf("identity changed from %+v to %+v", info, again)
	}
	for name, find := range map[string]func() ([]engine.Finding, error){
		"CanDump":    func() ([]engine.Finding, error) { return h.Engine.CanDump(t.Context(), target) },
		"CanRestore": func() ([]engine.Finding, error) { return h.Engine.CanRestore(t.Context(), target, nil) },
	} {
		found, err := find()
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for _, f := range found {
			if f.Blocker {
				t.Errorf("%s on a sound database: %+v", name, f)
			}
		}
	}
}

func testUnreachable(t *testing.T, h Harness) {
	for code, target := range h.Unreachable(t) {
		t.Run(string(code), func(t *testing.T) {
			check := func(what string, err error) {
				t.Helper()
				wantCode(t, what, err, code)
				if err == nil {
					return
				}
				if target.Password != "" && strings.Contains(err.Error(), target.Password) {
					t.Errorf("%s: the error holds the password", what)
				}
				if u := safepoint.UserError(err); u.Message == "" || u.Hint == "" {
					t.Errorf("%s: the error says %q and advises %q", what, u.Message, u.Hint)
				}
			}
			_, err := h.Engine.Inspect(t.Context(), target)
			check("Inspect", err)
			_, err = h.Engine.CanDump(t.Context(), target)
			check("CanDump", err)
			_, err = h.Engine.Prepare(t.Context(), target, "op_unreachable00001")
			check("Prepare", err)
			err = h.Engine.Dump(t.Context(), target, archive.NewWriter(&bytes.Buffer{}, archive.Header{}, nil), engine.DumpOptions{})
			check("Dump", err)
			_, err = h.Engine.Digest(t.Context(), target, nil)
			check("Digest", err)
		})
	}
}

func testRoundTrip(t *testing.T, h Harness) {
	source := h.New(t, "")
	fill(t, h, source, 2000, "old")
	exec(t, h, source, "CREATE TABLE no_rows (a integer)")
	r := dump(t, dumpOf(h, source))
	if head := r.Header(); head.Engine != source.Engine || head.ServerVersion == "" || head.ServerVersionNum == 0 || head.Encoding == "" ||
		!head.CreatedAt.Equal(time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)) || head.Tool != "enginetest" {
		t.Errorf("header: %+v", head)
	}
	if sum := r.Summary(); sum.Tables != 3 || sum.Rows != 2001 {
		t.Errorf("summary: %+v", sum)
	}
	wantDigest(t, h, source, r)
	if found, err := h.Engine.CanRestore(t.Context(), source, r); err != nil {
		t.Errorf("CanRestore: %v", err)
	} else {
		for _, f := range found {
			if f.Blocker {
				t.Errorf("CanRestore: %+v", f)
			}
		}
	}

	copied := h.New(t, "")
	load(t, h, copied, r)
	wantDigest(t, h, copied, r)
	wantVersion(t, h, copied, "old")
	const probe = "SELECT note FROM items WHERE id = 7"
	if a, b := query(t, h, source, probe), query(t, h, copied, probe); a[0] != b[0] {
		t.Errorf("row 7 was %q and is %q", a[0], b[0])
	}

	// A backup of the copy is a backup of the same.
	if err := r.Fingerprint().Compare(dump(t, dumpOf(h, copied)).Fingerprint()); err != nil {
		t.Error(err)
	}
}

func testEmptyDatabase(t *testing.T, h Harness) {
	r := dump(t, dumpOf(h, h.New(t, "")))
	if sum := r.Summary(); sum.Tables != 0 || sum.Rows != 0 || len(r.Fingerprint()) != 0 {
		t.Errorf("summary of nothing: %+v", sum)
	}
	copied := h.New(t, "")
	load(t, h, copied, r)
	wantDigest(t, h, copied, r)
	if info, err := h.Engine.Inspect(t.Context(), copied); err != nil || !info.Empty {
		t.Errorf("after the load of nothing: %+v, %v", info, err)
	}
}

func testOddNames(t *testing.T, h Harness) {
	for _, name := range h.Names {
		t.Run(name, func(t *testing.T) {
			source := h.New(t, name)
			fill(t, h, source, 10, "old")
			r := dump(t, dumpOf(h, source))
			if r.Summary().Rows != 11 {
				t.Errorf("summary: %+v", r.Summary())
			}
			copied := h.New(t, "")
			load(t, h, copied, r)
			wantDigest(t, h, copied, r)
		})
	}
}

func testLoadRefusesFilledTarget(t *testing.T, h Harness) {
	source := h.New(t, "")
	fill(t, h, source, 5, "old")
	r := dump(t, dumpOf(h, source))
	filled := h.New(t, "")
	exec(t, h, filled, "CREATE TABLE precious (a integer)", "INSERT INTO precious VALUES (42)")
	if err := h.Engine.Load(t.Context(), filled, r, engine.LoadOptions{}); err == nil {
		t.Fatal("loaded into a database that was not empty")
	} else {
		wantCode(t, "Load", err, safepoint.CodeBlocked)
	}
	if got := query(t, h, filled, "SELECT a FROM precious"); len(got) != 1 || got[0] != "42" {
		t.Errorf("what was there is now %q", got)
	}
}

func testOtherEngine(t *testing.T, h Harness) {
	other := safepoint.SQLite
	if h.New(t, "").Engine == safepoint.SQLite {
		other = safepoint.PostgreSQL
	}
	r := dump(t, func(_ context.Context, w *archive.Writer, _ engine.DumpOptions) error {
		w.SetHeader(archive.Header{Engine: other, ServerVersion: "1", ServerVersionNum: 1, Encoding: "UTF8", Tool: "enginetest"})
		return nil
	})
	target := h.New(t, "")
	wantCode(t, "Load", h.Engine.Load(t.Context(), target, r, engine.LoadOptions{}), safepoint.CodeArchive)
	found, err := h.Engine.CanRestore(t.Context(), target, r)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range found {
		if f.Blocker && f.Code == safepoint.CodeArchive {
			return
		}
	}
	t.Errorf("CanRestore of another engine's archive found only %+v", found)
}

func testDigestSeesChanges(t *testing.T, h Harness) {
	source := h.New(t, "")
	fill(t, h, source, 100, "old")
	r := dump(t, dumpOf(h, source))
	for what, sql := range map[string][2]string{
		"a changed value": {"UPDATE items SET note = 'other' WHERE id = 50", "UPDATE items SET note = NULL WHERE id = 50"},
		"a row more":      {"INSERT INTO notes VALUES ('x')", "DELETE FROM notes WHERE version = 'x'"},
		"a row less":      {"DELETE FROM items WHERE id = 99", "INSERT INTO items VALUES (99, 'old', 'again')"},
	} {
		exec(t, h, source, sql[0])
		got, err := h.Engine.Digest(t.Context(), source, nil)
		if err != nil {
			t.Fatal(err)
		}
		wantCode(t, what, r.Fingerprint().Compare(got), safepoint.CodeMismatch)
		exec(t, h, source, sql[1])
	}
}

// testDumpIsOneMoment changes both tables in one statement each, in one direction, while dumps run: whatever a dump
// holds, its tables are of one moment.
func testDumpIsOneMoment(t *testing.T, h Harness) {
	source := h.New(t, "")
	exec(t, h, source, "CREATE TABLE a (n integer)", "CREATE TABLE b (n integer)", "INSERT INTO a VALUES (0)", "INSERT INTO b VALUES (0)")
	ctx, stop := context.WithCancel(t.Context())
	stopped := make(chan error, 1)
	go func() { stopped <- writeBoth(ctx, h, source) }()
	for range 3 {
		r := dump(t, dumpOf(h, source))
		copied := h.New(t, "")
		load(t, h, copied, r)
		a, b := query(t, h, copied, "SELECT max(n) FROM a"), query(t, h, copied, "SELECT max(n) FROM b")
		if a[0] != b[0] {
			t.Errorf("a is of moment %s, b of %s", a[0], b[0])
		}
	}
	stop()
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}

// writeBoth adds to both tables in one transaction, over and over, until ctx ends.
func writeBoth(ctx context.Context, h Harness, target engine.Target) error {
	s, err := h.Connect(ctx, target)
	if err != nil {
		return err
	}
	defer s.Close()
	for ctx.Err() == nil {
		for _, sql := range []string{"BEGIN", "UPDATE a SET n = n + 1", "UPDATE b SET n = n + 1", "COMMIT"} {
			if err := s.Exec(context.WithoutCancel(ctx), sql); err != nil {
				return err
			}
		}
	}
	return nil
}

func testDumpCancelled(t *testing.T, h Harness) {
	source := h.New(t, "")
	fill(t, h, source, 5000, "old")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	w := archive.NewWriter(&bytes.Buffer{}, archive.Header{}, key)
	err := h.Engine.Dump(ctx, source, w, engine.DumpOptions{Report: func(engine.Progress) { cancel() }})
	wantCancelled(t, "Dump", err)
	// Nothing of it is left to keep anyone waiting.
	exec(t, h, source, "UPDATE items SET version = 'new'", "DROP TABLE items", "DROP TABLE notes")
}

func testLoadCancelled(t *testing.T, h Harness) {
	source := h.New(t, "")
	fill(t, h, source, 5000, "old")
	r := dump(t, dumpOf(h, source))
	copied := h.New(t, "")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	err := h.Engine.Load(ctx, copied, r, engine.LoadOptions{Report: func(engine.Progress) { cancel() }})
	wantCancelled(t, "Load", err)
	exec(t, h, copied, "CREATE TABLE after_cancel (a integer)", "DROP TABLE after_cancel")
}
