package postgres

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/safepoint-db/safepoint/internal/pgtest"
	"github.com/safepoint-db/safepoint/internal/sqlscript"
)

// scriptPieces are what quotes, comments and bodies are made of, and what is easily taken for them.
var scriptPieces = []string{
	"'", "''", `"`, `""`, "$$", "$a$", "$b$", "$1", "$", "E'", "e'", "U&'", `U&"`, "N'", "B'", "'\\''", "\\\\", "--", "-- ;\n", "/*", "*/", "/* ; */", "/*/*", "*/*/", "-", "/", "*",
	"(", ")", ";", ";", ";", "\n", " ", "a", "SELECT", "1", "BEGIN", "END", "CASE", "ATOMIC", "CREATE", "FUNCTION", "OR", "REPLACE", "PROCEDURE", "CREATE FUNCTION f() BEGIN ATOMIC",
	"é", "a$a$", "1$a$", ".5", "::", ":", "[", "]", ",", "\t", "x'", "COPY", "_", "'\n'", "'--\n'", "E'\\'", "'a' 'b'", "$é$", "$1$", "\r",
}

func randomScript(rnd *rand.Rand) string {
	var b strings.Builder
	for range 1 + rnd.IntN(25) {
		b.WriteString(scriptPieces[rnd.IntN(len(scriptPieces))])
		if rnd.IntN(3) == 0 {
			b.WriteByte(' ')
		}
	}
	return b.String() + ";\n"
}

// lexemesOf is how a statement reads, without comments, blanks and its semicolon.
func lexemesOf(statement []byte) string {
	var b strings.Builder
	for r := read(statement); r.at.Kind != sqlscript.End; r.step() {
		if r.at.Kind == sqlscript.Odd {
			return "odd"
		}
		fmt.Fprintf(&b, "%d%s ", r.at.Kind, r.at.Text)
	}
	return strings.TrimSuffix(strings.TrimSpace(b.String()), "5;")
}

// TestCutsWherePsqlDoes has the real psql send scripts made at random, and compares what arrives with how we cut them.
func TestCutsWherePsqlDoes(t *testing.T) {
	c := pgtest.Shared(t)
	rnd := rand.New(rand.NewPCG(7, 7))
	const scripts = 600
	for batch := range 3 {
		var sent [][]byte
		var all []string
		for range scripts / 3 {
			s := randomScript(rnd)
			if strings.Contains(s, "\\") && !strings.Contains(s, "'") || meta(s) || strings.Contains(s, ":") { // psql's own commands and variables
				continue
			}
			all = append(all, s)
		}
		for i, s := range all {
			all[i] = s + "\nSELECT 'end';\n"
		}
		received := psqlSends(t, filepath.Join(c.BinDir, "psql"), all)
		for i, s := range all {
			sent = sent[:0]
			scan := sqlscript.New(strings.NewReader(s))
			for {
				statement, _, err := scan.Next()
				if err != nil {
					if err != io.EOF && err != io.ErrUnexpectedEOF {
						t.Fatal(err)
					}
					break
				}
				sent = append(sent, bytes.Clone(statement))
			}
			got := received[i]
			var ours, theirs []string
			for _, x := range sent {
				if l := lexemesOf(x); l != "" {
					ours = append(ours, l)
				}
			}
			for _, x := range got {
				if l := lexemesOf(x); l != "" {
					theirs = append(theirs, l)
				}
			}
			if len(theirs) > len(ours) && len(theirs)-len(ours) == 1 { // psql sends what is left without an end, too
				theirs = theirs[:len(ours)]
			}
			if strings.Join(ours, "\x00") != strings.Join(theirs, "\x00") {
				t.Fatalf("batch %d, script %d: %q\nours: %q\npsql: %q", batch, i, s, ours, theirs)
			}
		}
		t.Logf("%d scripts are cut alike", len(all))
	}
}

// meta says that a script holds a line for psql, where we read it as one.
func meta(s string) bool {
	for scan := sqlscript.New(strings.NewReader(s)); ; {
		if _, is, err := scan.Next(); is {
			return true
		} else if err != nil {
			return false
		}
	}
}

// psqlSends lets psql send each script in a session of its own to a server that takes everything, and returns the
// messages of each.
func psqlSends(t *testing.T, psql string, scripts []string) [][][]byte {
	t.Helper()
	dir := t.TempDir()
	l, err := net.Listen("unix", filepath.Join(dir, ".s.PGSQL.5432"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	sessions := make(chan [][]byte)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			sessions <- takeAll(conn)
		}
	}()
	var out [][][]byte
	for _, s := range scripts {
		cmd := exec.CommandContext(t.Context(), psql, "-X", "-q", "-h", dir, "-p", "5432", "-U", "x", "-d", "x", "-f", "-")
		cmd.Stdin = strings.NewReader(s)
		if err := cmd.Start(); err != nil {
			t.Skip(err)
		}
		out = append(out, <-sessions)
		cmd.Wait()
	}
	return out
}

// takeAll is the server's side of one session.
func takeAll(conn net.Conn) (queries [][]byte) {
	defer conn.Close()
	b := pgproto3.NewBackend(conn, conn)
	for {
		m, err := b.ReceiveStartupMessage()
		if err != nil {
			return nil
		}
		if _, ok := m.(*pgproto3.StartupMessage); ok {
			break
		}
		conn.Write([]byte("N"))
	}
	b.Send(&pgproto3.AuthenticationOk{})
	for name, value := range map[string]string{"server_version": "15.0", "client_encoding": "UTF8", "standard_conforming_strings": "on"} {
		b.Send(&pgproto3.ParameterStatus{Name: name, Value: value})
	}
	b.Send(&pgproto3.ReadyForQuery{TxStatus: 'I'})
	b.Flush()
	for {
		m, err := b.Receive()
		if err != nil {
			return queries
		}
		if q, ok := m.(*pgproto3.Query); ok {
			queries = append(queries, []byte(q.String))
			b.Send(&pgproto3.CommandComplete{CommandTag: []byte("SELECT 0")})
			b.Send(&pgproto3.ReadyForQuery{TxStatus: 'I'})
			b.Flush()
		}
	}
}

// FuzzClassify: whatever the bytes, a statement is judged and ends; both of our readers agree about its quotes; and what
// our own session would execute of a file of unknown origin begins with one of few words.
func FuzzClassify(f *testing.F) {
	for _, c := range []string{"CREATE FUNCTION f() RETURNS int LANGUAGE c AS 'x';", "ALTER TABLE a.b OWNER TO c;", "COMMENT ON TABLE a IS 'x';", "GRANT ALL ON TABLE a.b TO c;",
		"/* x */ SET a = 1;", "SELECT pg_catalog.lo_put(1, 2, '\\x00');", "CREATE EXTENSION x;", "CREATE TYPE a AS RANGE (canonical = b);", "ALTER OPERATOR a.=(int,int) OWNER TO b;", "U&\"a\";", "REVOKE a FROM b;"} {
		f.Add(c)
	}
	f.Fuzz(func(t *testing.T, script string) {
		s := sqlscript.New(strings.NewReader(script))
		s.MaxStatement = 1 << 16
		for {
			statement, isMeta, err := s.Next()
			if err != nil {
				return
			}
			if isMeta {
				continue
			}
			v := classify(statement, true)
			classify(statement, false)
			r := read(statement)
			first := r.at.Text
			depth, ended := 0, false
			for ; !r.over(); r.step() {
				if ended && v.rights >= ours && v.rights <= oursLast {
					t.Fatalf("%q goes on after its end", statement)
				}
				switch {
				case r.atSign("("):
					depth++
				case r.atSign(")"):
					depth--
				case r.atSign(";") && depth <= 0:
					ended = true
				}
			}
			if v.rights >= ours && v.rights <= oursLast {
				switch first {
				case "CREATE", "ALTER", "COMMENT", "GRANT", "REVOKE", "SELECT":
				default:
					t.Fatalf("%q would be executed by our own session", statement)
				}
				if r.at.Kind == sqlscript.Odd {
					t.Fatalf("%q is executed by our own session and not understood", statement)
				}
			}
		}
	})
}
