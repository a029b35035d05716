package postgres

import (
	"context"
	"encoding/hex"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/safepoint-db/safepoint/internal/archive"
)

const (
	lobPiece = 256      // large objects read as one piece, at least
	lobPage  = 64       // looked at in one query
	lobFirst = 32 << 10 // bytes of each that come with it
	lobChunk = 256 << 10
)

// largeObject is one, with the beginning of its content.
type largeObject struct {
	OID     uint32
	Owner   string
	Grants  string // statements
	Comment *string
	First   []byte
}

const listLargeObjects = `SELECT m.oid, pg_catalog.pg_get_userbyid(m.lomowner)::text,
  CASE WHEN o.lacks THEN pg_catalog.format(E'REVOKE ALL ON LARGE OBJECT %s FROM %s;\n', m.oid, pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(m.lomowner))) ELSE '' END
    || coalesce((SELECT pg_catalog.string_agg(pg_catalog.format(E'GRANT %s ON LARGE OBJECT %s TO %s%s;\n', a.privilege_type, m.oid,
      CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(a.grantee)) END,
      CASE WHEN a.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END), '')
    FROM pg_catalog.aclexplode(m.lomacl) a WHERE o.lacks OR a.grantee <> m.lomowner), ''),
  pg_catalog.obj_description(m.oid, 'pg_largeobject'),
  pg_catalog.lo_get(m.oid, 0, $3)
FROM pg_catalog.pg_largeobject_metadata m, LATERAL (SELECT m.lomacl IS NOT NULL AND
  (SELECT count(*) FROM pg_catalog.aclexplode(m.lomacl) a WHERE a.grantee = m.lomowner) < 2 AS lacks) o -- its owner has not both rights
WHERE m.oid > $1 AND m.oid <= $4 ORDER BY m.oid LIMIT $2`

// shareLarge gives the last number of each piece: there are no more than some thousand pieces, however many large objects.
const shareLarge = `SELECT max(oid) FROM (
  SELECT oid, (row_number() OVER (ORDER BY oid) - 1) / greatest($1, count(*) OVER () / 4096) AS piece FROM pg_catalog.pg_largeobject_metadata) m
GROUP BY piece ORDER BY piece`

// planLarge cuts the large objects into pieces, of which any can be read, and loaded, beside the others. Where somebody sums
// them up in their order, there is one.
func (d *dumper) planLarge(ctx context.Context) ([]*piece, error) {
	rows, err := d.lead.Query(ctx, shareLarge, lobPiece)
	if err != nil {
		return nil, fmt.Errorf("list large objects: %w", err)
	}
	ends, err := pgx.CollectRows(rows, pgx.RowTo[uint32])
	if err != nil {
		return nil, fmt.Errorf("list large objects: %w", err)
	}
	if d.large != nil && len(ends) > 1 {
		ends = ends[len(ends)-1:]
	}
	var pieces []*piece
	last := uint32(0)
	for i, end := range ends {
		after := last
		p := newPiece()
		p.other = func(ctx context.Context, conn *pgx.Conn, p *piece) error {
			return d.largeObjects(ctx, conn, p, after, end)
		}
		p.number = i
		pieces, last = append(pieces, p), end
	}
	return pieces, nil
}

// largeObjects writes each one of a range of numbers, with its owner, grants, comment and content. All of it is done by us
// and not by pg_dump, whose versions differ in which section these belong to.
func (d *dumper) largeObjects(ctx context.Context, conn *pgx.Conn, p *piece, after, end uint32) error {
	b := &batch{emit: d.emitter(ctx, p), entry: archive.Entry{Section: archive.Data, Kind: kindLargeObjects}}
	for {
		rows, err := conn.Query(ctx, listLargeObjects, after, lobPage, lobFirst, end)
		if err != nil {
			return fmt.Errorf("read large objects: %w", err)
		}
		page, err := pgx.CollectRows(rows, pgx.RowToStructByPos[largeObject])
		if err != nil {
			return fmt.Errorf("read large objects: %w", err)
		}
		if len(page) == 0 {
			return b.flush()
		}
		for _, lo := range page {
			if err := d.largeObject(ctx, conn, b, lo); err != nil {
				return err
			}
		}
		after = page[len(page)-1].OID
	}
}

func (d *dumper) largeObject(ctx context.Context, conn *pgx.Conn, b *batch, lo largeObject) error {
	put := func(format string, args ...any) error {
		statement := fmt.Appendf(nil, format+"\n", args...)
		d.bytes.Add(int64(len(statement)))
		return b.add(statement, "")
	}
	if err := put(`SELECT pg_catalog.lo_from_bytea(%d, '\x%s');`, lo.OID, hex.EncodeToString(lo.First)); err != nil {
		return err
	}
	if err := put("ALTER LARGE OBJECT %d OWNER TO %s;", lo.OID, ident(lo.Owner)); err != nil {
		return err
	}
	if lo.Comment != nil {
		if err := put("COMMENT ON LARGE OBJECT %d IS %s;", lo.OID, literal(*lo.Comment)); err != nil {
			return err
		}
	}
	d.large.add(lo.OID, 0, lo.First)
	for at, full := int64(len(lo.First)), len(lo.First) == lobFirst; full; {
		var chunk []byte
		if err := conn.QueryRow(ctx, "SELECT pg_catalog.lo_get($1, $2, $3)", lo.OID, at, lobChunk).Scan(&chunk); err != nil {
			return fmt.Errorf("read large object %d: %w", lo.OID, err)
		}
		if len(chunk) == 0 {
			break
		}
		if err := put(`SELECT pg_catalog.lo_put(%d, %d, '\x%s');`, lo.OID, at, hex.EncodeToString(chunk)); err != nil {
			return err
		}
		d.large.add(lo.OID, at, chunk)
		at += int64(len(chunk))
		full = len(chunk) == lobChunk
	}
	if lo.Grants != "" { // at last, for its owner may have no right to write
		if err := put("%s", lo.Grants); err != nil {
			return err
		}
	}
	if b.full() {
		return b.flush()
	}
	return nil
}
