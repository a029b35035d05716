package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/safepoint-db/safepoint/internal/engine"
)

// Inspect connects and looks. See engine.Engine.
func (e Engine) Inspect(ctx context.Context, t engine.Target) (engine.Info, error) {
	conn, err := connectContent(ctx, t)
	if err != nil {
		return engine.Info{}, err
	}
	defer hangUp(conn)
	info, err := inspect(ctx, conn)
	if err != nil {
		return engine.Info{}, explain(ctx, t, err)
	}
	d, err := diskOf(ctx, conn, t)
	if err != nil {
		return engine.Info{}, explain(ctx, t, err)
	}
	info.DiskFree, info.DiskTotal = d.free, d.total
	if tool, err := e.findTool(ctx, info.ServerVersionNum); err == nil {
		info.Tool = tool.String()
	}
	return info, nil
}

func inspect(ctx context.Context, conn *pgx.Conn) (info engine.Info, err error) {
	info.ServerVersion = version(conn)
	if info.ServerVersionNum, err = versionNum(ctx, conn); err != nil {
		return info, err
	}
	if info.ServerID, err = serverID(ctx, conn); err != nil {
		return info, err
	}
	err = conn.QueryRow(ctx, `SELECT oid::text, pg_catalog.pg_database_size(oid), pg_catalog.pg_encoding_to_char(encoding)
FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()`).Scan(&info.DatabaseID, &info.Size, &info.Encoding)
	if err != nil {
		return info, fmt.Errorf("look at the database: %w", err)
	}
	list, err := namedTables(ctx, conn)
	if err != nil {
		return info, err
	}
	for _, t := range list {
		if !t.partitioned {
			info.Tables++
		}
	}
	info.Empty, err = empty(ctx, conn)
	return info, err
}

// empty says that the present database holds nothing that a user made. OIDs from 16384 on are users'.
func empty(ctx context.Context, conn *pgx.Conn) (bool, error) {
	var made bool
	err := conn.QueryRow(ctx, `SELECT
  EXISTS (SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE `+userSchemas+`)
  OR EXISTS (SELECT FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace WHERE `+userSchemas+`)
  OR EXISTS (SELECT FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace WHERE `+userSchemas+`)
  OR EXISTS (SELECT FROM pg_catalog.pg_namespace n WHERE n.nspname <> 'public' AND `+userSchemas+` AND n.nspname !~ '^pg_temp|^pg_toast')
  OR EXISTS (SELECT FROM pg_catalog.pg_extension WHERE oid >= 16384)
  OR EXISTS (SELECT FROM pg_catalog.pg_largeobject_metadata)
  OR EXISTS (SELECT FROM pg_catalog.pg_publication)
  OR EXISTS (SELECT FROM pg_catalog.pg_event_trigger)
  OR EXISTS (SELECT FROM pg_catalog.pg_foreign_server)`).Scan(&made)
	if err != nil {
		return false, fmt.Errorf("see whether the database is empty: %w", err)
	}
	return !made, nil
}
