package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/archive"
	"github.com/safepoint-db/safepoint/internal/engine"
)

// findings collects what a preflight saw.
type findings []engine.Finding

func (f *findings) blocker(code safepoint.Code, hint, format string, args ...any) {
	f.block(safepoint.Errorf(code, format, args...).Hinted(hint))
}

func (f *findings) warning(code safepoint.Code, hint, format string, args ...any) {
	*f = append(*f, engine.Found(safepoint.Errorf(code, format, args...).Hinted(hint)))
}

func (f *findings) block(e *safepoint.Error) {
	found := engine.Found(e)
	found.Blocker = true
	*f = append(*f, found)
}

// add takes an error for people as a blocker, and returns any other.
func (f *findings) add(err error) error {
	var known *safepoint.Error
	if errors.As(err, &known) {
		f.block(known)
		return nil
	}
	return err
}

// CanDump says what stands in the way of a dump. See engine.Engine.
func (e Engine) CanDump(ctx context.Context, t engine.Target) ([]engine.Finding, error) {
	conn, err := connectContent(ctx, t)
	if err != nil {
		return nil, err
	}
	defer hangUp(conn)
	var f findings
	num, err := versionNum(ctx, conn)
	if err != nil {
		return nil, explain(ctx, t, err)
	}
	oldEnough(&f, num, version(conn))
	_, err = e.findTool(ctx, num)
	if err := f.add(err); err != nil {
		return nil, err
	}
	list, err := namedTables(ctx, conn)
	if err != nil {
		return nil, explain(ctx, t, err)
	}
	f.add(unreadableOrNil(t.User, list))
	if err := f.tooBig(ctx, conn); err != nil {
		return nil, explain(ctx, t, err)
	}
	return f, nil
}

func oldEnough(f *findings, num int, version string) {
	if old := tooOld(num, version); old != nil {
		f.block(old)
	}
}

// tooOld refuses a server older than any that Safepoint works with, nil for all others.
func tooOld(num int, version string) *safepoint.Error {
	if num >= minVersion {
		return nil
	}
	return safepoint.Errorf(safepoint.CodeVersion, "The server is PostgreSQL %s.", version).
		WithHint("Upgrade the server: PostgreSQL 13 is the oldest that Safepoint works with.")
}

// preflight is one look at whether a restore may begin.
type preflight struct {
	findings
	t     engine.Target
	conn  *pgx.Conn // in the live database
	admin *pgx.Conn // in the maintenance database; nil in place
	num   int
	super bool
	live  properties

	inPlace bool // no copy can be built beside the live database

	policy engine.UnknownOrigin
}

// CanRestore says what stands in the way of a restore over t. r may be nil. See engine.Engine.
func (e Engine) CanRestore(ctx context.Context, t engine.Target, r *archive.Reader) ([]engine.Finding, error) {
	conn, err := connect(ctx, t)
	if err != nil {
		return nil, err
	}
	defer hangUp(conn)
	f := &preflight{t: t, conn: conn, policy: e.Unknown}
	why, err := needsInPlace(ctx, conn, t)
	if err != nil {
		return nil, explain(ctx, t, err)
	}
	if why != nil {
		f.inPlace, f.findings = true, findings{*why}
	} else {
		if f.admin, err = maintenance(ctx, t); err != nil {
			return nil, err
		}
		defer hangUp(f.admin)
	}
	if err := f.run(ctx, r); err != nil {
		return nil, explain(ctx, t, err)
	}
	return f.findings, nil
}

func (f *preflight) run(ctx context.Context, r *archive.Reader) (err error) {
	if f.num, err = versionNum(ctx, f.conn); err != nil {
		return err
	}
	oldEnough(&f.findings, f.num, version(f.conn))
	oid := ""
	if err := f.conn.QueryRow(ctx, `SELECT oid::text, (SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user)
FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()`).Scan(&oid, &f.super); err != nil {
		return fmt.Errorf("look at the database: %w", err)
	}
	if f.live, err = captureDatabase(ctx, f.conn, oid); err != nil {
		return err
	}
	steps := []func(context.Context) error{f.rights, f.prepared, f.replication}
	if f.inPlace {
		steps = []func(context.Context) error{f.prepared, f.insideLive}
	}
	if r != nil {
		if err := ofPostgres(r.Header()); err != nil {
			return f.add(err)
		}
		steps = append(steps, func(ctx context.Context) error { return f.archive(ctx, r) })
	}
	for _, step := range steps {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// rights are those to create, rename, hand over and drop databases, and to end sessions.
func (f *preflight) rights(ctx context.Context) error {
	if f.super {
		return nil
	}
	var signal, createRole bool
	var self string
	err := f.conn.QueryRow(ctx, `SELECT rolcreaterole, pg_catalog.pg_has_role('pg_signal_backend', 'USAGE'), current_user::text
FROM pg_catalog.pg_roles WHERE rolname = current_user`).Scan(&createRole, &signal, &self)
	if err != nil {
		return fmt.Errorf("look at the user's rights: %w", err)
	}
	if !signal {
		f.warning(safepoint.CodePrivilege, fmt.Sprintf("GRANT pg_signal_backend TO %s.", ident(self)),
			"The user %s may not end sessions of other users. If any are left when services are halted, the restore stops before it changes anything.", self)
	}
	for _, s := range f.live.Settings {
		if s.Role != "" && s.Role != self && !createRole {
			f.blocker(safepoint.CodePrivilege, "Use a superuser, or a user with CREATEROLE.",
				"The setting %s of the role %s in this database cannot be carried over by the user %s.", s.Name, s.Role, self)
			break
		}
	}
	names := make([]string, len(f.live.Settings))
	for i, s := range f.live.Settings {
		names[i] = s.Name
	}
	rows, err := f.conn.Query(ctx, `SELECT name FROM pg_catalog.pg_settings WHERE name = ANY ($1::text[]) AND context NOT IN ('user', 'backend') ORDER BY 1`, names)
	if err != nil {
		return fmt.Errorf("look at the database's settings: %w", err)
	}
	reserved, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if len(reserved) > 0 {
		f.blocker(safepoint.CodePrivilege, "Use a superuser.", "Only a superuser can carry over the database's setting %s.", naming(reserved))
	}
	return err
}

func (f *preflight) prepared(ctx context.Context) error {
	return f.ofLive(noPreparedTransactions(ctx, f.conn, f.t.Name))
}

// ofLive takes an error for people as a blocker that is in the live database alone.
func (f *preflight) ofLive(err error) error {
	before := len(f.findings)
	err = f.add(err)
	for i := range f.findings[before:] {
		f.findings[before+i].Live = true
	}
	return err
}

// replication is what hangs on the live database's identity and would stay with the set-aside one, or be lost with it.
func (f *preflight) replication(ctx context.Context) error {
	if err := f.ofLive(noSlots(ctx, f.conn, f.t.Name)); err != nil {
		return err
	}
	if err := f.ofLive(noSubscriptions(ctx, f.conn, f.t.Name)); err != nil {
		return err
	}
	var standbys int
	if err := f.conn.QueryRow(ctx, standbysOf).Scan(&standbys); err != nil {
		return fmt.Errorf("look for standbys: %w", err)
	}
	if standbys > 0 {
		f.warning(safepoint.CodeBlocked, "End the sessions of readers on standbys after the restore, so that they connect again.",
			"%d standbys follow the server. Sessions that are open on them go on reading the earlier database until they end.", standbys)
	}
	return nil
}

// archive checks what the archive asks of the server.
func (f *preflight) archive(ctx context.Context, r *archive.Reader) error {
	h := r.Header()
	if older := olderServer(h, f.num, version(f.conn)); older != nil {
		f.add(older)
	}
	asks, err := asked(h)
	if err != nil {
		return f.add(err)
	}
	if err := f.roles(ctx, asks); err != nil {
		return err
	}
	k := kept{}
	if f.inPlace {
		if k, _, err = lookKept(ctx, f.conn, asks); err != nil {
			return err
		}
	}
	if err := f.extensions(ctx, asks, k); err != nil {
		return err
	}
	if err := f.tablespaces(ctx, asks); err != nil {
		return err
	}
	if err := f.disk(ctx, r); err != nil {
		return err
	}
	if f.inPlace {
		return f.archiveInPlace(ctx, r, asks, k)
	}
	if err := f.vet(ctx, r); err != nil {
		return err
	}
	if !slices.ContainsFunc(f.findings, func(g engine.Finding) bool { return g.Blocker }) {
		return f.rehearse(ctx, h, f.unknown(r))
	}
	return nil
}

// asked is what an archive asks of a server and a database: nothing, if its header says nothing of it.
func asked(h archive.Header) (p properties, err error) {
	if len(h.Properties) == 0 {
		return p, nil
	}
	if err := json.Unmarshal(h.Properties, &p); err != nil {
		return p, safepoint.Errorf(safepoint.CodeArchive, "The backup's properties cannot be read.").
			WithHint("It may come from a newer version of Safepoint.").WithCause(err)
	}
	return p, nil
}

// vet looks at every statement of the backup, as the load will before it executes the first.
func (f *preflight) vet(ctx context.Context, r *archive.Reader) error {
	l := &loader{r: r, priv: &privileges{unknown: f.unknown(r)}}
	found, err := l.vet(ctx)
	if err == nil {
		err = l.priv.admit(ctx, f.conn, found, f.policy, nil)
	}
	if found.subscribes {
		f.warning(safepoint.CodeBlocked, "ALTER SUBSCRIPTION … SET (slot_name = …), then ENABLE, once nothing else reads from that slot.",
			"The backup has subscriptions to another server. They are restored disabled and without a slot: no row arrives by itself.")
	}
	return f.add(err)
}

func (f *preflight) unknown(r *archive.Reader) bool { return ofUnknownOrigin(r) && !f.policy.Trusted }

// olderServer refuses a server of an older major version than the one that was backed up, nil for any other.
func olderServer(h archive.Header, num int, version string) *safepoint.Error {
	if h.ServerVersionNum/10000 <= num/10000 {
		return nil
	}
	return safepoint.Errorf(safepoint.CodeVersion, "The backup is of PostgreSQL %s, and the server is %s: an older server need not understand it.", h.ServerVersion, version).
		WithHint("Restore it on PostgreSQL %d or later. To try nevertheless, into an empty database: safepoint load --allow-older-server.", h.ServerVersionNum/10000)
}

func (f *preflight) roles(ctx context.Context, asks properties) error {
	all := slices.Concat(asks.Owners, asks.Roles)
	slices.Sort(all)
	missing, err := f.missing(ctx, slices.Compact(all), "SELECT 1 FROM pg_catalog.pg_roles WHERE rolname = w")
	if err != nil {
		return err
	}
	if len(missing) > 0 {
		quoted := make([]string, len(missing))
		for i, m := range missing {
			quoted[i] = ident(m)
		}
		f.blocker(safepoint.CodeBlocked, "CREATE ROLE "+strings.Join(quoted[:min(3, len(quoted))], "; CREATE ROLE ")+" on this server, then try again.",
			"The backup names roles that this server does not have: %s.", naming(missing))
		return nil
	}
	if f.super || f.inPlace { // in place the statements themselves are asked
		return nil
	}
	foreign, err := f.missing(ctx, asks.Owners, "SELECT 1 FROM pg_catalog.pg_roles WHERE rolname = w AND pg_catalog.pg_has_role(oid, 'MEMBER')")
	if err == nil && len(foreign) > 0 {
		f.blocker(safepoint.CodePrivilege, "Use a superuser, or GRANT these roles to the user.",
			"Objects in the backup belong to %s. The user %s may not hand anything over to them.", naming(foreign), f.t.User)
	}
	return err
}

func (f *preflight) extensions(ctx context.Context, asks properties, k kept) error {
	var names []string
	for _, e := range asks.Extensions {
		if !k.extensions[e.Name] {
			names = append(names, e.Name)
		}
	}
	missing, err := f.missing(ctx, names, "SELECT 1 FROM pg_catalog.pg_available_extensions WHERE name = w")
	if err != nil {
		return err
	}
	if len(missing) > 0 {
		f.blocker(safepoint.CodeBlocked, "Install their packages on the database server.", "The backup uses extensions that this server does not have: %s.", naming(missing))
	}
	if f.super {
		return nil
	}
	there := slices.DeleteFunc(names, func(name string) bool { return slices.Contains(missing, name) })
	untrusted, err := f.missing(ctx, there, "SELECT 1 FROM pg_catalog.pg_available_extension_versions WHERE name = w AND (trusted OR NOT superuser)")
	if err == nil && len(untrusted) > 0 {
		f.blocker(safepoint.CodePrivilege, "Use a superuser.", "Only a superuser can create the extensions that the backup uses: %s.", naming(untrusted))
	}
	return err
}

func (f *preflight) tablespaces(ctx context.Context, asks properties) error {
	missing, err := f.missing(ctx, asks.Tablespaces, "SELECT 1 FROM pg_catalog.pg_tablespace WHERE spcname = w")
	if err == nil && len(missing) > 0 {
		f.blocker(safepoint.CodeBlocked, "CREATE TABLESPACE on this server, then try again.", "The backup uses tablespaces that this server does not have: %s.", naming(missing))
	}
	return err
}

// missing returns those of wanted for which a query, about w, finds nothing.
func (f *preflight) missing(ctx context.Context, wanted []string, query string) ([]string, error) {
	if len(wanted) == 0 {
		return nil, nil
	}
	rows, err := f.conn.Query(ctx, "SELECT w FROM pg_catalog.unnest($1::text[]) w WHERE NOT EXISTS ("+query+") ORDER BY 1", wanted)
	if err != nil {
		return nil, fmt.Errorf("compare the backup with the server: %w", err)
	}
	missing, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("compare the backup with the server: %w", err)
	}
	return missing, nil
}
