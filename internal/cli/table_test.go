package cli

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/mattn/go-runewidth"
	"github.com/safepoint-db/safepoint/internal/api/wire"
)

// TestFit tells how a table gives way to a narrow terminal.
func TestFit(t *testing.T) {
	cols := columns("id", "~name 1", ">size 2", "~note 3")
	whole := []int{10, 30, 8, 40}
	for _, c := range []struct {
		room   int
		widths []int
		out    string
	}{
		{94, []int{10, 30, 8, 40}, ""},
		{90, []int{10, 30, 8, 36}, ""},    // the least important words first
		{66, []int{10, 30, 8, 12}, ""},    // down to what is still worth reading
		{60, []int{10, 24, 8, 12}, ""},    // then the next
		{47, []int{10, 25, 8, 0}, "NOTE"}, // then it goes, and the others have its room
		{30, []int{10, 18, 0, 0}, "NOTE SIZE"},
		{12, []int{10, 0, 0, 0}, "NOTE SIZE NAME"},
		{5, []int{10, 0, 0, 0}, "NOTE SIZE NAME"}, // what a person must have stays whole
	} {
		widths := append([]int(nil), whole...)
		out := fit(cols, widths, c.room)
		if strings.Join(out, " ") != c.out {
			t.Errorf("in %d cells: left out %q, want %q", c.room, out, c.out)
		}
		for i := range widths {
			if widths[i] != c.widths[i] {
				t.Errorf("in %d cells: widths %v, want %v", c.room, widths, c.widths)
				break
			}
		}
	}
	// Where every column is needed and one can be shortened, it is, beyond what reads well.
	widths := []int{10, 30}
	fit(columns("id", "~name"), widths, 18)
	if widths[1] != 6 {
		t.Errorf("the only flexible column has %d cells, want 6", widths[1])
	}
}

// TestCells counts cells, not letters: East Asian letters take two, marks that combine none.
func TestCells(t *testing.T) {
	cols := columns("~name", ">rows")
	for text, want := range map[string]string{
		"東京支社データベース":            "東京支…  7",
		"ab東京支社":                "ab東京…  7",
		"orders":                "orders   7",
		"cafe\u0301s\u0301abcd": "cafe\u0301s\u0301a…  7",
		"x\u202ey\x1b[31m":      "x y [3…  7",
	} {
		var b bytes.Buffer
		writeRow(&b, cols, []int{7, 1}, []string{oneLine(text), "7"})
		got := strings.TrimRight(b.String(), "\n")
		if got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
		if w := runewidth.StringWidth(got); w != 10 {
			t.Errorf("%q takes %d cells, want 10", got, w)
		}
	}
}

// TestProgressFacts says what a person who waits may know, and nothing that is only guessed.
func TestProgressFacts(t *testing.T) {
	began := time.Date(2026, 11, 22, 14, 0, 0, 0, time.UTC)
	p := wire.Progress{Phase: "dump", Tables: 2, TablesOf: 66, Bytes: 1 << 30, BytesOf: 3 << 30, Rate: 84 << 20, Percent: 33, SecondsLeft: 130, At: began.Add(time.Minute)}
	backup := wire.Operation{Type: "backup", Status: "running", StartedAt: began, Progress: &p}
	early := p
	early.At = began.Add(5 * time.Second)
	tooEarly := backup
	tooEarly.Progress = &early
	restore := backup
	staging, late := p, p
	staging.Phase, late.Phase = "stage", "guard"
	restore.Type, restore.Step, restore.Progress = "restore", "stage", &staging
	switching := restore
	switching.Step, switching.Progress = "switch", &late
	inPlace := restore
	inPlace.Mode = "in_place"
	for _, c := range []struct {
		o    wire.Operation
		want string
	}{
		{backup, "Writing: 33%, table 3 of 66, 1.0 GiB of about 3.0 GiB, 84 MiB/s, about 2 min left\n"},
		{tooEarly, "Writing: 33%, table 3 of 66, 1.0 GiB of about 3.0 GiB, 84 MiB/s\n"},
		{restore, "Restoring into staging: 33%, table 3 of 66, 1.0 GiB of about 3.0 GiB, 84 MiB/s, about 2 min left\n"},
		{inPlace, "Loading: 33%, table 3 of 66, 1.0 GiB of about 3.0 GiB, 84 MiB/s, about 2 min left\n"},
		{switching, "Switching: 33%, about 2 min left\n"},
		{wire.Operation{Type: "restore", Status: "running", Step: "halt"}, "Halting services\n"},
		{wire.Operation{Type: "backup", Status: "queued"}, "Waiting for its turn\n"},
		{wire.Operation{Type: "backup", Status: "running", CancelAsked: true}, "Stopping\n"},
		{wire.Operation{Type: "backup", Status: "succeeded"}, "Succeeded: 100%\n"},
	} {
		var b bytes.Buffer
		m := &meter{w: &b, lines: true}
		m.showOperation(c.o)
		if b.String() != c.want {
			t.Errorf("%q, want %q", b.String(), c.want)
		}
	}
}

func TestWords(t *testing.T) {
	for n, want := range map[int64]string{
		0: "0 B", 1023: "1023 B", 1024: "1 KiB", 1 << 20: "1 MiB", 1468007: "1.4 MiB", 18 << 20: "18 MiB", 1 << 30: "1.0 GiB", 19756849152: "18.4 GiB", 71 << 30: "71.0 GiB",
	} {
		if got := bytesText(n); got != want {
			t.Errorf("%d bytes: %q, want %q", n, got, want)
		}
	}
	for n, want := range map[int64]string{0: "0", 7: "7", 999: "999", 1000: "1,000", 41208553: "41,208,553", -1000: "-1,000", -100: "-100"} {
		if got := grouped(n); got != want {
			t.Errorf("%d: %q, want %q", n, got, want)
		}
	}
	at := time.Date(2026, 11, 2, 14, 5, 6, 0, time.UTC).In(time.Local)
	zone := at.Format("MST")
	if got, want := when(at)+" / "+exactly(at), at.Format("2 Jan 2006, 15:04 ")+zone+" / "+at.Format("2 Jan 2006, 15:04:05 ")+zone; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
