package foreign_test

import (
	"archive/zip"
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/archive"
	"github.com/safepoint-db/safepoint/internal/engine"
	"github.com/safepoint-db/safepoint/internal/engine/postgres"
	"github.com/safepoint-db/safepoint/internal/foreign"
	"github.com/safepoint-db/safepoint/internal/pgserver"
	"github.com/safepoint-db/safepoint/internal/pgtest"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

// zoo makes a database with one of everything: the one that the engine's own tests dump.
func zoo(t *testing.T, c *pgserver.Cluster) engine.Target {
	t.Helper()
	for _, name := range []string{"zoo_owner", "zoo_reader"} {
		pgtest.Exec(t, c.Target("postgres"), "DO $$ BEGIN CREATE ROLE "+name+" LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$")
	}
	source := pgtest.Create(t, c)
	script, err := os.ReadFile("../engine/postgres/testdata/zoo.sql")
	if err != nil {
		t.Fatal(err)
	}
	version, _ := strconv.Atoi(pgtest.Query(t, source, "SHOW server_version_num")[0])
	cmd := c.Tool(t.Context(), "psql", source.Name, "-qX", "-v", "ON_ERROR_STOP=1")
	cmd.Stdin = strings.NewReader(forVersion(string(script), version/10000))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("psql: %v\n%s", err, out)
	}
	return source
}

// forVersion leaves out of the zoo what its marks say is for other versions of the server.
func forVersion(script string, version int) string {
	var out strings.Builder
	keep := true
	for line := range strings.Lines(script) {
		mark := strings.Fields(line)
		if len(mark) < 2 || mark[0] != "--#" {
			if keep {
				out.WriteString(line)
			}
			continue
		}
		n := 0
		if len(mark) > 2 {
			n, _ = strconv.Atoi(mark[2])
		}
		keep = mark[1] == "end" || mark[1] == "from" && version >= n || mark[1] == "before" && version < n
	}
	return out.String()
}

// pgDump is what pg_dump writes with args.
func pgDump(t *testing.T, c *pgserver.Cluster, database string, args ...string) []byte {
	t.Helper()
	cmd := c.Tool(t.Context(), "pg_dump", database, args...)
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("pg_dump %v: %v\n%s", args, err, &said)
	}
	return out
}

// lines of a dump that say something: no comments and none of the random keys.
func lines(dump []byte) []string {
	return slices.DeleteFunc(strings.Split(strings.ReplaceAll(string(dump), "  FROM stdin;", " FROM stdin;"), "\n"), func(l string) bool {
		return l == "" || strings.HasPrefix(l, "--") || strings.HasPrefix(l, `\restrict`) || strings.HasPrefix(l, `\unrestrict`) || l == "SET standard_conforming_strings = on;"
	})
}

func save(t *testing.T, name string, b []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func saveIn(t testing.TB, b []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "dump")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// convert makes an archive of the dump at path, and opens it verified.
func convert(t *testing.T, path string, opt foreign.Options) (*archive.Reader, foreign.Contents) {
	t.Helper()
	var out bytes.Buffer
	w := archive.NewWriter(&out, archive.Header{Tool: "test"}, nil)
	opt.Unpack, opt.Temp, opt.At = postgres.Engine{}.Unpack, t.TempDir(), time.Unix(1e9, 0)
	contents, err := foreign.Convert(t.Context(), path, w, opt)
	if err != nil {
		t.Fatalf("convert: %v\n%s", err, safepoint.UserError(err).Hint)
	}
	sum, err := w.Close()
	if err != nil {
		t.Fatal(err)
	}
	r, err := archive.Open(bytes.NewReader(out.Bytes()), sum.Size, archive.Trust{Unsigned: true})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Verify(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(opt.Temp); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
	return r, contents
}

func load(t *testing.T, c *pgserver.Cluster, r *archive.Reader) engine.Target {
	t.Helper()
	target := pgtest.Create(t, c)
	if err := (postgres.Engine{Jobs: 2, Unknown: engine.UnknownOrigin{Trusted: true}}).Load(t.Context(), target, r, engine.LoadOptions{}); err != nil {
		t.Fatalf("load: %v\n%s", err, c.LogTail(12))
	}
	return target
}

func wantSameDump(t *testing.T, want, got []byte) {
	t.Helper()
	a, b := lines(want), lines(got)
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			t.Fatalf("dumps differ in line %d:\n- %.300s\n+ %.300s", i+1, a[i], b[i])
		}
	}
	if len(a) != len(b) {
		t.Fatalf("dumps have %d and %d lines", len(a), len(b))
	}
}

// TestRoundTrip takes dumps of pg_dump in each of its formats, and in each container, to where pg_dump writes the same.
func TestRoundTrip(t *testing.T) {
	c := pgtest.Shared(t)
	source := zoo(t, c)
	want := pgDump(t, c, source.Name)
	formats := map[string]struct {
		args []string
		from string
	}{
		"plain":      {nil, ", plain SQL"},
		"inserts":    {[]string{"--inserts"}, ", plain SQL"},
		"rows":       {[]string{"--rows-per-insert=3", "--on-conflict-do-nothing"}, ", plain SQL"},
		"columns":    {[]string{"--column-inserts", "--quote-all-identifiers"}, ", plain SQL"},
		"clean":      {[]string{"--clean"}, ", plain SQL"},
		"clean-if":   {[]string{"--clean", "--if-exists"}, ", plain SQL"},
		"disabled":   {[]string{"--disable-triggers", "--disable-dollar-quoting"}, ", plain SQL"},
		"custom":     {[]string{"-Fc"}, ", custom format"},
		"custom-raw": {[]string{"-Fc", "-Z0"}, ", custom format"},
		"tar":        {[]string{"-Ft"}, ", tar format"},
	}
	for name, f := range formats {
		t.Run(name, func(t *testing.T) {
			r, contents := convert(t, save(t, "dump", pgDump(t, c, source.Name, f.args...)), foreign.Options{})
			if !strings.HasPrefix(contents.Origin, "pg_dump 1") || !strings.HasSuffix(contents.Origin, f.from) || r.Header().Foreign != contents.Origin {
				t.Errorf("origin %q, in the header %q", contents.Origin, r.Header().Foreign)
			}
			wantSameDump(t, want, pgDump(t, c, load(t, c, r).Name))
		})
	}
	t.Run("directory", func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "dump")
		if err := os.Chmod(filepath.Dir(dir), 0o777); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(filepath.Join(c.BinDir, "pg_dump"), "-Fd", "-h", c.Socket, "-p", "5432", "-U", c.User, "-f", dir, source.Name)
		cmd.Args[5] = portOf(c)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("pg_dump: %v\n%s", err, out)
		}
		r, contents := convert(t, dir, foreign.Options{})
		if !strings.HasSuffix(contents.Origin, ", directory format") {
			t.Error(contents.Origin)
		}
		wantSameDump(t, want, pgDump(t, c, load(t, c, r).Name))
		packed := filepath.Join(t.TempDir(), "dump.tar")
		if out, err := exec.Command("tar", "-cf", packed, "-C", filepath.Dir(dir), "dump").CombinedOutput(); err != nil {
			t.Fatalf("tar: %v\n%s", err, out)
		}
		again, _ := convert(t, packed, foreign.Options{})
		if again.Summary().RawSize != r.Summary().RawSize {
			t.Errorf("in a tar file: %+v, as a folder: %+v", again.Summary(), r.Summary())
		}
	})
	plain := save(t, "dump.sql", want)
	asPlain, _ := convert(t, plain, foreign.Options{})
	script := sql(t, asPlain)
	for name, command := range map[string][]string{"gzip": {"gzip", "-k"}, "zstd": {"zstd", "-q"}, "bzip2": {"bzip2", "-k"}, "xz": {"xz", "-k"}} {
		t.Run(name, func(t *testing.T) {
			if _, err := exec.LookPath(command[0]); err != nil {
				t.Skip(err)
			}
			cmd := exec.Command(command[0], append(command[1:], "-c", plain)...)
			packed, err := cmd.Output()
			if err != nil {
				t.Fatal(err)
			}
			packed = append(packed, packed[:0]...)
			r, contents := convert(t, save(t, "any.name", packed), foreign.Options{})
			if !strings.HasSuffix(contents.Origin, ", plain SQL in "+name) {
				t.Error(contents.Origin)
			}
			wantSameDump(t, script, sql(t, r))
		})
	}
	t.Run("zip", func(t *testing.T) {
		var b bytes.Buffer
		z := zip.NewWriter(&b)
		f, err := z.Create("../../dump.sql")
		if err == nil {
			_, err = f.Write(want)
		}
		if err != nil || z.Close() != nil {
			t.Fatal(err)
		}
		r, _ := convert(t, save(t, "dump.zip", b.Bytes()), foreign.Options{})
		wantSameDump(t, script, sql(t, r))
	})
	t.Run("windows", func(t *testing.T) {
		crlf := append([]byte("\xef\xbb\xbf"), bytes.ReplaceAll(want, []byte("\n"), []byte("\r\n"))...)
		r, _ := convert(t, save(t, "dump.sql", crlf), foreign.Options{})
		wantSameDump(t, script, bytes.ReplaceAll(sql(t, r), []byte("\r\n"), []byte("\n")))
		load(t, c, r)
	})
}

// sql is an archive's script as pg_dump wrote it, without what the conversion puts before it.
func sql(t *testing.T, r *archive.Reader) []byte {
	t.Helper()
	var all bytes.Buffer
	for i := range r.Entries() {
		f, err := r.Frame(i)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := all.ReadFrom(f); err != nil {
			t.Fatal(err)
		}
		f.Close()
	}
	_, rest, ok := bytes.Cut(all.Bytes(), []byte("SET search_path = \"$user\", public;\n"))
	if !ok {
		t.Error("the preamble is missing")
	}
	return rest
}

func portOf(c *pgserver.Cluster) string {
	for _, env := range c.Tool(context.Background(), "psql", "x").Env {
		if v, ok := strings.CutPrefix(env, "PGPORT="); ok {
			return v
		}
	}
	return "5432"
}
