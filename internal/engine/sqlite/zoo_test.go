package sqlite

import (
	"bytes"
	"crypto/ed25519"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/archive"
	"github.com/safepoint-db/safepoint/internal/engine"
)

// zoo is one of everything that SQLite has and its own .dump is known to spoil.
const zoo = `
PRAGMA page_size=2048; PRAGMA auto_vacuum=2; PRAGMA user_version=-7; PRAGMA application_id=252006673;
CREATE TABLE plain(a, b TEXT, c REAL, d NUMERIC, e BLOB, f INTEGER);
INSERT INTO plain(rowid,a,b,c,d,e,f) VALUES (100,1,'a','1.5','12',x'00ff',-9223372036854775808),(9223372036854775807,NULL,'','-0.0','1e400',x'',9223372036854775807),
 (-5,'x','line'||char(13)||char(10)||'\r\r0 ''q''',9e999,-9e999,zeroblob(3000),0);
INSERT INTO plain(a,b) SELECT CAST(x'610062' AS TEXT), CAST(x'fffe41' AS TEXT) UNION ALL SELECT CAST(x'00' AS TEXT), char(0xfeff)||'bom' UNION ALL SELECT CAST(x'eda080' AS TEXT), '.quit'||char(10)||'/'||char(10)||'go'||char(10)||';--';
CREATE TABLE "select ""odd"" 'name' 😀"("from" INT, "a]b[" TEXT DEFAULT 'x;y', "new
line" TEXT /* ; */, "rowid" TEXT, PRIMARY KEY("from","a]b[")) ; -- a comment ; here
INSERT INTO "select ""odd"" 'name' 😀" VALUES (1,'2','3','4'),(2,'','','');
CREATE TABLE hidden_rowid(rowid,_rowid_,oid); INSERT INTO hidden_rowid VALUES(1,2,3);
CREATE TABLE alias(id INTEGER PRIMARY KEY, v); INSERT INTO alias VALUES(7,'seven'),(-1,'minus');
CREATE TABLE not_alias(id INTEGER PRIMARY KEY DESC, v); INSERT INTO not_alias VALUES(7,'seven'),(3,'three');
CREATE TABLE autoinc(id INTEGER PRIMARY KEY AUTOINCREMENT, v); INSERT INTO autoinc VALUES(41,'x'),(42,'y'); DELETE FROM autoinc WHERE id=42;
CREATE TABLE keyed(k TEXT PRIMARY KEY, v INT) WITHOUT ROWID; INSERT INTO keyed VALUES('z',1),('a',2);
CREATE TABLE strict_one(i INTEGER, r REAL, t TEXT, b BLOB, a ANY) STRICT; INSERT INTO strict_one VALUES(1,2,'3',x'04','5'),(NULL,NULL,NULL,NULL,6.0);
CREATE TABLE made(a INT, v INT AS (a*2) VIRTUAL, s TEXT AS ('s'||a) STORED, z INT); INSERT INTO made(a,z) VALUES(1,9),(2,8);
CREATE TABLE parent(id INTEGER PRIMARY KEY); CREATE TABLE child(p REFERENCES parent(id) DEFERRABLE INITIALLY DEFERRED);
INSERT INTO parent VALUES(1); INSERT INTO child VALUES(1),(99);
CREATE TABLE checked(a CHECK(a > 0)); PRAGMA ignore_check_constraints=ON; INSERT INTO checked VALUES(-1); PRAGMA ignore_check_constraints=OFF;
CREATE TABLE log(what TEXT);
CREATE TRIGGER alias_log AFTER INSERT ON alias BEGIN INSERT INTO log VALUES('insert; ' || new.id); END;
CREATE VIEW seen AS SELECT a.id, count(*) n FROM alias a GROUP BY 1 -- until the end
;
CREATE TRIGGER seen_in INSTEAD OF INSERT ON seen BEGIN SELECT 1; END;
CREATE VIEW broken AS SELECT * FROM not_there;
CREATE INDEX plain_ab ON plain(a, b COLLATE NOCASE) WHERE a IS NOT NULL;
CREATE UNIQUE INDEX plain_low ON alias(lower(v));
CREATE VIRTUAL TABLE doc USING fts5(title, body UNINDEXED, tokenize='porter unicode61');
INSERT INTO doc(rowid,title,body) VALUES(5,'running dogs','b5'),(900,'it''s cats',NULL); INSERT INTO doc(doc,rank) VALUES('automerge',2);
CREATE TABLE articles(id INTEGER PRIMARY KEY, txt TEXT); INSERT INTO articles VALUES(1,'hello world'),(2,'good bye');
CREATE VIRTUAL TABLE articles_fts USING fts5(txt, content='articles', content_rowid='id'); INSERT INTO articles_fts(articles_fts) VALUES('rebuild');
CREATE VIRTUAL TABLE box USING rtree(id, x0, x1, +note); INSERT INTO box VALUES(1, 0.1, 0.7, 'n1'),(2,-3,1e30,NULL);
ANALYZE;
`

// zooDB makes the zoo, and a table of reals of all sizes.
func zooDB(t *testing.T, script string) engine.Target {
	t.Helper()
	path := filepath.Join(t.TempDir(), "zoo.db")
	c, err := openFile(t.Context(), path, create, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	var b strings.Builder
	b.WriteString(script + "CREATE TABLE reals(bits INTEGER PRIMARY KEY, v);\nBEGIN;\n")
	random := rand.New(rand.NewPCG(1, 2))
	for i := range 20_000 {
		x := math.Float64frombits(random.Uint64())
		if i%2 == 0 {
			x = math.Round(random.Float64()*1e8) / 100
		}
		if math.IsNaN(x) {
			continue
		}
		// The value goes in by way of its own literal: Digest, below, compares the bits with those of the key.
		fmt.Fprintf(&b, "INSERT OR IGNORE INTO reals VALUES(%d,%s);\n", int64(math.Float64bits(x)), realNumber(nil, x))
	}
	if err := c.exec(b.String() + "COMMIT;"); err != nil {
		t.Fatal(err)
	}
	return engine.Target{Engine: safepoint.SQLite, Path: path}
}

var testKey = ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))

// dumpFile dumps target into a file and opens it as an archive.
func dumpFile(t *testing.T, target engine.Target) (string, *archive.Reader) {
	t.Helper()
	return dumpWith(t, func(w *archive.Writer) error {
		return (&Engine{}).Dump(t.Context(), target, w, engine.DumpOptions{})
	})
}

func dumpGate(t *testing.T, g engine.Gate) *archive.Reader {
	t.Helper()
	_, r := dumpWith(t, func(w *archive.Writer) error { return g.Dump(t.Context(), w, engine.DumpOptions{}) })
	return r
}

func dumpWith(t *testing.T, dump func(*archive.Writer) error) (string, *archive.Reader) {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "backup.sql.zst"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	w := archive.NewWriter(f, archive.Header{}, testKey)
	if err := dump(w); err != nil {
		t.Fatalf("dump: %v", err)
	}
	sum, err := w.Close()
	if err != nil {
		t.Fatal(err)
	}
	r, err := archive.Open(f, sum.Size, archive.Trust{Keys: []ed25519.PublicKey{testKey.Public().(ed25519.PublicKey)}})
	if err != nil {
		t.Fatal(err)
	}
	return f.Name(), r
}

// byTools restores an archive as somebody without Safepoint would.
func byTools(t *testing.T, file string) engine.Target {
	t.Helper()
	path := filepath.Join(t.TempDir(), "restored.db")
	cmd := exec.Command("sh", "-c", `zstd -dc -- "$1" | sqlite3 -bail "$2"`, "sh", file, path)
	if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
		t.Fatalf("zstd -dc | sqlite3: %v\n%s", err, out)
	}
	return engine.Target{Engine: safepoint.SQLite, Path: path}
}

func byLoad(t *testing.T, r *archive.Reader) engine.Target {
	t.Helper()
	target := engine.Target{Engine: safepoint.SQLite, Path: filepath.Join(t.TempDir(), "loaded.db")}
	if err := (&Engine{}).Load(t.Context(), target, r, engine.LoadOptions{}); err != nil {
		t.Fatalf("load: %v", err)
	}
	return target
}

func shell(t *testing.T, target engine.Target, commands ...string) string {
	t.Helper()
	cmd := exec.Command("sqlite3", append([]string{"-readonly", target.Path}, commands...)...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("sqlite3 %q: %v\n%s", commands, err, stderr.String())
	}
	return string(out)
}

// wantSame compares two files by fingerprint, by what sqlite3 says of the schema and settings, and by its own check.
func wantSame(t *testing.T, want archive.Fingerprint, source, got engine.Target) {
	t.Helper()
	print, err := (&Engine{}).Digest(t.Context(), got, nil)
	if err != nil {
		t.Fatalf("digest: %v", err)
	}
	if err := want.Compare(print); err != nil {
		t.Error(err)
	}
	settings := []string{"PRAGMA page_size", "PRAGMA encoding", "PRAGMA auto_vacuum", "PRAGMA user_version", "PRAGMA application_id",
		"SELECT type, name, tbl_name, sql FROM sqlite_schema WHERE tbl_name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY type, name"}
	for _, q := range settings {
		if a, b := shell(t, source, q), shell(t, got, q); a != b {
			t.Errorf("%s is\n%s\nin the source and\n%s\nin the copy", q, a, b)
		}
	}
	if out := shell(t, got, "PRAGMA ignore_check_constraints=ON", "PRAGMA integrity_check"); out != "ok\n" {
		t.Errorf("integrity_check: %s", out)
	}
}

func needTools(t *testing.T) {
	t.Helper()
	for _, name := range []string{"zstd", "sqlite3"} {
		if _, err := exec.LookPath(name); err != nil {
			t.Skipf("%s is not installed: apt-get install zstd sqlite3", name)
		}
	}
}

func TestZoo(t *testing.T) {
	needTools(t)
	for _, encoding := range []string{"UTF-8", "UTF-16le", "UTF-16be"} {
		t.Run(encoding, func(t *testing.T) {
			t.Parallel()
			source := zooDB(t, "PRAGMA encoding='"+encoding+"';"+zoo)
			file, r := dumpFile(t, source)
			for way, got := range map[string]engine.Target{"sqlite3": byTools(t, file), "Load": byLoad(t, r)} {
				wantSame(t, r.Fingerprint(), source, got)
				for q, want := range map[string]string{
					"SELECT count(*) FROM reals WHERE bits <> 0 AND typeof(v) <> 'real'":          "0\n",
					"SELECT group_concat(rowid) FROM doc WHERE doc MATCH 'run'":                   "5\n",
					"SELECT group_concat(rowid) FROM articles_fts WHERE articles_fts MATCH 'bye'": "2\n",
					"SELECT v FROM doc_config WHERE k='automerge'":                                "2\n",
					"SELECT seq FROM sqlite_sequence WHERE name='autoinc'":                        "42\n",
					"SELECT count(*) FROM log":                                                    "0\n",
					"SELECT rowid FROM plain WHERE a=1":                                           "100\n",
				} {
					if got := shell(t, got, q); got != want {
						t.Errorf("%s: %s: %q, want %q", way, q, got, want)
					}
				}
			}
		})
	}
}

func TestChinook(t *testing.T) {
	needTools(t)
	script, err := os.ReadFile("/work/shared/data/chinook/Chinook_Sqlite.sql")
	if err != nil {
		t.Skipf("the Chinook sample database is not here: %v", err)
	}
	path := filepath.Join(t.TempDir(), "chinook.db")
	cmd := exec.Command("sqlite3", "-bail", path)
	cmd.Stdin = bytes.NewReader(append([]byte("PRAGMA synchronous=OFF;\nBEGIN;\n"), append(script, "\nCOMMIT;\n"...)...))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("make Chinook: %v\n%s", err, out)
	}
	source := engine.Target{Engine: safepoint.SQLite, Path: path}
	file, r := dumpFile(t, source)
	tools, loaded := byTools(t, file), byLoad(t, r)
	for way, got := range map[string]engine.Target{"sqlite3": tools, "Load": loaded} {
		wantSame(t, r.Fingerprint(), source, got)
		if a, b := shell(t, source, ".schema"), shell(t, got, ".schema"); a != b {
			t.Errorf("%s: .schema differs", way)
		}
		if a, b := shell(t, source, ".dump"), shell(t, got, ".dump"); a != b {
			t.Errorf("%s: .dump differs", way)
		}
	}
}

// TestZooOverAnother restores the zoo over a live file of another page size, and encoding, while a client has it open.
func TestZooOverAnother(t *testing.T) {
	needTools(t)
	for _, mode := range []string{"WAL", "DELETE"} {
		for _, encoding := range []string{"UTF-8", "UTF-16be"} {
			t.Run(mode+" "+encoding, func(t *testing.T) {
				t.Parallel()
				_, r := dumpFile(t, zooDB(t, "PRAGMA encoding='"+encoding+"';"+zoo))
				live := engine.Target{Engine: safepoint.SQLite, Path: filepath.Join(t.TempDir(), "live.db")}
				rows(t, live.Path, mode, "old", 100)
				client := openSQL(t, live.Path)
				client.SetMaxOpenConns(1)
				var n int
				if err := client.QueryRow("SELECT count(*) FROM big").Scan(&n); err != nil || n != 100 {
					t.Fatal(n, err)
				}
				e := &Engine{}
				found, err := e.CanRestore(t.Context(), live, r)
				if err != nil || (len(found) > 0) != (encoding != "UTF-8") {
					t.Errorf("CanRestore: %+v, %v", found, err)
				}
				p := prepared(t, e, live, r)
				if err := switchOnce(t, e, order{Target: live, Plan: p}); err != nil {
					t.Fatal(err)
				}
				print, err := e.Digest(t.Context(), live, nil)
				if err != nil {
					t.Fatal(err)
				}
				if err := r.Fingerprint().Compare(print); err != nil {
					t.Error(err)
				}
				for q, want := range map[string]string{"PRAGMA page_size": "4096\n", "PRAGMA encoding": encoding + "\n", "PRAGMA user_version": "-7\n",
					"PRAGMA auto_vacuum": "2\n", "PRAGMA journal_mode": strings.ToLower(mode) + "\n", "PRAGMA ignore_check_constraints=ON; PRAGMA integrity_check": "ok\n"} {
					if got := shell(t, live, q); got != want {
						t.Errorf("%s: %q, want %q", q, got, want)
					}
				}
				if encoding != "UTF-8" {
					return // the client must be started again, as CanRestore says
				}
				for _, q := range []string{"INSERT INTO plain(a) VALUES('by the client that was there before')", "INSERT INTO doc(title) VALUES('runs')"} {
					if _, err := client.Exec(q); err != nil {
						t.Errorf("%s: %v", q, err)
					}
				}
				if got := integrity(t, live.Path); got == "" || strings.Contains(got, "malformed") {
					t.Error(got)
				}
			})
		}
	}
}
