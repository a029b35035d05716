package e2e

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"database/sql"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/api/wire"
	"github.com/safepoint-db/safepoint/internal/archive"
	"github.com/safepoint-db/safepoint/internal/encrypt"
	"github.com/safepoint-db/safepoint/internal/pgtest"
	"github.com/safepoint-db/safepoint/internal/server"
	"github.com/safepoint-db/safepoint/internal/soak"
)

var (
	mutations = flag.Int("mutations", 25, "of each kind of stored file")
	mutation  = flag.Uint64("seed", 1, "of the mutations")
	report    = flag.String("report", "", "page to write figures into")
)

// attack makes a file to put in a backup's place, which is never the backup itself, and says what it did.
type attack func(random *rand.Rand) (file []byte, what string)

// TestMutations puts other files in the place of a stored backup and asks for its restore: damaged ones, ones that were
// stored for another time, database or organization, and ones that a stranger made with everything but our key. Each is
// refused at once or in the restore's first step: nothing is halted, and the live database stays as it is, byte for byte.
func TestMutations(t *testing.T) {
	began := time.Now()
	b := start(t, server.Config{}, "")
	b.openTill()
	lite, other := b.addSQLite("lite", ordersSQLite("300")), b.addSQLite("other", ordersSQLite("10"))
	pg := b.addPostgres(pgtest.Shared(t), nil, `CREATE TABLE orders (id int PRIMARY KEY); INSERT INTO orders VALUES (1)`)
	older := []wire.Operation{lite.backup(), lite.backup(), other.backup(), pg.backup()}
	plain, fromPG := lite.backup(), pg.backup()
	stranger := start(t, server.Config{}, "")
	strange := stranger.addSQLite("lite", ordersSQLite("60"))
	foreign := [][]byte{must(os.ReadFile(stranger.file(strange.backup())))(t)}
	for _, op := range older {
		foreign = append(foreign, must(os.ReadFile(b.file(op)))(t))
	}
	id, _ := identity(t)
	n := must(b.api.AddRecipient(t.Context(), wire.RecipientInput{Name: "office", PublicKey: id.Recipient().String()}))(t)
	must(b.api.ProveRecipient(t.Context(), n.ID, wire.ProofInput{Identity: id.Secret()}))(t)
	earlier, sealed := must(os.ReadFile(b.file(lite.backup())))(t), lite.backup()

	damagedOf := func(op wire.Operation) attack {
		whole := must(os.ReadFile(b.file(op)))(t)
		return func(random *rand.Rand) ([]byte, string) { return damaged(random, whole) }
	}
	handmade := forger{t: t, whole: must(os.ReadFile(b.file(plain)))(t), id: id, key: signingKey(t, b.data)}
	var rows [][]string
	for _, kind := range []struct {
		name  string
		shop  *shop
		op    wire.Operation
		n     int
		apply attack
	}{
		{"plain, damaged", lite, plain, *mutations, damagedOf(plain)},
		{"plain, damaged, before PostgreSQL", pg, fromPG, *mutations / 5, damagedOf(fromPG)},
		{"encrypted, damaged", lite, sealed, *mutations, damagedOf(sealed)},
		{"plain, another whole backup in its place", lite, plain, *mutations, func(random *rand.Rand) ([]byte, string) {
			i := random.IntN(len(foreign))
			return foreign[i], fmt.Sprint("backup ", i)
		}},
		{"encrypted, another whole backup in its place", lite, sealed, *mutations, func(random *rand.Rand) ([]byte, string) {
			all := append(slices.Clone(foreign), earlier)
			i := len(all) - 1 - random.IntN(2)*random.IntN(len(all))
			return all[i], fmt.Sprint("backup ", i)
		}},
		{"made by hand", lite, plain, *mutations, handmade.make},
	} {
		t.Run(kind.name, func(t *testing.T) {
			atOnce, later := kind.shop.in(t).attacked(kind.op, id.Secret(), kind.n, kind.apply)
			rows = append(rows, []string{kind.name, "all refused before the halt", fmt.Sprintf("%d of %d: %d when asked for, %d in step check", atOnce+later, kind.n, atOnce, later), ""})
		})
	}
	t.Log(rows)
	if *report == "" {
		return
	}
	r := soak.Report{Command: fmt.Sprintf("make reliability MUTATIONS=%d", *mutations), Took: time.Since(began),
		Head: []string{"Stored file", "Goal: 10,000 per kind", "Figure", ""}, Rows: rows,
		Notes: []string{fmt.Sprintf("Seed %d. Each was put in the storage in a backup's place, three times of four with the catalog made to state its size, and its restore asked for through the API. "+
			"After each, no service had been halted, and the live database was the same: byte for byte on SQLite, row for row on PostgreSQL.", *mutation)}}
	for i := range r.Rows {
		r.Rows[i][3] = map[bool]string{true: "met", false: "**missed**"}[!t.Failed()]
	}
	b.must(r.Write(*report, "mutations"))
	if *mutations < 10000 {
		t.Error("the goal is 10,000 of each kind")
	}
}

// attacked puts n files in a backup's place, one after another, and asks for its restore each time.
func (s *shop) attacked(op wire.Operation, key string, n int, apply attack) (atOnce, later int) {
	s.t.Helper()
	random := rand.New(rand.NewPCG(*mutation, uint64(len(op.Recipients))))
	path := s.file(op)
	whole := must(os.ReadFile(path))(s.t)
	db := must(sql.Open("sqlite", "file:"+filepath.Join(s.data, "catalog.db")+"?_pragma=busy_timeout(10000)"))(s.t)
	defer db.Close()
	state := func(size int) {
		s.t.Helper()
		_, err := db.ExecContext(s.t.Context(), "UPDATE operations SET size = ? WHERE id = ?", size, op.ID)
		s.must(err)
	}
	defer func() {
		s.must(os.WriteFile(path, whole, 0o600))
		state(len(whole))
	}()
	live, digest, halts, files := s.bytes(), s.digest(), s.till.haltCount(), s.files()
	for i := range n {
		file, what := apply(random)
		if bytes.Equal(file, whole) {
			s.t.Fatalf("%d: %s is the backup itself", i, what)
		}
		s.must(os.WriteFile(path, file, 0o600))
		state(map[bool]int{true: len(file), false: len(whole)}[i%4 > 0])
		started, err := s.api.StartRestore(s.t.Context(), op.ID, wire.RestoreInput{Confirm: s.Name, Identity: key})
		if err != nil {
			if code := safepoint.ErrorCode(err); code != safepoint.CodeArchive && code != safepoint.CodeKey {
				s.t.Fatalf("%d, %s: refused with %s: %v", i, what, code, err)
			}
			atOnce++
		} else {
			ended := s.wait(started.ID)
			if ended.Status != "failed" || ended.Step != "check" || !ended.HaltedAt.IsZero() || ended.SafetyID != "" || ended.Failure.Code != string(safepoint.CodeArchive) {
				s.t.Fatalf("%d, %s: the restore ended %s in step %s: %+v", i, what, ended.Status, ended.Step, ended.Failure)
			}
			later++
		}
		if s.bytes() != live {
			s.t.Fatalf("%d, %s: the live database is another", i, what)
		}
	}
	if now := s.till.haltCount(); now != halts {
		s.t.Errorf("services were halted %d times", now-halts)
	}
	s.must(os.WriteFile(path, whole, 0o600))
	state(len(whole))
	s.same(digest, files, s.left()) // and so is everything else
	return atOnce, later
}

// bytes is a checksum of a SQLite database's file; "" for PostgreSQL.
func (s *shop) bytes() string {
	s.t.Helper()
	if s.target.Engine != safepoint.SQLite {
		return ""
	}
	return fmt.Sprintf("%x", sha256.Sum256(must(os.ReadFile(s.target.Path))(s.t)))
}

// damaged changes a file in one of the ways in which disks, programs and people do.
func damaged(random *rand.Rand, whole []byte) ([]byte, string) {
	b := bytes.Clone(whole)
	at := random.IntN(len(b))
	switch random.IntN(5) {
	case 0:
		at = random.IntN(min(len(b), 300)) // headers
	case 1:
		at = len(b) - 1 - random.IntN(min(len(b), 600)) // tables of contents
	}
	n := 1 + random.IntN(min(64, len(b)-at))
	what := ""
	switch random.IntN(8) {
	case 0, 1:
		b[at] ^= 1 << random.IntN(8)
		what = "a bit flipped"
	case 2:
		b, what = slices.Delete(b, at, at+n), "bytes gone"
	case 3:
		b, what = slices.Insert(b, at, bytes.Repeat([]byte{byte(random.Uint32())}, n)...), "bytes put in"
	case 4:
		b, what = b[:at], "cut"
	case 5:
		b, what = append(b, whole[at:]...), "its end again"
	case 6:
		for i := at; i < at+n; i++ {
			b[i] = byte(random.Uint32())
		}
		what = "bytes overwritten"
	case 7:
		b, what = append(slices.Clone(b[at:]), b[:at]...), "its halves exchanged"
	}
	if bytes.Equal(b, whole) {
		b[at] ^= 1
	}
	return b, fmt.Sprintf("%s at %d of %d", what, at, len(whole))
}

// forger makes archives as somebody would who knows the format and everything in the storage.
type forger struct {
	t     *testing.T
	whole []byte // a backup to begin with
	id    encrypt.Identity
	key   ed25519.PrivateKey // the server's own: only for files that say that they are another's
}

func (f forger) make(random *rand.Rand) ([]byte, string) {
	_, stranger, err := ed25519.GenerateKey(nil)
	if err != nil {
		f.t.Fatal(err)
	}
	statements := []string{"DROP TABLE orders;\n", "INSERT INTO orders VALUES (-1, 'forged');\n", ".shell touch /tmp/safepoint-forged\n", "ATTACH '/tmp/safepoint-forged' AS x;\n", "\x00"}
	evil := statements[random.IntN(len(statements))]
	switch random.IntN(7) {
	case 0:
		return f.with(stranger, func(*archive.Header) {}, ""), "signed by a stranger"
	case 1:
		return f.with(nil, func(*archive.Header) {}, ""), "signed by nobody"
	case 2:
		return f.with(stranger, func(*archive.Header) {}, evil), "with " + evil
	case 3:
		return f.with(f.key, func(h *archive.Header) {
			for _, field := range []*string{&h.OrganizationID, &h.DatabaseID, &h.OperationID}[random.IntN(3):] {
				*field = safepoint.NewID(safepoint.OperationPrefix)
			}
		}, ""), "our own, of another"
	case 4:
		var out bytes.Buffer
		z := must(zstd.NewWriter(&out))(f.t)
		for range 1 + random.IntN(5) {
			z.Write([]byte(evil))
		}
		if err := z.Close(); err != nil {
			f.t.Fatal(err)
		}
		return out.Bytes(), "zstd without a table of contents"
	case 5:
		noise := make([]byte, 1+random.IntN(4096))
		for i := range noise {
			noise[i] = byte(random.Uint32())
		}
		return noise, "noise"
	}
	var out bytes.Buffer
	w := must(encrypt.NewWriter(&out, []encrypt.Recipient{f.id.Recipient()}))(f.t)
	must(w.Write(f.with(stranger, func(*archive.Header) {}, evil)))(f.t)
	if err := w.Close(); err != nil {
		f.t.Fatal(err)
	}
	return out.Bytes(), "encrypted for our recipient"
}

// with is the whole backup written anew, with another header, signature and, if there is one, a statement more.
func (f forger) with(key ed25519.PrivateKey, change func(*archive.Header), statement string) []byte {
	r := must(archive.Open(bytes.NewReader(f.whole), int64(len(f.whole)), archive.Trust{Unsigned: true}))(f.t)
	h := r.Header()
	change(&h)
	var out bytes.Buffer
	w := archive.NewWriter(&out, h, key)
	w.SetFingerprint(r.Fingerprint())
	copyFrames(f.t, w, r)
	if statement != "" {
		extra := must(w.Frame(archive.Entry{Section: archive.PostData, Kind: "statements"}))(f.t)
		must(extra.Write([]byte(statement)))(f.t)
		if err := extra.Close(); err != nil {
			f.t.Fatal(err)
		}
	}
	must(w.Close())(f.t)
	return out.Bytes()
}
