package postgres

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// before15 is what must be known of a server older than 15 whose definitions a pg_dump of 15 or later writes, for that
// one writes them for a server of 15 or later (docs/decisions/0011). Its zero value is a newer server.
//
// The schema public of an older server belongs to the superuser who made the cluster, and everybody may create in it;
// a newer pg_dump takes it for granted that neither is so. What was revoked would be granted again by a restore.
type before15 struct {
	is        bool
	public    bool // it has the schema public
	untouched bool // which belongs to whom it did from the beginning
}

func lookBefore15(ctx context.Context, conn *pgx.Conn) (b before15, err error) {
	num, err := versionNum(ctx, conn)
	if err != nil || num >= 150000 {
		return b, err
	}
	b.is = true
	err = conn.QueryRow(ctx, `SELECT true, nspowner = 10 FROM pg_catalog.pg_namespace WHERE nspname = 'public'`).Scan(&b.public, &b.untouched)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return b, fmt.Errorf("look at the schema public: %w", err)
	}
	return b, nil
}

// base brings the schema public to what a pg_dump of 15 or later takes for granted. A user who does not own it is
// warned by the server, and no more.
func (b before15) base(t tool) string {
	if !b.public || t.major < 15 {
		return ""
	}
	return "REVOKE CREATE ON SCHEMA public FROM PUBLIC;\n\n"
}

// leaves says that a statement is not to be written: the one by which the schema public would be handed over to the
// cluster's superuser. On an older server it is his already, and on a newer one, where it is the database owner's,
// only a superuser could do so.
func (b before15) leaves(statement []byte) bool {
	return b.untouched && bytes.HasPrefix(withoutComments(statement), []byte("ALTER SCHEMA public OWNER TO "))
}

// fit takes out of a statement what an older server does not read: that the sequence of an identity column of an
// unlogged table is logged. There all of them are.
func (b before15) fit(statement []byte) []byte {
	if !b.is || !bytes.Contains(statement, []byte(" AS IDENTITY (\n")) {
		return statement
	}
	return bytes.Replace(statement, []byte("\n    LOGGED\n    START WITH "), []byte("\n    START WITH "), 1)
}
