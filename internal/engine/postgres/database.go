package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/engine"
)

// captured is Plan.Engine: what a gate found before it changed anything.
type captured struct {
	Live    *properties  `json:"live,omitempty"`
	Instant bool         `json:"instant,omitempty"` // no gate: the switch goes by the live database's row as it was then
	InPlace *inPlacePlan `json:"in_place,omitempty"`
}

func capturedIn(p engine.Plan) (captured, error) {
	var c captured
	if len(p.Engine) == 0 {
		return c, nil
	}
	if err := json.Unmarshal(p.Engine, &c); err != nil {
		return c, safepoint.Errorf(safepoint.CodeNeedsOperator, "The plan of this restore cannot be read.").
			WithHint("Nothing was changed. Look at the databases on the server by hand.").WithCause(err)
	}
	return c, nil
}

// Roles of a marked database.
const (
	roleStaging = "staging"
	roleAside   = "aside"
)

const markerPrefix = "safepoint operation="

// marker is the comment that says what a database is, for us and for whoever finds it.
func marker(operationID, role string) string {
	says := "a copy being restored"
	if role == roleAside {
		says = "the database as it was before a restore, kept so that the restore can be undone"
	}
	return markerPrefix + operationID + " role=" + role + ": " + says
}

// hasMarker says whether a comment is that marker. What comes after the colon is for people.
func hasMarker(comment, operationID, role string) bool {
	return strings.HasPrefix(comment, markerPrefix+operationID+" role="+role+":")
}

// maintenance opens a session in a database other than the target's, from which that one can be renamed and dropped.
func maintenance(ctx context.Context, t engine.Target) (*pgx.Conn, error) {
	var first error
	for _, name := range []string{"postgres", "template1"} {
		if name == t.Name {
			continue
		}
		there := t
		there.Name = name
		conn, err := connect(ctx, there)
		if err == nil {
			err = script(ctx, conn, stay+fmt.Sprintf("SET lock_timeout = %d; SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0; SET standard_conforming_strings = on; SET default_transaction_read_only = off; SET search_path = pg_catalog; ", lockTimeout.Milliseconds())+durably)
			if err == nil {
				return conn, nil
			}
			hangUp(conn)
			return nil, explain(ctx, t, err)
		}
		if first == nil {
			first = err
		}
		switch safepoint.ErrorCode(err) {
		case safepoint.CodeName, safepoint.CodePrivilege, safepoint.CodeBlocked:
			if state(err) != "" { // the server itself said so: the other one may do
				continue
			}
		}
		return nil, err
	}
	return nil, first
}

// durably makes a session's commits last where the server, the database or the role lets them be lost in a crash: what was
// acknowledged, such as a switch, is acted upon.
const durably = "SELECT pg_catalog.set_config('synchronous_commit', 'on', false) WHERE pg_catalog.current_setting('synchronous_commit') = 'off'"

// byOID and byName find a database; ok is false if there is none.
func byOID(ctx context.Context, conn *pgx.Conn, oid string) (c catalogRow, ok bool, err error) {
	if oid == "" {
		return c, false, nil
	}
	return found(scanDatabase(conn.QueryRow(ctx, selectDatabase+"d.oid::text = $1", oid)))
}

func byName(ctx context.Context, conn *pgx.Conn, name string) (c catalogRow, ok bool, err error) {
	return found(scanDatabase(conn.QueryRow(ctx, selectDatabase+"d.datname = $1::text::name AND length(d.datname::text) = length($1::text)", name)))
}

func found(c catalogRow, err error) (catalogRow, bool, error) {
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return c, false, nil
	case err != nil:
		return c, false, fmt.Errorf("look for a database: %w", err)
	}
	return c, true, nil
}

// serverID is the cluster's system identifier.
func serverID(ctx context.Context, conn *pgx.Conn) (string, error) {
	var id string
	if err := conn.QueryRow(ctx, "SELECT system_identifier::text FROM pg_catalog.pg_control_system()").Scan(&id); err != nil {
		return "", fmt.Errorf("read the server's identity: %w", err)
	}
	return id, nil
}

func versionNum(ctx context.Context, conn *pgx.Conn) (int, error) {
	var num int
	if err := conn.QueryRow(ctx, "SELECT pg_catalog.current_setting('server_version_num')::int").Scan(&num); err != nil {
		return 0, fmt.Errorf("read the server's version: %w", err)
	}
	return num, nil
}

// version is the number alone, such as "15.18".
func version(conn *pgx.Conn) string {
	number, _, _ := strings.Cut(conn.PgConn().ParameterStatus("server_version"), " ")
	return number
}

func selfName(ctx context.Context, conn *pgx.Conn) (string, error) {
	var name string
	err := conn.QueryRow(ctx, "SELECT current_user::text").Scan(&name)
	return name, err
}

// lockRestore takes the lock that one restore of a live database holds while it changes names. It is the session's:
// that of a process that died is free as soon as the server notices, for which we wait a little.
func lockRestore(ctx context.Context, conn *pgx.Conn, liveID string) error {
	err := script(ctx, conn, fmt.Sprintf("SET lock_timeout = '3s'; SELECT pg_advisory_lock(%d)", advisoryKey(restoreClass, liveID)))
	if err == nil {
		err = script(ctx, conn, stay+fmt.Sprintf("SET lock_timeout = %d", lockTimeout.Milliseconds()))
	}
	switch {
	case state(err) == stateLockNotAvailable:
		return safepoint.Errorf(safepoint.CodeConflict, "Another restore of this database is under way.").WithHint("Wait until it has ended.")
	case err != nil:
		return fmt.Errorf("lock the restore: %w", err)
	}
	return nil
}

// Classes tell our advisory locks from those of others, and from one another. All are taken in the maintenance
// database.
const (
	restoreClass   = 0x5afe_0001 // a gate is held, for as long as its session lives
	switchClass    = 0x5afe_0002 // a switch is being carried out, for as long as its transaction lives
	rehearsalClass = 0x5afe_0003 // a preflight makes and drops an empty database, for as long as its session lives
)

// advisoryKey is the lock of a class for a database.
func advisoryKey(class uint32, oid string) int64 {
	n, err := strconv.ParseUint(oid, 10, 32)
	if err != nil {
		return int64(class) << 32 // no such database: a key that nobody else's restore has
	}
	return int64(uint64(class)<<32 | n)
}

// sameServer refuses to act on another server than the plan's, and on a standby of it: what that says of a switch may be
// long past. It is no other server for good, so whoever asks again may find the primary.
func sameServer(ctx context.Context, conn *pgx.Conn, t engine.Target, p engine.Plan, code safepoint.Code) error {
	id, err := serverID(ctx, conn)
	if err != nil {
		return err
	}
	var standby bool
	if err := conn.QueryRow(ctx, "SELECT pg_catalog.pg_is_in_recovery()").Scan(&standby); err != nil {
		return fmt.Errorf("ask whether the server is a standby: %w", err)
	}
	if standby && id == p.ServerID {
		return safepoint.Errorf(safepoint.CodeBlocked, "%s is a standby: it repeats what its primary server did, and may be behind.", capital(where(t))).
			WithHint("Nothing was changed. Let the database's connection point at the primary server.")
	}
	if id != p.ServerID {
		return safepoint.Errorf(code, "%s is another PostgreSQL server than the one this restore began on.", capital(where(t))).
			WithHint("Nothing was changed. Let the database's connection point at the first server again.")
	}
	return nil
}
