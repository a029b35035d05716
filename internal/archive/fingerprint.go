package archive

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/bits"
	"slices"
	"strings"

	"github.com/safepoint-db/safepoint"
	"github.com/zeebo/xxh3"
)

// Digest sums up a table's rows whatever their order: how many, and the sum of their hashes.
type Digest struct {
	Rows int64 `json:"rows"`
	Hash Hash  `json:"hash"` // the 128-bit XXH3 of every row, added modulo 2^128
}

// Hash is a sum of hashes. In JSON, and as text, it is 32 hex digits.
type Hash [16]byte

func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// MarshalText implements encoding.TextMarshaler.
func (h Hash) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, h[:]), nil }

// UnmarshalText takes what MarshalText gives and nothing else.
func (h *Hash) UnmarshalText(text []byte) error { return fromHex(h[:], text) }

// Fingerprint holds a Digest per table, keyed by the engine's quoted name such as `"public"."orders"`.
type Fingerprint map[string]Digest

// Digester computes a table's Digest. The zero value is the digest of no rows. It is not safe for concurrent use:
// give each slice of a table its own, and Merge them.
type Digester struct {
	rows   int64
	hi, lo uint64
}

// Add takes the next row, as the engine writes rows for hashing. Two rows are equal if their bytes are.
func (d *Digester) Add(row []byte) {
	h := xxh3.Hash128(row)
	d.add(h.Hi, h.Lo)
	d.rows++
}

// Rows is how many were added.
func (d *Digester) Rows() int64 { return d.rows }

// LongRow hashes one row after another that come in pieces.
type LongRow struct{ h *xxh3.Hasher }

// NewLongRow begins the first row.
func NewLongRow() *LongRow { return &LongRow{h: xxh3.New()} }

// Write takes the next piece of a row.
func (l *LongRow) Write(piece []byte) { l.h.Write(piece) }

// AddLong takes a row that came in pieces. The next one begins in row.
func (d *Digester) AddLong(row *LongRow) {
	h := row.h.Sum128()
	d.add(h.Hi, h.Lo)
	d.rows++
	row.h.Reset()
}

// Merge adds the rows of another slice of the same table.
func (d *Digester) Merge(slice *Digester) {
	d.add(slice.hi, slice.lo)
	d.rows += slice.rows
}

func (d *Digester) add(hi, lo uint64) {
	var carry uint64
	d.lo, carry = bits.Add64(d.lo, lo, 0)
	d.hi, _ = bits.Add64(d.hi, hi, carry)
}

// Digest sums up the rows added so far.
func (d *Digester) Digest() Digest {
	sum := Digest{Rows: d.rows}
	binary.BigEndian.PutUint64(sum.Hash[:], d.hi)
	binary.BigEndian.PutUint64(sum.Hash[8:], d.lo)
	return sum
}

// namedDifferences is how many tables a mismatch names before it only counts.
const namedDifferences = 5

// Compare returns nil if other holds exactly the tables and rows of f, the fingerprint of what was backed up.
// Otherwise it returns a *safepoint.Error with CodeMismatch that names the first few tables and how they differ.
func (f Fingerprint) Compare(other Fingerprint) error {
	var tables []string // that differ
	for table := range f {
		if f.difference(other, table) != "" {
			tables = append(tables, table)
		}
	}
	for table := range other {
		if _, expected := f[table]; !expected {
			tables = append(tables, table)
		}
	}
	if len(tables) == 0 {
		return nil
	}
	slices.Sort(tables)
	differ := len(tables)
	named := tables[:min(differ, namedDifferences)]
	for i, table := range named {
		named[i] = table + " " + f.difference(other, table)
	}
	text := strings.Join(named, "; ")
	if more := differ - len(named); more > 0 {
		text += fmt.Sprintf("; and %d more", more)
	}
	noun := "tables differ"
	if differ == 1 {
		noun = "table differs"
	}
	return safepoint.Errorf(safepoint.CodeMismatch, "%d %s from the backup: %s.", differ, noun, text)
}

// difference says how other's table departs from f's, "" if it does not.
func (f Fingerprint) difference(other Fingerprint, table string) string {
	want, expected := f[table]
	got, found := other[table]
	switch {
	case !found:
		return "is missing"
	case !expected:
		return "is not in the backup"
	case want.Rows != got.Rows:
		return fmt.Sprintf("has %d rows instead of %d", got.Rows, want.Rows)
	case want.Hash != got.Hash:
		return fmt.Sprintf("has the right number of rows (%d) but other content", got.Rows)
	}
	return ""
}
