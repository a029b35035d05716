package enginetest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/safepoint-db/safepoint/internal/engine"
)

// testCensus lists the tables of a fingerprint, and comes to know their rows without being told.
func testCensus(t *testing.T, h Harness) {
	c := also[engine.Counter](t, h, "Counter")
	for _, odd := range []string{"", h.Names[0]} {
		target := h.New(t, odd)
		if counts, err := c.Census(t.Context(), target); err != nil || len(counts) != 0 {
			t.Fatalf("census of an empty database: %+v, %v", counts, err)
		}
		fill(t, h, target, 1200, "old")
		exec(t, h, target, `CREATE TABLE "Odd "" . name" (a integer)`)
		want, err := h.Engine.Digest(t.Context(), target, nil)
		if err != nil {
			t.Fatal(err)
		}
		wait, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		for { // a server may need a while until its statistics know
			counts, err := c.Census(t.Context(), target)
			if err != nil {
				t.Fatalf("census: %v", err)
			}
			different := ""
			for _, count := range counts {
				digest, listed := want[count.Name]
				if !listed || !count.Known || count.Rows != digest.Rows {
					different = fmt.Sprintf("%+v, want %d", count, digest.Rows)
				}
			}
			if len(counts) != len(want) {
				t.Fatalf("%d tables, the fingerprint has %d: %+v", len(counts), len(want), counts)
			}
			if different == "" {
				break
			}
			select {
			case <-wait.Done():
				t.Fatal(different)
			case <-time.After(50 * time.Millisecond):
			}
		}
		if got, err := h.Engine.Digest(t.Context(), target, nil); err != nil || want.Compare(got) != nil {
			t.Fatalf("a census changed the database: %v, %v", err, want.Compare(got))
		}
	}
}
