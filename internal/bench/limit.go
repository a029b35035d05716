package bench

import (
	"archive/zip"
	"context"
	"fmt"
	"io"
	"os"
	"strconv"
	"sync"

	"github.com/jackc/pgx/v5"
	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/archive"
	"github.com/safepoint-db/safepoint/internal/engine"
	"github.com/safepoint-db/safepoint/internal/engine/postgres"
)

// Helper carries out what contenders need of this program itself: `bench limit`, `bench zip` and `bench load`. ok is
// false if args name none of them.
func Helper(ctx context.Context, args []string) (ok bool, err error) {
	switch {
	case len(args) == 3 && args[0] == "zip":
		return true, zipOne(os.Stdin, args[1], args[2])
	case len(args) == 4 && args[0] == "limit" && args[1] == "-jobs":
		jobs, err := strconv.Atoi(args[2])
		if err != nil {
			return true, err
		}
		return true, copyNowhere(ctx, args[3], jobs)
	case len(args) == 5 && args[0] == "load" && args[1] == "-jobs":
		jobs, err := strconv.Atoi(args[2])
		if err != nil {
			return true, err
		}
		return true, loadOnly(ctx, args[3], args[4], jobs)
	}
	return false, nil
}

// copyNowhere has the server write every row of a database as COPY's text to its own /dev/null, on so many
// connections: what no dump can be faster than. Tables are cut by pages, so that no connection waits for another.
// The connection comes from the environment (PGHOST, PGPORT, PGUSER).
func copyNowhere(ctx context.Context, database string, jobs int) error {
	statements, err := nowhere(ctx, database)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	queue := make(chan string)
	var workers sync.WaitGroup
	for range jobs {
		workers.Go(func() {
			if err := copyAll(ctx, database, queue); err != nil {
				cancel(err)
			}
		})
	}
	for _, s := range statements {
		select {
		case queue <- s:
		case <-ctx.Done():
		}
	}
	close(queue)
	workers.Wait()
	return context.Cause(ctx)
}

func copyAll(ctx context.Context, database string, queue <-chan string) error {
	conn, err := pgx.Connect(ctx, "dbname="+database)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	for s := range queue {
		if _, err := conn.Exec(ctx, s, pgx.QueryExecModeSimpleProtocol); err != nil {
			return fmt.Errorf("%s: %w", s, err)
		}
	}
	return nil
}

// slicePages is how many pages one statement reads: 64 MiB.
const slicePages = 8192

// nowhere lists the statements, the largest tables first.
func nowhere(ctx context.Context, database string) (statements []string, err error) {
	conn, err := pgx.Connect(ctx, "dbname="+database)
	if err != nil {
		return nil, err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	rows, err := conn.Query(ctx, `SELECT c.oid::regclass::text, (pg_relation_size(c.oid) / 8192)::int FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
		WHERE relkind = 'r' AND (nspname NOT IN ('pg_catalog', 'information_schema') OR c.oid = 'pg_largeobject'::regclass) ORDER BY 2 DESC, 1`)
	if err != nil {
		return nil, err
	}
	var name string
	var pages int
	_, err = pgx.ForEachRow(rows, []any{&name, &pages}, func() error {
		for from := 0; from < pages || from == 0; from += slicePages {
			if pages <= slicePages {
				statements = append(statements, "COPY "+name+" TO '/dev/null'")
				continue
			}
			statements = append(statements, fmt.Sprintf("COPY (SELECT * FROM ONLY %s WHERE ctid >= '(%d,0)' AND ctid < '(%d,0)') TO '/dev/null'", name, from, from+slicePages))
		}
		return nil
	})
	return statements, err
}

// loadOnly is the middle of `safepoint load`: neither is the file checked before, nor what was loaded compared after.
func loadOnly(ctx context.Context, path, database string, jobs int) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil {
		return err
	}
	r, err := archive.Open(f, fi.Size(), archive.Trust{Unsigned: true})
	if err != nil {
		return err
	}
	cfg, err := pgx.ParseConfig("dbname=" + database)
	if err != nil {
		return err
	}
	t := engine.Target{Engine: safepoint.PostgreSQL, Host: cfg.Host, Port: int(cfg.Port), User: cfg.User, Name: database, TLS: safepoint.TLSDisable}
	vouched := postgres.Engine{Jobs: jobs, Unknown: engine.UnknownOrigin{Trusted: true}} // we wrote it just now
	return vouched.Load(ctx, t, r, engine.LoadOptions{})
}

// zipOne writes what it reads into the one entry of a zip file as pgBackWeb does: Go's archive/zip with its default
// compression, straight to the final name.
func zipOne(r io.Reader, path, entry string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	z := zip.NewWriter(f)
	w, err := z.Create(entry)
	if err != nil {
		return err
	}
	if _, err := io.Copy(w, r); err != nil {
		return err
	}
	if err := z.Close(); err != nil {
		return err
	}
	return f.Close()
}
