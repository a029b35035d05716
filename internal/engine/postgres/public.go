package postgres

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// publicSchema is what must be known of the schema public of a server before 15. There it belongs to the superuser who
// made the cluster, and everybody may create in it; a pg_dump of 15 or later writes it as if it were going to a
// database of 15 or later, where neither is so. Restored into an older one, what was revoked would be granted again.
type publicSchema struct {
	old       bool // the server is older than 15
	untouched bool // and it belongs to whom it did from the beginning
}

func lookAtPublic(ctx context.Context, conn *pgx.Conn) (p publicSchema, err error) {
	num, err := versionNum(ctx, conn)
	if err != nil || num >= 150000 {
		return p, err
	}
	err = conn.QueryRow(ctx, `SELECT true, nspowner = 10 FROM pg_catalog.pg_namespace WHERE nspname = 'public'`).Scan(&p.old, &p.untouched)
	if errors.Is(err, pgx.ErrNoRows) {
		return publicSchema{}, nil
	}
	if err != nil {
		return p, fmt.Errorf("look at the schema public: %w", err)
	}
	return p, nil
}

// base brings the schema public to what a pg_dump of 15 or later takes for granted. A user who does not own it is
// warned by the server, and no more.
func (p publicSchema) base(t tool) string {
	if !p.old || t.major < 15 {
		return ""
	}
	return "REVOKE CREATE ON SCHEMA public FROM PUBLIC;\n\n"
}

// handsOverPublic knows the statement by which the schema public of an older server would be handed over to its
// superuser: on an older server it is his already, and on a newer one, where it is the database owner's, only a
// superuser could do so.
func handsOverPublic(statement []byte) bool {
	return bytes.HasPrefix(withoutComments(statement), []byte("ALTER SCHEMA public OWNER TO "))
}
