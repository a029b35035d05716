package cli

import (
	"time"

	"github.com/safepoint-db/safepoint/internal/engine"
)

// Origin says what a file may do of which nobody knows who made it: foreign dumps, and backups without --key.
type Origin struct {
	Trusted   bool          `group:"Files of unknown origin" help:"Vouch for the file: what it makes that takes a superuser is made, and it may run without limits. For dumps of your own servers, and backups without --key."`
	Owner     string        `placeholder:"ROLE" group:"Files of unknown origin" help:"Who is to own what the file gives to nobody, to a superuser, or to a role that is not there; default: the database's owner."`
	Extension []string      `placeholder:"NAME" group:"Files of unknown origin" help:"Let the file make this extension, although only a superuser may; can be repeated."`
	MaxTime   time.Duration `default:"24h" group:"Files of unknown origin" help:"Stop a load that takes longer."`
	MaxDisk   sizeFlag      `placeholder:"SIZE" group:"Files of unknown origin" help:"Stop a load when the database takes more of the disk; default: 4 GiB and 20 times the SQL in the file."`
}

func (o Origin) policy() engine.UnknownOrigin {
	return engine.UnknownOrigin{Trusted: o.Trusted, Owner: o.Owner, Extensions: o.Extension, MaxTime: o.MaxTime, MaxDisk: int64(o.MaxDisk)}
}
