package e2e

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/api/wire"
	"github.com/safepoint-db/safepoint/internal/pgtest"
	"github.com/safepoint-db/safepoint/internal/server"
)

// recovered is what `safepoint recover --json` prints.
type recovered struct {
	Files []struct {
		Path, Kind, Why, Signer string
		Added                   bool
	}
	Signers []struct {
		Key     string
		Trusted bool
		Backups int
	}
	Added  struct{ Organizations, Databases, Backups int }
	Signer string
	Setup  bool
}

func (r recovered) kinds() map[string]int {
	n := map[string]int{}
	for _, f := range r.Files {
		n[f.Kind]++
	}
	return n
}

// safepointJSON runs the program, and reads what it prints. It may end with one of codes.
func safepointJSON(t *testing.T, into any, code int, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), must(program())(t), append(args, "--json")...)
	var errs strings.Builder
	cmd.Stderr = &errs
	out, err := cmd.Output()
	got := 0
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		got = exit.ExitCode()
	} else if err != nil {
		t.Fatal(err)
	}
	if got != code {
		t.Fatalf("safepoint %s ends with %d, want %d:\n%s%s", strings.Join(args, " "), got, code, out, errs.String())
	}
	if err := json.Unmarshal(out, into); err != nil {
		t.Fatalf("safepoint %s: %v\n%s%s", strings.Join(args, " "), err, out, errs.String())
	}
}

// tree is every file of a folder with its time and content.
func tree(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		var sum [32]byte
		if info.Mode().IsRegular() {
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			sum = sha256.Sum256(text)
		}
		fmt.Fprintf(&b, "%s %s %d %s %x\n", path, info.Mode(), info.Size(), info.ModTime(), sum[:8])
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestRecover loses everything but the backup files, and gets the log back from them, and the content.
func TestRecover(t *testing.T) {
	t.Parallel()
	b := start(t, server.Config{}, "")
	till := b.addSQLite("till", ordersSQLite("300"))
	orders := b.addPostgres(pgtest.Shared(t), nil, ordersPostgres)
	backups := []wire.Operation{till.backup(), orders.backup()}
	tillHas, ordersHave := till.digest(), orders.digest()
	id, keyFile := identity(t)
	n := must(b.api.AddRecipient(t.Context(), wire.RecipientInput{Name: "office", PublicKey: id.Recipient().String()}))(t)
	must(b.api.ProveRecipient(t.Context(), n.ID, wire.ProofInput{Identity: id.Secret()}))(t)
	backups = append(backups, orders.backup())
	signer := b.Signer()
	b.must(b.stop())

	// All that is left is a copy of the files, and what others left among them.
	kept := filepath.Join(t.TempDir(), "kept")
	b.must(os.CopyFS(kept, os.DirFS(filepath.Join(b.data, "backups"))))
	b.must(os.RemoveAll(b.data))
	file := must(filepath.Glob(filepath.Join(kept, "*", "*", "*"+backups[0].ID+"*")))(t)[0]
	text := must(os.ReadFile(file))(t)
	b.must(os.WriteFile(strings.Replace(file, backups[0].ID, "op_cutoff0000000000", 1), text[:len(text)/2], 0o600))
	b.must(os.WriteFile(filepath.Join(kept, "the same again.sql.zst"), text, 0o600))
	b.must(os.WriteFile(filepath.Join(kept, "notes.txt"), []byte("keep these!"), 0o600))
	b.must(os.MkdirAll(filepath.Join(kept, ".unfinished"), 0o700))
	b.must(os.WriteFile(filepath.Join(kept, ".unfinished", "half"), text[:100], 0o600))
	b.must(os.Symlink("/etc/passwd", filepath.Join(filepath.Dir(file), "passwd.op_link000000000000.sql.zst")))
	before := tree(t, kept)

	// Without a word of the operator's nothing is believed, and nothing added.
	var r recovered
	fresh := filepath.Join(t.TempDir(), "fresh")
	safepointJSON(t, &r, 9, "recover", "--from", kept, "--data", fresh)
	want := map[string]int{"stranger": 2, "encrypted": 1, "damaged": 1, "duplicate": 1, "unfinished": 1, "not ours": 2}
	if fmt.Sprint(r.kinds()) != fmt.Sprint(want) || r.Added.Backups != 0 || !r.Setup {
		t.Fatalf("%v, want %v: %+v", r.kinds(), want, r)
	}
	if len(r.Signers) != 1 || r.Signers[0].Key != signer || r.Signers[0].Trusted || r.Signers[0].Backups != 2 {
		t.Errorf("signers %+v, want %s", r.Signers, signer)
	}
	r = recovered{}
	safepointJSON(t, &r, 9, "recover", "--from", kept, "--data", fresh, "--trust", signer[:16], "--identity", keyFile)
	if r.Added.Organizations != 1 || r.Added.Databases != 2 || r.Added.Backups != 3 || r.kinds()["restorable"] != 3 {
		t.Fatalf("%+v", r)
	}
	r = recovered{} // what was trusted once is trusted
	safepointJSON(t, &r, 9, "recover", "--from", kept, "--data", fresh, "--identity", keyFile)
	if r.Added.Organizations+r.Added.Databases+r.Added.Backups != 0 || r.kinds()["restorable"] != 3 {
		t.Fatalf("the second time: %+v", r)
	}
	if after := tree(t, kept); after != before {
		t.Errorf("the folder was written to:\n%s\nbefore:\n%s", after, before)
	}

	// The log says what it said.
	again := start(t, server.Config{DataDir: fresh}, "")
	listed := again.operations(safepoint.OperationFilter{Type: safepoint.TypeBackup})
	if len(listed) != 3 {
		t.Fatalf("%d backups are listed: %+v", len(listed), listed)
	}
	if o := must(again.api.Organizations(t.Context()))(t); len(o) != 1 || o[0].Name != "Harbor" {
		t.Errorf("%+v", o)
	}
	for _, was := range backups {
		is := must(again.api.Operation(t.Context(), was.ID))(t)
		if is.Name != was.Name || !is.StartedAt.Equal(was.StartedAt) || !is.CreatedAt.Equal(was.CreatedAt) || is.Size != was.Size || is.SHA256 != was.SHA256 ||
			is.Tables != was.Tables || is.Rows != was.Rows || is.Trigger != was.Trigger || is.DatabaseName != was.DatabaseName || is.VerifiedAt.IsZero() ||
			fmt.Sprint(is.Recipients) != fmt.Sprint(was.Recipients) {
			t.Errorf("listed as\n%+v, was\n%+v", is, was)
		}
	}

	// Nothing is restored before the connection is there; then it is, with the content it had.
	p := must(again.api.PreviewRestore(t.Context(), backups[0].ID))(t)
	if p.Ready {
		t.Errorf("a restore without a connection is ready: %+v", p)
	}
	must(again.api.UpdateDatabase(t.Context(), till.ID, wire.DatabaseInput{Name: till.Name, Engine: "sqlite", Path: till.target.Path}))(t)
	in := postgresInput(pgtest.Shared(t), orders.target.Name)
	in.Name = orders.Name
	must(again.api.UpdateDatabase(t.Context(), orders.ID, in))(t)
	till.bench, orders.bench = again, again
	executeSQLite(t, till.target.Path, "DELETE FROM orders WHERE id > 10")
	pgtest.Exec(t, orders.target, "DELETE FROM orders WHERE id > 10")
	for _, restore := range []struct {
		s     *shop
		id    string
		input wire.RestoreInput
	}{
		{till, backups[0].ID, wire.RestoreInput{Confirm: till.Name}},
		{orders, backups[2].ID, wire.RestoreInput{Confirm: orders.Name, Identity: id.Secret()}},
	} {
		op := again.wait(must(again.api.StartRestore(t.Context(), restore.id, restore.input))(t).ID)
		if op.Status != "succeeded" {
			t.Fatalf("%+v", op.Failure)
		}
	}
	if err := tillHas.Compare(till.digest()); err != nil {
		t.Errorf("till: %v", err)
	}
	if err := ordersHave.Compare(orders.digest()); err != nil {
		t.Errorf("orders: %v", err)
	}
}
