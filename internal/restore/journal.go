package restore

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/engine"
	"github.com/safepoint-db/safepoint/internal/halt"
)

// record is what the next process needs if this one dies. The whole of it goes into every journal entry, so that
// recovery reads only the last one.
type record struct {
	Plan     *engine.Plan    `json:"plan,omitempty"`
	Services []serviceRecord `json:"services,omitempty"` // written before the first is touched
	Gated    bool            `json:"gated,omitempty"`    // the gate was, or was about to be, closed
	Swapping bool            `json:"swapping,omitempty"` // the switch was, or was about to be, sent
	Undo     bool            `json:"undo,omitempty"`     // the switch goes back
	Founding bool            `json:"founding,omitempty"` // the new database's name was, or was about to be, given
	InPlace  bool            `json:"in_place,omitempty"` // the transaction in place was begun

	// Failure is why it goes back, from the moment it does: a crash on the way back is not the reason.
	Failure *safepoint.Failure `json:"failure,omitempty"`
}

// serviceRecord is what a service did before the restore. Only what we halt do we resume.
type serviceRecord struct {
	ID    string         `json:"id"`
	Name  string         `json:"name"`
	Prior halt.Condition `json:"prior"`
	Ours  bool           `json:"ours"` // to be halted by us, so to be resumed by us
	// State is the service's own halt.Status.Prior: which of its parts ran.
	State string `json:"state,omitempty"`
}

// enter writes down that a step begins: on the row for people, in the journal for recovery.
func (r *run) enter(ctx context.Context, s safepoint.Step, intent string) error {
	r.Operation.Step = s
	r.rec.Swapping = r.rec.Swapping || s == safepoint.StepSwitch && !r.rec.Founding && !r.rec.InPlace
	if r.hurried && s == safepoint.StepResume { // recovery resumes whether it was begun or not
		return r.hold(safepoint.JournalEntry{Event: "intent", Detail: intent})
	}
	if err := r.Ledger.Save(ctx, r.Operation); err != nil {
		return fmt.Errorf("enter step %s: %w", s, err)
	}
	r.report(s, engine.Progress{}, 0)
	return r.append(ctx, "intent", intent)
}

func (r *run) done(ctx context.Context, outcome string) error {
	if r.hurried {
		return r.hold(safepoint.JournalEntry{Event: "done", Detail: outcome})
	}
	if err := r.Ledger.Save(ctx, r.Operation); err != nil {
		return fmt.Errorf("end step %s: %w", r.Operation.Step, err)
	}
	return r.append(ctx, "done", outcome)
}

func (r *run) note(ctx context.Context, text string) error { return r.tell(ctx, "", "", text) }

// tell is a note that programs read as well.
func (r *run) tell(ctx context.Context, kind safepoint.JournalKind, serviceID, text string) error {
	e := safepoint.JournalEntry{Event: "note", Kind: kind, ServiceID: serviceID, Detail: text}
	if r.hurried {
		return r.hold(e)
	}
	return r.write(ctx, e)
}

func (r *run) append(ctx context.Context, event, detail string) error {
	return r.write(ctx, safepoint.JournalEntry{Event: event, Detail: detail})
}

// write appends an entry, after those that were held back.
func (r *run) write(ctx context.Context, e safepoint.JournalEntry) error {
	if err := r.hold(e); err != nil {
		return err
	}
	if err := r.Ledger.Append(ctx, r.held...); err != nil {
		r.held = r.held[:len(r.held)-1] // its writer knows that it is not there
		return fmt.Errorf("write journal: %w", err)
	}
	r.held = nil
	return nil
}

// hold keeps an entry back that nobody needs after a crash: for the next append, or flush.
func (r *run) hold(e safepoint.JournalEntry) error {
	state, err := json.Marshal(r.rec)
	if err != nil {
		return fmt.Errorf("write journal: %w", err)
	}
	e.OperationID, e.At, e.Step, e.State = r.Operation.ID, r.Now(), r.Operation.Step, state
	r.held = append(r.held, e)
	return nil
}

// flush writes what was held back. Where that fails it is lost: nothing but the story for people is in it.
func (r *run) flush(ctx context.Context) {
	r.hurried = false
	if len(r.held) == 0 || r.Lost() {
		return
	}
	if err := r.Ledger.Append(ctx, r.held...); err != nil {
		r.Log.WarnContext(ctx, "entries of a journal were not written", "operation", r.Operation.ID, "error", err)
	}
	r.held = nil
}

// lastRecord is the newest record of a journal; the zero record if there is none.
func lastRecord(entries []safepoint.JournalEntry) (rec record, err error) {
	for i := len(entries) - 1; i >= 0; i-- {
		if len(entries[i].State) == 0 {
			continue
		}
		if err := json.Unmarshal(entries[i].State, &rec); err != nil {
			return rec, fmt.Errorf("read journal: %w", err)
		}
		return rec, nil
	}
	return rec, nil
}

// PlanOf is the plan that a restore's journal ended with: what an undo or a later clean-up works on. nil if it made nothing.
func PlanOf(entries []safepoint.JournalEntry) (*engine.Plan, error) {
	rec, err := lastRecord(entries)
	return rec.Plan, err
}

// Halted is a service that a restore halted, or was about to. Prior goes into the halt.Request that resumes it.
type Halted struct{ ID, Name, Prior string }

// HaltedServices are those of a restore's journal, in the order in which they are resumed.
func HaltedServices(entries []safepoint.JournalEntry) ([]Halted, error) {
	rec, err := lastRecord(entries)
	var halted []Halted
	for _, s := range slices.Backward(rec.Services) {
		if s.Ours {
			halted = append(halted, Halted{s.ID, s.Name, s.State})
		}
	}
	return halted, err
}

// span is how much of a restore's percent each step takes, when nothing is known about its past.
var span = map[safepoint.Step][2]int{
	safepoint.StepCheck: {0, 10}, safepoint.StepStage: {10, 55}, safepoint.StepVerify: {55, 70}, safepoint.StepHalt: {70, 74},
	safepoint.StepGuard: {74, 95}, safepoint.StepSwitch: {95, 96}, safepoint.StepResume: {96, 99}, safepoint.StepClean: {99, 100},
}

// spanInstant is span where the safety backup comes after the services have resumed.
var spanInstant = map[safepoint.Step][2]int{
	safepoint.StepCheck: {0, 10}, safepoint.StepStage: {10, 55}, safepoint.StepVerify: {55, 70}, safepoint.StepHalt: {70, 72},
	safepoint.StepSwitch: {72, 73}, safepoint.StepResume: {73, 75}, safepoint.StepGuard: {75, 99}, safepoint.StepClean: {99, 100},
}

// spanInPlace is span for a restore in place, whose steps come in another order.
var spanInPlace = map[safepoint.Step][2]int{
	safepoint.StepCheck: {0, 10}, safepoint.StepHalt: {10, 14}, safepoint.StepGuard: {14, 35}, safepoint.StepStage: {35, 80},
	safepoint.StepVerify: {80, 95}, safepoint.StepSwitch: {95, 96}, safepoint.StepResume: {96, 100},
}

func spanOf(m safepoint.RestoreMode, s safepoint.Step) [2]int {
	switch m {
	case safepoint.RestoreInstant:
		return spanInstant[s]
	case safepoint.RestoreInPlace:
		return spanInPlace[s]
	}
	return span[s]
}

// report tells how far a step is; total 0 means its end is not known.
func (r *run) report(s safepoint.Step, p engine.Progress, total int64) {
	at := spanOf(r.Operation.Mode, s)
	percent := at[0]
	if total > 0 {
		percent += int(int64(at[1]-at[0]) * min(p.Bytes, total) / total)
	}
	r.Report(safepoint.Progress{
		Phase: s.String(), Table: p.Table, Tables: p.Tables, TablesOf: p.TablesOf,
		Bytes: p.Bytes, BytesOf: total, Percent: percent, At: r.Now(),
	})
}

// GuardProgress turns the progress of the safety backup into that of the restore, of mode m, that it belongs to.
func GuardProgress(m safepoint.RestoreMode, p safepoint.Progress) safepoint.Progress {
	at := spanOf(m, safepoint.StepGuard)
	p.Phase, p.Percent = safepoint.StepGuard.String(), at[0]+(at[1]-at[0])*p.Percent/100
	return p
}

// count is "1 table" or "3 tables".
func count[N int | int64](n N, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
