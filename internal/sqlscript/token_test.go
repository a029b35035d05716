package sqlscript

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

func TestTokens(t *testing.T) {
	kinds := [...]string{"end", "word", "name", "string", "number", "sign", "odd", "operator"}
	for sql, want := range map[string]string{
		"":                                 "",
		" -- x\r SELECT/* /* */ */1;":      "word SELECT, number 1, sign ;",
		"-- x":                             "",
		"a /* no end":                      "word a, odd /* no end",
		`"a ""b""".c`:                      `name a "b", sign ., word c`,
		`'it''s' E'it\'s' e'a''b\\' $$x$$`: `string it's, string it's, string a'b\, string x`,
		"$a$ $$ $b$ $a$ $1 $":              "string  $$ $b$ , number $1, sign $",
		"a$b$ $é$x$é$":                     "word a$b$, string x",
		"'no end":                          "odd 'no end",
		"$$ no end":                        "odd $$ no end",
		`B'01' x'ff' N'a' U&"d\0061" u&'`:  `odd B'01', odd x'ff', odd N'a', odd U&"d\0061", odd u&'`,
		"be'x' U & b":                      "word be, string x, word U, operator &, word b",
		"1.5e-3 1e 7.e+ .5":                "number 1.5e-3, number 1, word e, number 7., word e, operator +, sign ., number 5",
		"a.=~=(b,c)--":                     "word a, sign ., operator =~=, sign (, word b, sign ,, word c, sign )",
		"a+-- x\n/b/*x*/":                  "word a, operator +, operator /, word b",
		"x::y[1]":                          "word x, sign :, sign :, word y, sign [, number 1, sign ]",
	} {
		var got []string
		list := Tokens([]byte(sql))
		for tok := list.Next(); tok.Kind != End; tok = list.Next() {
			if sql[tok.From:tok.To] != tok.Text {
				t.Errorf("%q: %q does not stand from %d to %d", sql, tok.Text, tok.From, tok.To)
			}
			got = append(got, kinds[tok.Kind]+" "+tok.Value())
		}
		if s := strings.Join(got, ", "); s != want {
			t.Errorf("%q:\n got %s\nwant %s", sql, s, want)
		}
	}
}

// TestTokensEnd: whatever the bytes, tokens follow one another, leave out only blanks and comments, and end.
func TestTokensEnd(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	pieces := []string{"'", `"`, "$", "$a$", "E'", "U&", "--", "/*", "*/", "\n", " ", "a", "1", ".", "e", "+", "(", ";", "\\", "é", "\x00", "\xff"}
	for range 20000 {
		var b strings.Builder
		for range rnd.IntN(12) {
			b.WriteString(pieces[rnd.IntN(len(pieces))])
		}
		sql := []byte(b.String())
		list, at := Tokens(sql), 0
		for tok := list.Next(); tok.Kind != End; tok = list.Next() {
			if tok.To <= tok.From || tok.From < at {
				t.Fatalf("%q: a token from %d to %d after %d", sql, tok.From, tok.To, at)
			}
			if gap := sql[at:tok.From]; Blanks(gap) != len(gap) {
				t.Fatalf("%q: %q is left out", sql, gap)
			}
			at = tok.To
			_ = fmt.Sprint(tok.Value())
		}
		if rest := sql[at:]; Blanks(rest) != len(rest) {
			t.Fatalf("%q: %q is left out at the end", sql, rest)
		}
	}
}
