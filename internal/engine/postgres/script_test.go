package postgres

import (
	"io"
	"strings"
	"testing"
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
	s := newScanner(strings.NewReader(strings.Join(statements, "") + "\n\n-- the end;\n"))
	for _, want := range statements {
		got, meta, err := s.next()
		if err != nil || meta || string(got) != want {
			t.Fatalf("got %q (meta %v, %v), want %q", got, meta, err, want)
		}
	}
	if got, _, err := s.next(); err != io.EOF {
		t.Fatalf("after the end: %q, %v", got, err)
	}
}

func TestScannerFindsCommandsForClients(t *testing.T) {
	s := newScanner(strings.NewReader("\\restrict abc;def\nSELECT '\\! no';\n"))
	if got, meta, err := s.next(); !meta || err != nil || string(got) != "\\restrict abc;def\n" {
		t.Fatalf("got %q, %v, %v", got, meta, err)
	}
	if got, meta, err := s.next(); meta || err != nil || string(got) != "SELECT '\\! no';" {
		t.Fatalf("got %q, %v, %v", got, meta, err)
	}
}

func TestCheckScriptRefuses(t *testing.T) {
	for _, sql := range []string{"SELECT 1", "SELECT 'x;", "SELECT 1 \\! touch x\n;", "\\connect other\n", "SELECT $$;", "/* ;", "-- x\n\\! rm\n", "SELECT (1;"} {
		err := checkScript([]byte(sql), func([]byte) {})
		if sql == "/* ;" { // a comment alone is nothing to run, but one that does not end is a cut file
			if err == nil {
				t.Errorf("%q passed", sql)
			}
			continue
		}
		if err == nil {
			t.Errorf("%q passed", sql)
		}
	}
	for _, sql := range []string{"", "\n", "-- nothing\n", "SELECT 1;", "SELECT '\\!';\n\n"} {
		if err := checkScript([]byte(sql), func([]byte) {}); err != nil {
			t.Errorf("%q: %v", sql, err)
		}
	}
}
