package postgres

import (
	"context"
	"fmt"
	"net"
	"os"

	"github.com/jackc/pgx/v5"
	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/archive"
	"github.com/safepoint-db/safepoint/internal/engine"
	"golang.org/x/sys/unix"
)

// disk warns where the database server's disk has less room than the backup holds, and says so where that cannot be seen
// from here.
func (f *preflight) disk(ctx context.Context, r *archive.Reader) error {
	d, err := diskOf(ctx, f.conn, f.t)
	if err != nil {
		return err
	}
	needs := max(r.Summary().RawSize, 0)
	if d.total == 0 {
		f.warning(safepoint.CodeSpace, "See to it that there is room on the database server: a restore that runs out of it stops, and the database stays as it is.",
			"How much room the database server has is not known from here. The restore needs room for a second copy beside the %s that %s takes now; the backup holds %s of SQL, without indexes.", safepoint.Bytes(d.held), f.t.Name, safepoint.Bytes(needs))
		return nil
	}
	if d.free < needs {
		f.warning(safepoint.CodeSpace, "Free some space on the database server first: a restore that runs out of it stops, and the database stays as it is.",
			"The disk of the database server has %s free, and the backup holds %s of SQL, without indexes.", safepoint.Bytes(d.free), safepoint.Bytes(needs))
	}
	return nil
}

// disk is what a database takes on its server's disk, and the room there; a total of 0 says that it is not known.
type disk struct{ held, free, total int64 }

// diskOf looks at the disk of the database that conn is in. PostgreSQL has no function for its room, so it is asked of the
// system where the server runs on this machine.
func diskOf(ctx context.Context, conn *pgx.Conn, t engine.Target) (d disk, err error) {
	var folder *string
	// Only superusers and members of pg_read_all_settings are told where the data is.
	err = conn.QueryRow(ctx, `SELECT pg_catalog.pg_database_size(d.oid), coalesce(nullif(pg_catalog.pg_tablespace_location(d.dattablespace), ''),
  (SELECT setting FROM pg_catalog.pg_settings WHERE name = 'data_directory'))
FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database()`).Scan(&d.held, &folder)
	if err != nil {
		return d, fmt.Errorf("look at the server's disk: %w", err)
	}
	var st unix.Statfs_t
	if folder == nil || !isHere(t) || !mine(*folder) || unix.Statfs(*folder, &st) != nil {
		return d, nil
	}
	d.free, d.total = int64(st.Bavail)*int64(st.Bsize), int64(st.Blocks)*int64(st.Bsize)
	return d, nil
}

// isHere says that the server listens on this machine.
func isHere(t engine.Target) bool {
	if onSocket(t) || t.Host == "localhost" {
		return true
	}
	ip := net.ParseIP(t.Host)
	return ip != nil && ip.IsLoopback()
}

// mine says that the folder is on this machine, and not one of that name behind a tunnel or in a container: a server's
// data is owned by whoever runs it and open to nobody else.
func mine(folder string) bool {
	st, err := os.Stat(folder)
	return err == nil && st.IsDir() && st.Mode().Perm()&0o007 == 0
}
