package postgres

import (
	"context"
	"fmt"
	"net"
	"os"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/archive"
	"golang.org/x/sys/unix"
)

// disk warns where the database server's disk has less room than the backup holds, and says so where that cannot be seen
// from here: PostgreSQL has no function for it, so it is asked of the system where the server runs on this machine.
func (f *preflight) disk(ctx context.Context, r *archive.Reader) error {
	var held int64
	var folder *string
	// Only superusers and members of pg_read_all_settings are told where the data is.
	err := f.conn.QueryRow(ctx, `SELECT pg_catalog.pg_database_size(d.oid), coalesce(nullif(pg_catalog.pg_tablespace_location(d.dattablespace), ''),
  (SELECT setting FROM pg_catalog.pg_settings WHERE name = 'data_directory'))
FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database()`).Scan(&held, &folder)
	if err != nil {
		return fmt.Errorf("look at the server's disk: %w", err)
	}
	needs := max(r.Summary().RawSize, 0)
	if folder == nil || !f.here() || !mine(*folder) {
		f.warning(safepoint.CodeSpace, "See to it that there is room on the database server: a restore that runs out of it stops, and the database stays as it is.",
			"How much room the database server has is not known from here. The restore needs room for a second copy beside the %s that %s takes now; the backup holds %s of SQL, without indexes.", bytesText(held), f.t.Name, bytesText(needs))
		return nil
	}
	var st unix.Statfs_t
	if unix.Statfs(*folder, &st) != nil {
		return nil
	}
	if free := int64(st.Bavail) * int64(st.Bsize); free < needs {
		f.warning(safepoint.CodeSpace, "Free some space on the database server first: a restore that runs out of it stops, and the database stays as it is.",
			"The disk of the database server has %s free, and the backup holds %s of SQL, without indexes.", bytesText(free), bytesText(needs))
	}
	return nil
}

// here says that the server listens on this machine.
func (f *preflight) here() bool {
	if onSocket(f.t) || f.t.Host == "localhost" {
		return true
	}
	ip := net.ParseIP(f.t.Host)
	return ip != nil && ip.IsLoopback()
}

// mine says that the folder is on this machine, and not one of that name behind a tunnel or in a container: a server's
// data is owned by whoever runs it and open to nobody else.
func mine(folder string) bool {
	st, err := os.Stat(folder)
	return err == nil && st.IsDir() && st.Mode().Perm()&0o007 == 0
}

func bytesText(n int64) string {
	const unit = 1000
	if n < unit {
		return fmt.Sprintf("%d bytes", n)
	}
	value, prefix := float64(n), ""
	for _, p := range []string{"k", "M", "G", "T"} {
		if value /= unit; value < unit || p == "T" {
			prefix = p
			break
		}
	}
	return fmt.Sprintf("%.1f %sB", value, prefix)
}
