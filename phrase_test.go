package safepoint_test

import (
	"slices"
	"testing"

	"github.com/safepoint-db/safepoint"
)

func TestPhrase(t *testing.T) {
	for _, c := range []struct {
		format   string
		args     []any
		sentence string
		values   []string
	}{
		{"Nothing was done.", nil, "Nothing was done.", nil},
		{"%s needs %d of %q.", []any{"nas", 3, "a b"}, "{1} needs {2} of {3}.", []string{"nas", "3", `"a b"`}},
		{"%[2]s before %[1]s", []any{"one", "two"}, "{2} before {1}", []string{"one", "two"}},
		{"%.1f%% of %s", []any{12.34, "it"}, "{1}% of {2}", []string{"12.3", "it"}},
		{"%s and %s", []any{"one"}, "{1} and {2}", []string{"one", "?"}},
		{"a lone %", nil, "a lone %", nil},
	} {
		p := safepoint.NewPhrase(c.format, c.args...)
		if p.Sentence != c.sentence || !slices.Equal(p.Values, c.values) {
			t.Errorf("%q gives %q with %q", c.format, p.Sentence, p.Values)
		}
		if key := safepoint.Sentence(c.format); key != c.sentence {
			t.Errorf("the key of %q is %q", c.format, key)
		}
	}
}

// TestAmounts: a number of things is a value with words of its own, in the number that it is.
func TestAmounts(t *testing.T) {
	hours := func(n int) safepoint.Amount { return safepoint.Amount{N: n, One: "{n} hour", Many: "{n} hours"} }
	for n, want := range map[int]string{1: "Wait 1 hour.", 8: "Wait 8 hours."} {
		e := safepoint.Errorf(safepoint.CodeTooMany, "Wait %s.", hours(n))
		if e.Message != want || e.Said.String() != want || e.Said.Sentence != "Wait {1}." || e.Said.Parts[1].Many != "{n} hours" {
			t.Errorf("%d: %q, %+v", n, e.Message, e.Said)
		}
	}
}
