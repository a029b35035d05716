package wire

import "time"

// Notice is something that wants a person. It is there until what it says is mended; one about missed runs, which cannot
// be, until an admin dismisses it.
type Notice struct {
	ID          string    `json:"id" doc:"The same as long as it is the same trouble" example:"failing:sch_k3jq7w2mfz5xv4na"`
	Kind        string    `json:"kind" enum:"restore,service,failing,overdue,never,unguarded,storage,missed"`
	Urgent      bool      `json:"urgent" doc:"Something does not work now; else it will not, or did not once"`
	Message     string    `json:"message" example:"The schedule Production database is failing."`
	Hint        string    `json:"hint,omitempty" doc:"What to do"`
	Why         *Failure  `json:"why,omitempty"`
	Since       time.Time `json:"since,omitzero"`
	DatabaseID  string    `json:"database_id,omitempty" example:"db_k3jq7w2mfz5xv4na"`
	ScheduleID  string    `json:"schedule_id,omitempty" example:"sch_k3jq7w2mfz5xv4na"`
	OperationID string    `json:"operation_id,omitempty" example:"op_k3jq7w2mfz5xv4na"`
	Runs        int       `json:"runs,omitempty" doc:"Of kinds failing and missed: how many"`
	Newest      time.Time `json:"newest,omitzero" doc:"Of kind overdue: of when the newest proven backup is; of kind missed: when the last of the runs was due"`
	SpaceFree   int64     `json:"space_free,omitempty" doc:"Of kind storage"`
	SpaceTotal  int64     `json:"space_total,omitempty"`
	CanDismiss  bool      `json:"can_dismiss,omitempty"`
	DismissedBy string    `json:"dismissed_by,omitempty" example:"Rahel Odermatt"`
	DismissedAt time.Time `json:"dismissed_at,omitzero"`
}

// Notices are those that are open, the worst first, and those dismissed in the last 30 days, the latest first.
type Notices struct {
	Items     []Notice `json:"items" nullable:"false"`
	Dismissed []Notice `json:"dismissed" nullable:"false"`
}
