package wire

// Storage is where backups are kept, and what the organization keeps there.
type Storage struct {
	ID         string `json:"id" example:"local"`
	Name       string `json:"name" example:"local"`
	Backups    int    `json:"backups" doc:"The organization's kept backups"`
	Bytes      int64  `json:"bytes" doc:"What they take"`
	SpaceFree  int64  `json:"space_free,omitempty" doc:"Where space_total is known"`
	SpaceTotal int64  `json:"space_total,omitempty" doc:"Left out where it is not known"`
	Databases  []Held `json:"databases,omitempty" doc:"What fills it, the largest first; left out in the list of storages"`
}

// Held is what is kept of one database.
type Held struct {
	DatabaseID   string `json:"database_id"`
	DatabaseName string `json:"database_name"`
	Removed      bool   `json:"removed,omitempty" doc:"The database is not connected any more"`
	Backups      int    `json:"backups"`
	Bytes        int64  `json:"bytes"`
}

// StorageTest is what came of writing a small object, reading it back and removing it.
type StorageTest struct {
	OK             bool     `json:"ok"`
	Size           int64    `json:"size,omitempty" doc:"Bytes that were written"`
	WroteSeconds   float64  `json:"wrote_seconds,omitempty"`
	ReadSeconds    float64  `json:"read_seconds,omitempty"`
	RemovedSeconds float64  `json:"removed_seconds,omitempty"`
	Failure        *Failure `json:"failure,omitempty" doc:"Why not, and at which step"`
}
