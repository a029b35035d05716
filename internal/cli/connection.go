package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/safepoint-db/safepoint/internal/api/wire"
)

// A server asks databases only while somebody looks: the first look in a while waits this long for their answers, and
// looks this often.
const (
	answerPatience = 3 * time.Second
	answerPace     = 200 * time.Millisecond
)

// answered looks until no database is being asked for the first time in a while, or patience ends.
func answered(ctx context.Context, look func() (asking bool, err error)) error {
	limit := time.After(answerPatience)
	for {
		asking, err := look()
		if err != nil || !asking {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-limit:
			return nil
		case <-time.After(answerPace):
		}
	}
}

// unanswered says that nothing is known of a database's connection, and may be in a moment.
func unanswered(d wire.Database) bool {
	return d.Connection != nil && d.Connection.State == "unknown" && d.Connection.Asking
}

func connectionText(d wire.Database) string {
	switch k := connectionOf(d); {
	case k.State == "":
		return ""
	case k.State == "answers":
		return "connected"
	case k.State == "failing":
		return "failing"
	case d.Host == "" && d.Path == "":
		return "no connection yet"
	case k.AnsweredAt.IsZero():
		return "not known yet"
	default:
		return "not known since " + when(k.AnsweredAt)
	}
}

// connectionOf is what is known of a database's connection, the zero value where the server said nothing.
func connectionOf(d wire.Database) wire.DatabaseConnection {
	if d.Connection == nil {
		return wire.DatabaseConnection{}
	}
	return *d.Connection
}

// diskText is the room on the disk of a database's server, "" where that is not known.
func diskText(k wire.DatabaseConnection) string {
	if k.DiskTotal == 0 {
		return ""
	}
	return fmt.Sprintf("%s of %s free", bytesText(k.DiskFree), bytesText(k.DiskTotal))
}
