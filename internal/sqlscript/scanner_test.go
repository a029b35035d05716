package sqlscript

import (
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

func TestScannerCutsWherePsqlDoes(t *testing.T) {
	statements := []string{
		"SELECT 1;",
		" SELECT 'a;b''c;', \"x;\"\"y\";",
		"\n-- a comment; with 'quotes\nSELECT E'a\\';b', 'c\\';",
		" /* one /* two; */ ; */ SELECT $$a;b$$, $x$ $$; $y$ $x$;",
		" SELECT a$b, $1, e'\\\\';",
		" CREATE RULE r AS ON INSERT TO t DO (SELECT 1; SELECT 2);",
		" CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT CASE WHEN true THEN 1 END; SELECT 2; END;",
		" CREATE OR REPLACE PROCEDURE p() LANGUAGE sql BEGIN ATOMIC INSERT INTO \"begin\" VALUES (1); END;",
		" CREATE TABLE begin_end (\"end\" int);",
		" BEGIN;", " SELECT U&'d\\0061t\\+000061';", " COMMIT;",
		" CREATE FUNCTION g() RETURNS text LANGUAGE plpgsql AS $_$ BEGIN RETURN ';'; END; $_$;",
		" SELECT 1::int$a;", " SELECT $é$;$é$;",
	}
	s := New(strings.NewReader(strings.Join(statements, "") + "\n\n-- the end;\n"))
	for _, want := range statements {
		got, meta, err := s.Next()
		if err != nil || meta || string(got) != want {
			t.Fatalf("got %q (meta %v, %v), want %q", got, meta, err, want)
		}
	}
	if got, _, err := s.Next(); err != io.EOF {
		t.Fatalf("after the end: %q, %v", got, err)
	}
}

func TestScannerFindsCommandsForClients(t *testing.T) {
	s := New(strings.NewReader("\\restrict abc;def\nSELECT '\\! no';\n"))
	if got, meta, err := s.Next(); !meta || err != nil || string(got) != "\\restrict abc;def\n" {
		t.Fatalf("got %q, %v, %v", got, meta, err)
	}
	if got, meta, err := s.Next(); meta || err != nil || string(got) != "SELECT '\\! no';" {
		t.Fatalf("got %q, %v, %v", got, meta, err)
	}
}

// TestScannerContinuesStrings: a string that goes on in another line keeps its rules, as psql and the server have it.
func TestScannerContinuesStrings(t *testing.T) {
	for script, want := range map[string][]string{
		"SELECT E'a'\n  'b\\';c';SELECT 2;":            {"SELECT E'a'\n  'b\\';c';", "SELECT 2;"},
		"SELECT E'a' -- x\n -- y\n 'b\\';c';SELECT 2;": {"SELECT E'a' -- x\n -- y\n 'b\\';c';", "SELECT 2;"},
		"SELECT 'a'\n'b\\';SELECT 2;":                  {"SELECT 'a'\n'b\\';", "SELECT 2;"},
		"SELECT E'a', 'b\\';SELECT 2;":                 {"SELECT E'a', 'b\\';", "SELECT 2;"},
		"-- a comment\rSELECT 1;SELECT 2;":             {"-- a comment\rSELECT 1;", "SELECT 2;"},
	} {
		same(t, New(strings.NewReader(script)), want)
	}
}

func TestScannerTranslatesOldStrings(t *testing.T) {
	for script, want := range map[string][]string{
		`SELECT 'it\'s; \\', 'plain';SELECT 2;`: {`SELECT E'it\'s; \\', 'plain';`, "SELECT 2;"},
		`SELECT E'a\n','b\n';`:                  {`SELECT E'a\n',E'b\n';`},
		"SELECT 'a'\n'b\\';c';":                 {"SELECT E'a'\n'b\\';c';"},
		`SELECT $$it's \ $$, "a\";`:             {`SELECT $$it's \ $$, "a\";`},
	} {
		s := New(strings.NewReader(script))
		s.OldStrings = true
		same(t, s, want)
		for _, statement := range want { // what came out is read alike under the standard rule
			same(t, New(strings.NewReader(statement)), []string{statement})
		}
	}
}

func TestScannerCountsLinesAndRows(t *testing.T) {
	s := New(strings.NewReader("-- one\n\nINSERT INTO t VALUES (1, (2)),\n (3, 4);\nINSERT INTO t (a) VALUES ('x\ny');\nSELECT (1);\n \\q\n"))
	for _, want := range []struct{ line, groups int }{{3, 2}, {5, 1}, {7, 0}} {
		if _, _, err := s.Next(); err != nil || s.Line() != want.line || s.Groups() != want.groups {
			t.Errorf("line %d, %d groups, %v; want %v", s.Line(), s.Groups(), err, want)
		}
	}
	if _, meta, err := s.Next(); err != nil || !meta || s.Line() != 8 {
		t.Errorf("meta %v on line %d, %v", meta, s.Line(), err)
	}
}

func same(t *testing.T, s *Scanner, want []string) {
	t.Helper()
	for _, w := range want {
		if got, meta, err := s.Next(); err != nil || meta || string(got) != w {
			t.Errorf("got %q (meta %v, %v), want %q", got, meta, err, w)
		}
	}
	if got, _, err := s.Next(); err != io.EOF {
		t.Errorf("after the end: %q, %v", got, err)
	}
}

// FuzzScanner: whatever the bytes, nothing is lost between statements, and under the old rule what comes out reads as
// the same statements under the standard one. It cuts the same when the bytes come one by one.
func FuzzScanner(f *testing.F) {
	for _, seed := range []string{"SELECT 1;", "SELECT E'a'\n'b\\';", "CREATE FUNCTION f() BEGIN ATOMIC SELECT 1; END;", "SELECT $x$;$x$; -- c\n\\q\n", "SELECT 'a\\';'", "/* /* */ */;",
		"-- a\r\nSELECT 'it''s\na', \"x\"\"y\", E'\\\\''\\'', $a$ $ $b$ \n$a$;\nSELECT 2;"} {
		f.Add(seed, false)
		f.Add(seed, true)
	}
	f.Fuzz(func(t *testing.T, script string, old bool) {
		s := New(strings.NewReader(script))
		s.OldStrings, s.MaxStatement = old, 1<<16
		slow := New(iotest.OneByteReader(strings.NewReader(script)))
		slow.OldStrings, slow.MaxStatement = old, 1<<16
		var all strings.Builder
		for {
			statement, meta, err := s.Next()
			if one, m, e := slow.Next(); m != meta || e != err || string(one) != string(statement) || slow.Line() != s.Line() || slow.Here() != s.Here() || slow.Groups() != s.Groups() {
				t.Fatalf("byte by byte %q is cut into %q (%v, %v, line %d to %d), and else into %q (%v, %v, line %d to %d)",
					script, one, m, e, slow.Line(), slow.Here(), statement, meta, err, s.Line(), s.Here())
			}
			if err != nil {
				if err == io.EOF && !old && !strings.HasPrefix(script, all.String()) {
					t.Fatalf("%q is not the beginning of %q", &all, script)
				}
				return
			}
			all.Write(statement)
			if old && !meta && !strings.Contains(script, "&'") && !gluedString(script) {
				again := New(strings.NewReader(string(statement)))
				if got, m, err := again.Next(); err != nil || m || string(got) != string(statement) {
					t.Fatalf("%q reads back as %q, %v, %v", statement, got, m, err)
				}
			}
		}
	})
}

// gluedString finds a string right behind a word, N'…', which cannot be given an E.
func gluedString(script string) bool {
	for i := 1; i < len(script); i++ {
		if script[i] == '\'' && IsWordPart(script[i-1]) {
			return true
		}
	}
	return false
}
