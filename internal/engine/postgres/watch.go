package postgres

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/archive"
	"github.com/safepoint-db/safepoint/internal/engine"
)

// watchEvery is how often the size of a database is looked at that a file of unknown origin is loaded into.
const watchEvery = 2 * time.Second

func maxDisk(policy engine.UnknownOrigin, r *archive.Reader) int64 {
	return cmp.Or(policy.MaxDisk, engine.DefaultMaxDisk+20*r.Summary().RawSize)
}

// watched runs the load, and ends that of a file of unknown origin when it has taken too long or too much. The login's
// sessions have no say in it: their statements are cancelled, and what does not heed that is ended with the login.
func (l *loader) watched(ctx context.Context, policy engine.UnknownOrigin, t engine.Target) error {
	if !l.priv.unknown {
		return l.run(ctx)
	}
	conn, err := connect(ctx, t) // of its own: the others are at work
	if err != nil {
		return err
	}
	defer hangUp(conn)
	longest, most := cmp.Or(policy.MaxTime, engine.DefaultMaxTime), maxDisk(policy, l.r)
	const hint = "Nothing live was changed. If the file is what you expect, allow it more, or say that you vouch for it (--trusted)."
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	timer := time.AfterFunc(longest, func() {
		cancel(safepoint.Errorf(safepoint.CodeBlocked, "The load of a file of unknown origin took longer than %v.", longest).Hinted(hint))
	})
	defer timer.Stop()
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(watchEvery)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				if size(ctx, conn) > most {
					cancel(safepoint.Errorf(safepoint.CodeBlocked, "A file of unknown origin came to more than %d bytes in the database.", most).Hinted(hint))
					return
				}
			}
		}
	}()
	err = l.run(ctx)
	cause := context.Cause(ctx)
	cancel(nil)
	<-done
	var over *safepoint.Error
	if err != nil && errors.As(cause, &over) {
		return over
	}
	return err
}

// size is what the database takes of the disk, 0 if the server does not say: it is looked at again soon.
func size(ctx context.Context, conn *pgx.Conn) (bytes int64) {
	if err := conn.QueryRow(ctx, "SELECT pg_catalog.pg_database_size(pg_catalog.current_database())").Scan(&bytes); err != nil {
		return 0
	}
	return bytes
}
