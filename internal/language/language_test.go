package language

import (
	"encoding/json"
	"html/template"
	"testing"
	"time"

	"github.com/leonelquinteros/gotext"

	"github.com/safepoint-db/safepoint"
)

const nbsp = "\u00a0"

func TestSay(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{English.Say("Nothing."), "Nothing."},
		{English.Say("{a} and {b}, {a}", "a", "x", "b", 1234), "x and 1,234, x"},
		{English.Say("{missing} stays", "a", "x"), "{missing} stays"},
		{English.Say("{a}", "a", "{b}", "b", "no"), "{b}"},
		{English.Say("an open { and }"), "an open { and }"},
		{English.Count(1, "{n} backup", "{n} backups"), "1" + nbsp + "backup"},
		{English.Count(int64(1234567), "{n} backup", "{n} backups"), "1,234,567" + nbsp + "backups"},
		{string(English.HTML("**{a}** <is> & {b}", "a", "<i>", "b", template.HTML("<i>"))), "<b>&lt;i&gt;</b> &lt;is&gt; &amp; <i>"},
		{string(English.HTML("a {b}", "b", "**x**")), "a **x**"},
		{English.Size(19756849152), "18.4" + nbsp + "GiB"},
		{Find("de").Size(19756849152), "18,4" + nbsp + "GiB"},
		{Find("de").Bytes(19756849152), "19.756.849.152" + nbsp + "Bytes"},
		{English.Bytes(1), "1" + nbsp + "byte"},
		{English.Change(-1536), "−1.5" + nbsp + "KiB"},
		{English.Lasted(372 * time.Second), "6" + nbsp + "min" + nbsp + "12" + nbsp + "s"},
		{English.About(90 * time.Second), "about 2" + nbsp + "min"},
		{English.List([]string{"a", "b", "c"}), "a, b and c"},
		{English.List(nil), ""},
		{Pseudo.Say("Save {name}", "name", "prod"), "Sávé prod ló"},
	} {
		if c.got != c.want {
			t.Errorf("%q, want %q", c.got, c.want)
		}
	}
}

// TestPlurals shows that a language with more plurals than English says each of them.
func TestPlurals(t *testing.T) {
	polish := gotext.NewPo()
	polish.Parse([]byte(`msgid ""
msgstr ""
"Language: pl\n"
"Plural-Forms: nplurals=3; plural=(n==1 ? 0 : n%10>=2 && n%10<=4 && (n%100<10 || n%100>=20) ? 1 : 2);\n"

msgid "{n} table"
msgid_plural "{n} tables"
msgstr[0] "{n} tabela"
msgstr[1] "{n} tabele"
msgstr[2] "{n} tabel"
`))
	l := load("pl", "polski", polish)
	for n, want := range map[int]string{1: "tabela", 3: "tabele", 5: "tabel", 12: "tabel", 22: "tabele"} {
		if got := l.Count(n, "{n} table", "{n} tables"); got != l.Number(n)+nbsp+want {
			t.Errorf("%d: %q", n, got)
		}
	}
}

func TestErrors(t *testing.T) {
	e := safepoint.Errorf(safepoint.CodeSpace, "%s needs %d MiB.", "nas", 1200).WithHint("Free %s.", "space")
	back := e.Failure().Failed()
	if m, h := English.Message(back), English.Hint(back); m != "nas needs 1200 MiB." || h != "Free space." {
		t.Errorf("%q %q", m, h)
	}
	whole := safepoint.Errorf(safepoint.CodeSpace, "There is no room for the safety backup. %s", safepoint.Errorf(safepoint.CodeSpace, "The %s is full.", safepoint.Noun("disk")).Quoted()).HintedAs(e)
	if whole.Message != "There is no room for the safety backup. The disk is full." || whole.Hint != "Free space." {
		t.Errorf("%q %q", whole.Message, whole.Hint)
	}
	l := load("de", "Deutsch", gotext.NewPo())
	l.translations.Parse([]byte("msgid \"There is no room for the safety backup. {1}\"\nmsgstr \"Kein Platz: {1}\"\n\nmsgid \"The {1} is full.\"\nmsgstr \"{1} voll.\"\n\nmsgid \"disk\"\nmsgstr \"Platte\"\n\nmsgid \"As it is.\"\nmsgstr \"So.\"\n"))
	kept, err := json.Marshal(whole.Hinted("As it is.").Failure()) // as a log keeps it
	var f safepoint.Failure
	if err != nil || json.Unmarshal(kept, &f) != nil {
		t.Fatal(err)
	}
	if m, h := l.Message(f.Failed()), l.Hint(f.Failed()); m != "Kein Platz: Platte voll." || h != "So." {
		t.Errorf("%q %q", m, h)
	}
	if m := English.Message(&safepoint.Error{Message: "only English"}); m != "only English" {
		t.Errorf("%q", m)
	}
}

func TestChoose(t *testing.T) {
	for _, c := range []struct {
		accept string
		wanted []string
		tag    string
	}{
		{"", nil, "en"}, {"de-AT,de;q=0.9,en;q=0.5", nil, "de"}, {"fr, tlh", nil, "en"}, {"fr,de;q=0.1", nil, "de"},
		{"de", []string{"en"}, "en"}, {"de", []string{"", "zz"}, "de"}, {"en-GB", nil, "en"}, {"*", nil, "en"}, {";;;q", nil, "en"},
	} {
		if l := Choose(c.accept, c.wanted...); l.Tag != c.tag {
			t.Errorf("%q %q gives %s, want %s", c.accept, c.wanted, l.Tag, c.tag)
		}
	}
}

// TestValuesAreTranslated: what a message is about is said in the reader's language, where it is more than a name.
func TestValuesAreTranslated(t *testing.T) {
	german := Choose("", "de")
	for _, c := range []struct {
		err  *safepoint.Error
		want string
	}{
		{safepoint.Errorf(safepoint.CodeUnauthorized, "You were signed out after %s.", safepoint.Amount{N: 8, One: "{n} hour", Many: "{n} hours"}), "Sie wurden abgemeldet: Eine Anmeldung gilt 8\u00a0Stunden."},
		{safepoint.Errorf(safepoint.CodeUnauthorized, "You were signed out after %s.", safepoint.Amount{N: 1, One: "{n} hour", Many: "{n} hours"}), "Sie wurden abgemeldet: Eine Anmeldung gilt 1\u00a0Stunde."},
		{safepoint.Errorf(safepoint.CodeCancelled, "Cancelled during step %s.", safepoint.Noun("verify")), "Abgebrochen in diesem Schritt: Vergleichen."},
		{safepoint.Errorf(safepoint.CodeHalt, "%s did not %s: it answered %s.", "booking-web", safepoint.Noun("halt"), "500"), "booking-web: Anhalten ist nicht gelungen: Die Antwort war 500."},
	} {
		if got := german.Message(c.err.Failure().Failed()); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}
