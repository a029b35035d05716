package archive_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/archive"
	"pgregory.net/rapid"
)

func digest(rows ...string) archive.Digest {
	var d archive.Digester
	for _, row := range rows {
		d.Add([]byte(row))
	}
	return d.Digest()
}

func TestDigestKnownAnswers(t *testing.T) {
	const empty = "99aa06d3014798d86001c324468d497f" // XXH3 128 of no bytes, from its specification
	if d := digest(); d != (archive.Digest{}) || d.Hash.String() != strings.Repeat("0", 32) {
		t.Errorf("no rows: %+v", d)
	}
	if d := digest(""); d.Rows != 1 || d.Hash.String() != empty {
		t.Errorf("one empty row: %+v", d)
	}
	// Twice it, modulo 2^128: both the carry between the halves and the one that is lost.
	if d := digest("", ""); d.Rows != 2 || d.Hash.String() != "33540da6028f31b0c0038648"+"8d1a92fe" {
		t.Errorf("two empty rows: %+v", d)
	}
}

// The order of rows and how they are cut into slices have no say; which rows there are does.
func TestDigestOfAnyOrder(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		rows := rapid.SliceOf(rapid.String()).Draw(rt, "rows")
		want := digest(rows...)
		shuffled := append([]string(nil), rows...)
		rand.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		cut := rapid.IntRange(0, len(rows)).Draw(rt, "cut")
		var one, two archive.Digester
		for i, row := range shuffled {
			if i < cut {
				one.Add([]byte(row))
			} else {
				two.Add([]byte(row))
			}
		}
		one.Merge(&two)
		if got := one.Digest(); got != want {
			rt.Fatalf("got %+v, want %+v", got, want)
		}
		if len(rows) > 0 {
			if got := digest(append(rows[1:], rows[0]+"x")...); got == want {
				rt.Fatal("another row, and the same digest")
			}
			// A row that is there twice does not cancel itself out, as it would with XOR.
			if got := digest(append(rows, rows[0], rows[0])...); got.Hash == want.Hash {
				rt.Fatal("two more rows, and the same hash")
			}
		}
	})
}

func TestCompare(t *testing.T) {
	want := archive.Fingerprint{"a": digest("1"), "b": digest("1", "2"), "c": digest("1")}
	for _, c := range []struct {
		got   archive.Fingerprint
		words string
	}{
		{archive.Fingerprint{"a": digest("1"), "b": digest("2", "1"), "c": digest("1")}, ""},
		{archive.Fingerprint{"a": digest("1"), "b": digest("1"), "c": digest("1")}, "1 table differs from the backup: b has 1 rows instead of 2."},
		{archive.Fingerprint{"a": digest("1"), "b": digest("1", "3"), "c": digest("1")}, "b has the right number of rows (2) but other content."},
		{archive.Fingerprint{"a": digest("1"), "b": digest("1", "2")}, "c is missing."},
		{archive.Fingerprint{"a": digest("1"), "b": digest("1", "2"), "c": digest("1"), "d": digest()}, "d is not in the backup."},
		{nil, "3 tables differ from the backup: a is missing; b is missing; c is missing."},
	} {
		err := want.Compare(c.got)
		if c.words == "" {
			if err != nil {
				t.Errorf("%v: %v", c.got, err)
			}
			continue
		}
		if safepoint.ErrorCode(err) != safepoint.CodeMismatch || !strings.Contains(err.Error(), c.words) {
			t.Errorf("%v: %v, want %q", c.got, err, c.words)
		}
	}
	if err := archive.Fingerprint(nil).Compare(archive.Fingerprint{}); err != nil {
		t.Error(err)
	}
	many := archive.Fingerprint{}
	for i := range 100 {
		many[fmt.Sprintf("t%02d", i)] = digest()
	}
	if err := many.Compare(nil); err == nil || !strings.Contains(err.Error(), "t04 is missing; and 95 more.") || strings.Contains(err.Error(), "t05") {
		t.Errorf("many: %v", err)
	}
}
