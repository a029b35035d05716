package postgres

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/archive"
	"github.com/safepoint-db/safepoint/internal/engine"
	"github.com/safepoint-db/safepoint/internal/fault"
)

// Prepare records identities and names. See engine.Engine.
func (Engine) Prepare(ctx context.Context, t engine.Target, operationID string) (engine.Plan, error) {
	conn, err := connect(ctx, t)
	if err != nil {
		return engine.Plan{}, err
	}
	defer hangUp(conn)
	p := engine.Plan{OperationID: operationID, StagingName: engine.StagingName(operationID), AsideName: engine.AsideName(operationID)}
	if p.ServerID, err = serverID(ctx, conn); err != nil {
		return engine.Plan{}, explain(ctx, t, err)
	}
	live, ok, err := byName(ctx, conn, t.Name)
	if err == nil && !ok {
		err = safepoint.Errorf(safepoint.CodeName, "There is no database %s on %s.", t.Name, where(t)).WithHint("It was renamed or dropped just now.")
	}
	if err != nil {
		return engine.Plan{}, explain(ctx, t, err)
	}
	p.LiveID = live.OID
	return p, nil
}

// StagingTarget is where to Load and Digest.
func (Engine) StagingTarget(t engine.Target, p engine.Plan) engine.Target {
	t.Name = p.StagingName
	return t
}

// Stage makes the empty staging database. See engine.Engine.
func (e Engine) Stage(ctx context.Context, t engine.Target, p engine.Plan, h archive.Header) (engine.Plan, error) {
	if err := ofPostgres(h); err != nil {
		return p, err
	}
	if err := e.DropStaging(ctx, t, p); err != nil {
		return p, err
	}
	p.StagingID = ""
	conn, err := maintenance(ctx, t)
	if err != nil {
		return p, err
	}
	defer hangUp(conn)
	if p.StagingID, err = stage(ctx, conn, t, p, h); err != nil {
		return p, explain(ctx, t, err)
	}
	return p, nil
}

func stage(ctx context.Context, conn *pgx.Conn, t engine.Target, p engine.Plan, h archive.Header) (oid string, err error) {
	if err := sameServer(ctx, conn, t, p, safepoint.CodeConflict); err != nil {
		return "", err
	}
	num, err := versionNum(ctx, conn)
	if err != nil {
		return "", err
	}
	live, ok, err := byOID(ctx, conn, p.LiveID)
	if err != nil {
		return "", err
	}
	if !ok {
		return "", safepoint.Errorf(safepoint.CodeConflict, "The database %s was dropped or made anew since this restore began.", t.Name).WithHint("Start the restore again.")
	}
	if err := script(ctx, conn, createDatabase(p.StagingName, asLive(h, live.locale()), num, live.Tablespace)); err != nil {
		return "", fmt.Errorf("make the staging database: %w", err)
	}
	fault.Point("postgres.stage.created")
	// Nobody else has any business there until the switch.
	err = script(ctx, conn, fmt.Sprintf("COMMENT ON DATABASE %s IS %s; REVOKE ALL ON DATABASE %s FROM PUBLIC",
		ident(p.StagingName), literal(marker(p.OperationID, roleStaging)), ident(p.StagingName)))
	if err != nil {
		return "", fmt.Errorf("mark the staging database: %w", err)
	}
	fault.Point("postgres.stage.marked")
	made, ok, err := byName(ctx, conn, p.StagingName)
	if err == nil && !ok {
		err = safepoint.Errorf(safepoint.CodeConflict, "The staging database was dropped by somebody else.").WithHint("Start the restore again.")
	}
	return made.OID, err
}

// asLive gives a foreign dump, which does not say with which locale it was made, the encoding and locale of the live
// database. The server translates the text.
func asLive(h archive.Header, l locale) archive.Header {
	if ofUnknownLocale(h) {
		h.Encoding, h.Collate, h.CType, h.LocaleProvider, h.Locale = l.Encoding, l.Collate, l.CType, l.Provider, l.Locale
	}
	return h
}

func ofUnknownLocale(h archive.Header) bool { return h.Foreign != "" && h.Collate == "" }

// createDatabase makes an empty database that reads text as the source did.
func createDatabase(name string, h archive.Header, serverNum int, tablespace string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "CREATE DATABASE %s TEMPLATE template0 ENCODING %s", ident(name), literal(h.Encoding))
	if h.Collate != "" {
		fmt.Fprintf(&b, " LC_COLLATE %s LC_CTYPE %s", literal(h.Collate), literal(h.CType))
	}
	if serverNum >= 150000 && h.LocaleProvider != "" {
		fmt.Fprintf(&b, " LOCALE_PROVIDER %s", ident(h.LocaleProvider))
		switch h.LocaleProvider {
		case "icu":
			fmt.Fprintf(&b, " ICU_LOCALE %s", literal(h.Locale))
		case "builtin":
			fmt.Fprintf(&b, " BUILTIN_LOCALE %s", literal(h.Locale))
		}
	}
	if tablespace != "pg_default" { // naming the default would need a right to it
		fmt.Fprintf(&b, " TABLESPACE %s", ident(tablespace))
	}
	return b.String()
}

// DropStaging destroys the staging database. See engine.Engine.
func (Engine) DropStaging(ctx context.Context, t engine.Target, p engine.Plan) error {
	return drop(ctx, t, p, p.StagingID, p.StagingName, roleStaging)
}

// DropAside destroys the set-aside database. See engine.Engine.
func (Engine) DropAside(ctx context.Context, t engine.Target, p engine.Plan) error {
	return drop(ctx, t, p, p.LiveID, p.AsideName, roleAside)
}

func drop(ctx context.Context, t engine.Target, p engine.Plan, oid, name, role string) error {
	conn, err := maintenance(ctx, t)
	if err != nil {
		return err
	}
	defer hangUp(conn)
	if err := sameServer(ctx, conn, t, p, safepoint.CodeNeedsOperator); err != nil {
		return explain(ctx, t, err)
	}
	if role == roleStaging && oid == "" {
		if err := stopMaking(ctx, conn, name); err != nil {
			return explain(ctx, t, err)
		}
	}
	is, err := mayDrop(ctx, conn, t, p, oid, name, role)
	if err == nil && is {
		err = mayGo(ctx, conn, t, name, role)
	}
	if err == nil && is {
		fault.Point("postgres.drop.before")
		err = script(ctx, conn, "DROP DATABASE "+ident(name)+" WITH (FORCE)")
		if state(err) == stateNoDatabase {
			err = nil // somebody was quicker
		}
	}
	fault.Point("postgres.drop.done")
	if err == nil && role == roleStaging {
		err = dropLogin(ctx, conn, p.OperationID)
	}
	return explain(ctx, t, err)
}

// stopMaking ends the sessions that still make the database called name, and waits until they are gone. A process that
// died while it waited for CREATE DATABASE leaves the server at it: the database would appear after we looked.
func stopMaking(ctx context.Context, conn *pgx.Conn, name string) error {
	for {
		var n int
		err := conn.QueryRow(ctx, `SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
WHERE pid <> pg_backend_pid() AND state = 'active' AND starts_with(query, $1)`, "CREATE DATABASE "+ident(name)+" ").Scan(&n)
		if err != nil || n == 0 {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// mayDrop says whether there is a database to be dropped. It is one only where identity, name and marker agree;
// where they do not, nobody but a person may decide.
func mayDrop(ctx context.Context, conn *pgx.Conn, t engine.Target, p engine.Plan, oid, name, role string) (bool, error) {
	mayNot := func(format string, args ...any) (bool, error) {
		return false, safepoint.Errorf(safepoint.CodeNeedsOperator, format, args...).
			WithHint("Nothing was dropped. Look at the databases of the server, and drop %s by hand if it is not needed.", name)
	}
	if name == t.Name { // somebody let the connection point at it instead of taking the restore back
		return mayNot("%s is what this connection leads to, and may be in use as the live database.", name)
	}
	ours, isOID, err := byOID(ctx, conn, oid)
	if err != nil {
		return false, err
	}
	named, isName, err := byName(ctx, conn, name)
	switch {
	case err != nil:
		return false, err
	case isName && named.OID != oid:
		if role == roleStaging && oid == "" {
			return abandoned(ctx, conn, t, p, named)
		}
		return mayNot("A database called %s is there, and it is not the one that this restore made.", name)
	case !isOID:
		return false, nil
	case ours.Name != name && role == roleAside && ours.Name == t.Name:
		return false, nil // never set aside, or back in its place
	case ours.Name != name:
		return mayNot("The database that was to be dropped as %s is now called %s.", name, ours.Name)
	case hasMarker(ours.Comment, p.OperationID, role):
		return true, nil
	case ours.ConnLimit == invalidDatabase && ours.Comment == "":
		return true, nil // an earlier drop was interrupted: nothing else can be done with it
	}
	return mayNot("The database %s does not carry the mark of this restore.", name)
}

// invalidDatabase is the connection limit of a database whose drop was interrupted.
const invalidDatabase = -2

// abandoned judges a staging database whose identity was not written down, because the process died right after it
// was made: it has our name for it, and our marker, or none and nothing in it.
func abandoned(ctx context.Context, conn *pgx.Conn, t engine.Target, p engine.Plan, c catalogRow) (bool, error) {
	if hasMarker(c.Comment, p.OperationID, roleStaging) {
		return true, nil
	}
	if c.Comment == "" && c.ConnLimit == invalidDatabase {
		return true, nil
	}
	if c.Comment == "" {
		there := t
		there.Name = c.Name
		inside, err := connect(ctx, there)
		if err != nil {
			return false, err
		}
		defer hangUp(inside)
		is, err := empty(ctx, inside)
		if err != nil || is {
			return is, err
		}
	}
	return false, safepoint.Errorf(safepoint.CodeNeedsOperator, "A database called %s is there, and it does not carry the mark of this restore.", c.Name).
		WithHint("Nothing was dropped. Drop it by hand if it is not needed.")
}

// Leftovers lists staging and set-aside databases and load logins on the server. See engine.Engine.
func (Engine) Leftovers(ctx context.Context, t engine.Target) ([]string, error) {
	conn, err := maintenance(ctx, t)
	if err != nil {
		return nil, err
	}
	defer hangUp(conn)
	rows, err := conn.Query(ctx, `SELECT datname::text FROM pg_database
WHERE datname ~ '^safepoint_op_.*_(staging|aside)$' OR starts_with(shobj_description(oid, 'pg_database'), $1)
UNION SELECT rolname::text FROM pg_roles WHERE rolname ~ '^safepoint_(op_|cli).*_load$' OR starts_with(shobj_description(oid, 'pg_authid'), $1) ORDER BY 1`, markerPrefix)
	if err != nil {
		return nil, explain(ctx, t, err)
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	return names, explain(ctx, t, err)
}
