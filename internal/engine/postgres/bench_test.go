package postgres

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/safepoint-db/safepoint/internal/archive"
	"github.com/safepoint-db/safepoint/internal/engine"
	"github.com/safepoint-db/safepoint/internal/pgserver"
	"github.com/safepoint-db/safepoint/internal/pgtest"
)

// BenchmarkPgbench dumps, loads and digests a pgbench database of the scale in SAFEPOINT_PGBENCH (10 is 150 MB), and
// reports this process's peak memory. Run each step alone for its own peak:
//
//	SAFEPOINT_PGBENCH=10 go test ./internal/engine/postgres -run '^$' -bench Pgbench/dump -benchtime 1x
func BenchmarkPgbench(b *testing.B) {
	scale := os.Getenv("SAFEPOINT_PGBENCH")
	if scale == "" {
		scale = "1"
	}
	c := pgtest.Start(b, pgserver.Options{Settings: map[string]string{"shared_buffers": "256MB", "max_wal_size": "4GB"}})
	source := pgtest.Create(b, c)
	if out, err := c.Tool(b.Context(), "pgbench", source.Name, "-i", "-q", "-s", scale).CombinedOutput(); err != nil {
		b.Skipf("pgbench: %v: %s", err, out)
	}
	path := filepath.Join(b.TempDir(), "backup.sql.zst")
	dump := func(b *testing.B) archive.Summary {
		f, err := os.Create(path)
		if err != nil {
			b.Fatal(err)
		}
		defer f.Close()
		w := archive.NewWriter(f, archive.Header{}, nil)
		if err := (Engine{}).Dump(b.Context(), source, w, engine.DumpOptions{}); err != nil {
			b.Fatal(err)
		}
		sum, err := w.Close()
		if err != nil {
			b.Fatal(err)
		}
		return sum
	}
	b.Run("dump", func(b *testing.B) {
		for b.Loop() {
			sum := dump(b)
			b.SetBytes(sum.RawSize)
			b.ReportMetric(float64(sum.Size)/1e6, "MB-file")
		}
		reportPeak(b)
	})
	b.Run("load", func(b *testing.B) {
		sum := dump(b)
		f, err := os.Open(path)
		if err != nil {
			b.Fatal(err)
		}
		defer f.Close()
		r, err := archive.Open(f, sum.Size, archive.Trust{Unsigned: true})
		if err != nil {
			b.Fatal(err)
		}
		b.SetBytes(sum.RawSize)
		for b.Loop() {
			copied := pgtest.Create(b, c)
			if err := (Engine{}).Load(b.Context(), copied, r, engine.LoadOptions{}); err != nil {
				b.Fatal(err)
			}
		}
		reportPeak(b)
	})
	b.Run("digest", func(b *testing.B) {
		for b.Loop() {
			if _, err := (Engine{}).Digest(b.Context(), source, nil); err != nil {
				b.Fatal(err)
			}
		}
		reportPeak(b)
	})
	b.Run("pg_dump-zstd", func(b *testing.B) {
		for b.Loop() {
			cmd := c.Tool(b.Context(), "sh", source.Name, "-c", "pg_dump | zstd -q -3 -T2 -o /dev/null -f")
			cmd.Path = "/bin/sh"
			if out, err := cmd.CombinedOutput(); err != nil {
				b.Skipf("%v: %s", err, out)
			}
		}
	})
}

// reportPeak reports the most memory this process has had.
func reportPeak(b *testing.B) {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return
	}
	for line := range strings.Lines(string(status)) {
		if kib, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			n := 0.0
			for _, c := range strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(kib), "kB")) {
				n = n*10 + float64(c-'0')
			}
			b.ReportMetric(n/1024, "MiB-peak")
		}
	}
}
