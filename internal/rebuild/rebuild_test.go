package rebuild

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/archive"
	"github.com/safepoint-db/safepoint/internal/catalog"
	"github.com/safepoint-db/safepoint/internal/storage/local"
)

var (
	ours   = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{1}, 32))
	theirs = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{2}, 32))
	at     = time.Date(2026, 3, 1, 4, 5, 6, 0, time.UTC)
)

func public(k ed25519.PrivateKey) ed25519.PublicKey { return k.Public().(ed25519.PublicKey) }

// write makes a backup file of one frame.
func write(t *testing.T, path string, h archive.Header, key ed25519.PrivateKey) {
	t.Helper()
	var b bytes.Buffer
	w := archive.NewWriter(&b, h, key)
	f, err := w.Frame(archive.Entry{Section: archive.PreData, Kind: "ddl"})
	if err == nil {
		_, err = f.Write([]byte("CREATE TABLE t (id int);\n"))
	}
	if err == nil {
		err = f.Close()
	}
	if err == nil {
		_, err = w.Close()
	}
	if err == nil {
		err = os.MkdirAll(filepath.Dir(path), 0o700)
	}
	if err == nil {
		err = os.WriteFile(path, b.Bytes(), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func header(op string) archive.Header {
	return archive.Header{Engine: safepoint.PostgreSQL, ServerVersion: "15.18", ServerVersionNum: 150018, Database: "shop", Encoding: "UTF8",
		Tool: "safepoint", CreatedAt: at, OrganizationID: "org_a", DatabaseID: "db_a", OperationID: op}
}

func scan(t *testing.T, dir string, opt Options) map[string]File {
	t.Helper()
	files, err := Scan(t.Context(), dir, opt)
	if err != nil {
		t.Fatal(err)
	}
	byPath := map[string]File{}
	for _, f := range files {
		byPath[f.Path] = f
	}
	return byPath
}

// TestOlderArchives are listed by their file's name and the moment of their rows: they do not say how they were listed.
func TestOlderArchives(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "org_a/db_a/shop_2026-03-01_040500-utc_safety.op_one.sql.zst"), header("op_one"), ours)
	write(t, filepath.Join(dir, "renamed.sql.zst"), header("op_two"), ours)
	files := scan(t, dir, Options{Trusted: []ed25519.PublicKey{public(ours)}})
	one, two := files["org_a/db_a/shop_2026-03-01_040500-utc_safety.op_one.sql.zst"], files["renamed.sql.zst"]
	if one.Kind != Restorable || one.Operation.Name != "shop_2026-03-01_040500-utc_safety.sql.zst" || one.Operation.Trigger != safepoint.TriggerSafety || !one.Operation.StartedAt.Equal(at) {
		t.Errorf("%+v", one)
	}
	if two.Kind != Restorable || two.Operation.Name != "shop_2026-03-01_040506-utc.sql.zst" || two.Operation.DatabaseName != "shop" {
		t.Errorf("%+v", two)
	}
}

// TestHostileFiles names nothing that a page or a terminal could not bear, believes no signer by itself, and never
// lets a stranger's file stand for a known one.
func TestHostileFiles(t *testing.T) {
	dir := t.TempDir()
	h := header("op_one")
	h.Listed = &archive.Listed{Name: "a\x1b[31mb\nc.sql.zst", Organization: strings.Repeat("é", 300), Database: "shop\r\n", Trigger: "boss", StartedAt: at, CreatedAt: at}
	write(t, filepath.Join(dir, "z.sql.zst"), h, ours)
	write(t, filepath.Join(dir, "a_forged.op_one.sql.zst"), header("op_one"), theirs) // read first
	bad := header("op_../../etc")
	write(t, filepath.Join(dir, "bad.sql.zst"), bad, ours)
	write(t, filepath.Join(dir, "unsigned.sql.zst"), header("op_three"), nil)
	nobody := header("op_four")
	nobody.DatabaseID = ""
	write(t, filepath.Join(dir, "byhand.sql.zst"), nobody, ours)
	link := header("op_five")
	link.Listed = &archive.Listed{Name: "shop.sql.zst", Database: "shop", RestoreID: "../../settings", StartedAt: at, CreatedAt: at}
	write(t, filepath.Join(dir, "link.sql.zst"), link, ours)
	files := scan(t, dir, Options{Trusted: []ed25519.PublicKey{public(ours)}})
	for path, want := range map[string]Kind{"z.sql.zst": Restorable, "a_forged.op_one.sql.zst": Stranger, "bad.sql.zst": Damaged, "link.sql.zst": Damaged,
		"unsigned.sql.zst": Foreign, "byhand.sql.zst": Foreign} {
		if f := files[path]; f.Kind != want {
			t.Errorf("%s is %q (%s), want %q", path, f.Kind, f.Why, want)
		}
	}
	z := files["z.sql.zst"]
	if z.Operation.Name != "a[31mbc.sql.zst" || z.Operation.DatabaseName != "shop" || len(z.Organization) > 200 || z.Operation.Trigger != safepoint.TriggerManual {
		t.Errorf("%+v", z)
	}

	all := make([]File, 0, len(files))
	for _, f := range scan(t, dir, Options{}) {
		all = append(all, f)
	}
	for _, s := range Signers(all) {
		if s.Trusted {
			t.Errorf("%s is trusted by itself", s.Key)
		}
	}
	for _, text := range []string{"", "00", hex.EncodeToString(public(ours))[:15], strings.Repeat("0", 64), hex.EncodeToString(public(ours)) + "00"} {
		if key, err := FindSigner(all, text); err == nil {
			t.Errorf("%q names %x", text, key)
		}
	}
}

// TestStrangerHidesNothing: a file that calls itself a known backup, and is read first, is no reason to leave that one
// out, also where its signer is trusted only after the look.
func TestStrangerHidesNothing(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "a/shop.op_one.sql.zst"), header("op_one"), theirs)
	write(t, filepath.Join(dir, "b/renamed.sql.zst"), header("op_one"), ours)
	files, err := Scan(t.Context(), dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	key, err := FindSigner(files, hex.EncodeToString(public(ours)))
	if err != nil {
		t.Fatal(err)
	}
	Believe(files, []ed25519.PublicKey{key})
	if files[0].Kind != Stranger || files[1].Kind != Restorable {
		t.Errorf("the stranger's is %q, ours %q", files[0].Kind, files[1].Kind)
	}
}

// TestSwappedBackup keeps apart what is listed from what was put in its place: a file whose name promises another
// backup is listed as what it is.
func TestSwappedBackup(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "org_a/db_a/shop.op_one.sql.zst"), header("op_two"), ours)
	f := scan(t, dir, Options{Trusted: []ed25519.PublicKey{public(ours)}})["org_a/db_a/shop.op_one.sql.zst"]
	if f.Operation.ID != "op_two" || strings.Contains(f.Operation.Name, "op_one") {
		t.Errorf("%+v", f)
	}
}

func TestAddIsIdempotent(t *testing.T) {
	dir := t.TempDir()
	for i := range 3 {
		write(t, filepath.Join(dir, fmt.Sprintf("org_a/db_a/shop.op_%d.sql.zst", i)), header(fmt.Sprintf("op_%d", i)), ours)
	}
	other := header("op_9")
	other.DatabaseID = "db_b" // of the same name
	write(t, filepath.Join(dir, "org_a/db_b/shop.op_9.sql.zst"), other, ours)
	c, err := catalog.Open(t.Context(), filepath.Join(t.TempDir(), "catalog.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	kept := t.TempDir()
	store, err := local.Open(kept)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	into := Into{Catalog: c, Storage: store, Now: func() time.Time { return at }}
	for round, want := range []Added{{1, 2, 4}, {}} {
		files, err := Scan(t.Context(), dir, Options{Trusted: []ed25519.PublicKey{public(ours)}})
		if err != nil {
			t.Fatal(err)
		}
		got, err := into.Add(t.Context(), dir, files)
		if err != nil || got != want {
			t.Fatalf("round %d added %+v (%v), want %+v", round, got, err, want)
		}
	}
	if files, err := filepath.Glob(filepath.Join(kept, "*", "*", "*.op_*.sql.zst")); err != nil || len(files) != 4 {
		t.Errorf("kept: %v (%v)", files, err)
	}
	databases, err := c.Databases(t.Context(), "org_a")
	if err != nil || len(databases) != 2 || databases[0].Name != "shop" || databases[1].Name != "shop db_b" || databases[0].Connected() {
		t.Errorf("%+v %v", databases, err)
	}
	// Who is trusted for one organization's backups adds none to another's database.
	another := header("op_7")
	another.OrganizationID = "org_b"
	write(t, filepath.Join(dir, "another.sql.zst"), another, ours)
	files, err := Scan(t.Context(), dir, Options{Trusted: []ed25519.PublicKey{public(ours)}})
	if err != nil {
		t.Fatal(err)
	}
	got, err := into.Add(t.Context(), dir, files)
	if i := slices.IndexFunc(files, func(f File) bool { return f.Path == "another.sql.zst" }); err != nil || got != (Added{}) || files[i].Kind != Damaged {
		t.Errorf("added %+v (%v): %+v", got, err, files[i])
	}
	if _, err := into.Add(t.Context(), dir, []File{{Kind: Restorable, Path: "org_a/db_a/gone.sql.zst", Operation: safepoint.Operation{
		ID: "op_gone", OrganizationID: "org_a", DatabaseID: "db_a", Name: "gone.sql.zst", StartedAt: at}}}); err == nil {
		t.Error("a file that is gone was added")
	}
}

// recovered scans a folder and adds it to a new catalog and the storage in kept.
func recovered(t *testing.T, dir, kept string, opt Options) ([]File, *catalog.Catalog) {
	t.Helper()
	c, err := catalog.Open(t.Context(), filepath.Join(t.TempDir(), "catalog.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	store, err := local.Open(kept)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	opt.Trusted = []ed25519.PublicKey{public(ours)}
	files, err := Scan(t.Context(), dir, opt)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := (Into{Catalog: c, Storage: store, Now: func() time.Time { return at }}).Add(t.Context(), dir, files); err != nil {
		t.Fatal(err)
	}
	return files, c
}

// TestProven says of each file whether every byte of it was read, and lists its SHA-256 wherever it was.
func TestProven(t *testing.T) {
	dir := t.TempDir()
	const name = "org_a/db_a/shop.op_one.sql.zst"
	write(t, filepath.Join(dir, name), header("op_one"), ours)
	text, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	sum := fmt.Sprintf("%x", sha256.Sum256(text))
	for _, quick := range []bool{false, true} {
		files, c := recovered(t, dir, t.TempDir(), Options{Quick: quick})
		op, err := c.Operation(t.Context(), "org_a", "op_one")
		if err != nil || op.SHA256 != sum || op.VerifiedAt.IsZero() != quick || files[0].Proven == quick {
			t.Errorf("quick %v: %+v, listed as %+v (%v)", quick, files[0], op, err)
		}
	}
}

// TestEveryByteCounts damages one byte after the other: no damaged file is listed, by what it is nor beside others.
func TestEveryByteCounts(t *testing.T) {
	whole := t.TempDir()
	const name = "org_a/db_a/shop.op_one.sql.zst"
	write(t, filepath.Join(whole, name), header("op_one"), ours)
	text, err := os.ReadFile(filepath.Join(whole, name))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(whole)); err != nil {
		t.Fatal(err)
	}
	for i := range text {
		damaged := bytes.Clone(text)
		damaged[i] ^= 0x10
		if err := os.WriteFile(filepath.Join(dir, name), damaged, 0o600); err != nil {
			t.Fatal(err)
		}
		if f := scan(t, dir, Options{Trusted: []ed25519.PublicKey{public(ours)}})[name]; f.Kind != Damaged || f.Why == "" || f.Proven {
			t.Fatalf("byte %d of %d: %+v", i, len(text), f)
		}
	}
}

// TestDamagedCopy finds in the storage a file of the backup's name and length that is not the backup. It is not listed as one.
func TestDamagedCopy(t *testing.T) {
	dir := t.TempDir()
	const name = "org_a/db_a/shop.op_one.sql.zst"
	write(t, filepath.Join(dir, name), header("op_one"), ours)
	for _, quick := range []bool{false, true} {
		kept := t.TempDir()
		if err := os.CopyFS(kept, os.DirFS(dir)); err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(filepath.Join(kept, name))
		if err != nil {
			t.Fatal(err)
		}
		text[len(text)/2] ^= 1
		if err := os.WriteFile(filepath.Join(kept, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
		files, c := recovered(t, dir, kept, Options{Quick: quick})
		if _, err := c.Operation(t.Context(), "org_a", "op_one"); safepoint.ErrorCode(err) != safepoint.CodeNotFound || files[0].Added || files[0].Kind != Damaged {
			t.Errorf("quick %v: %+v (%v)", quick, files[0], err)
		}
	}
}
