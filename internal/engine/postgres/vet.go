package postgres

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/archive"
	"github.com/safepoint-db/safepoint/internal/engine"
)

// ofUnknownOrigin says that nobody whom we trust says what a file's statements are.
func ofUnknownOrigin(r *archive.Reader) bool { return r.Header().Foreign != "" || r.SignedBy() == nil }

// vetted is what a look at every statement of a backup found, before any is executed.
type vetted struct {
	code       bool            // it makes functions or the like, which run with their owner's rights
	gives      map[string]bool // roles that it makes owners
	extensions []string
	subscribes bool
}

// vet reads a whole backup and refuses it, naming the statement, if there is one that would not be executed.
func (l *loader) vet(ctx context.Context) (vetted, error) {
	found := vetted{gives: map[string]bool{}}
	late := ""
	err := l.eachStatement(ctx, everyEntry, func(_ archive.Entry, n int, statement []byte) error {
		v := l.priv.of(statement)
		switch {
		case v.rights == refused:
			return unfit("Statement %d of a part is not executed (%s): %s.", n, v.what, v.why)
		case v.only != "" && late != "" && l.priv.unknown:
			// Its script runs with a superuser's rights, and could be made to call what the file made before.
			return unfit("Statement %d of a part is not executed (%s): it comes after %s.", n, v.what, late)
		case v.only != "":
			found.extensions = append(found.extensions, v.only)
		case !v.early && late == "":
			late = v.what
		}
		found.code = found.code || v.code
		found.subscribes = found.subscribes || v.what == "CREATE SUBSCRIPTION"
		if v.gives != "" {
			found.gives[v.gives] = true
		}
		return nil
	})
	return found, err
}

// admit decides who owns what a file of unknown origin makes, and refuses what it may not ask for.
func (p *privileges) admit(ctx context.Context, conn *pgx.Conn, found vetted, policy engine.UnknownOrigin, plan *engine.Plan) error {
	if !p.unknown {
		return nil
	}
	if err := trustedExtensions(ctx, conn, found.extensions, policy.Extensions); err != nil {
		return err
	}
	candidates, err := ownerCandidates(ctx, conn, policy.Owner, plan)
	if err != nil {
		return err
	}
	bad, err := unfitRoles(ctx, conn, append(slices.Sorted(maps.Keys(found.gives)), candidates...))
	if err != nil {
		return err
	}
	p.unfit = bad
	if policy.Owner != "" && bad[policy.Owner] {
		return safepoint.Errorf(safepoint.CodeBlocked, "The role %s cannot own what a file of unknown origin makes: it is missing, or has rights beyond its databases.", policy.Owner).
			WithHint("Name a role that is no superuser and may not create roles.")
	}
	for _, name := range candidates {
		if !bad[name] {
			p.owner = name
			return nil
		}
	}
	if found.code {
		return safepoint.Errorf(safepoint.CodeBlocked, "Functions of a file of unknown origin would belong to a superuser, and run with all rights.").
			WithHint("Name a role that is to own them (--owner), the key that signed the file (--key), or say that you vouch for it (--trusted).")
	}
	return nil
}

// ownerCandidates are, the best first, who may own what the file gives to nobody.
func ownerCandidates(ctx context.Context, conn *pgx.Conn, owner string, plan *engine.Plan) ([]string, error) {
	if owner != "" {
		return []string{owner}, nil
	}
	live := ""
	if plan != nil {
		live = plan.LiveID
	}
	rows, err := conn.Query(ctx, `SELECT pg_catalog.pg_get_userbyid(datdba)::text FROM pg_catalog.pg_database
WHERE oid::text = $1 OR datname = pg_catalog.current_database() ORDER BY oid::text = $1 DESC`, live)
	if err != nil {
		return nil, fmt.Errorf("look for an owner: %w", err)
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("look for an owner: %w", err)
	}
	return names, nil
}

// unfitRoles returns those of names that are missing, or could do more than own what is in a database.
func unfitRoles(ctx context.Context, conn *pgx.Conn, names []string) (map[string]bool, error) {
	rows, err := conn.Query(ctx, `SELECT DISTINCT w FROM pg_catalog.unnest($1::text[]) w WHERE NOT EXISTS (
  SELECT FROM pg_catalog.pg_roles r WHERE r.rolname = w AND NOT EXISTS (
    SELECT FROM pg_catalog.pg_roles s WHERE pg_catalog.pg_has_role(r.oid, s.oid, 'MEMBER')
      AND (s.rolsuper OR s.rolcreaterole OR s.rolreplication OR s.rolbypassrls
        OR s.rolname IN ('pg_execute_server_program', 'pg_read_server_files', 'pg_write_server_files'))))`, names)
	if err != nil {
		return nil, fmt.Errorf("look at the roles that the file names: %w", err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("look at the roles that the file names: %w", err)
	}
	bad := map[string]bool{}
	for _, name := range list {
		bad[name] = true
	}
	return bad, nil
}

// trustedExtensions refuses those of which a script would do more than the server lets anyone do.
func trustedExtensions(ctx context.Context, conn *pgx.Conn, asked, allowed []string) error {
	rows, err := conn.Query(ctx, `SELECT w FROM pg_catalog.unnest($1::text[]) w WHERE w <> ALL ($2::text[]) AND NOT EXISTS (
  SELECT FROM pg_catalog.pg_available_extensions e JOIN pg_catalog.pg_available_extension_versions v ON v.name = e.name AND v.version = e.default_version
  WHERE e.name = w AND (v.trusted OR NOT v.superuser))`, asked, append([]string{}, allowed...))
	if err != nil {
		return fmt.Errorf("look at the extensions that the file asks for: %w", err)
	}
	refused, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return fmt.Errorf("look at the extensions that the file asks for: %w", err)
	}
	if len(refused) > 0 {
		return safepoint.Errorf(safepoint.CodeBlocked, "A file of unknown origin asks for extensions that are not here, or that only a superuser may make: %s.", naming(refused)).
			WithHint("If they are what you expect, allow them by name (--extension), or say that you vouch for the file (--trusted).")
	}
	return nil
}

// letIn gives the login what it needs of tables in which an extension keeps the user's rows.
func (p *privileges) letIn(ctx context.Context) error {
	if p.login == nil {
		return nil
	}
	rows := p.own.ExecParams(ctx, `SELECT DISTINCT pg_catalog.quote_ident(n.nspname), pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(c.relname)
FROM pg_catalog.pg_extension x, pg_catalog.unnest(x.extconfig) t JOIN pg_catalog.pg_class c ON c.oid = t JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p')`, nil, nil, nil, nil).Read()
	if rows.Err != nil {
		return fmt.Errorf("look for rows of extensions: %w", rows.Err)
	}
	var grants []string
	for _, row := range rows.Rows {
		to := " TO " + ident(p.login.name)
		grants = append(grants, "GRANT USAGE ON SCHEMA "+string(row[0])+to, "GRANT SELECT, INSERT, REFERENCES ON "+string(row[1])+to)
	}
	return p.alone(ctx, grants)
}
