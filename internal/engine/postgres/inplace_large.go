package postgres

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/safepoint-db/safepoint"
)

// What a session writes to a large object waits for no lock that our user could take: pg_largeobject is the superuser's.
// Where the transaction has dropped a page, the server has the writer wait and then tells him that it is gone. A page
// that was not there yet is added, whatever became of the object: beside ours it would be a mixture, and without ours it
// would be lost. So the content is summed up as the safety backup reads it, and as the file gives it; before the commit
// both must be what the server holds, outside of the transaction and inside.

// largeSum sums up large objects, in the order of their numbers, each from its beginning. Its parts are cut as a dump
// reads them: the first has lobFirst bytes, others lobChunk, the last what is left.
type largeSum struct {
	sum     hash.Hash
	objects int64
	unknown bool // what was read is not of the form that is understood: nothing can be said

	oid  uint32
	at   int64  // bytes of oid that were taken
	rest []byte // what came of the part that is not full yet
}

func newLargeSum() *largeSum { return &largeSum{sum: sha256.New()} }

// add takes a part, as it is cut. A nil sum takes nothing.
func (s *largeSum) add(oid uint32, at int64, content []byte) {
	if s == nil {
		return
	}
	sum := sha256.Sum256(content)
	s.part(oid, at, len(content), sum[:])
}

// part takes a part by its own sum.
func (s *largeSum) part(oid uint32, at int64, length int, sum []byte) {
	if at == 0 {
		s.objects++
	} else if length == 0 {
		return
	}
	head := binary.BigEndian.AppendUint32(nil, oid)
	head = binary.BigEndian.AppendUint64(head, uint64(at))
	head = binary.BigEndian.AppendUint32(head, uint32(length))
	s.sum.Write(head)
	s.sum.Write(sum)
}

func (s *largeSum) equal(other *largeSum) bool {
	return s.objects == other.objects && bytes.Equal(s.sum.Sum(nil), other.sum.Sum(nil))
}

var (
	largeFirst = regexp.MustCompile(`^SELECT pg_catalog\.lo_from_bytea\(([0-9]+), '\\x([0-9a-f]*)'\);\s*$`)
	largeMore  = regexp.MustCompile(`^SELECT pg_catalog\.lo_put\(([0-9]+), ([0-9]+), '\\x([0-9a-f]*)'\);\s*$`)
	largeOther = regexp.MustCompile(`^(?:ALTER|GRANT|REVOKE|COMMENT) `)
)

// statement takes one of an archive's, however the archive cuts the content.
func (s *largeSum) statement(text []byte) {
	text = withoutComments(text) // there is an empty line after what was granted
	var oid uint64
	var at int64
	var content []byte
	var err error
	if m := largeFirst.FindSubmatch(text); m != nil {
		s.end()
		oid, err = strconv.ParseUint(string(m[1]), 10, 32)
		content = m[2]
		s.unknown = s.unknown || uint32(oid) <= s.oid
		s.oid, s.at = uint32(oid), 0
	} else if m := largeMore.FindSubmatch(text); m != nil {
		if oid, err = strconv.ParseUint(string(m[1]), 10, 32); err == nil {
			at, err = strconv.ParseInt(string(m[2]), 10, 64)
		}
		content = m[3]
		s.unknown = s.unknown || uint32(oid) != s.oid || at != s.at+int64(len(s.rest))
	} else {
		s.unknown = s.unknown || !largeOther.Match(text)
		return
	}
	decoded := make([]byte, hex.DecodedLen(len(content)))
	if _, herr := hex.Decode(decoded, content); err != nil || herr != nil {
		s.unknown = true
	}
	if s.unknown {
		return
	}
	s.rest = append(s.rest, decoded...)
	for full := s.full(); len(s.rest) >= full; full = s.full() {
		s.add(s.oid, s.at, s.rest[:full])
		s.at, s.rest = s.at+int64(full), s.rest[full:]
	}
}

func (s *largeSum) full() int {
	if s.at == 0 {
		return lobFirst
	}
	return lobChunk
}

// end takes what is left of the object.
func (s *largeSum) end() {
	if s.oid != 0 && !s.unknown {
		s.add(s.oid, s.at, s.rest)
	}
	s.rest = nil
}

// No sum of a whole object: the server could not hold one of more than 1 GB.
const (
	sumFirst = `SELECT o.oid::pg_catalog.int8, pg_catalog.length(o.content), pg_catalog.sha256(o.content) FROM (
  SELECT m.oid, pg_catalog.lo_get(m.oid, 0, $3) AS content FROM pg_catalog.pg_largeobject_metadata m WHERE m.oid > $1::pg_catalog.int8::pg_catalog.oid ORDER BY m.oid LIMIT $2) o ORDER BY 1`
	sumMore = `SELECT o.at, pg_catalog.length(o.content), pg_catalog.sha256(o.content) FROM (
  SELECT at, pg_catalog.lo_get($1::oid, at, $3::int4) AS content FROM pg_catalog.generate_series($2::int8, $2::int8 + 63 * $3::int4::int8, $3::int4::int8) at) o ORDER BY 1`
)

// sumLarge sums up what a session sees.
func sumLarge(ctx context.Context, conn *pgx.Conn) (*largeSum, error) {
	s := newLargeSum()
	type part struct {
		At     int64
		Length int
		Sum    []byte
	}
	for after := int64(0); ; {
		rows, err := conn.Query(ctx, sumFirst, after, lobPage, lobFirst)
		if err != nil {
			return nil, fmt.Errorf("sum up large objects: %w", err)
		}
		page, err := pgx.CollectRows(rows, pgx.RowToStructByPos[part])
		if err != nil {
			return nil, fmt.Errorf("sum up large objects: %w", err)
		}
		if len(page) == 0 {
			return s, nil
		}
		for _, first := range page {
			after = first.At
			oid := uint32(first.At)
			s.part(oid, 0, first.Length, first.Sum)
			for at, more := int64(lobFirst), first.Length == lobFirst; more; at += 64 * lobChunk {
				rows, err := conn.Query(ctx, sumMore, oid, at, lobChunk)
				if err != nil {
					return nil, fmt.Errorf("sum up large object %d: %w", oid, err)
				}
				parts, err := pgx.CollectRows(rows, pgx.RowToStructByPos[part])
				if err != nil {
					return nil, fmt.Errorf("sum up large object %d: %w", oid, err)
				}
				for _, p := range parts {
					s.part(oid, p.At, p.Length, p.Sum)
					more = p.Length == lobChunk
				}
			}
		}
	}
}

// largeObjectTable is the OID of pg_largeobject, which is the same in every database.
const largeObjectTable = 2613

// unwritten waits until nobody else has a transaction open in which he wrote to one of the tables, and ends whom it may.
func (x *inPlace) unwritten(ctx context.Context, oids []uint32) error {
	for deadline := time.Now().Add(lockPatience); ; {
		var held bool
		err := x.side.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_database d ON d.oid = l.database
WHERE d.datname = pg_catalog.current_database() AND l.locktype = 'relation' AND l.relation = ANY ($1::oid[]) AND l.mode = 'RowExclusiveLock' AND l.granted AND l.pid <> ALL ($2::int[]))`,
			oids, x.pids()).Scan(&held)
		if err != nil {
			return fmt.Errorf("look for who writes: %w", err)
		}
		if !held {
			return nil
		}
		if time.Now().After(deadline) {
			return x.whoHolds(ctx, oids, nil)
		}
		if err := x.endOthers(ctx); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// stillSame makes sure that the large objects are what the safety backup holds, for everybody else, and what the backup
// holds, in the transaction.
func (x *inPlace) stillSame(ctx context.Context) error {
	if err := x.unwritten(ctx, []uint32{largeObjectTable}); err != nil {
		return err
	}
	if x.saved != nil {
		live, err := sumLarge(ctx, x.side)
		if err != nil {
			return err
		}
		if !live.equal(x.saved) {
			return safepoint.Errorf(safepoint.CodeConflict, "Somebody wrote to a large object of %s after the safety backup was made.", x.target.Name).
				WithHint("Nothing was replaced. Halt what still uses the database, and start the restore again.")
		}
	}
	if x.loaded == nil || x.loaded.unknown {
		return nil
	}
	inside, err := sumLarge(ctx, x.conn)
	if err != nil {
		return err
	}
	if !inside.equal(x.loaded) {
		return safepoint.Errorf(safepoint.CodeConflict, "The large objects that were loaded into %s are not those of the backup: somebody wrote to one meanwhile.", x.target.Name).
			WithHint("Nothing was replaced. Halt what still uses the database, and start the restore again.")
	}
	return nil
}

// accompanied says whether anybody else has a session in the database, who might have written since the last look.
func (x *inPlace) accompanied(ctx context.Context) (is bool, err error) {
	err = x.side.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_catalog.pg_stat_activity WHERE datname = pg_catalog.current_database() AND pid <> ALL ($1::int[])
  AND coalesce(backend_type, '') <> 'autovacuum worker')`, x.pids()).Scan(&is)
	if err != nil {
		return false, fmt.Errorf("look for other sessions: %w", err)
	}
	return is, nil
}

// overtaken says what the server's words mean where somebody wrote to a large object while it was dropped or made again.
func (x *inPlace) overtaken(err error) error {
	var pg *pgconn.PgError
	if !errors.As(err, &pg) {
		return err
	}
	if pg.Code == stateUniqueViolation && pg.ConstraintName == "pg_largeobject_loid_pn_index" || pg.Code == stateInternal && strings.HasPrefix(pg.Message, "tuple concurrently ") {
		return safepoint.Errorf(safepoint.CodeConflict, "Somebody wrote to a large object of %s while it was replaced.", x.target.Name).
			WithHint("Nothing was replaced. Halt what still uses the database, and start the restore again.").WithCause(err)
	}
	return err
}
