package cli

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/safepoint-db/safepoint/internal/api/wire"
)

var updatePreviews = flag.Bool("update", false, "write the golden previews")

func rows(n int64) *int64 { return &n }

func preview() wire.RestorePreview {
	return wire.RestorePreview{
		Ready: true, Confirm: "harbor", Database: wire.Database{Name: "harbor"}, Backup: wire.Operation{ID: "op_b", Name: "harbor_2026-11-21_2100.sql.zst"},
		ChangesSeconds: 62040, Services: []wire.Service{{Name: "web"}}, Mode: "guarded", Modes: []string{"guarded", "instant"},
		HaltSeconds: map[string]float64{"instant": 0.214}, SpaceFree: 412 << 30, SafetySize: 18 << 30,
		Preflight: wire.Preflight{
			At:      time.Date(2026, 11, 21, 21, 0, 0, 0, time.UTC),
			Answers: []wire.ServiceAnswer{{Name: "web", Kind: "webhook", TimeoutSeconds: 60, Condition: "running", Meaning: "It answers, and will be halted and resumed."}},
			Passed:  []string{"Every service answers."}, LiveSize: 71 << 30,
			Rows: &wire.TableComparison{LiveKnown: true, Differing: 1, Same: 64, Vanishing: 1, BackupRows: 41208553, Changes: []wire.TableChange{
				{Name: "public.drafts", Fate: "vanishes", LiveRows: rows(12)},
				{Name: "public.orders", Fate: "rows", BackupRows: rows(1000), LiveRows: rows(2240)},
			}},
		},
	}
}

// TestPrintPreview compares previews with testdata/preview. -update writes them.
func TestPrintPreview(t *testing.T) {
	zone := time.Local
	t.Cleanup(func() { time.Local = zone })
	time.Local = time.UTC
	ready := preview()
	blocked := preview()
	blocked.Ready, blocked.Rows, blocked.RowsUnknown = false, nil, "The database could not be asked."
	blocked.Findings = []wire.Finding{{Message: "A note.", Hint: "Read it."}, {Blocker: true, Message: "harbor did not answer.\nTwo lines.", Hint: "Start it."}}
	blocked.Busy = &wire.Operation{ID: "op_x", Type: "backup", Status: "running"}
	blocked.NeedsKey, blocked.Passed, blocked.LiveSize = true, nil, 0
	newest := preview()
	newest.Services, newest.Answers, newest.Rows.NewestID, newest.Rows.NewestAt = nil, nil, "op_n", time.Date(2026, 11, 22, 13, 0, 0, 0, time.UTC)
	newest.Rows.More, newest.Rows.Changes = 280, nil
	for i, fate := range []string{"comes_back", "content", "unknown"} {
		newest.Rows.Changes = append(newest.Rows.Changes, wire.TableChange{Name: strings.Repeat("ü", 31) + fmt.Sprint(i), Fate: fate, BackupRows: rows(7), NewestRows: rows(7)})
	}
	same := preview()
	same.Rows.Changes, same.Mode, same.Modes, same.HaltSeconds, same.At = nil, "in_place", []string{"in_place"}, nil, time.Time{}
	for name, p := range map[string]wire.RestorePreview{"ready": ready, "blocked": blocked, "newest": newest, "same": same} {
		var b bytes.Buffer
		printPreview(&b, p)
		got := b.String()
		file := filepath.Join("testdata", "preview", name+".txt")
		if *updatePreviews {
			if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if got != string(want) {
			t.Errorf("%s:\n%s\nwant:\n%s", name, got, want)
		}
	}
}
