package foreign_test

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/archive"
	"github.com/safepoint-db/safepoint/internal/engine/postgres"
	"github.com/safepoint-db/safepoint/internal/foreign"
)

// try converts a dump that should be refused.
func try(t testing.TB, content []byte, opt foreign.Options) (foreign.Contents, error) {
	t.Helper()
	opt.Unpack, opt.Temp = postgres.Engine{}.Unpack, t.TempDir()
	return foreign.Convert(t.Context(), saveIn(t, content), archive.NewWriter(io.Discard, archive.Header{}, nil), opt)
}

func wantRefused(t *testing.T, err error, words string) {
	t.Helper()
	u := safepoint.UserError(err)
	if safepoint.ErrorCode(err) != safepoint.CodeArchive || !strings.Contains(u.Message+" "+u.Hint, words) || u.Hint == "" {
		t.Errorf("%s: %s (%s), want %q", u.Code, u.Message, u.Hint, words)
	}
}

// TestRefusals: what a dump may not hold is refused in words, with its line.
func TestRefusals(t *testing.T) {
	const head = "--\n-- PostgreSQL database dump\n--\n\n"
	for script, words := range map[string]string{
		"SELECT 1;\n\\! id\n":                                                 `Line 2 cannot be used: it runs a program with \!`,
		"-- a\n\n/* b\n */ \\connect other\n":                                 `Line 4 cannot be used: it changes to another database with \connect`,
		"\\c other\n":                                                         "without --create",
		"SELECT 'a\nb';\n  \\i /etc/passwd\n":                                 `Line 3 cannot be used: it reads another file with \i`,
		"\\copy t from program 'id'\n":                                        `Line 1 cannot be used: it reads a file or runs a program`,
		"COPY t (a) FROM stdin;\n1\n2\n\\.\n\\gexec\n":                        `Line 5 cannot be used: it holds a command for psql, \gexec`,
		"SELECT 1\n\\g /tmp/x\n;":                                             "Line 2 cannot be used: it holds a command for psql within a statement",
		"\\restrict a\n\\! id\n":                                              "Line 2 cannot be used: it runs a program",
		"\\restrict a\n\\unrestrict b\n":                                      `Line 2 cannot be used: its \unrestrict does not fit`,
		"\\restrict a\n\\restrict b\n":                                        `Line 2 cannot be used: its \restrict does not fit`,
		"\\unrestrict \n":                                                     `Line 1 cannot be used`,
		"\\restrict a\nSELECT 1;\n":                                           "does not end with \\unrestrict",
		"SELECT 1;\n\\.\n":                                                    "Line 2 cannot be used: it ends rows that did not begin",
		"COPY t FROM '/etc/passwd';":                                          "Line 1 cannot be used: it reads a file or runs a program on the database server",
		"COPY t FROM PROGRAM 'id';":                                           "runs a program on the database server",
		"COPY t TO STDOUT;":                                                   "writes rows out",
		"COPY (SELECT 1) TO STDOUT;":                                          "a query's result",
		"COPY t FROM stdin WITH (FORMAT csv);\n1\n\\.\n":                      "with options",
		"COPY t WITH OIDS FROM stdin;\n1\n\\.\n":                              "--oids",
		"COPY t FROM stdin; DROP TABLE t;\n1\n\\.\n":                          "something stands behind",
		"\n\nCREATE DATABASE other;":                                          "Line 3 cannot be used: CREATE DATABASE",
		"CREATE ROLE evil SUPERUSER;":                                         "about the whole server",
		"ALTER SYSTEM SET x = 1;":                                             "about the whole server",
		"LOAD 'evil';":                                                        "runs a library",
		"SET SESSION AUTHORIZATION 'root';":                                   "--no-owner",
		"SET client_encoding = 'SJIS';":                                       "cannot be read safely",
		"SET NAMES 'big5';":                                                   "cannot be read safely",
		"SELECT pg_catalog.set_config('client_encoding', 'GBK', false);":      "cannot be read safely",
		strings.Repeat("SELECT 1;\n", 500) + "SELECT 'a\x00b';":               "Line 501 cannot be used: it holds a zero byte",
		head + "SELECT 1;\n":                                                  "lacks the words with which pg_dump ends",
		head + "SELECT 1;\n--\n-- PostgreSQL database dump comp":              "lacks the words with which pg_dump ends",
		"CREATE TABLE t (a int":                                               "ends within a statement, on line 1",
		"COPY public.t FROM stdin;\n1\n":                                      "ends within the rows of public.t, which begin on line 1",
		"COPY t FROM stdin;":                                                  "has been cut off",
		"":                                                                    "zero bytes",
		"\n\n-- nothing\n":                                                    "holds no statement",
		"-- MySQL dump 10.13  Distrib 8.0.36\n":                               "a dump of MySQL",
		"/*M!999999\\- enable the sandbox mode */ \n-- MariaDB dump":          "a dump of MariaDB",
		"PRAGMA foreign_keys=OFF;\nBEGIN TRANSACTION;\n":                      "a dump of SQLite",
		"-- PostgreSQL database cluster dump\n":                               "pg_dumpall",
		"-- A backup of a PostgreSQL database, made by Safepoint.\nSELECT 1;": "table of contents is missing",
		"\xff\xfeS\x00E\x00":                                                  "UTF-16",
		"SQLite format 3\x00":                                                 "an SQLite database",
		"age-encryption.org/v1\n":                                             "encrypted with age",
		"PGDMP":                                                               "cut off",
		"PGDMP\x01\x0e\x00\x04\x08\x01\x01rubbish":                            "pg_restore cannot read the dump",
		"PGDMP\x01\x63\x00\x04\x08\x01\x01\x00\x00\x00":                       "newer",
		"\x1f\x8bnot gzip at all":                                             "damaged",
		"\x28\xb5\x2f\xfd\x00\x00\x00\x00\x00\x00":                            "",
		"BZh9garbage garbage":                                                 "damaged",
		"\xfd7zXZ\x00garbage garbage":                                         "damaged",
		"PK\x03\x04garbage":                                                   "damaged",
		"\x00\x01\x02\x03":                                                    "neither SQL nor anything",
	} {
		_, err := try(t, []byte(script), foreign.Options{})
		if err == nil {
			t.Errorf("%.60q was taken", script)
			continue
		}
		wantRefused(t, err, words)
	}
}

// TestPackedWrongly: containers hold exactly one dump, packed once.
func TestPackedWrongly(t *testing.T) {
	zipOf := func(names ...string) []byte {
		var b bytes.Buffer
		z := zip.NewWriter(&b)
		for _, n := range names {
			w, err := z.Create(n)
			if err != nil {
				t.Fatal(err)
			}
			io.WriteString(w, "SELECT 1;\n")
		}
		z.Close()
		return b.Bytes()
	}
	tarOf := func(h tar.Header, content string) []byte {
		var b bytes.Buffer
		w := tar.NewWriter(&b)
		h.Size = int64(len(content))
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		io.WriteString(w, content)
		w.Close()
		return b.Bytes()
	}
	for name, f := range map[string]struct {
		content []byte
		words   string
	}{
		"two in a zip":     {zipOf("a.sql", "b.sql"), "holds 2 files"},
		"none in a zip":    {zipOf("folder/"), "holds no file"},
		"gzip in gzip":     {gzipped(gzipped([]byte("SELECT 1;"))), "packed twice: a gzip inside a gzip file"},
		"zip in gzip":      {gzipped(zipOf("a.sql")), "packed twice"},
		"custom in gzip":   {gzipped([]byte("PGDMP\x01\x0e\x00")), "packed twice"},
		"tar without dump": {tarOf(tar.Header{Name: "a.sql", Typeflag: tar.TypeReg}, "SELECT 1;"), "holds no dump"},
		"tar with a path":  {tarOf(tar.Header{Name: "../../etc/toc.dat.gz", Typeflag: tar.TypeReg}, "x"), "holds no dump"},
		"cut gzip":         {gzipped([]byte(strings.Repeat("SELECT 1;\n", 9999)))[:60], "has been cut off"},
		"cut zstd":         {zstdOf(strings.Repeat("SELECT 1;\n", 9999))[:20], "has been cut off"},
		"sqlite in gzip":   {gzipped([]byte("SQLite format 3\x00")), "an SQLite database"},
		"mysql in zstd":    {zstdOf("-- MySQL dump 10.13\n"), "a dump of MySQL"},
		"ours without end": {zstdOf("-- A backup of a PostgreSQL database, made by Safepoint.\nSELECT 1;\n"), "table of contents is missing"},
		"link in a tar":    {append(tarOf(tar.Header{Name: "d/toc.dat", Typeflag: tar.TypeReg}, "PGDMP\x01\x0e\x00\x04\x08\x03")[:1024], tarOf(tar.Header{Name: "d/1.dat.gz", Typeflag: tar.TypeSymlink, Linkname: "/etc/passwd"}, "")...), "not part of a dump"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := try(t, f.content, foreign.Options{})
			if err == nil {
				t.Fatal("taken")
			}
			wantRefused(t, err, f.words)
		})
	}
}

// TestBombs: files out of which far more comes than they have bytes are stopped, in little memory, and the limit is named.
func TestBombs(t *testing.T) {
	line := strings.Repeat("-", 1<<20-1) + "\n"
	var zeros, comments bytes.Buffer
	z := gzip.NewWriter(&zeros)
	io.WriteString(z, strings.Repeat("SELECT 1;\n", 500))
	chunk := make([]byte, 1<<20)
	for range 256 {
		z.Write(chunk)
	}
	z.Close()
	w, err := zstd.NewWriter(&comments)
	if err != nil {
		t.Fatal(err)
	}
	for range 200 {
		io.WriteString(w, line)
	}
	w.Close()
	// What is held is asked for, not when the collector runs.
	defer debug.SetGCPercent(debug.SetGCPercent(25))
	runtime.GC()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err = try(t, comments.Bytes(), foreign.Options{})
	wantRefused(t, err, "--max-ratio")
	_, err = try(t, zeros.Bytes(), foreign.Options{Limits: foreign.Limits{Statement: 1 << 20}})
	wantRefused(t, err, "--max-statement")
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapSys) - int64(before.HeapSys); grown > 300<<20 {
		t.Errorf("the heap grew by %d MiB", grown>>20)
	}
	_, err = try(t, []byte(strings.Repeat("SELECT 1;\n", 1<<18)), foreign.Options{Limits: foreign.Limits{SQL: 1 << 20}})
	wantRefused(t, err, "More than 1 MiB of SQL")
	_, err = try(t, []byte("INSERT INTO t VALUES ('"+strings.Repeat("x", 2<<20)+"');"), foreign.Options{Limits: foreign.Limits{Statement: 1 << 20}})
	wantRefused(t, err, "longer than 1 MiB")
	// Rows have no such limit.
	c, err := try(t, []byte("COPY t FROM stdin;\n"+strings.Repeat("x", 8<<20)+"\n\\.\n"), foreign.Options{Limits: foreign.Limits{Statement: 1 << 20}})
	if err != nil || c.Rows != 1 {
		t.Errorf("%d rows, %v", c.Rows, err)
	}
	wide, err := zstd.NewWriter(io.Discard, zstd.WithWindowSize(64<<20))
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	wide.Reset(&b)
	io.WriteString(wide, strings.Repeat("SELECT 1;\n", 1<<20))
	wide.Close()
	_, err = try(t, b.Bytes(), foreign.Options{Limits: foreign.Limits{Window: 8 << 20}})
	wantRefused(t, err, "--max-window")
}

// TestRowsOfCopy: rows are counted as the server counts them, and a big table is cut between rows.
func TestRowsOfCopy(t *testing.T) {
	for script, rows := range map[string]int64{
		"COPY t FROM stdin;\n\\.\n":                            0,
		"COPY t FROM stdin;\n\n\n\\.\n":                        2,
		"COPY t FROM stdin;\na\\\nb\nc\n\\.\n":                 2, // a backslash before a line's end makes that part of the value
		"COPY t FROM stdin;\na\\\\\nb\n\\.":                    2,
		"COPY t FROM stdin;\r\na\r\nb\r\n\\.\r\nSELECT 1;":     2,
		"copy \"T\"\"x\" ( a , \"B\" ) from STDIN ;\n1\n\\.\n": 1,
		"COPY t FROM stdin;\n\\.x\n\\..\n\\.\n":                2,
		"INSERT INTO t VALUES (1, (2)), (3, 4);":               2,
		"INSERT INTO t DEFAULT VALUES;":                        1,
	} {
		c, err := try(t, []byte(script), foreign.Options{})
		if err != nil || c.Rows != rows {
			t.Errorf("%q: %d rows, want %d (%v)", script, c.Rows, rows, err)
		}
	}
	var big strings.Builder
	big.WriteString("COPY t FROM stdin;\n")
	for i := range 400_000 {
		fmt.Fprintf(&big, "%d\t%s\n", i, strings.Repeat("x", 90))
	}
	big.WriteString("\\.\n")
	r, c := convert(t, saveIn(t, []byte(big.String())), foreign.Options{})
	if n := r.Len(); n != 4 || c.Rows != 400_000 || r.Entry(3).Slice != 2 {
		t.Errorf("%d frames, %d rows", n, c.Rows)
	}
}

func gzipped(content []byte) []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	z.Write(content)
	z.Close()
	return b.Bytes()
}

func zstdOf(content string) []byte {
	w, _ := zstd.NewWriter(nil)
	return w.EncodeAll([]byte(content), nil)
}

// FuzzConvert: whatever the bytes, a conversion ends in an archive that verifies, or in a refusal in words.
func FuzzConvert(f *testing.F) {
	for _, seed := range []string{"SELECT 1;", "COPY t (a) FROM stdin;\n1\n\\.\n", "INSERT INTO t VALUES (1);\nCOPY s.t FROM stdin;\n\\.\nCREATE INDEX i ON t (a);",
		"SET standard_conforming_strings = off;\nSELECT 'a\\'b';", "\\restrict a\n\\unrestrict a\n", "SET search_path = \"a;b\", pg_catalog;\nALTER TABLE t OWNER TO x;\nGRANT ALL ON t TO y;",
		"SELECT pg_catalog.lo_open('1', 2);SELECT pg_catalog.lowrite(0, '\\x00');SELECT pg_catalog.lo_close(0);", "SELECT setval('t', 1);", "\xef\xbb\xbfCOPY t FROM stdin;\r\n1\r\n\\.\r\n"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, script []byte) {
		if bytes.HasPrefix(script, []byte("PGDMP")) {
			return // that is pg_restore's own affair
		}
		var out bytes.Buffer
		w := archive.NewWriter(&out, archive.Header{}, nil)
		_, err := foreign.Convert(t.Context(), saveIn(t, script), w, foreign.Options{Limits: foreign.Limits{SQL: 1 << 20, Statement: 1 << 16}})
		if err != nil {
			if u := safepoint.UserError(err); u.Code == safepoint.CodeInternal {
				t.Fatalf("%q: %v", script, err)
			}
			return
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
	})
}
