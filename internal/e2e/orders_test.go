package e2e

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"path/filepath"
	"testing"
	"time"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/api/wire"
	"github.com/safepoint-db/safepoint/internal/demo"
	"github.com/safepoint-db/safepoint/internal/engine"
	"github.com/safepoint-db/safepoint/internal/kinds"
	"github.com/safepoint-db/safepoint/internal/server"
)

// TestNoOrderIsLost restores an older backup, and undoes it, under a storefront that sells without pause.
func TestNoOrderIsLost(t *testing.T) {
	t.Parallel()
	b := start(t, server.Config{}, "")
	path := filepath.Join(t.TempDir(), "shop.db")
	b.must(demo.CreateShop(t.Context(), path))
	s := &shop{bench: b, target: engine.Target{Engine: safepoint.SQLite, Path: path}}
	s.engine, _ = kinds.Engine(safepoint.SQLite)
	s.Database = must(b.api.CreateDatabase(t.Context(), wire.DatabaseInput{Name: "shop", Engine: "sqlite", Path: path}))(t)
	front := s.openStorefront()

	sold(t, front, 20)
	older := s.backup()
	sold(t, front, 200)
	restored := s.restore(older)
	halted := restored.ResumedAt.Sub(restored.HaltedAt)
	t.Logf("halted for %s, the restore took %.1f s", halted, restored.DurationSeconds)
	if halted <= 0 || halted > 20*time.Second {
		t.Errorf("services were halted for %s", halted)
	}
	s.sells()
	sold(t, front, 50)

	acknowledged := front.Saved() // before looking: all of them must be there
	live, safety := numbers(t, path), s.scratch(restored.SafetyID)
	kept := numbers(t, safety.Path)
	onlyLive, onlyKept := 0, 0
	for _, n := range acknowledged {
		switch {
		case !live[n] && !kept[n]:
			t.Errorf("order %s is lost", n)
		case !kept[n]:
			onlyLive++
		case !live[n]:
			onlyKept++
		}
	}
	t.Logf("of %d acknowledged orders %d are in the live database only, %d in the safety backup only", len(acknowledged), onlyLive, onlyKept)
	if onlyLive < 50 || onlyKept < 200 {
		t.Error("these are too few: the restore did not put the older state in place")
	}

	undo := s.wait(must(s.api.StartUndo(t.Context(), restored.ID))(t).ID)
	if undo.Status != "succeeded" || undo.Trigger != "undo" {
		t.Fatalf("the undo ended %s: %+v", undo.Status, undo.Failure)
	}
	t.Logf("the undo halted for %s", undo.ResumedAt.Sub(undo.HaltedAt))
	s.sells()
	sold(t, front, 20)
	acknowledged = front.Saved()
	live = numbers(t, path)
	aside := must(filepath.Glob(filepath.Join(filepath.Dir(path), engine.StagingName(restored.ID)+".sqlite")))(t)
	if len(aside) != 1 {
		t.Fatalf("what the undo took back lies in %q", aside)
	}
	undone := numbers(t, aside[0])
	for _, n := range acknowledged {
		if !live[n] && !undone[n] {
			t.Errorf("after the undo, order %s is lost", n)
		}
		if kept[n] && !live[n] {
			t.Errorf("order %s, written before the restore, is not back", n)
		}
	}
	s.holdsAll(path, safety.Path)
	if now := must(s.api.Operation(t.Context(), restored.ID))(t); now.UndoneByID != undo.ID {
		t.Errorf("the restore does not say that it was undone: %+v", now)
	}
	_, err := s.api.StartUndo(t.Context(), restored.ID)
	wantRefusal(t, hinted(err), safepoint.CodeConflict, "undone already")
}

func (s *shop) openStorefront() *demo.Storefront {
	s.t.Helper()
	var raw [32]byte
	rand.Read(raw[:])
	secret := "whsec_" + base64.StdEncoding.EncodeToString(raw[:])
	ctx, cancel := context.WithCancel(context.Background())
	front, err := demo.StartStorefront(ctx, demo.StorefrontOptions{Shop: s.target.Path, Secret: secret, Every: 2 * time.Millisecond})
	if err != nil {
		cancel()
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() {
		cancel()
		if err := front.Wait(); err != nil {
			s.t.Error(err)
		}
	})
	svc := must(s.api.CreateService(s.t.Context(), wire.ServiceInput{Name: "storefront", Kind: "webhook", Secret: &secret,
		HaltURL: front.URL() + "/safepoint/halt", ResumeURL: front.URL() + "/safepoint/resume", HealthURL: front.URL() + "/healthz"}))(s.t)
	if svc.Secret != "" {
		s.t.Error("the answer repeats the secret that was given")
	}
	return front
}

// sells checks that all services say they run.
func (s *shop) sells() {
	s.t.Helper()
	for _, svc := range must(s.api.Services(s.t.Context()))(s.t) {
		if st := must(s.api.ServiceStatus(s.t.Context(), svc.ID))(s.t); st.Condition != "running" {
			s.t.Errorf("%s is %+v", svc.Name, st)
		}
	}
	if st := must(s.api.State(s.t.Context()))(s.t); st.State != "operating" {
		s.t.Errorf("the organization's state is %+v", st)
	}
}

// sold waits until n more orders are acknowledged.
func sold(t *testing.T, front *demo.Storefront, n int) {
	t.Helper()
	want := len(front.Saved()) + n
	eventually(t, "the storefront sells", func() bool { return len(front.Saved()) >= want })
}

// scratch loads a stored backup into a new file.
func (s *shop) scratch(id string) engine.Target {
	s.t.Helper()
	f, r := open(s.t, s.file(must(s.api.Operation(s.t.Context(), id))(s.t)))
	defer f.Close()
	to := engine.Target{Engine: safepoint.SQLite, Path: filepath.Join(s.t.TempDir(), "scratch.db")}
	s.must(s.engine.Load(s.t.Context(), to, r, engine.LoadOptions{}))
	s.must(r.Fingerprint().Compare(must(s.engine.Digest(s.t.Context(), to, nil))(s.t)))
	return to
}

func numbers(t *testing.T, path string) map[string]bool {
	t.Helper()
	db := openSQLite(t, path)
	defer db.Close()
	rows := must(db.QueryContext(t.Context(), "SELECT number FROM orders"))(t)
	defer rows.Close()
	all := map[string]bool{}
	for rows.Next() {
		var n string
		if err := rows.Scan(&n); err != nil {
			t.Fatal(err)
		}
		all[n] = true
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}

// holdsAll checks that every sale in part is in whole as well, column for column.
func (s *shop) holdsAll(whole, part string) {
	s.t.Helper()
	db := openSQLite(s.t, whole)
	defer db.Close()
	if _, err := db.ExecContext(s.t.Context(), "ATTACH ? AS part", part); err != nil {
		s.t.Fatal(err)
	}
	for _, name := range []string{"customers", "orders", "order_lines", "payments"} { // what a sale writes and no later one changes
		var missing int
		row := db.QueryRowContext(s.t.Context(), "SELECT count(*) FROM (SELECT * FROM part."+name+" EXCEPT SELECT * FROM main."+name+")")
		if err := row.Scan(&missing); err != nil {
			s.t.Fatalf("%s: %v", name, err)
		}
		if missing > 0 {
			s.t.Errorf("%d rows of %s are not back", missing, name)
		}
	}
}
