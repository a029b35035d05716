package engine

import (
	"testing"

	"github.com/safepoint-db/safepoint"
)

func TestPattern(t *testing.T) {
	for _, test := range []struct {
		pattern, schema, table string
		want                   bool
	}{
		{"orders", "app", "orders", true}, {"orders", "", "orders", true}, {"orders", "app", "Orders", false},
		{"app.orders", "app", "orders", true}, {"app.orders", "public", "orders", false},
		{"app.*", "app", "", true}, {"app.*", "app", "a.b", true}, {"*", "x", "y", true}, {"*.orders", "x", "orders", true},
		{"a?p.o*s", "app", "orders", true}, {"a?p.o*s", "ap", "orders", false}, {"o*d*s", "x", "orders", true}, {"o*d*x", "x", "orders", false},
		{`app."a.b"`, "app", "a.b", true}, {`"*"`, "x", "y", false}, {`"*"`, "x", "*", true}, {`"say ""hi"""`, "x", `say "hi"`, true},
		{`"Odd".T`, "Odd", "T", true}, {"tabelle_ü*", "x", "tabelle_über", true}, {"???", "x", "é😀ß", true},
	} {
		p, err := ParsePattern(test.pattern)
		if err != nil {
			t.Fatal(err)
		}
		if got := p.Match(test.schema, test.table); got != test.want {
			t.Errorf("%s of %s.%s: %v", test.pattern, test.schema, test.table, got)
		}
	}
	for _, bad := range []string{"", ".", "a.", ".b", "a.b.c", `"a`, `a."b`} {
		if _, err := ParsePattern(bad); safepoint.ErrorCode(err) != safepoint.CodeInvalid {
			t.Errorf("%q: %v", bad, err)
		}
	}
	if _, err := ParsePatterns(nil); safepoint.ErrorCode(err) != safepoint.CodeInvalid {
		t.Errorf("no table: %v", err)
	}
}
