package soak

import (
	"context"
	"fmt"
	"testing"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/api/wire"
	"github.com/safepoint-db/safepoint/internal/engine"
	"github.com/safepoint-db/safepoint/internal/pgserver"
	"github.com/safepoint-db/safepoint/internal/pgtest"
)

// tenant makes databases whose owner may do nothing else on the server, so that restores are done in place.
func tenant(t *testing.T) func(name string) engine.Target {
	cluster := pgtest.Start(t, pgserver.Options{Settings: map[string]string{"fsync": "on"}})
	pgtest.Exec(t, cluster.Target("postgres"), "CREATE ROLE tenant LOGIN")
	return func(name string) engine.Target {
		target := pgtest.CreateNamed(t, cluster, name)
		pgtest.Exec(t, cluster.Target("postgres"), "ALTER DATABASE "+pgtest.Quote(name)+" OWNER TO tenant")
		if name == "shop" { // what backups are loaded into to be looked at is the superuser's
			target.User = "tenant"
		}
		return target
	}
}

// TestKillInPlace kills the console around the transaction of a restore in place.
func TestKillInPlace(t *testing.T) {
	s := openShop(t, "tenant")
	for round := range *rounds {
		for _, p := range points["inplace"] {
			s.run(t, fmt.Sprintf("in place %s %d", p, round), func(t *testing.T) { s.killInPlace(t, p) })
		}
	}
}

// killInPlace is killDuringRestore, but for the way back: there is no undo, so the safety backup is restored.
func (s *shop) killInPlace(t *testing.T, point string) {
	s.till.forget()
	s.till.sells(t)
	live := s.identity(t)
	op := s.dieDuring(t, point, safepoint.TypeRestore, func(ctx context.Context) (wire.Operation, error) {
		return s.api.StartRestore(ctx, s.backup.ID, wire.RestoreInput{Confirm: "shop"})
	})
	s.judge(t, op)
	if now := s.identity(t); now != live {
		t.Errorf("the live database was %s, and is %s", live, now)
	}
	if op.Mode != string(safepoint.RestoreInPlace) || !op.UndoUntil.IsZero() {
		t.Errorf("mode %s, to be undone until %v", op.Mode, op.UndoUntil)
	}
	if op.Status != "succeeded" {
		return
	}
	if back := s.wait(t, must[wire.Operation](t)(s.api.StartRestore(context.Background(), op.SafetyID, wire.RestoreInput{Confirm: "shop"})).ID); back.Status != "succeeded" {
		t.Fatalf("the restore of the safety backup ended %s: %+v", back.Status, back.Failure)
	}
	if got := s.edition(t, s.target); got != 2 {
		t.Fatalf("after the restore of the safety backup the live database is edition %d", got)
	}
	s.till.sells(t)
}
