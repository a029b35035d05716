package postgres

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/egress"
	"github.com/safepoint-db/safepoint/internal/engine"
)

// SQLSTATEs that decide something.
const (
	stateInvalidPassword   = "28P01"
	stateInvalidAuth       = "28000"
	stateNoDatabase        = "3D000"
	statePrivilege         = "42501"
	stateDiskFull          = "53100"
	stateOutOfMemory       = "53200"
	stateTooManyConns      = "53300"
	stateNotInState        = "55000"
	stateObjectInUse       = "55006"
	stateDeadlock          = "40P01"
	stateLockNotAvailable  = "55P03"
	stateQueryCanceled     = "57014"
	stateAdminShutdown     = "57P01"
	stateCrashShutdown     = "57P02"
	stateCannotConnect     = "57P03"
	stateDatabaseDropped   = "57P04"
	stateDuplicateDatabase = "42P04"
	stateUndefinedObject   = "42704"
	stateDependentObjects  = "2BP01"
	stateUniqueViolation   = "23505"
	stateCheckViolation    = "23514"
	stateAttached          = "SP002" // raised by our own switch: something hangs on the database since it was looked at
	stateIdentity          = "SP001" // raised by our own switch: an identity is not the plan's
)

// where names a target for people, without secrets.
func where(t engine.Target) string {
	if onSocket(t) {
		return fmt.Sprintf("the server at %s (port %d)", t.Host, t.Port)
	}
	return fmt.Sprintf("%s:%d", t.Host, t.Port)
}

// state is the SQLSTATE of err, "" if the server said nothing.
func state(err error) string {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return pg.Code
	}
	return ""
}

// explainConnect says in plain words why a session could not be opened.
func explainConnect(ctx context.Context, t engine.Target, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("connect: %w", ctx.Err())
	}
	say := func(code safepoint.Code, hint, format string, args ...any) error {
		return safepoint.Errorf(code, format, args...).Hinted(hint).WithCause(err)
	}
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		switch pg.Code {
		case stateInvalidPassword:
			return say(safepoint.CodePassword, "Enter the password of this database user again.", "The server refused the password of %s.", t.User)
		case stateInvalidAuth:
			return say(safepoint.CodePassword, "Check the user's name, and what the server's pg_hba.conf lets in.", "The server does not let %s in: %s.", t.User, pg.Message)
		case stateNoDatabase:
			return say(safepoint.CodeName, "Check the database's name; capital letters count.", "There is no database %s on %s.", t.Name, where(t))
		case statePrivilege:
			return say(safepoint.CodePrivilege, "GRANT CONNECT on the database to this user.", "The user %s may not connect to %s: %s.", t.User, t.Name, pg.Message)
		case stateTooManyConns:
			return say(safepoint.CodeUnreachable, "Wait, or raise max_connections or the limit of the database or user.", "%s has no connection left: %s.", where(t), pg.Message)
		case stateNotInState:
			return say(safepoint.CodeBlocked, "An unfinished restore may have closed it, or an operator did: ALTER DATABASE … ALLOW_CONNECTIONS true opens it.", "The database %s lets nobody in.", t.Name)
		case stateCannotConnect, stateAdminShutdown, stateCrashShutdown:
			return say(safepoint.CodeUnreachable, "Wait until it has started.", "%s is starting or stopping: %s.", where(t), pg.Message)
		}
		return say(safepoint.CodeUnreachable, "The server's own log may say more.", "%s turned the connection away: %s.", where(t), pg.Message)
	}
	var dns *net.DNSError
	var refused *egress.RefusedError
	switch {
	case errors.As(err, &refused):
		return say(safepoint.CodeInvalid, "Name the database server's own address.", "%s may not be used as a database's host: %s.", t.Host, refused)
	case errors.As(err, &dns):
		return say(safepoint.CodeName, "Check the host's spelling, and that this machine can look it up.", "The host name %s was not found.", t.Host)
	case isTLS(err):
		return say(safepoint.CodeTLS, tlsHint(t), "The encrypted connection to %s failed: %s.", where(t), tlsReason(err))
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, os.ErrNotExist) && onSocket(t):
		return say(safepoint.CodeRefused, "Check the port, that PostgreSQL runs, and listen_addresses in postgresql.conf.", "Nothing listens at %s.", where(t))
	case errors.Is(err, os.ErrPermission) && onSocket(t):
		return say(safepoint.CodePrivilege, "Give the user that runs Safepoint access to the folder.", "The socket in %s may not be used from here.", t.Host)
	}
	return say(safepoint.CodeUnreachable, "Check the host, the port, and firewalls between here and there.", "%s did not answer.", where(t))
}

// refusedTLS is the text of an error that pgconn gives no type: the server answered that it has no TLS.
const refusedTLS = "server refused TLS connection"

func isTLS(err error) bool {
	var record tls.RecordHeaderError
	var alert tls.AlertError
	var verify *tls.CertificateVerificationError
	var unknown x509.UnknownAuthorityError
	var host x509.HostnameError
	return errors.As(err, &record) || errors.As(err, &alert) || errors.As(err, &verify) || errors.As(err, &unknown) ||
		errors.As(err, &host) || strings.Contains(err.Error(), refusedTLS)
}

func tlsReason(err error) string {
	var verify *tls.CertificateVerificationError
	switch {
	case errors.As(err, &verify):
		return verify.Err.Error()
	case strings.Contains(err.Error(), refusedTLS):
		return "the server does not offer TLS"
	}
	return "the server's answer is not TLS"
}

func tlsHint(t engine.Target) string {
	if t.CACert == "" {
		return "Paste the CA certificate that signed the server's, or choose another TLS mode if the network between is yours alone."
	}
	return "Check that the CA certificate is the one that signed the server's, and that the host is named as in the server's certificate."
}

// explain says in plain words what a session's error means. An error that is neither the server's nor the
// connection's, such as one of the file being written, is returned as it is.
func explain(ctx context.Context, t engine.Target, err error) error {
	var known *safepoint.Error
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return fmt.Errorf("stopped: %w", ctx.Err())
	case errors.As(err, &known):
		return err
	}
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return explainServer(t, pg).WithCause(err)
	}
	var op *net.OpError
	switch {
	case errors.Is(err, syscall.ENOSPC):
		return safepoint.Errorf(safepoint.CodeSpace, "The disk is full.").WithHint("Free some space and try again.").WithCause(err)
	case errors.As(err, &op), errors.Is(err, pgconn.ErrConnClosed), pgconn.SafeToRetry(err), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed), pgconn.Timeout(err):
		return safepoint.Errorf(safepoint.CodeUnreachable, "The connection to %s broke.", where(t)).
			WithHint("See whether the server still runs, and try again.").WithCause(err)
	}
	return err
}

func explainServer(t engine.Target, pg *pgconn.PgError) *safepoint.Error {
	switch pg.Code {
	case statePrivilege:
		return safepoint.Errorf(safepoint.CodePrivilege, "The user %s may not do what is needed: %s.", t.User, pg.Message).
			WithHint("Grant it what is missing, or use the database's owner.")
	case stateDiskFull:
		return safepoint.Errorf(safepoint.CodeSpace, "The disk of the database server is full: %s.", pg.Message).
			WithHint("Free some space on the database server and try again.")
	case stateOutOfMemory:
		return safepoint.Errorf(safepoint.CodeBlocked, "The database server ran out of memory: %s.", pg.Message).
			WithHint("With many tables, raise max_locks_per_transaction in postgresql.conf and restart the server.")
	case stateLockNotAvailable, stateDeadlock, stateObjectInUse:
		return safepoint.Errorf(safepoint.CodeBlocked, "Another session stands in the way: %s.", pg.Message).
			WithHint("Try again when it has finished.")
	case stateAdminShutdown, stateCrashShutdown, stateCannotConnect, stateDatabaseDropped, stateQueryCanceled:
		return safepoint.Errorf(safepoint.CodeUnreachable, "The server ended our session: %s.", pg.Message).
			WithHint("See whether the server still runs, and try again.")
	case stateNoDatabase:
		return safepoint.Errorf(safepoint.CodeName, "%s.", capital(pg.Message)).WithHint("Check the database's name.")
	}
	return safepoint.Errorf(safepoint.CodeBlocked, "PostgreSQL reported: %s.", pg.Message).
		WithHint("The server's own log may say more (SQLSTATE %s).", pg.Code)
}

func capital(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}
