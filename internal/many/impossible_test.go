package many

import (
	"testing"

	"github.com/anishathalye/porcupine"

	"github.com/safepoint-db/safepoint"
)

// TestImpossibleHistories has histories refused that no order explains, and near ones accepted: else the check above
// would say nothing.
func TestImpossibleHistories(t *testing.T) {
	call := func(from, to int64, in input, out output) porcupine.Operation {
		return porcupine.Operation{Input: in, Call: from, Output: out, Return: to}
	}
	won := func(id string) output { return output{OK: true, ID: id} }
	busy := output{Code: safepoint.CodeConflict, Says: "a backup of shop; "}
	ended := output{OK: true, Status: safepoint.StatusSucceeded}
	b, d, r := input{Act: backup}, input{remove, "b1"}, input{restore, "b1"}
	for name, test := range map[string]struct {
		possible bool
		history  []porcupine.Operation
	}{
		"one wins":                   {true, []porcupine.Operation{call(1, 5, b, won("x")), call(2, 6, b, busy), call(7, 8, input{end, "x"}, ended)}},
		"two win":                    {false, []porcupine.Operation{call(1, 5, b, won("x")), call(2, 6, b, won("y")), call(7, 8, input{end, "x"}, ended)}},
		"two win, one after another": {true, []porcupine.Operation{call(1, 5, b, won("x")), call(2, 9, b, won("y")), call(4, 8, input{end, "x"}, ended)}},
		"none wins":                  {false, []porcupine.Operation{call(1, 5, b, busy), call(2, 6, b, busy)}},
		"refused before the winner":  {false, []porcupine.Operation{call(1, 2, b, busy), call(3, 6, b, won("x"))}},
		"the wrong one is named":     {false, []porcupine.Operation{call(1, 5, b, won("x")), call(2, 6, r, output{Code: safepoint.CodeConflict, Says: "a restore of shop; "})}},
		"deleted twice":              {false, []porcupine.Operation{call(1, 5, d, won("")), call(2, 6, d, won(""))}},
		"restored though deleted":    {false, []porcupine.Operation{call(1, 2, d, won("")), call(3, 6, r, won("x"))}},
		"deleted while restored":     {false, []porcupine.Operation{call(1, 2, r, won("x")), call(3, 4, d, won("")), call(5, 6, input{end, "x"}, ended)}},
		"an error of the server":     {false, []porcupine.Operation{call(1, 5, b, won("x")), call(2, 6, b, output{Code: safepoint.CodeInternal})}},
		"another organization's":     {false, []porcupine.Operation{call(1, 5, input{foreign, "z"}, won("x"))}},
	} {
		narrowed, _, ok := witness(test.history)
		if ok != test.possible || ok && !porcupine.CheckOperations(model, narrowed) || porcupine.CheckOperations(model, test.history) != test.possible {
			t.Errorf("%s: possible %t, want %t", name, ok, test.possible)
		}
	}
}
