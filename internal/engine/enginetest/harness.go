// Package enginetest holds the behaviour that every engine must show, and runs it against a real server.
//
// An engine's test calls Run with a Harness that makes databases and sessions of its family. The suite speaks only SQL
// that every engine understands: CREATE TABLE, INSERT … VALUES, UPDATE, DELETE, SELECT, DROP TABLE.
package enginetest

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/archive"
	"github.com/safepoint-db/safepoint/internal/engine"
)

// Harness is what the suite needs of one engine's family. Functions fail the test themselves where they can.
type Harness struct {
	Engine engine.Engine

	// Also are the optional interfaces of package engine that it must be, such as "Founder", and no others.
	Also []string

	// New makes an empty database and removes it, and everything that a restore left beside it, after the test.
	// name is the database's own name (SQLite: its file's name); "" lets the harness choose one that is not in use.
	New func(t *testing.T, name string) engine.Target

	// Connect opens a session as an ordinary client of the database does. It returns an error if it is not let in
	// within a second or so. The suite closes it.
	Connect func(ctx context.Context, t engine.Target) (Session, error)

	// Names are odd names that a database may have on this engine.
	Names []string

	// Unreachable are targets that cannot be used, by the code that every method must answer with.
	Unreachable func(t *testing.T) map[safepoint.Code]engine.Target

	// Exists says whether the database (SQLite: the file) of that name stands on t's server, whoever holds it.
	Exists func(t *testing.T, target engine.Target, name string) bool

	// Named is the database called name beside target, and removes it after the test; for engines that found.
	Named func(t *testing.T, target engine.Target, name string) engine.Target

	// Vacate takes the live database's name away, as a person would by hand, and removes what had it after the test.
	Vacate func(t *testing.T, target engine.Target)

	// Replace makes another database of the live name, once that was vacated, and removes it after the test.
	Replace func(t *testing.T, target engine.Target)

	// Foreign makes a database of the name that p gives to staging, or to the set-aside one, by other hands:
	// no marker, another identity.
	Foreign func(t *testing.T, target engine.Target, name string)

	// Only are names of tests; nil is all of them.
	Only []string
}

// Session is an ordinary client.
type Session interface {
	// Exec runs one statement, Query one that returns rows: the first column of each as text. Both give up
	// within seconds when they are kept waiting.
	Exec(ctx context.Context, sql string) error
	Query(ctx context.Context, sql string) ([]string, error)
	Close()
}

// Run runs the whole suite.
func Run(t *testing.T, h Harness) {
	tests := []struct {
		name string
		test func(*testing.T, Harness)
	}{
		{"IsWhatItSays", testIsWhatItSays},
		{"Inspect", testInspect},
		{"Unreachable", testUnreachable},
		{"RoundTrip", testRoundTrip},
		{"EmptyDatabase", testEmptyDatabase},
		{"OddNames", testOddNames},
		{"LoadRefusesFilledTarget", testLoadRefusesFilledTarget},
		{"LoadRefusesOtherEngine", testOtherEngine},
		{"DigestSeesChanges", testDigestSeesChanges},
		{"DumpIsOneMoment", testDumpIsOneMoment},
		{"DumpCancelled", testDumpCancelled},
		{"LoadCancelled", testLoadCancelled},
		{"Cycle", testCycle},
		{"CycleOfOddName", testCycleOfOddName},
		{"StageTwice", testStageTwice},
		{"GateKeepsEveryoneOut", testGate},
		{"GateNeedsTheJournal", testGateNeedsTheJournal},
		{"OpenWithoutGate", testOpenWithoutGate},
		{"GateAgainAfterCrash", testGateAgainAfterCrash},
		{"SwitchRefusesOtherIdentity", testSwitchRefusesOtherIdentity},
		{"ReadersSeeOldOrNew", testReadersSeeOldOrNew},
		{"DropsRefuseForeign", testDropsRefuseForeign},
		{"DropsAreIdempotent", testDropsAreIdempotent},
		{"RestoreOverEmpty", testRestoreOverEmpty},
		{"Found", testFound},
		{"Instant", testInstant},
		{"InstantRefusesOtherIdentity", testInstantRefusesOtherIdentity},
		{"RenamedBeforeTheSwitch", testRenamedBeforeTheSwitch},
		{"RenamedAfterTheSwitch", testRenamedAfterTheSwitch},
		{"Survey", testSurvey},
		{"Census", testCensus},
	}
	for _, test := range tests {
		if h.Only != nil && !slices.Contains(h.Only, test.name) {
			continue
		}
		t.Run(test.name, func(t *testing.T) { test.test(t, h) })
	}
}

// key signs every archive of the suite.
var key = func() ed25519.PrivateKey { return ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)) }()

// fill makes two tables, items of n rows and notes of one, whose content says version.
func fill(t *testing.T, h Harness, target engine.Target, n int, version string) {
	t.Helper()
	exec(t, h, target, "CREATE TABLE items (id integer PRIMARY KEY, version varchar(20) NOT NULL, note varchar(200))",
		"CREATE TABLE notes (version varchar(20) NOT NULL)", "INSERT INTO notes VALUES ('"+version+"')")
	for from := 0; from < n; from += 500 {
		var b strings.Builder
		b.WriteString("INSERT INTO items VALUES ")
		for i := from; i < min(n, from+500); i++ {
			if i > from {
				b.WriteString(",")
			}
			fmt.Fprintf(&b, "(%d,'%s','it''s a tab\t, a line\n, a backslash \\ and é 😀 %d')", i, version, i)
		}
		exec(t, h, target, b.String())
	}
}

// setVersion changes every row.
func setVersion(t *testing.T, h Harness, target engine.Target, version string) {
	t.Helper()
	exec(t, h, target, "UPDATE items SET version = '"+version+"'", "UPDATE notes SET version = '"+version+"'")
}

// versions is what a client sees in one statement: "new/new" where both tables are of one version.
const versions = "SELECT (SELECT min(version) || '/' || max(version) FROM items) || '/' || (SELECT version FROM notes)"

func wantVersion(t *testing.T, h Harness, target engine.Target, version string) {
	t.Helper()
	got := query(t, h, target, versions)
	if want := version + "/" + version + "/" + version; len(got) != 1 || got[0] != want {
		t.Fatalf("content of %q is %q, want %q", target.Name, got, want)
	}
}

func exec(t *testing.T, h Harness, target engine.Target, statements ...string) {
	t.Helper()
	s := connect(t, h, target)
	defer s.Close()
	for _, sql := range statements {
		if err := s.Exec(t.Context(), sql); err != nil {
			t.Fatalf("%v\nin: %.200s", err, sql)
		}
	}
}

func query(t *testing.T, h Harness, target engine.Target, sql string) []string {
	t.Helper()
	s := connect(t, h, target)
	defer s.Close()
	rows, err := s.Query(t.Context(), sql)
	if err != nil {
		t.Fatalf("%v\nin: %.200s", err, sql)
	}
	return rows
}

// connect waits for a while: right after a switch a server may turn a client away once.
func connect(t *testing.T, h Harness, target engine.Target) Session {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for {
		s, err := h.Connect(ctx, target)
		if err == nil {
			return s
		}
		select {
		case <-ctx.Done():
			t.Fatalf("a client is not let in to %q: %v", target.Name, err)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

type dumper func(ctx context.Context, w *archive.Writer, opt engine.DumpOptions) error

func dumpOf(h Harness, target engine.Target) dumper {
	return func(ctx context.Context, w *archive.Writer, opt engine.DumpOptions) error {
		return h.Engine.Dump(ctx, target, w, opt)
	}
}

// dump makes a verified archive.
func dump(t *testing.T, d dumper) *archive.Reader {
	t.Helper()
	var b bytes.Buffer
	w := archive.NewWriter(&b, archive.Header{Tool: "enginetest"}, key)
	var last engine.Progress
	opt := engine.DumpOptions{
		Report: func(p engine.Progress) {
			if p.Tables < last.Tables || p.Bytes < last.Bytes {
				t.Errorf("progress goes back: %+v after %+v", p, last)
			}
			last = p
		},
		Now: func() time.Time { return time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC) },
	}
	if err := d(t.Context(), w, opt); err != nil {
		t.Fatalf("dump: %v", err)
	}
	if _, err := w.Close(); err != nil {
		t.Fatalf("close archive: %v", err)
	}
	r, err := archive.Open(bytes.NewReader(b.Bytes()), int64(b.Len()), archive.Trust{Keys: []ed25519.PublicKey{key.Public().(ed25519.PublicKey)}})
	if err != nil {
		t.Fatalf("open archive: %v", err)
	}
	if _, err := r.Verify(t.Context(), nil); err != nil {
		t.Fatalf("verify archive: %v", err)
	}
	return r
}

func load(t *testing.T, h Harness, target engine.Target, r *archive.Reader) {
	t.Helper()
	if err := h.Engine.Load(t.Context(), target, r, engine.LoadOptions{Report: func(engine.Progress) {}}); err != nil {
		t.Fatalf("load: %v", err)
	}
}

// wantDigest checks that the target holds what the archive says it does.
func wantDigest(t *testing.T, h Harness, target engine.Target, r *archive.Reader) {
	t.Helper()
	got, err := h.Engine.Digest(t.Context(), target, nil)
	if err != nil {
		t.Fatalf("digest: %v", err)
	}
	if err := r.Fingerprint().Compare(got); err != nil {
		t.Fatal(err)
	}
}

func wantCode(t *testing.T, what string, err error, codes ...safepoint.Code) {
	t.Helper()
	got := safepoint.ErrorCode(err)
	for _, c := range codes {
		if got == c {
			return
		}
	}
	t.Errorf("%s: code %q (%v), want %q", what, got, err, codes)
}

func wantCancelled(t *testing.T, what string, err error) {
	t.Helper()
	if !errors.Is(err, context.Canceled) {
		t.Errorf("%s: %v, want an error that is context.Canceled", what, err)
	}
}

func wantPosition(t *testing.T, h Harness, target engine.Target, p engine.Plan, want engine.Position) {
	t.Helper()
	got, err := h.Engine.Probe(t.Context(), target, p)
	if err != nil {
		t.Fatalf("probe: %v", err)
	}
	if got != want {
		t.Fatalf("probe says %q, want %q", got, want)
	}
}
