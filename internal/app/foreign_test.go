package app

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/safepoint-db/safepoint/internal/archive"
	"github.com/safepoint-db/safepoint/internal/foreign"
	"github.com/safepoint-db/safepoint/internal/language"
)

// TestForeignFindingIsTranslated: all that is said of a dump that was not made here is said in the reader's language.
func TestForeignFindingIsTranslated(t *testing.T) {
	german := language.Find("de")
	contents, err := json.Marshal(map[string]foreign.Contents{"foreign": {
		Origin: "pg_dump 14.2, plain SQL", CodeCount: 7,
		Code:  []foreign.Object{{Kind: "FUNCTION", Name: "public.total"}, {Kind: "DO"}, {Kind: "TRIGGER", Name: "a"}, {Kind: "TRIGGER", Name: "b"}, {Kind: "TRIGGER", Name: "c"}},
		Notes: []string{"Statements about plpgsql are left out: every database has it. (3 times)", "The owner of the database is left out: it stays as it is."},
	}})
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		properties       json.RawMessage
		english, message string
		hint             string
	}{
		"unread": {nil, "its statements are of unknown origin.", "Diese Sicherung wurde nicht hier gemacht (pg_dump 14.2, plain SQL): Ihre Anweisungen sind unbekannter Herkunft.",
			"Stellen Sie sie nur wieder her, wenn Sie wissen, woher sie kommt."},
		"with code and notes": {contents, "later: FUNCTION public.total, DO, TRIGGER a, TRIGGER b, TRIGGER c and 2 more.",
			"Diese Sicherung wurde nicht hier gemacht (pg_dump 14.2, plain SQL): Ihre Anweisungen sind unbekannter Herkunft, und sie kann nicht Zeile für Zeile verglichen werden." +
				" Sie bringt Code mit, den die Datenbank später von selbst ausführt: FUNCTION public.total, DO, TRIGGER a, TRIGGER b, TRIGGER c und 2 weitere.",
			"Stellen Sie sie nur wieder her, wenn Sie wissen, woher sie kommt. Weggelassen wurde: Anweisungen zu plpgsql werden weggelassen: Jede Datenbank hat es. (3-mal)" +
				" Der Eigentümer der Datenbank wird weggelassen: Er bleibt, wie er ist."},
	} {
		f, is := foreignFinding(archive.Header{Foreign: "pg_dump 14.2, plain SQL", Properties: c.properties})
		if !is || !strings.Contains(f.Message, c.english) {
			t.Errorf("%s: %+v", name, f)
		}
		if got := german.Message(f.Failed()); got != c.message {
			t.Errorf("%s says\n%s\nnot\n%s", name, got, c.message)
		}
		if got := german.Hint(f.Failed()); got != c.hint {
			t.Errorf("%s advises\n%s\nnot\n%s", name, got, c.hint)
		}
	}
}
