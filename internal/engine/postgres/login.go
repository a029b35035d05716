package postgres

import (
	"context"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/engine"
)

// loadLogin is the role that executes a backup: made for one load, with no right but to create in one database, and
// dropped when the load ends. What a backup's functions do while it is loaded, they do as this role.
type loadLogin struct {
	name   string
	own    *pgx.Conn // our own session in the same database
	target engine.Target
	open   []*pgx.Conn // sessions of the login
	super  bool        // our own user is a superuser
	public bool        // there is a schema public

	dropped bool
}

// loginPrefix and loginSuffix make the name of a load login: safepoint_<operation>_load, or safepoint_cli…_load.
const (
	loginPrefix   = "safepoint_"
	loginSuffix   = "_load"
	roleLoad      = "load"
	loginValidity = 15 * time.Minute // to log in: once all sessions are open, nobody can any more
	loginPatience = 30 * time.Second // for its sessions to end
)

func loginName(operationID string) string { return loginPrefix + operationID + loginSuffix }

// noLoginError says why a backup cannot be executed by a login of its own.
type noLoginError struct {
	why, hint string
	err       error
}

func (e *noLoginError) Error() string { return e.why }
func (e *noLoginError) Unwrap() error { return e.err }

// makeLogin makes the login for the database that own is connected to, and opens so many sessions of it, or those for
// which the server has room. temp bounds the temporary files of each, in bytes, where our user may set that; 0 does
// not. It returns a *noLoginError where our user may not, or the server lets no such login in.
func makeLogin(ctx context.Context, own *pgx.Conn, t engine.Target, operationID string, tablespaces []string, sessions int, temp int64) (*loadLogin, error) {
	l := &loadLogin{name: loginName(operationID), own: own, target: t}
	var createRole bool
	var num int
	if err := own.QueryRow(ctx, `SELECT rolsuper, rolcreaterole, pg_catalog.current_setting('server_version_num')::int,
  EXISTS (SELECT FROM pg_catalog.pg_namespace WHERE nspname = 'public')
FROM pg_catalog.pg_roles WHERE rolname = current_user`).Scan(&l.super, &createRole, &num, &l.public); err != nil {
		return nil, fmt.Errorf("look at the user's rights: %w", err)
	}
	if !l.super && !createRole {
		return nil, &noLoginError{why: fmt.Sprintf("the user %s may not make a login for it", t.User), hint: fmt.Sprintf("ALTER ROLE %s CREATEROLE.", ident(t.User))}
	}
	password := rand.Text()
	if err := script(ctx, own, l.create(operationID, password, num, tablespaces, sessions, temp)); err != nil {
		return nil, fmt.Errorf("make the load login: %w", err)
	}
	err := l.connect(ctx, password, sessions)
	if err == nil {
		// From here on nobody can log in as it, with whatever password it may give itself.
		err = script(ctx, own, "ALTER ROLE "+ident(l.name)+" NOLOGIN PASSWORD NULL")
	}
	if err != nil {
		l.discard(ctx)
		return nil, err
	}
	return l, nil
}

// create are the statements that make the login. Its password reaches the server as a verifier: logs may hold them.
func (l *loadLogin) create(operationID, password string, num int, tablespaces []string, sessions int, temp int64) string {
	var b strings.Builder
	role := ident(l.name)
	fmt.Fprintf(&b, "CREATE ROLE %s LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION CONNECTION LIMIT %d PASSWORD %s VALID UNTIL %s;\n",
		role, sessions, literal(scramVerifier(password)), literal(time.Now().UTC().Add(loginValidity).Format("2006-01-02 15:04:05+00")))
	fmt.Fprintf(&b, "COMMENT ON ROLE %s IS %s;\n", role, literal(loginMarker(operationID)))
	if !l.super { // what it makes is ours to hand on
		option := ""
		if num >= 160000 {
			option = " WITH INHERIT TRUE, SET TRUE"
		}
		fmt.Fprintf(&b, "GRANT %s TO CURRENT_USER%s;\n", role, option)
	}
	fmt.Fprintf(&b, "GRANT CONNECT, CREATE, TEMPORARY ON DATABASE %s TO %s;\n", ident(l.target.Name), role)
	if l.super && temp > 0 { // the login cannot take it back
		fmt.Fprintf(&b, "ALTER ROLE %s SET temp_file_limit = '%dkB';\n", role, min(temp/1024, math.MaxInt32))
	}
	if l.public {
		fmt.Fprintf(&b, "GRANT CREATE, USAGE ON SCHEMA public TO %s;\n", role)
	}
	for _, s := range tablespaces {
		fmt.Fprintf(&b, "GRANT CREATE ON TABLESPACE %s TO %s;\n", ident(s), role)
	}
	return b.String()
}

func loginMarker(operationID string) string {
	return markerPrefix + operationID + " role=" + roleLoad + ": executes a backup while it is loaded, and is dropped then"
}

// scramVerifier is what the server keeps of a password: SCRAM-SHA-256$iterations:salt$StoredKey:ServerKey.
func scramVerifier(password string) string {
	const iterations = 4096
	salt := make([]byte, 16)
	rand.Read(salt)
	salted, err := pbkdf2.Key(sha256.New, password, salt, iterations, sha256.Size)
	if err != nil {
		panic("postgres: PBKDF2 with constant parameters: " + err.Error())
	}
	mac := func(text string) []byte {
		m := hmac.New(sha256.New, salted)
		m.Write([]byte(text))
		return m.Sum(nil)
	}
	stored := sha256.Sum256(mac("Client Key"))
	b64 := base64.StdEncoding.EncodeToString
	return fmt.Sprintf("SCRAM-SHA-256$%d:%s$%s:%s", iterations, b64(salt), b64(stored[:]), b64(mac("Server Key")))
}

func (l *loadLogin) connect(ctx context.Context, password string, sessions int) error {
	t := l.target
	t.User, t.Password = l.name, password
	first, err := connectContent(ctx, t)
	switch state(err) {
	case stateInvalidAuth, stateInvalidPassword:
		return &noLoginError{err: err, why: "the server lets in no login that was just made",
			hint: "Add a line to pg_hba.conf that lets the roles safepoint_…_load in with scram-sha-256, or allow all users."}
	}
	if err != nil {
		return fmt.Errorf("log in as the load login: %w", err)
	}
	l.open = []*pgx.Conn{first}
	more, err := openWorkers(ctx, t, sessions-1)
	l.open = append(l.open, more...)
	return err
}

// end closes the login's sessions and waits until the server has ended them all.
func (l *loadLogin) end(ctx context.Context) error {
	hangUpAll(l.open)
	l.open = nil
	return endLogin(ctx, l.own, l.name)
}

func endLogin(ctx context.Context, conn *pgx.Conn, name string) error {
	for deadline := time.Now().Add(loginPatience); ; {
		var n int
		if err := conn.QueryRow(ctx, "SELECT count(pg_catalog.pg_terminate_backend(pid)) FROM pg_catalog.pg_stat_activity WHERE usename = $1::text::name", name).Scan(&n); err != nil {
			return fmt.Errorf("end the load login's sessions: %w", err)
		}
		switch {
		case n == 0:
			return nil
		case time.Now().After(deadline):
			return safepoint.Errorf(safepoint.CodeBlocked, "Sessions of the load login %s do not end.", name).WithHint("Look for them in pg_stat_activity, end them, and try again.")
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// drop drops the login, which owns nothing any more.
func (l *loadLogin) drop(ctx context.Context) error {
	role := ident(l.name)
	if err := script(ctx, l.own, "DROP OWNED BY "+role+"; DROP ROLE "+role); err != nil {
		return fmt.Errorf("drop the load login: %w", err)
	}
	l.dropped = true
	return nil
}

// discard drops the login with all that it made, after a load that failed. Where that is too much at once, as with
// thousands of tables, a login that nobody can use is left, and goes with the database.
func (l *loadLogin) discard(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), loginPatience)
	defer cancel()
	if l.dropped {
		return
	}
	if l.own.IsClosed() {
		own, err := connect(ctx, l.target)
		if err != nil {
			return
		}
		defer hangUp(own)
		l.own = own
	}
	if l.end(ctx) != nil {
		return
	}
	role := ident(l.name)
	script(ctx, l.own, "ROLLBACK")
	script(ctx, l.own, "RESET SESSION AUTHORIZATION") // grants that others made are given as them
	if script(ctx, l.own, "DROP OWNED BY "+role+" CASCADE; DROP ROLE "+role) != nil {
		script(ctx, l.own, "ALTER ROLE "+role+" NOLOGIN")
	}
}

// dropLogin drops what is left of a restore's load login, once its database is gone. A role of that name without our
// mark is somebody else's.
func dropLogin(ctx context.Context, conn *pgx.Conn, operationID string) error {
	name := loginName(operationID)
	if _, is, err := findLogin(ctx, conn, operationID); err != nil || !is {
		return err
	}
	if err := endLogin(ctx, conn, name); err != nil {
		return err
	}
	err := script(ctx, conn, "DROP OWNED BY "+ident(name)+"; DROP ROLE "+ident(name))
	if state(err) == stateUndefinedObject {
		return nil // somebody was quicker
	}
	if err != nil {
		return fmt.Errorf("drop the load login: %w", err)
	}
	return nil
}

// findLogin finds an operation's load login by its name, and refuses a role that does not carry its mark.
func findLogin(ctx context.Context, conn *pgx.Conn, operationID string) (oid string, is bool, err error) {
	name := loginName(operationID)
	var comment string
	err = conn.QueryRow(ctx, "SELECT oid::text, coalesce(pg_catalog.shobj_description(oid, 'pg_authid'), '') FROM pg_catalog.pg_roles WHERE rolname = $1::text::name", name).Scan(&oid, &comment)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return "", false, nil
	case err != nil:
		return "", false, fmt.Errorf("look for the load login: %w", err)
	case !hasMarker(comment, operationID, roleLoad):
		return "", false, safepoint.Errorf(safepoint.CodeNeedsOperator, "A role called %s is there, and it does not carry the mark of this restore.", name).
			WithHint("Nothing was dropped. Drop it by hand if it is not needed.")
	}
	return oid, true, nil
}
