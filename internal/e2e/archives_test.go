package e2e

import (
	"crypto/ed25519"
	"crypto/x509"
	"database/sql"
	"encoding/pem"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/api/wire"
	"github.com/safepoint-db/safepoint/internal/archive"
	"github.com/safepoint-db/safepoint/internal/catalog"
	"github.com/safepoint-db/safepoint/internal/pgtest"
	"github.com/safepoint-db/safepoint/internal/server"
)

// TestDamagedArchives changes the stored file of a backup in every way a disk or a hand may.
func TestDamagedArchives(t *testing.T) {
	t.Parallel()
	b := start(t, server.Config{}, "")
	b.openTill()
	s := b.addSQLite("shop", ordersSQLite("400"))
	whole := must(os.ReadFile(b.file(s.backup())))(t)
	executeSQLite(t, s.target.Path, "DELETE FROM orders WHERE id > 300")
	flip := func(at int) func([]byte) []byte {
		return func(f []byte) []byte {
			if at < 0 {
				at += len(f)
			}
			f[at] ^= 0x10
			return f
		}
	}
	for _, c := range []struct {
		name   string
		damage func([]byte) []byte // nil removes the file
		agrees bool                // the catalog is made to say that this size is right: the archive's own checks decide
		late   bool                // found when the whole file is read, not at a look
		words  string
	}{
		{"truncated", func(f []byte) []byte { return f[:len(f)-7] }, false, false, "bytes instead of"},
		{"its end cut off", func(f []byte) []byte { return f[:len(f)-7] }, true, false, "truncated"},
		{"half of it", func(f []byte) []byte { return f[:len(f)/2] }, true, false, "truncated"},
		{"its beginning cut off", func(f []byte) []byte { return f[100:] }, true, false, "truncated"},
		{"a bit flipped in the rows", flip(len(whole) / 2), true, true, "altered or damaged"},
		{"a bit flipped in the table of contents", flip(-200), true, false, "altered or damaged"},
		{"a bit flipped at its end", flip(-1), true, false, ""},
		{"appended to", func(f []byte) []byte { return append(f, 0) }, false, false, "bytes instead of"},
		{"a byte behind its end", func(f []byte) []byte { return append(f, 0) }, true, false, "added"},
		{"more SQL behind its end", func(f []byte) []byte { return append(f, whole[:len(whole)/3]...) }, true, false, "added"},
		{"SQL before its table of contents", func(f []byte) []byte { return append(append([]byte{}, whole[:1000]...), f...) }, true, false, ""},
		{"zero bytes", func([]byte) []byte { return nil }, false, false, "0 bytes instead of"},
		{"zero bytes on purpose", func([]byte) []byte { return nil }, true, false, "empty"},
		{"something else", func(f []byte) []byte { return []byte("DROP TABLE orders;\n") }, true, false, "not a Safepoint archive"},
		{"removed", nil, false, false, "not in the storage"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := s.in(t)
			op := s.backup()
			path := b.file(op)
			if c.damage == nil {
				s.must(os.Remove(path))
			} else {
				s.put(op, c.damage(must(os.ReadFile(path))(t)), c.agrees)
			}
			s.refused(op, safepoint.CodeArchive, c.late, c.words)
			s.must(s.api.DeleteBackup(t.Context(), op.ID, s.Name)) // a bad backup can be thrown away
		})
	}
	if n := s.till.haltCount(); n > 0 {
		t.Errorf("the service was halted %d times", n)
	}
}

// TestForeignArchives puts archives in a backup's place that are whole and carry the server's own signature, but are
// not what they should be.
func TestForeignArchives(t *testing.T) {
	t.Parallel()
	b := start(t, server.Config{}, "")
	b.openTill()
	lite := b.addSQLite("lite", ordersSQLite("400"))
	pg := b.addPostgres(pgtest.Shared(t), nil, ordersPostgres)
	fromLite, fromPG := b.file(lite.backup()), b.file(pg.backup())
	key := signingKey(t, b.data)
	_, stranger, err := ed25519.GenerateKey(nil)
	b.must(err)

	for _, c := range []struct {
		name   string
		into   *shop
		from   string
		key    ed25519.PrivateKey
		change func(*archive.Header)
		code   safepoint.Code
		words  []string
	}{
		{"SQLite in PostgreSQL's place", pg, fromLite, key, nil, safepoint.CodeArchive, []string{"SQLite", "PostgreSQL"}},
		{"PostgreSQL in SQLite's place", lite, fromPG, key, nil, safepoint.CodeArchive, []string{"PostgreSQL", "SQLite"}},
		{"newer PostgreSQL", pg, fromPG, key, func(h *archive.Header) { h.ServerVersion, h.ServerVersionNum = "99.1", 990001 },
			safepoint.CodeVersion, []string{"PostgreSQL 99.1", "PostgreSQL 99 or later"}},
		{"another organization", lite, fromLite, key, func(h *archive.Header) { h.OrganizationID = safepoint.NewID(safepoint.OrganizationPrefix) },
			safepoint.CodeArchive, []string{"another backup's"}},
		{"another backup of it", lite, fromLite, key, func(h *archive.Header) { h.OperationID = safepoint.NewID(safepoint.OperationPrefix) },
			safepoint.CodeArchive, []string{"another backup's"}},
		{"another database", lite, fromLite, key, func(h *archive.Header) { h.DatabaseID = safepoint.NewID(safepoint.DatabasePrefix) },
			safepoint.CodeArchive, []string{"another"}},
		{"no organization", lite, fromLite, key, func(h *archive.Header) { h.OrganizationID, h.OperationID, h.DatabaseID = "", "", "" },
			safepoint.CodeArchive, []string{"another"}},
		{"another's signature", lite, fromLite, stranger, nil, safepoint.CodeArchive, []string{"not trusted here"}},
		{"no signature", lite, fromLite, nil, nil, safepoint.CodeArchive, []string{"not signed"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := c.into.in(t)
			op := s.backup()
			s.put(op, forged(t, c.from, c.key, func(h *archive.Header) {
				me := header(t, s.file(op))
				h.OrganizationID, h.DatabaseID, h.OperationID = me.OrganizationID, me.DatabaseID, me.OperationID
				if c.change != nil {
					c.change(h)
				}
			}), true)
			s.refused(op, c.code, false, c.words...)
		})
	}

	t.Run("a copy that is right", func(t *testing.T) { // so that it is the change that is refused above
		s := lite.in(t)
		op := s.backup()
		s.put(op, forged(t, s.file(op), key, func(*archive.Header) {}), true)
		s.restore(op)
	})
}

// in is s with another test to fail.
func (s *shop) in(t *testing.T) *shop {
	b, c := *s.bench, *s
	b.t, c.bench = t, &b
	return &c
}

// put puts content in the place of a backup's file. If agrees, the catalog is made to state its size.
func (b *bench) put(op wire.Operation, content []byte, agrees bool) {
	b.t.Helper()
	b.must(os.WriteFile(b.file(op), content, 0o600))
	if !agrees {
		return
	}
	db := must(sql.Open("sqlite", "file:"+filepath.Join(b.data, "catalog.db")+"?_pragma=busy_timeout(10000)"))(b.t)
	defer db.Close()
	_, err := db.ExecContext(b.t.Context(), "UPDATE operations SET size = ? WHERE id = ?", len(content), op.ID)
	b.must(err)
}

// refused checks that a backup's file is refused, in the preview and when a restore is asked for, or, where late, in its
// first step; and that nothing has changed.
func (s *shop) refused(op wire.Operation, code safepoint.Code, late bool, words ...string) {
	s.t.Helper()
	ctx := s.t.Context()
	check := s.unchanged()
	preview := must(s.api.PreviewRestore(ctx, op.ID))(s.t)
	if !late {
		if preview.Ready || len(preview.Findings) == 0 {
			s.t.Fatalf("the preview is ready: %+v", preview.Findings)
		}
		f := preview.Findings[len(preview.Findings)-1]
		wantWords(s.t, &wire.Failure{Code: f.Code, Message: f.Message, Hint: f.Hint}, code, words...)
	}
	started, err := s.api.StartRestore(ctx, op.ID, wire.RestoreInput{Confirm: s.Name})
	if err != nil {
		wantRefusal(s.t, err, code, words...)
	} else {
		ended := s.wait(started.ID)
		wantFailed(s.t, ended, code, words...)
		if ended.Step != "check" || !ended.HaltedAt.IsZero() || ended.SafetyID != "" {
			s.t.Errorf("it ended in step %s: %+v", ended.Step, ended)
		}
	}
	if err == nil && code == safepoint.CodeArchive && !late {
		s.t.Log("the request was taken, and its first step refused")
	}
	check()
}

// signingKey is the key with which the server of a data directory signs.
func signingKey(t *testing.T, dir string) ed25519.PrivateKey {
	t.Helper()
	block, _ := pem.Decode(must(os.ReadFile(filepath.Join(dir, catalog.SigningKeyFile)))(t))
	if block == nil {
		t.Fatal("the signing key is not PEM")
	}
	return must(x509.ParsePKCS8PrivateKey(block.Bytes))(t).(ed25519.PrivateKey)
}

func header(t *testing.T, path string) archive.Header {
	t.Helper()
	f, r := open(t, path)
	defer f.Close()
	return r.Header()
}

func open(t *testing.T, path string) (*os.File, *archive.Reader) {
	t.Helper()
	f := must(os.Open(path))(t)
	st := must(f.Stat())(t)
	return f, must(archive.Open(f, st.Size(), archive.Trust{Unsigned: true}))(t)
}

// forged is a copy of an archive with another header and signature.
func forged(t *testing.T, path string, key ed25519.PrivateKey, change func(*archive.Header)) []byte {
	t.Helper()
	f, r := open(t, path)
	defer f.Close()
	h := r.Header()
	change(&h)
	out := must(os.Create(filepath.Join(t.TempDir(), "forged.sql.zst")))(t)
	defer out.Close()
	w := archive.NewWriter(out, h, key)
	w.SetFingerprint(r.Fingerprint())
	copyFrames(t, w, r)
	must(w.Close())(t)
	return must(os.ReadFile(out.Name()))(t)
}

func copyFrames(t *testing.T, w *archive.Writer, r *archive.Reader) {
	t.Helper()
	for i, e := range r.Entries() {
		src := must(r.Frame(i))(t)
		dst := must(w.Frame(e))(t)
		must(io.Copy(dst, src))(t)
		dst.Rows = e.Rows
		if err := dst.Close(); err != nil {
			t.Fatal(err)
		}
		src.Close()
	}
}
