package backup

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/archive"
	"github.com/safepoint-db/safepoint/internal/engine"
	"github.com/safepoint-db/safepoint/internal/storage"
	"github.com/safepoint-db/safepoint/internal/storage/local"
)

var now = time.Date(2026, 11, 22, 14, 0, 0, 0, time.UTC)

// bench is a storage in a temporary folder and a job that backs up two small tables into it.
func bench(t *testing.T) (Job, string) {
	t.Helper()
	dir := t.TempDir()
	s, err := local.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	pub, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	return Job{
		StorageKey: "org_a/db_1/shop.op_1.sql.zst", Storage: s, Key: key,
		Trust:  archive.Trust{Keys: []ed25519.PublicKey{pub}},
		Header: archive.Header{Engine: safepoint.SQLite, OperationID: "op_1"},
		Dump:   dumpTables("orders", "items"), ExpectRaw: 1 << 20,
		Now: func() time.Time { return now },
	}, dir
}

// dumpTables writes a frame of 100 rows per table, reporting after each.
func dumpTables(tables ...string) DumpFunc {
	return func(ctx context.Context, w *archive.Writer, opt engine.DumpOptions) error {
		h := w.Header()
		h.ServerVersion, h.CreatedAt = "3.54.1", opt.Now().Add(-time.Minute)
		w.SetHeader(h)
		total := int64(0)
		for i, table := range tables {
			f, err := w.Frame(archive.Entry{Section: archive.Data, Kind: "rows", Table: table})
			if err != nil {
				return err
			}
			for n := range 100 {
				k, err := fmt.Fprintf(f, "INSERT INTO %s VALUES (%d);\n", table, n)
				if err != nil {
					return err
				}
				total += int64(k)
			}
			f.Rows = 100
			if err := f.Close(); err != nil {
				return err
			}
			opt.Report(engine.Progress{Table: table, Tables: i + 1, TablesOf: len(tables), Bytes: total})
		}
		w.SetFingerprint(archive.Fingerprint{})
		return ctx.Err()
	}
}

// files lists what lies in the storage's folder, apart from its lock and empty folders.
func files(t *testing.T, dir string) (found []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(p string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() && d.Name() != ".lock" {
			found = append(found, strings.TrimPrefix(p, dir+"/"))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestRun(t *testing.T) {
	j, dir := bench(t)
	var seen []safepoint.Progress
	res, err := Run(t.Context(), j, func(p safepoint.Progress) { seen = append(seen, p) })
	if err != nil {
		t.Fatal(err)
	}
	if got := files(t, dir); len(got) != 1 || got[0] != j.StorageKey {
		t.Errorf("files: %v", got)
	}
	info, err := os.Stat(filepath.Join(dir, j.StorageKey))
	if err != nil || info.Size() != res.Size {
		t.Errorf("size %d: %v %v", res.Size, info, err)
	}
	if res.Tables != 2 || res.Rows != 200 || res.RawSize == 0 || len(res.SHA256) != 64 || !res.VerifiedAt.Equal(now) ||
		!res.SnapshotAt.Equal(now.Add(-time.Minute)) || res.ServerVersion != "3.54.1" {
		t.Errorf("result: %+v", res)
	}
	var op safepoint.Operation
	res.Apply(&op)
	if op.Size != res.Size || op.VerifiedAt.IsZero() {
		t.Errorf("applied: %+v", op)
	}
	percent := -1
	for i, p := range seen {
		if p.Percent < percent || (p.Phase == "dump") != (i < 2) {
			t.Errorf("progress %d: %+v", i, p)
		}
		percent = p.Percent
	}
	if percent != 100 {
		t.Errorf("ended at %d %%", percent)
	}

	// The same key again is refused, and the first file stays.
	if _, err := Run(t.Context(), j, nil); err == nil {
		t.Error("a backup was overwritten")
	}
	if got := files(t, dir); len(got) != 1 {
		t.Errorf("files: %v", got)
	}
}

// Whatever fails, nothing is left, and the error says what it was.
func TestRunLeavesNothing(t *testing.T) {
	errDump := errors.New("table gone")
	cancelled := safepoint.Errorf(safepoint.CodeCancelled, "Cancelled by a person.")
	for name, test := range map[string]struct {
		change func(*Job)
		cancel bool
		check  func(error) bool
	}{
		"dump fails": {
			change: func(j *Job) {
				j.Dump = func(ctx context.Context, w *archive.Writer, opt engine.DumpOptions) error {
					return errors.Join(dumpTables("orders")(ctx, w, opt), errDump)
				}
			},
			check: func(err error) bool { return errors.Is(err, errDump) },
		},
		"an open frame": {
			change: func(j *Job) {
				j.Dump = func(_ context.Context, w *archive.Writer, _ engine.DumpOptions) error {
					_, err := w.Frame(archive.Entry{Section: archive.Data, Kind: "rows", Table: "t"})
					return err
				}
			},
			check: func(err error) bool { return strings.Contains(err.Error(), "finish archive") },
		},
		"cancelled": {
			cancel: true,
			check:  func(err error) bool { return safepoint.ErrorCode(err) == safepoint.CodeCancelled },
		},
		"full": {
			change: func(j *Job) { j.Expect = 1 << 60 },
			check: func(err error) bool {
				return safepoint.ErrorCode(err) == safepoint.CodeSpace && strings.Contains(err.Error(), "about 1126.4 PiB needed")
			},
		},
		"signed by nobody we trust": {
			change: func(j *Job) { j.Trust = archive.Trust{} },
			check:  func(err error) bool { return safepoint.ErrorCode(err) == safepoint.CodeArchive },
		},
		"a bit flips on the disk": {
			change: func(j *Job) { j.Storage = damaging{j.Storage, flip} },
			check:  func(err error) bool { return safepoint.ErrorCode(err) == safepoint.CodeArchive },
		},
		"the end is lost": {
			change: func(j *Job) {
				j.Storage = damaging{j.Storage, func(b []byte) []byte { return b[:len(b)-1] }}
			},
			check: func(err error) bool { return safepoint.ErrorCode(err) == safepoint.CodeArchive },
		},
		"another whole backup is read back": {
			change: func(j *Job) {
				var other bytes.Buffer
				w := archive.NewWriter(&other, j.Header, j.Key)
				if err := dumpTables("orders")(context.Background(), w, engine.DumpOptions{Now: j.Now, Report: func(engine.Progress) {}}); err != nil {
					panic(err)
				}
				if _, err := w.Close(); err != nil {
					panic(err)
				}
				j.Storage = damaging{j.Storage, func([]byte) []byte { return other.Bytes() }}
			},
			check: func(err error) bool { return strings.Contains(err.Error(), "is not what was written") },
		},
	} {
		t.Run(name, func(t *testing.T) {
			j, dir := bench(t)
			if test.change != nil {
				test.change(&j)
			}
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			_, err := Run(ctx, j, func(safepoint.Progress) {
				if test.cancel {
					cancel(cancelled)
				}
			})
			if err == nil || !test.check(err) {
				t.Errorf("got %v", err)
			}
			if left := files(t, dir); len(left) != 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}

// damaging is a storage that gives back something else than it was given.
type damaging struct {
	storage.Storage
	damage func([]byte) []byte
}

type damagedFile struct{ *bytes.Reader }

func (damagedFile) Close() error { return nil }

func (d damaging) Open(ctx context.Context, key string) (storage.File, error) {
	f, err := d.Storage.Open(ctx, key)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b := make([]byte, f.Size())
	if _, err := f.ReadAt(b, 0); err != nil {
		return nil, err
	}
	return damagedFile{bytes.NewReader(d.damage(b))}, nil
}

func flip(b []byte) []byte {
	b[len(b)/3] ^= 4
	return b
}

func TestStorageKey(t *testing.T) {
	op := safepoint.Operation{ID: "op_x", OrganizationID: "org_a", DatabaseID: "db_1", Name: FileName(safepoint.Database{Name: "shop"}, now, safepoint.TriggerSafety)}
	if got, want := StorageKey(op), "org_a/db_1/shop_2026-11-22_140000-utc_safety.op_x.sql.zst"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	op.Name = "../Shop EU"
	if got, want := StorageKey(op), "org_a/db_1/shop-eu.op_x.sql.zst"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}
