package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/safepoint-db/safepoint/internal/archive"
	"github.com/safepoint-db/safepoint/internal/engine"
)

// Digest recomputes a database's fingerprint: every table, read as a dump reads it. See engine.Engine.
func (Engine) Digest(ctx context.Context, t engine.Target, report engine.Report) (archive.Fingerprint, error) {
	conn, err := connectContent(ctx, t)
	if err != nil {
		return nil, err
	}
	defer hangUp(conn)
	if report == nil {
		report = func(engine.Progress) {}
	}
	if err := script(ctx, conn, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"); err != nil {
		return nil, explain(ctx, t, err)
	}
	list, err := tables(ctx, conn)
	if err != nil {
		return nil, explain(ctx, t, err)
	}
	if err := unreadable(t.User, list); err != nil {
		return nil, err
	}
	var at engine.Progress
	for _, table := range list {
		if !table.partitioned {
			at.TablesOf++
		}
	}
	prints := archive.Fingerprint{}
	for _, table := range list {
		if table.partitioned {
			continue
		}
		at.Table = readable(table.schema + "." + table.name)
		report(at)
		h := &hasher{at: &at, report: report}
		if _, err := conn.PgConn().CopyTo(ctx, h, "COPY "+table.copySource()+" TO STDOUT"); err != nil {
			return nil, explain(ctx, t, fmt.Errorf("read table %s: %w", table, err))
		}
		prints[readable(table.String())] = h.digest.Digest()
		at.Tables++
		report(at)
	}
	return prints, nil
}

// hasher takes rows as the server sends them, one a call.
type hasher struct {
	digest archive.Digester
	at     *engine.Progress
	report engine.Report
	told   int64
}

func (h *hasher) Write(row []byte) (int, error) {
	last := len(row) - 1
	if last < 0 || row[last] != '\n' {
		return 0, errors.New("the server sent a row without its end")
	}
	h.digest.Add(row[:last])
	h.at.Bytes += int64(len(row))
	if h.at.Bytes-h.told > 1<<20 {
		h.told = h.at.Bytes
		h.report(*h.at)
	}
	return len(row), nil
}
