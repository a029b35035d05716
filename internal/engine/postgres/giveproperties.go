package postgres

import (
	"context"
	"fmt"
	"slices"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/engine"
)

// giveProperties gives the target what hung on the database that was backed up: settings, grants, comment, connection
// limit, and at last the owner. A plain dump has no place for these; our archive's header has. What this server or user
// cannot give is told and left out, for the content is there and whole. A restore does not come here: there the live
// database's own properties stay (gate.go).
func (l *loader) giveProperties(ctx context.Context, t engine.Target, opt engine.LoadOptions) error {
	if !opt.Properties || len(l.r.Header().Properties) == 0 {
		return nil
	}
	tell := func(format string, args ...any) {
		if opt.Note != nil {
			opt.Note(fmt.Sprintf(format, args...))
		}
	}
	p, err := asked(l.r.Header())
	if err != nil {
		return err
	}
	if l.priv.unknown {
		tell("The file is of unknown origin: its settings and grants of the database were left out.")
		return nil
	}
	conn, err := connect(ctx, t)
	if err != nil {
		return err
	}
	defer hangUp(conn)
	for _, g := range p.given(t.Name) {
		err := script(ctx, conn, g.sql)
		if state(err) != "" && ctx.Err() == nil {
			tell("%s was left out: %s", capital(g.what), safepoint.UserError(explain(ctx, t, err)).Message)
			err = nil
		}
		if err != nil {
			return fmt.Errorf("give the database its properties: %w", err)
		}
	}
	return nil
}

// given is one property and the statements that give it.
type given struct{ what, sql string }

// given are p's, for the database called name. Its owner holds every right by default, as in the source.
func (p properties) given(name string) []given {
	var all []given
	public := slices.ContainsFunc(p.Grants, func(g grant) bool { return g.Grantee == "" && g.Privilege == "CONNECT" }) &&
		slices.ContainsFunc(p.Grants, func(g grant) bool { return g.Grantee == "" && g.Privilege == "TEMPORARY" })
	if !public {
		all = append(all, given{"what was revoked from everybody", "REVOKE ALL ON DATABASE " + ident(name) + " FROM PUBLIC"})
	}
	for _, g := range p.Grants {
		if g.Grantee != p.Owner {
			all = append(all, given{fmt.Sprintf("the grant of %s to %s", g.Privilege, orPublic(g.Grantee)), g.statement(name)})
		}
	}
	for _, s := range p.Settings {
		all = append(all, given{"the setting " + s.Name, s.statement(name)})
	}
	if p.Comment != "" {
		all = append(all, given{"the comment", fmt.Sprintf("COMMENT ON DATABASE %s IS %s", ident(name), literal(p.Comment))})
	}
	if p.ConnectionLimit > 0 {
		all = append(all, given{"the limit of connections", fmt.Sprintf("ALTER DATABASE %s CONNECTION LIMIT %d", ident(name), p.ConnectionLimit)})
	}
	return append(all, given{"the owner " + p.Owner, fmt.Sprintf("ALTER DATABASE %s OWNER TO %s", ident(name), ident(p.Owner))})
}

func orPublic(grantee string) string {
	if grantee == "" {
		return "PUBLIC"
	}
	return grantee
}
