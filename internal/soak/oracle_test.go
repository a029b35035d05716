package soak

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/api/wire"
	"github.com/safepoint-db/safepoint/internal/client"
)

// endWithin is how long after a start everything that a crash left may take to end; -patience makes it longer.
var endWithin = 10 * time.Second

// oracle checks the promises G1 to G7 of FAILURES.md after whatever was struck has ended:
//
//	G1 no acknowledged backup is lost or unreadable
//	G2 the live database is exactly the old content or exactly the new one, and no acknowledged order is lost
//	G3 what was set aside is kept until its window ends
//	G4 services do what they did before, or a person is asked for by name
//	G5 every operation has ended, with a cause where it failed
//	G6 no secret is in arguments, logs, errors or files
//	G7 nothing of another organization has changed
func (s *shop) oracle(t *testing.T, a *attempt) {
	t.Helper()
	s.checkEnds(t, a)
	s.checkServices(t, a)
	s.awaitSafety(t, a)
	s.checkContent(t, a)
	s.checkOrders(t, a)
	s.checkKept(t, a)
	s.checkBackups(t, s.api, s.other.api)
	s.checkSecrets(t, a)
	s.checkNeighbour(t, a)
	s.checkAudit(t)
	if a.story.check != nil {
		a.story.check(s, t, a)
	}
}

func (s *shop) checkEnds(t *testing.T, a *attempt) {
	t.Helper()
	if op := a.op; op.ID != "" && op.Status != "succeeded" && (op.Status != "failed" || op.Failure == nil || op.Failure.Message == "") {
		t.Errorf("G5: the operation ended %s without a cause: %+v", op.Status, op.Failure)
	}
	for _, op := range s.unended(t) {
		t.Errorf("G5: %s %s is still %s", op.Type, op.Name, op.Status)
	}
	if a.op.NeedsOperator && !a.person {
		t.Errorf("G5: a person is asked for: %+v", a.op.Failure)
	}
}

// checkServices also acts as the person who was asked for, where something had failed for good.
func (s *shop) checkServices(t *testing.T, a *attempt) {
	t.Helper()
	state := must[wire.State](t)(s.api.State(context.Background()))
	if len(state.Attention) > 0 || state.State != "operating" {
		if !a.person {
			t.Errorf("G4: the organization is %s, and a person is asked for %v", state.State, state.Attention)
		}
		if err := s.api.ResumeRestore(context.Background(), a.op.ID); err != nil {
			t.Errorf("G4: a person cannot resume: %v", err)
		}
	}
	if !s.till.selling(endWithin) {
		t.Errorf("G4: the till does not sell")
	}
	halts, _, refused := s.till.counts()
	if !a.story.halts && (halts > 0 || len(refused) > 0 && !a.rude) {
		t.Errorf("G4: the till was halted %d times, and its orders were refused: %v", halts, refused)
	}
	if _, resumes, _ := s.closed.counts(); resumes > 0 {
		t.Errorf("G4: a service that was halted before was resumed %d times", resumes)
	}
}

// awaitSafety lets the minute pass after which a safety backup that failed is tried again, where an instant restore ended
// without one: what it set aside is the only copy until then.
func (s *shop) awaitSafety(t *testing.T, a *attempt) {
	t.Helper()
	if a.op.Type != string(safepoint.TypeRestore) || a.op.Status != "succeeded" || a.op.SafetyFailure == nil || a.op.SafetyID != "" {
		return
	}
	s.edit(t, `UPDATE operations SET finished_at = finished_at - 120000 WHERE restore_id = $1`, a.op.ID)
	s.restart(t, a)
	s.until(t, "the safety backup that failed before", endWithin, func() bool {
		op, err := s.api.Operation(context.Background(), a.op.ID)
		if err == nil {
			a.op = op
		}
		return err == nil && op.SafetyID != "" && len(s.unended(t)) == 0
	})
}

func (s *shop) checkContent(t *testing.T, a *attempt) {
	t.Helper()
	want := s.new
	if a.story.content != nil && a.story.content(a) == "old" {
		want = s.old
	}
	if got := digest(t, s.ours(s.target)); got != want {
		t.Errorf("G2: the live database is %s and should be %s; the operation ended %s in step %s: %+v",
			s.name(got), s.name(want), a.op.Status, a.op.Step, a.op.Failure)
	}
	if got := s.hullOf(t, s.target); got != s.hull {
		t.Errorf("G2: the live database was %s, and is %s", s.hull, got)
	}
}

// name is a digest as people say it.
func (s *shop) name(sum string) string {
	switch sum {
	case s.old:
		return "the old one"
	case s.new:
		return "the new one"
	}
	return "a mixture (" + sum + ")"
}

// checkOrders finds every acknowledged order where it belongs: those taken while a content was live are in that content.
func (s *shop) checkOrders(t *testing.T, a *attempt) {
	t.Helper()
	acknowledged := s.till.acknowledged() // before the look at the database: it goes on selling
	live := s.ordersAt(t, s.ours(s.target))
	var kept, safety map[int64]bool
	if a.story.keeps != nil {
		if name, _ := a.story.keeps(a); name != "" && s.exists(t, s.kept(name)) {
			kept = s.ordersAt(t, s.kept(name))
		}
	}
	if a.story.keeps != nil && a.op.Status == "succeeded" && a.story.name != "undo" && a.op.Type == string(safepoint.TypeRestore) {
		if a.op.SafetyID == "" {
			t.Errorf("G1: there is no safety backup: %+v", a.op.SafetyFailure)
		} else {
			safety = s.ordersIn(t, a.op.SafetyID)
		}
	}
	var lost, mixed, unsaved []int64
	for _, o := range acknowledged {
		away := a.setAside(o.epoch)
		switch {
		case !away && !live[o.id]:
			lost = append(lost, o.id)
		case away && live[o.id] && !s.sold[o.id]:
			mixed = append(mixed, o.id)
		case away && kept != nil && !kept[o.id]:
			lost = append(lost, o.id)
		}
		if away && safety != nil && !safety[o.id] {
			unsaved = append(unsaved, o.id)
		}
	}
	if len(lost) > 0 {
		t.Errorf("G2: acknowledged orders are lost: %v", lost)
	}
	if len(mixed) > 0 {
		t.Errorf("G2: orders of the replaced database are in the live one: %v", mixed)
	}
	if len(unsaved) > 0 {
		t.Errorf("G1: acknowledged orders are not in the safety backup: %v", unsaved)
	}
}

// setAside says whether what was sold in an epoch belongs into the database that is not live any more. An epoch ends when
// the till is halted.
func (a *attempt) setAside(epoch int) bool {
	switch {
	case a.story.name == "undo" && a.op.Status == "succeeded":
		return epoch == 1 // between the restore and the undo
	case a.story.name == "undo", a.story.name == "clean":
		return epoch == 0
	case a.story.keeps != nil && a.op.Type == string(safepoint.TypeRestore):
		return epoch == 0 && a.op.Status == "succeeded"
	}
	return false
}

func (s *shop) checkKept(t *testing.T, a *attempt) {
	t.Helper()
	left := s.leftovers(t)
	if slices.ContainsFunc(left, func(name string) bool { return strings.Contains(name, "op_check") }) {
		// A rehearsal that was cut short leaves an empty database for the next one to drop.
		must[wire.RestorePreview](t)(s.api.PreviewRestore(context.Background(), s.backup.ID))
		left = s.leftovers(t)
	}
	if a.story.keeps != nil {
		if name, content := a.story.keeps(a); name != "" {
			i := slices.Index(left, name)
			if i < 0 {
				t.Errorf("G3: %s is gone", name)
			} else {
				left = slices.Delete(left, i, i+1)
				if got := digest(t, s.kept(name)); got != when(content == "old", s.old, s.new) {
					t.Errorf("G3: %s, which was set aside, is %s", name, s.name(got))
				}
			}
		}
	}
	if a.story.name != "clean" && len(left) > 0 {
		t.Errorf("G2: left over: %v", left)
	}
}

// checkBackups compares the storage with the logs: every succeeded backup has its whole file, byte for byte, and there
// are no others.
func (s *shop) checkBackups(t *testing.T, apis ...*client.Client) {
	t.Helper()
	listed, deleting := map[string]wire.Operation{}, s.deleting(t)
	for _, api := range apis {
		filter := safepoint.OperationFilter{Type: safepoint.TypeBackup, Status: safepoint.StatusSucceeded, Limit: 200}
		for {
			page := must[wire.OperationPage](t)(api.Operations(context.Background(), filter))
			for _, op := range page.Items {
				if op.DeletedAt.IsZero() && !slices.Contains(deleting, op.ID) {
					listed[op.ID] = op
				}
			}
			if filter.Cursor = page.Next; filter.Cursor == "" {
				break
			}
		}
	}
	err := filepath.WalkDir(filepath.Join(s.proc.data, "backups"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasPrefix(d.Name(), ".") {
			return err
		}
		parts := strings.Split(d.Name(), ".")
		op, ok := listed[parts[max(0, len(parts)-3)]]
		if !ok {
			t.Errorf("G1: %s is a file of no listed backup", d.Name())
			return nil
		}
		delete(listed, op.ID)
		if info, err := d.Info(); err != nil || s.files[path] == info.Size() && info.Size() == op.Size {
			return err // its bytes were compared when it came, and nothing writes into it
		}
		if err := wholeFile(path, op); err != nil {
			t.Errorf("G1: %s: %v", d.Name(), err)
			return nil
		}
		s.files[path] = op.Size
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	for _, op := range listed {
		t.Errorf("G1: %s is listed as succeeded and has no file", op.Name)
	}
}

// wholeFile reads a backup as a restore would, and compares it with the log.
func wholeFile(path string, op wire.Operation) error {
	f, r, err := openArchive(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := r.Verify(context.Background(), nil); err != nil {
		return err
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	h := sha256.New()
	n, err := io.Copy(h, f)
	if err != nil {
		return err
	}
	if sum := hex.EncodeToString(h.Sum(nil)); sum != op.SHA256 || n != op.Size {
		return fmt.Errorf("it has %d bytes and the sum %s, and the log says %d and %s", n, sum, op.Size, op.SHA256)
	}
	return nil
}

func (s *shop) checkSecrets(t *testing.T, a *attempt) {
	t.Helper()
	s.watch.look("the server's log", []byte(s.proc.log.String()))
	s.watch.folder(s.proc.data)
	if a.op.Failure != nil {
		s.watch.look("the operation's failure", []byte(a.op.Failure.Message+a.op.Failure.Hint))
	}
	if s.cluster != nil {
		if log, err := os.ReadFile(filepath.Join(s.cluster.Dir, "log")); err == nil {
			s.watch.look("PostgreSQL's log", log)
		}
	}
	for _, found := range s.watch.take() {
		t.Errorf("G6: %s", found)
	}
}

// checkAudit finds no line of the audit log that was begun and not ended, and how each operation ended in one line; and that a
// restore is undone where its undo says so.
func (s *shop) checkAudit(t *testing.T) {
	t.Helper()
	var open []string
	defer func() {
		if len(open) > 0 {
			t.Logf("G5: lines of the audit log without an end: %q", open)
		}
	}()
	s.until(t, "the ends in the audit log", endWithin, func() bool {
		open = s.catalog(t, `SELECT action || ' ' || object_name FROM audit WHERE outcome = ''
			AND NOT EXISTS (SELECT 1 FROM operations o WHERE o.id = audit.object_id AND o.deleting_at > 0 AND o.deleted_at = 0)`)
		return len(open) == 0
	})
	for _, line := range s.catalog(t, `SELECT o.type || ' ' || o.name || ', ' || o.status || ': ' || (SELECT coalesce(group_concat(a.outcome), 'none') FROM audit a WHERE a.object_id = o.id)
		FROM operations o WHERE o.status IN ('succeeded', 'failed', 'cancelled') AND o.finished_at > 0
		AND (SELECT count(*) || coalesce(max(outcome), '') FROM audit a WHERE a.object_id = o.id AND a.action IN ('backup', 'restore', 'undo', 'upload')) <> '1' || o.status`) {
		t.Errorf("G5: the audit log does not say once how it ended: %s", line)
	}
	for _, name := range s.catalog(t, `SELECT r.name FROM operations u JOIN operations r ON r.id = u.source_id
		WHERE u.triggered_by = 'undo' AND u.status = 'succeeded' AND r.undone_by <> u.id`) {
		t.Errorf("G5: %s was undone, and does not say so", name)
	}
}

func (s *shop) checkNeighbour(t *testing.T, a *attempt) {
	t.Helper()
	if now := digest(t, s.ours(s.other.target)) + s.hullOf(t, s.other.target); now != s.other.digest {
		t.Errorf("G7: the neighbour's database was %s, and is %s", s.other.digest, now)
	}
	halts, resumes, refused := s.other.till.counts()
	if halts+resumes > 0 || len(refused) > 0 && !a.rude {
		t.Errorf("G7: the neighbour's till was halted %d and resumed %d times, and refused %v", halts, resumes, refused)
	}
	if !s.other.till.selling(endWithin) {
		t.Error("G7: the neighbour's till does not sell")
	}
	acknowledged := s.other.till.acknowledged()
	have := s.ordersAt(t, s.ours(s.other.target))
	for _, o := range acknowledged {
		if !have[o.id] {
			t.Errorf("G7: the neighbour has lost the order %d", o.id)
		}
	}
	if st := must[wire.State](t)(s.other.api.State(context.Background())); st.State != "operating" {
		t.Errorf("G7: the neighbour is %s", st.State)
	}
}
