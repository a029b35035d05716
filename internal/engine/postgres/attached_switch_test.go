package postgres

import (
	"testing"
	"time"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/engine"
	"github.com/safepoint-db/safepoint/internal/pgserver"
	"github.com/safepoint-db/safepoint/internal/pgtest"
)

// A transaction that is prepared between the last look and the switch has the switch refused at once. While it waits the
// server renames nothing: without the look, services would be halted until the switch gives up after half a minute.
func TestPreparedInTheGap(t *testing.T) {
	c := pgtest.Start(t, pgserver.Options{Settings: map[string]string{"max_prepared_transactions": "5"}})
	live := pgtest.Create(t, c)
	p := staged(t, live)
	prepare := func(gid string) {
		pgtest.Exec(t, live, "BEGIN; INSERT INTO t VALUES ('prepared'); PREPARE TRANSACTION '"+gid+"'")
	}
	rollback := func(gid string) { pgtest.Exec(t, live, "ROLLBACK PREPARED '"+gid+"'") }
	at := func(want engine.Position) {
		t.Helper()
		if at, err := (Engine{}).Probe(t.Context(), live, p); err != nil || at != want {
			t.Errorf("the switch stands at %s, %v", at, err)
		}
	}
	refusedAtOnce := func(what string, do func() error) {
		t.Helper()
		began := time.Now()
		wantRefusal(t, do(), safepoint.CodeBlocked, what)
		if took := time.Since(began); took > switchDeadline/2 {
			t.Errorf("it took %s to be refused", took)
		}
	}

	s := mustPoise(t, live, &p)
	prepare("of an instant switch")
	refusedAtOnce("of an instant switch", func() error { return s.Switch(t.Context()) })
	s.Close()
	mustOpen(t, live, p)
	at(engine.Before)
	rollback("of an instant switch")

	refusedAtOnce("while the gate closes", func() error {
		g, err := Engine{}.Gate(t.Context(), live, p, func(saved engine.Plan) error { p = saved; prepare("while the gate closes"); return nil })
		if err == nil {
			g.Close()
		}
		return err
	})
	rollback("while the gate closes") // the gate that was refused is open again
	at(engine.Before)

	s = mustPoise(t, live, &p)
	if err := s.Switch(t.Context()); err != nil {
		t.Fatalf("with nothing prepared: %v", err)
	}
	s.Close()
	prepare("before the way back")
	refusedAtOnce("before the way back", func() error { return Engine{}.SwitchBack(t.Context(), live, p) })
	at(engine.After)
	rollback("before the way back")
}
