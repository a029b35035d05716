package enginetest

import (
	"slices"
	"testing"

	"github.com/safepoint-db/safepoint/internal/engine"
)

// optional is what an engine may be besides an engine.Engine. TestOptionalIsComplete keeps it whole.
var optional = []struct {
	name string
	is   func(engine.Engine) bool
}{
	{"Counter", is[engine.Counter]},
	{"Founder", is[engine.Founder]},
	{"InPlacer", is[engine.InPlacer]},
	{"InstantSwitcher", is[engine.InstantSwitcher]},
	{"Picker", is[engine.Picker]},
	{"SchemaLoader", is[engine.SchemaLoader]},
	{"Surveyor", is[engine.Surveyor]},
}

func is[T any](e engine.Engine) bool {
	_, ok := e.(T)
	return ok
}

// testIsWhatItSays compares what the engine is with what its test says. Whoever asks an engine for such an interface does
// without where there is none: one that got lost, by a method renamed or a wrapper that hides it, would fail nothing else.
func testIsWhatItSays(t *testing.T, h Harness) {
	var got []string
	for _, o := range optional {
		if o.is(h.Engine) {
			got = append(got, o.name)
		}
	}
	want := slices.Sorted(slices.Values(h.Also))
	if !slices.Equal(got, want) {
		t.Errorf("the engine is also %v; its harness says %v", got, want)
	}
}

// also gives the engine as T, or skips a test of what its harness says it is not.
func also[T any](t *testing.T, h Harness, name string) T {
	t.Helper()
	if !slices.Contains(h.Also, name) {
		t.Skipf("this engine is not said to be an engine.%s", name)
	}
	e, ok := h.Engine.(T)
	if !ok {
		t.Fatalf("this engine is no engine.%s any more", name)
	}
	return e
}
