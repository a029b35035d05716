package e2e

import (
	"bytes"
	"context"
	"os"
	"testing"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/api/wire"
	"github.com/safepoint-db/safepoint/internal/pgserver"
	"github.com/safepoint-db/safepoint/internal/pgtest"
	"github.com/safepoint-db/safepoint/internal/server"
)

func TestWrongPassword(t *testing.T) {
	t.Parallel()
	c := pgtest.Shared(t)
	b := start(t, server.Config{}, "")
	b.openTill()
	s := b.addPostgres(c, nil, ordersPostgres)
	good := s.backup()
	check := s.unchanged()

	in, wrong := postgresInput(c, s.DBName), "not the password"
	in.Password = &wrong
	try := must(b.api.TryDatabase(t.Context(), in))(t)
	if try.OK || try.Failure == nil {
		t.Fatalf("the try: %+v", try)
	}
	wantWords(t, try.Failure, safepoint.CodePassword, "postgres", "password")
	must(b.api.UpdateDatabase(t.Context(), s.ID, in))(t)
	test := must(b.api.TestDatabase(t.Context(), s.ID))(t)
	if test.OK || test.Failure == nil {
		t.Fatalf("the test: %+v", test)
	}
	wantWords(t, test.Failure, safepoint.CodePassword, "postgres")
	op := b.wait(must(b.api.StartBackup(t.Context(), s.ID))(t).ID)
	wantFailed(t, op, safepoint.CodePassword, "postgres")
	preview := must(b.api.PreviewRestore(t.Context(), good.ID))(t)
	if preview.Ready || len(preview.Findings) == 0 {
		t.Fatalf("the preview: %+v", preview)
	}
	f := preview.Findings[0]
	wantWords(t, &wire.Failure{Code: f.Code, Message: f.Message, Hint: f.Hint}, safepoint.CodePassword, "postgres")
	op = b.wait(must(b.api.StartRestore(t.Context(), good.ID, wire.RestoreInput{Confirm: s.Name}))(t).ID)
	wantFailed(t, op, safepoint.CodePassword, "postgres")
	check()

	must(b.api.UpdateDatabase(t.Context(), s.ID, postgresInput(c, s.DBName)))(t)
	s.backup()
}

func TestTableWithoutSelect(t *testing.T) {
	t.Parallel()
	c := pgtest.Shared(t)
	b := start(t, server.Config{}, "")
	b.openTill()
	s := b.addPostgres(c, nil, ordersPostgres)
	pgtest.Exec(t, s.target, `CREATE ROLE e2e_reader LOGIN PASSWORD 'reader'; GRANT SELECT ON orders TO e2e_reader; CREATE TABLE "Pay roll" (x int)`)
	t.Cleanup(func() { pgtest.Exec(t, s.target, `DROP OWNED BY e2e_reader; DROP ROLE e2e_reader`) })
	in, reader := postgresInput(c, s.DBName), "reader"
	in.User, in.Password = "e2e_reader", &reader
	must(b.api.UpdateDatabase(t.Context(), s.ID, in))(t)
	check := s.unchanged()

	test := must(b.api.TestDatabase(t.Context(), s.ID))(t)
	if test.OK || len(test.Findings) == 0 {
		t.Fatalf("the test: %+v", test)
	}
	f := test.Findings[0]
	wantWords(t, &wire.Failure{Code: f.Code, Message: f.Message, Hint: f.Hint}, safepoint.CodePrivilege, `"Pay roll"`, "e2e_reader")
	op := b.wait(must(b.api.StartBackup(t.Context(), s.ID))(t).ID)
	wantFailed(t, op, safepoint.CodePrivilege, `"Pay roll"`, "e2e_reader")
	check()

	pgtest.Exec(t, s.target, `GRANT SELECT ON "Pay roll" TO e2e_reader`)
	s.backup()
}

// TestHostDown kills the database's server while a table is being read, in a backup and in the safety backup of a
// restore, when services are halted and nobody else is let in; and while a restore loads.
func TestHostDown(t *testing.T) {
	t.Parallel()
	c := pgtest.Start(t, pgserver.Options{TCP: true, Durable: true})
	line := newLine(t, c.Port)
	b := start(t, server.Config{}, "")
	b.openTill()
	s := b.addPostgres(c, line, ordersPostgres)
	good := s.backup()
	pgtest.Exec(t, s.target, "INSERT INTO orders SELECT -g, 'new' FROM generate_series(1, 100) g")
	digest, files, left := s.digest(), s.files(), s.left()

	held := line.hold(2 << 20)
	op := must(b.api.StartBackup(t.Context(), s.ID))(t)
	within(t, "the dump is in the middle of a table", held)
	b.must(c.Kill())
	line.release()
	wantFailed(t, b.wait(op.ID), safepoint.CodeUnreachable, "127.0.0.1")
	op = must(b.api.StartBackup(t.Context(), s.ID))(t)
	wantFailed(t, b.wait(op.ID), safepoint.CodeUnreachable, "127.0.0.1")
	b.must(c.Launch(t.Context()))
	s.same(digest, files, left)

	var guarded <-chan struct{}
	armed := make(chan struct{})
	b.till.beforeHalt(func(context.Context) {
		guarded = line.hold(1 << 20)
		close(armed)
	})
	op = must(b.api.StartRestore(t.Context(), good.ID, wire.RestoreInput{Confirm: s.Name}))(t)
	within(t, "services are halted", armed)
	within(t, "the safety backup is in the middle of a table", guarded)
	if st := must(b.api.State(t.Context()))(t); st.State != "halted" || st.OperationID != op.ID {
		t.Errorf("during the safety backup the state is %+v", st)
	}
	b.must(c.Kill())
	line.release()
	if now := must(b.api.Operation(t.Context(), op.ID))(t); now.Ended() || !b.till.isHalted() {
		t.Errorf("with the database gone the restore is %s, and the service halted: %v", now.Status, b.till.isHalted())
	}
	b.must(c.Launch(t.Context()))
	op = b.wait(op.ID)
	wantFailed(t, op, safepoint.CodeUnreachable, "127.0.0.1")
	if op.Step != "guard" || op.Switched || op.NeedsOperator || len(op.Attention) > 0 {
		t.Errorf("the restore ended in step %s: %+v", op.Step, op)
	}
	s.same(digest, files, left)
	b.till.beforeHalt(nil)

	halts := b.till.haltCount()
	op = must(b.api.StartRestore(t.Context(), good.ID, wire.RestoreInput{Confirm: s.Name}))(t)
	b.reaches(op.ID, "the restore loads", func(o wire.Operation) bool { return o.Step == "stage" || o.Ended() })
	line.hold(0)
	b.must(c.Kill())
	line.release()
	b.must(c.Launch(t.Context()))
	op = b.wait(op.ID)
	wantFailed(t, op, safepoint.CodeUnreachable, "127.0.0.1")
	if op.Step != "stage" || b.till.haltCount() != halts {
		t.Errorf("the restore ended in step %s", op.Step)
	}
	s.same(digest, files, left)
	s.restore(good)
	s.working()
}

// TestSQLiteFileGone takes the file of a SQLite database away, and puts something else in its place.
func TestSQLiteFileGone(t *testing.T) {
	t.Parallel()
	b := start(t, server.Config{}, "")
	b.openTill()
	s := b.addSQLite("shop", ordersSQLite("400"))
	good := s.backup()
	check := s.unchanged()
	content := must(os.ReadFile(s.target.Path))(t)
	refused := func(code safepoint.Code, words ...string) {
		t.Helper()
		test := must(b.api.TestDatabase(t.Context(), s.ID))(t)
		if test.OK || test.Failure == nil {
			t.Fatalf("the test: %+v", test)
		}
		wantWords(t, test.Failure, code, words...)
		wantFailed(t, b.wait(must(b.api.StartBackup(t.Context(), s.ID))(t).ID), code, words...)
		wantFailed(t, b.wait(must(b.api.StartRestore(t.Context(), good.ID, wire.RestoreInput{Confirm: "shop"}))(t).ID), code, words...)
	}
	b.must(os.Remove(s.target.Path))
	refused(safepoint.CodeName, "shop.db")
	if _, err := os.Stat(s.target.Path); err == nil {
		t.Error("looking at it made the file")
	}
	b.must(os.WriteFile(s.target.Path, bytes.Repeat([]byte("not a database\n"), 1000), 0o600))
	refused(safepoint.CodeVersion, "shop.db", "not a SQLite database")
	b.must(os.WriteFile(s.target.Path, append(content[:len(content)/2:len(content)/2], make([]byte, len(content)/2)...), 0o600))
	op := b.wait(must(b.api.StartBackup(t.Context(), s.ID))(t).ID)
	if op.Status != "failed" || op.Failure == nil {
		t.Fatalf("a backup of a broken database ended %s", op.Status)
	}
	wantWords(t, op.Failure, safepoint.Code(op.Failure.Code), "shop.db")
	b.must(os.WriteFile(s.target.Path, content, 0o600))
	check()
	s.restore(good)
}

// TestServiceThatFails restores while a service refuses to halt, does not answer, and refuses to resume.
func TestServiceThatFails(t *testing.T) {
	t.Parallel()
	b := start(t, server.Config{}, "")
	b.openTill()
	s := b.addSQLite("shop", ordersSQLite("400"))
	good := s.backup()
	executeSQLite(t, s.target.Path, "DELETE FROM orders WHERE id > 300")
	digest, files, left := s.digest(), s.files(), s.left()
	ledger := startTill(t)
	add := func(halt string) wire.Service {
		t.Helper()
		svc := must(b.api.CreateService(t.Context(), wire.ServiceInput{Name: "ledger", Kind: "webhook", TimeoutSeconds: 1,
			HaltURL: ledger.URL + halt, ResumeURL: ledger.URL + "/resume", HealthURL: ledger.URL + "/health"}))(t)
		ledger.setSecret(svc.Secret)
		return svc
	}
	failed := func(word string) {
		t.Helper()
		op := b.wait(must(b.api.StartRestore(t.Context(), good.ID, wire.RestoreInput{Confirm: "shop"}))(t).ID)
		wantFailed(t, op, safepoint.CodeHalt, "ledger", word)
		s.same(digest, files, left)
		if op.Step != "halt" || len(op.Attention) > 0 || ledger.isHalted() {
			t.Errorf("it ended in step %s, attention %q", op.Step, op.Attention)
		}
	}
	svc := add("/nothing-here")
	failed("404")
	b.must(b.api.RemoveService(t.Context(), svc.ID))
	add("/halt")
	_, letGo := ledger.holdHalt(t)
	failed("1 s")
	letGo()

	ledger.refuse(true)
	op := must(b.api.StartRestore(t.Context(), good.ID, wire.RestoreInput{Confirm: "shop"}))(t)
	eventually(t, "the till resumes though the ledger does not", func() bool { return b.till.haltCount() == 3 && !b.till.isHalted() })
	if now := must(b.api.Operation(t.Context(), op.ID))(t); now.Ended() || !ledger.isHalted() {
		t.Errorf("the restore is %s while a service is halted", now.Status)
	}
	ledger.refuse(false)
	if op = b.wait(op.ID); op.Status != "succeeded" || len(op.Attention) > 0 || ledger.isHalted() {
		t.Errorf("the restore ended %s: %+v, attention %q", op.Status, op.Failure, op.Attention)
	}
	s.working()
}
