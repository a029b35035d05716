package foreign_test

import (
	"archive/zip"
	"bytes"
	"math/rand/v2"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/archive"
	"github.com/safepoint-db/safepoint/internal/engine"
	"github.com/safepoint-db/safepoint/internal/engine/postgres"
	"github.com/safepoint-db/safepoint/internal/foreign"
	"github.com/safepoint-db/safepoint/internal/pgtest"
)

// mutations is how many are made of each kind of file: SAFEPOINT_MUTATIONS=10000 takes long.
func mutations(t *testing.T) int {
	n, err := strconv.Atoi(os.Getenv("SAFEPOINT_MUTATIONS"))
	if err != nil || testing.Short() {
		return 15
	}
	return n
}

// TestMutations damages dumps of every kind. Nobody signed them, so what is still a dump is loaded, like any file of
// unknown origin: nothing panics, hangs, takes much memory, or touches another database.
func TestMutations(t *testing.T) {
	c := pgtest.Shared(t)
	pgtest.Exec(t, c.Target("postgres"), "DO $$ BEGIN CREATE ROLE mutant; EXCEPTION WHEN duplicate_object THEN NULL; END $$")
	live, source := pgtest.Create(t, c), pgtest.Create(t, c)
	pgtest.Exec(t, live, "CREATE TABLE canary AS SELECT 42 AS v")
	pgtest.Exec(t, source, `CREATE TABLE t (id int PRIMARY KEY, v text CHECK (length(v) < 100)); INSERT INTO t SELECT i, md5(i::text) FROM generate_series(1, 50) i;
CREATE FUNCTION f(x int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN x + 1; END $$; CREATE INDEX ON t (f(id)); COMMENT ON TABLE t IS 'it''s; one';
CREATE VIEW w AS SELECT * FROM t; CREATE TYPE e AS ENUM ('a', 'b'); GRANT SELECT ON t TO mutant; ALTER TABLE t OWNER TO mutant; SELECT lo_from_bytea(7777, '\x00ff')`)
	plain := pgDump(t, c, source.Name)
	files := map[string][]byte{"plain": plain, "custom": pgDump(t, c, source.Name, "-Fc"), "tar": pgDump(t, c, source.Name, "-Ft"), "zip": zipped(t, plain)}
	for name, command := range map[string][]string{"gzip": {"gzip", "-c"}, "zstd": {"zstd", "-qc"}, "bzip2": {"bzip2", "-c"}, "xz": {"xz", "-c"}} {
		cmd := exec.Command(command[0], command[1:]...)
		cmd.Stdin = bytes.NewReader(plain)
		packed, err := cmd.Output()
		if err != nil {
			t.Logf("%s: %v", name, err)
			continue
		}
		files[name] = packed
	}
	before := pgtest.Query(t, live, "SELECT sum(v) FROM canary")
	for name, file := range files {
		t.Run(name, func(t *testing.T) {
			n, refused, converted, refusedByServer, loaded := mutations(t), 0, 0, 0, 0
			every := max(1, n/500)
			for i := range n {
				rnd := rand.New(rand.NewPCG(uint64(i), uint64(len(name))))
				r, err := tryConvert(t, damage(rnd, file))
				if err != nil {
					refused++
					if u := safepoint.UserError(err); u.Code != safepoint.CodeArchive && u.Code != safepoint.CodeTool {
						t.Errorf("mutation %d: not a proper refusal: %v", i, err)
					}
					continue
				}
				if _, err := r.Verify(t.Context(), nil); err != nil || r.Header().Foreign == "" || r.SignedBy() != nil {
					t.Errorf("mutation %d: what was made of it is not a whole archive of unknown origin: %v", i, err)
				}
				if converted++; converted%every != 1 && every > 1 {
					continue
				}
				target := pgtest.Create(t, c)
				policy := engine.UnknownOrigin{Owner: "mutant", MaxTime: 20 * time.Second, MaxDisk: 1 << 30}
				if err := (postgres.Engine{Jobs: 1, Unknown: policy}).Load(t.Context(), target, r, engine.LoadOptions{}); err != nil {
					refusedByServer++
				} else {
					loaded++
				}
				pgtest.Exec(t, c.Target("postgres"), "DROP DATABASE "+pgtest.Quote(target.Name)+" WITH (FORCE)")
			}
			t.Logf("%s: of %d, %d were refused as files; of the others %d were tried: %d were refused while loading, %d loaded", name, n, refused, refusedByServer+loaded, refusedByServer, loaded)
			var m runtime.MemStats
			if runtime.ReadMemStats(&m); m.HeapSys > 1<<30 {
				t.Errorf("%d bytes of memory", m.HeapSys)
			}
		})
	}
	if after := pgtest.Query(t, live, "SELECT sum(v) FROM canary"); !slices.Equal(before, after) {
		t.Errorf("the live database says %q, and said %q", after, before)
	}
	if left := pgtest.Query(t, c.Target("postgres"), "SELECT rolname FROM pg_roles WHERE rolname ~ '^safepoint_.*_load$'"); len(left) > 0 {
		t.Errorf("load logins are left: %q", left)
	}
}

func zipped(t *testing.T, content []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	f, err := z.Create("dump.sql")
	if err == nil {
		_, err = f.Write(content)
	}
	if err != nil || z.Close() != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// tryConvert is convert of a file that may be refused.
func tryConvert(t *testing.T, file []byte) (*archive.Reader, error) {
	t.Helper()
	var out bytes.Buffer
	w := archive.NewWriter(&out, archive.Header{Tool: "test"}, nil)
	opt := foreign.Options{Unpack: postgres.Engine{}.Unpack, Temp: t.TempDir(), At: time.Unix(1e9, 0), Limits: foreign.Limits{SQL: 64 << 20, Statement: 8 << 20, Window: 16 << 20}}
	if _, err := foreign.Convert(t.Context(), save(t, "dump", file), w, opt); err != nil {
		return nil, err
	}
	sum, err := w.Close()
	if err != nil {
		t.Fatal(err)
	}
	r, err := archive.Open(bytes.NewReader(out.Bytes()), sum.Size, archive.Trust{Unsigned: true})
	if err != nil {
		t.Fatal(err)
	}
	return r, nil
}

// damage changes a file in one to three ways.
func damage(rnd *rand.Rand, file []byte) []byte {
	b := bytes.Clone(file)
	for range 1 + rnd.IntN(3) {
		from := rnd.IntN(len(b))
		to := min(len(b), from+1+rnd.IntN(64))
		switch rnd.IntN(7) {
		case 0, 1:
			b[from] ^= 1 << rnd.IntN(8)
		case 2:
			b = b[:max(1, from)]
		case 3:
			b = append(slices.Delete(b, from, to), 0)
		case 4:
			b = slices.Insert(b, from, bytes.Clone(b[from:to])...)
		case 5:
			for i := from; i < to; i++ {
				b[i] = byte(rnd.Uint32())
			}
		case 6:
			copy(b[from:], `';"$$\.`+"\n")
		}
	}
	return b
}
