// Package halt stops what writes to a database and always resumes what it stopped.
//
// A Halter knows one service. The order, the record of what ran before, and the guarantee that everything is resumed
// are the restore's. Package halttest holds the behaviour every kind must show.
package halt

import "context"

// Condition is what a service is doing, as it says itself.
type Condition string

const (
	Running Condition = "running" // and healthy
	Halted  Condition = "halted"
	Down    Condition = "down"    // not running, and not because of us
	Failing Condition = "failing" // running, not healthy
	Unknown Condition = "unknown" // it did not answer
)

// Status is a Condition with the service's own words.
type Status struct {
	Condition Condition
	Detail    string // for people: one line, no secrets
	// Prior is what Resume needs to put a service of several parts back to exactly this, such as which of its containers
	// run: a few kilobytes at most, no secrets, "" if there is nothing to remember. Whoever halts the service keeps it, durably
	// and before anything is halted, and hands it back in every Request.
	Prior string
}

// Request names the restore on whose behalf a service is halted, so that it can tell its users.
type Request struct {
	OperationID      string `json:"operation_id"`
	OrganizationID   string `json:"organization_id"`
	OrganizationName string `json:"organization_name"`
	Reason           string `json:"reason"`
	Until            string `json:"until,omitempty"` // RFC 3339, an estimate

	// Prior is the Status.Prior of the last look before the halt. "" if nobody remembers.
	Prior string `json:"-"`
}

// Halter halts and resumes one service. Every method returns within the service's timeout, is idempotent, and may be
// called by another process after a crash. Errors are *safepoint.Error with CodeHalt or CodeUnreachable.
type Halter interface {
	// Probe asks without changing anything. With an error the condition is Unknown.
	Probe(ctx context.Context) (Status, error)
	// Halt returns nil only when the service confirmed that it no longer uses its databases. It stops nothing that r.Prior,
	// where there is one, says was not running: Resume would not start it.
	Halt(ctx context.Context, r Request) error
	// Resume returns nil only when the service runs again and, where it can tell, is healthy. Of several parts those run
	// that r.Prior names; without it, those of which the service itself remembers that they did, or else all of them.
	Resume(ctx context.Context, r Request) error
}
