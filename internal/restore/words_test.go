package restore

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/halt"
)

// TestJournalTellsPrograms: what became of each service, and that a process took over, can be read off an entry's kind.
func TestJournalTellsPrograms(t *testing.T) {
	w := newWorld()
	w.fates[40] = crashAfter
	live(t, w, w.job(t))
	entries, err := w.Entries(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var told []string
	for _, e := range entries {
		if e.Kind != "" && e.Event != "note" {
			t.Errorf("%s has the kind %s", e.Event, e.Kind)
		}
		if e.Kind == safepoint.JournalRecovering {
			told = append(told, "recovering")
		} else if e.Kind != "" {
			told = append(told, string(e.Kind)+" "+e.ServiceID)
		}
	}
	for _, want := range []string{"halted svc_web", "idle svc_reports", "halted svc_mail", "recovering", "resumed svc_mail", "resumed svc_web"} {
		if !slices.Contains(told, want) {
			t.Errorf("no %q in %q", want, told)
		}
	}
}

// stubborn is a service that cannot be halted, and says why in words that have a translation.
type stubborn struct{ *service }

func (stubborn) Halt(context.Context, halt.Request) error {
	return safepoint.Errorf(safepoint.CodeHalt, "%s did not stop within %s.", "reports", "60 s")
}

// TestWhyNoServiceStoppedIsTranslatable: the cause that is told within the failure keeps how it was made.
func TestWhyNoServiceStoppedIsTranslatable(t *testing.T) {
	w := newWorld()
	j := w.job(t)
	j.Services[0].Halter = stubborn{w.services[0]}
	op := live(t, w, j)
	if op.Failure == nil || op.Failure.Said.Parts[1].Sentence != "{1} did not stop within {2}." {
		t.Errorf("the failure is %+v", op.Failure)
	}
	_, err := probe(t.Context(), Service{Name: "web", Halter: mute{}})
	var e *safepoint.Error
	if !errors.As(err, &e) || e.Said.Parts[2].Sentence != "{1} does not answer." {
		t.Errorf("the failure is %+v", err)
	}
}

// mute is a service that does not say what it is doing.
type mute struct{ halt.Halter }

func (mute) Probe(context.Context) (halt.Status, error) {
	return halt.Status{}, safepoint.Errorf(safepoint.CodeUnreachable, "%s does not answer.", "web")
}
