package catalog

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/safepoint-db/safepoint"
)

const canary = "canary-4b1d-correct-horse"

func (f *fixture) keys(dir string) *Keys {
	f.t.Helper()
	k, err := f.OpenKeys(f.ctx, dir)
	f.ok(err)
	return k
}

func TestSealedValuesStayWhereTheyAre(t *testing.T) {
	f := newFixture(t)
	k := f.keys(t.TempDir())
	here := DatabasePlace("org_a", "db_1")
	sealed := k.Seal(here, canary)
	if got, err := k.Unseal(here, sealed); err != nil || got != canary {
		t.Fatalf("got %q, %v", got, err)
	}
	if bytes.Equal(sealed, k.Seal(here, canary)) {
		t.Error("sealing twice gives the same bytes")
	}
	for _, there := range []Place{
		DatabasePlace("org_a", "db_2"), DatabasePlace("org_b", "db_1"), ServicePlace("org_a", "db_1"),
		{"org_a", "databases", "db_1", "ca_cert"}, {"org_", "adatabases", "db_1", "sealed_password"},
	} {
		if got, err := k.Unseal(there, sealed); err == nil {
			t.Errorf("moved to %v it opens: %q", there, got)
		} else if strings.Contains(err.Error(), canary) {
			t.Errorf("the error gives the secret away: %v", err)
		}
	}
	for i := range sealed {
		bad := bytes.Clone(sealed)
		bad[i] ^= 1
		if _, err := k.Unseal(here, bad); err == nil {
			t.Errorf("with byte %d altered it opens", i)
		}
	}
	if _, err := f.keys(t.TempDir()).Unseal(here, sealed); err == nil {
		t.Error("another key opens it")
	}
	if k.Seal(here, "") != nil {
		t.Error("nothing is sealed as something")
	}
}

func TestKeyFiles(t *testing.T) {
	f := newFixture(t)
	dir := t.TempDir()
	first := f.keys(dir)
	for _, name := range []string{SealingKeyFile, SigningKeyFile} {
		info, err := os.Stat(filepath.Join(dir, name))
		f.ok(err)
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %o", name, info.Mode().Perm())
		}
	}
	again := f.keys(dir)
	if !first.Signing().Equal(again.Signing()) || !first.Public().Equal(again.Public()) {
		t.Error("a second start has another signing key")
	}
	if left, _ := filepath.Glob(filepath.Join(dir, ".new-*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}

	// Nothing depends on the keys yet: losing them costs nothing, and new ones are made.
	f.ok(os.Remove(filepath.Join(dir, SealingKeyFile)))
	f.keys(dir)

	k := f.keys(dir)
	d, err := f.CreateDatabase(f.ctx, safepoint.Database{ID: "db_s", OrganizationID: "org_a", Name: "shop", Engine: safepoint.PostgreSQL},
		k.Seal(DatabasePlace("org_a", "db_s"), canary))
	f.ok(err)
	if !d.HasPassword {
		t.Error("has no password")
	}
	key, err := os.ReadFile(filepath.Join(dir, SealingKeyFile))
	f.ok(err)

	refused := func(part string) {
		t.Helper()
		if _, err := f.OpenKeys(f.ctx, dir); err == nil || !strings.Contains(err.Error(), part) {
			t.Fatalf("got %v, want %q", err, part)
		}
	}
	path := filepath.Join(dir, SealingKeyFile)
	f.ok(os.Remove(path))
	refused("is missing")
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Fatal("a new key was made")
	}
	f.ok(os.WriteFile(path, []byte("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n"), 0o600))
	refused("is not the key that sealed")
	f.ok(os.WriteFile(path, []byte("nonsense"), 0o600))
	refused("is not a sealing key")
	f.ok(os.WriteFile(path, key, 0o600))
	f.ok(os.Chmod(path, 0o640))
	refused("chmod 600")
	f.ok(os.Chmod(path, 0o600))
	sealed, err := f.DatabasePassword(f.ctx, "org_a", "db_s")
	f.ok(err)
	if got, err := f.keys(dir).Unseal(DatabasePlace("org_a", "db_s"), sealed); err != nil || got != canary {
		t.Fatalf("got %q, %v", got, err)
	}

	f.kept("org_a", "db_1")
	f.sql(`UPDATE operations SET storage_key = 'k'`)
	f.ok(os.Remove(filepath.Join(dir, SigningKeyFile)))
	refused("is missing")
}

// TestCatalogGivesNoSecretAway looks for what must not be in it in every byte of the catalog's files.
func TestCatalogGivesNoSecretAway(t *testing.T) {
	f := newFixture(t)
	k := f.keys(t.TempDir())
	_, err := f.CreateDatabase(f.ctx, safepoint.Database{ID: "db_s", OrganizationID: "org_a", Name: "visible-name"},
		k.Seal(DatabasePlace("org_a", "db_s"), canary))
	f.ok(err)
	_, err = f.CreateService(f.ctx, safepoint.Service{ID: "svc_s", OrganizationID: "org_a", Name: "s", Kind: safepoint.ServiceWebhook},
		k.Seal(ServicePlace("org_a", "svc_s"), canary))
	f.ok(err)
	var path string
	f.ok(f.db.QueryRow(`SELECT file FROM pragma_database_list WHERE name = 'main'`).Scan(&path))
	files, err := filepath.Glob(path + "*")
	f.ok(err)
	seen := false
	for _, name := range files {
		data, err := os.ReadFile(name)
		f.ok(err)
		seen = seen || bytes.Contains(data, []byte("visible-name"))
		if bytes.Contains(data, []byte(canary)) {
			t.Errorf("%s holds the password", filepath.Base(name))
		}
	}
	if !seen {
		t.Fatalf("looked at %v and saw nothing of the row at all", files)
	}
}
