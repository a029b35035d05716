package sqlite

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/archive"
	"github.com/safepoint-db/safepoint/internal/engine"
)

// scripted is an archive, rightly signed, of any script: what a thief of the key, or an operator who accepts unsigned
// files, could bring.
func scripted(t *testing.T, script string) *archive.Reader {
	t.Helper()
	var b bytes.Buffer
	w := archive.NewWriter(&b, archive.Header{Engine: safepoint.SQLite}, testKey)
	f, err := w.Frame(archive.Entry{Section: archive.PreData, Kind: "ddl"})
	if err == nil {
		_, err = f.Write([]byte(script))
	}
	if err == nil {
		err = f.Close()
	}
	if err == nil {
		_, err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	r, err := archive.Open(bytes.NewReader(b.Bytes()), int64(b.Len()), archive.Trust{Keys: []ed25519.PublicKey{testKey.Public().(ed25519.PublicKey)}})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestHostileScripts has archives try to leave their file. Each is refused, and leaves nothing behind.
func TestHostileScripts(t *testing.T) {
	folder := t.TempDir()
	canary := filepath.Join(folder, "canary.db")
	load := func(script string) (string, error) {
		path := filepath.Join(t.TempDir(), "target.db")
		err := (&Engine{}).Load(t.Context(), engine.Target{Engine: safepoint.SQLite, Path: path}, scripted(t, strings.ReplaceAll(script, "CANARY", canary)), engine.LoadOptions{})
		return path, err
	}
	for _, script := range []string{
		"ATTACH 'CANARY' AS x; CREATE TABLE x.t(a);",
		"DETACH main;",
		"CREATE TABLE t(a); VACUUM INTO 'CANARY';",
		"VACUUM;",
		"SELECT load_extension('CANARY');",
		"PRAGMA writable_schema=ON;",
		"PRAGMA writable_schema=ON; INSERT INTO sqlite_schema VALUES('table','t','t',2,'CREATE TABLE t(a)');",
		"CREATE TABLE t(a); INSERT INTO sqlite_schema VALUES('table','u','u',2,'CREATE TABLE u(a)');",
		"PRAGMA journal_mode=OFF;",
		"PRAGMA temp_store_directory='/tmp';",
		"PRAGMA trusted_schema=ON;",
		"PRAGMA mmap_size=1000000000;",
		"CREATE TEMP TABLE t(a);",
		"CREATE VIRTUAL TABLE t USING csv(filename='/etc/passwd');",
		"CREATE VIRTUAL TABLE t USING sqlite_dbpage();",
		"UPDATE sqlite_dbpage SET data = zeroblob(4096);",
		"CREATE VIRTUAL TABLE f USING fts5(a); DELETE FROM f_data;",
		".shell touch CANARY\n",
		"CREATE TABLE t(a); \x00 ATTACH 'CANARY' AS x;",
		"BEGIN; CREATE TABLE t(a);",
		"CREATE TABLE t(a); SYNTAX ERROR;",
		"CREATE TABLE p(id INTEGER PRIMARY KEY); CREATE TABLE c(p REFERENCES p); INSERT INTO c VALUES(1);",
	} {
		path, err := load(script)
		if err == nil {
			t.Errorf("executed %q", script)
		}
		if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%q left its target behind", script)
		}
	}
	if entries, _ := os.ReadDir(folder); len(entries) > 0 {
		t.Errorf("a script made %v", entries)
	}
	if _, err := load("CREATE TABLE t(a); INSERT INTO t VALUES(1);"); err != nil {
		t.Errorf("a harmless script: %v", err)
	}
}

// TestWhatCannotBeCarried names the table in the preflight and in the dump.
func TestWhatCannotBeCarried(t *testing.T) {
	for name, script := range map[string]string{
		`"bare"`: "CREATE VIRTUAL TABLE bare USING fts5(a, content='')",
		`"own"`:  "CREATE TABLE own(a); PRAGMA writable_schema=ON; UPDATE sqlite_schema SET sql='CREATE TABLE own(a CHECK(app_function(a)))' WHERE name='own'",
		`"fts4"`: "CREATE TABLE fts4(a); PRAGMA writable_schema=ON; INSERT INTO sqlite_schema VALUES('table','fts4x','fts4x',0,'CREATE VIRTUAL TABLE fts4x USING fts4(a)'); UPDATE sqlite_schema SET name='old', tbl_name='old', sql='CREATE TABLE old(a)' WHERE name='fts4'; UPDATE sqlite_schema SET name='fts4', tbl_name='fts4', sql='CREATE VIRTUAL TABLE fts4 USING fts4(a)' WHERE name='fts4x'",
	} {
		path := filepath.Join(t.TempDir(), "odd.db")
		if _, err := openSQL(t, path).Exec(script); err != nil {
			t.Fatal(err)
		}
		target := engine.Target{Engine: safepoint.SQLite, Path: path}
		found, err := (&Engine{}).CanDump(t.Context(), target)
		if err != nil || len(found) == 0 || !found[0].Blocker || !strings.Contains(found[0].Message, name) {
			t.Errorf("CanDump of %s: %+v, %v", name, found, err)
		}
		err = (&Engine{}).Dump(t.Context(), target, archive.NewWriter(&bytes.Buffer{}, archive.Header{}, testKey), engine.DumpOptions{})
		if safepoint.ErrorCode(err) != safepoint.CodeBlocked || !strings.Contains(err.Error(), name) {
			t.Errorf("Dump of %s: %v", name, err)
		}
	}
}

// TestPlainWords has what stands in the way said so that a person can act on it.
func TestPlainWords(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "shop.db")
	db := openSQL(t, path)
	if _, err := db.Exec("CREATE TABLE t(a); BEGIN EXCLUSIVE"); err != nil {
		t.Fatal(err)
	}
	e := &Engine{LockWait: 1}
	if _, err := e.Inspect(t.Context(), engine.Target{Path: path}); safepoint.ErrorCode(err) != safepoint.CodeBlocked {
		t.Errorf("a locked file: %v", err)
	}
	if _, err := e.Inspect(t.Context(), engine.Target{Path: folder}); safepoint.ErrorCode(err) != safepoint.CodeName {
		t.Errorf("a folder: %v", err)
	}
	if _, err := db.Exec("ROLLBACK"); err != nil {
		t.Fatal(err)
	}
	info, err := e.Inspect(t.Context(), engine.Target{Path: path})
	if err != nil || info.Tables != 1 || info.Empty {
		t.Errorf("after the lock: %+v, %v", info, err)
	}
	link := filepath.Join(t.TempDir(), "link.db")
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	if linked, err := e.Inspect(t.Context(), engine.Target{Path: link}); err != nil || linked.DatabaseID != info.DatabaseID {
		t.Errorf("through a link: %+v, %v", linked, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := e.Inspect(ctx, engine.Target{Path: path}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// TestHostileMarker: whoever may write into the folder can neither stop a look at it, nor have another file written
// over, with what they leave under a marker's name.
func TestHostileMarker(t *testing.T) {
	dir := t.TempDir()
	at := places{live: filepath.Join(dir, "live.db"), marker: filepath.Join(dir, ".safepoint_op_a.json")}
	if err := syscall.Mkfifo(at.marker, 0o600); err != nil {
		t.Fatal(err)
	}
	if m := anyMarker(dir, "op_a"); m != nil {
		t.Errorf("a pipe is the marker %+v", m)
	}
	if _, err := readMarker(at, engine.Plan{OperationID: "op_a"}); err == nil {
		t.Error("a pipe was read as a marker")
	}
	pruneMarkers(places{live: at.live, marker: filepath.Join(dir, ".safepoint_op_b.json")}, "")
	if err := os.Remove(at.marker); err != nil {
		t.Fatal(err)
	}
	precious := filepath.Join(t.TempDir(), "catalog.db")
	if err := os.WriteFile(precious, []byte("rows"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(precious, at.marker+".new"); err != nil {
		t.Fatal(err)
	}
	if err := (&marker{OperationID: "op_a"}).write(at); err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(precious); err != nil || string(text) != "rows" {
		t.Errorf("another file was written over: %q, %v", text, err)
	}
	if m := anyMarker(dir, "op_a"); m == nil {
		t.Error("the marker was not written")
	}
}
