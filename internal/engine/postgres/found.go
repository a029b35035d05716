package postgres

import (
	"context"
	"fmt"
	"strings"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/engine"
	"github.com/safepoint-db/safepoint/internal/fault"
)

// maxName is the longest name of a database, in bytes, of every server that was not built otherwise.
const maxName = 63

// CanFound looks whether the name is free. See engine.Founder.
func (Engine) CanFound(ctx context.Context, t engine.Target, name string) error {
	switch {
	case name == "" || len(name) > maxName || strings.ContainsRune(name, 0):
		return safepoint.Invalid("name", "A database's name has 1 to %d bytes.", maxName)
	case strings.HasPrefix(name, "safepoint_op_"):
		return safepoint.Invalid("name", "Names that begin with safepoint_op_ are for databases that a restore makes for a while.")
	}
	conn, err := maintenance(ctx, t)
	if err != nil {
		return err
	}
	defer hangUp(conn)
	_, taken, err := byName(ctx, conn, name)
	if err != nil {
		return explain(ctx, t, err)
	}
	if taken {
		return nameTaken(name)
	}
	return nil
}

func nameTaken(name string) error {
	return safepoint.Errorf(safepoint.CodeConflict, "There is a database called %s on this server already.", name).
		WithHint("Choose another name. Nothing was changed.")
}

// Found renames the staging database. See engine.Founder.
func (Engine) Found(ctx context.Context, t engine.Target, p engine.Plan, name string) error {
	conn, err := maintenance(ctx, t)
	if err != nil {
		return err
	}
	defer hangUp(conn)
	if err := sameServer(ctx, conn, t, p, safepoint.CodeConflict); err != nil {
		return explain(ctx, t, err)
	}
	as, err := captureDatabase(ctx, conn, p.LiveID)
	if err != nil {
		return explain(ctx, t, err)
	}
	as.Comment, as.IsTemplate, as.AllowConnections = "", false, true
	self, err := selfName(ctx, conn)
	if err != nil {
		return explain(ctx, t, err)
	}
	if err := drain(ctx, conn, p.StagingID, nil); err != nil {
		return explain(ctx, t, err)
	}
	message := beginSwitch(p) +
		checkIdentities(identity{oid: p.StagingID, name: p.StagingName, operation: p.OperationID, role: roleStaging}) +
		endSessions(p.StagingID) + rename(p.StagingName, name) + as.apply(name, self) + "COMMIT;\n"
	err = atOnce(ctx, conn, message, fault.Named("postgres.found"))
	if state(err) == stateDuplicateDatabase {
		return nameTaken(name)
	}
	return explainSwitch(ctx, t, err)
}

// Founded asks by identity what staging is called. See engine.Founder.
func (Engine) Founded(ctx context.Context, t engine.Target, p engine.Plan, name string) (bool, error) {
	conn, err := maintenance(ctx, t)
	if err != nil {
		return false, err
	}
	defer hangUp(conn)
	if err := sameServer(ctx, conn, t, p, safepoint.CodeNeedsOperator); err != nil {
		return false, explain(ctx, t, err)
	}
	if err := waitForSwitch(ctx, conn, p.LiveID); err != nil {
		return false, explain(ctx, t, err)
	}
	if p.StagingID == "" {
		return false, nil
	}
	made, there, err := byOID(ctx, conn, p.StagingID)
	switch {
	case err != nil:
		return false, explain(ctx, t, fmt.Errorf("look for the restored database: %w", err))
	case !there || made.Name == p.StagingName:
		return false, nil
	case made.Name == name:
		return true, nil
	}
	return false, safepoint.Errorf(safepoint.CodeNeedsOperator, "The restored database is now called %s: somebody renamed it.", made.Name).
		WithHint("Nothing was dropped. Look at it, and drop it by hand if it is not needed.")
}

var _ engine.Founder = Engine{}
