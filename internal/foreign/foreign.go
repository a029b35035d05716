// Package foreign turns a dump that Safepoint did not make into an archive, from front to back and in constant memory;
// or it says what the file is and why it cannot be used.
//
// What comes out is a backup like any other, which the same code verifies, stages, restores and extracts. Only its
// header says where it comes from (archive.Header.Foreign), and that is why it is executed in its own order and, like
// every script of unknown origin, with hardly any rights. Nothing here executes a statement.
package foreign

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/archive"
)

// Limits stop files that are made to exhaust the machine. Zero fields take the defaults.
type Limits struct {
	SQL       int64 // bytes of SQL that may come out of the file
	Ratio     int64 // bytes of SQL per byte of the file; the first RatioFrom bytes are free
	Window    int64 // bytes that a decompressor may look back, which it holds in memory
	Statement int   // bytes of one statement, which is held in memory. Rows of COPY have no such limit
}

// Defaults of Limits.
const (
	DefaultSQL       = 1 << 40
	DefaultRatio     = 500
	DefaultWindow    = 128 << 20
	DefaultStatement = 64 << 20

	RatioFrom = 64 << 20
)

func (l Limits) orDefault() Limits {
	if l.SQL == 0 {
		l.SQL = DefaultSQL
	}
	if l.Ratio == 0 {
		l.Ratio = DefaultRatio
	}
	if l.Window == 0 {
		l.Window = DefaultWindow
	}
	if l.Statement == 0 {
		l.Statement = DefaultStatement
	}
	return l
}

// Options are what a conversion may be told.
type Options struct {
	Limits  Limits
	NoOwner bool // leave out who owns what and who may do what
	Look    bool // only look: what cannot be used is listed in Contents.Refused, and the archive is good for nothing
	// Unpack turns an archive of pg_dump's own (custom, tar, a folder) into plain SQL. nil refuses these.
	Unpack func(ctx context.Context, path string) (io.ReadCloser, error)
	Temp   string    // an existing folder for what must be unpacked first; "" is the system's
	At     time.Time // when the dump was made, as far as known: the file's own time
	Report func(done, total int64)
}

// Table is a table whose rows the dump holds.
type Table struct {
	Schema string `json:"schema"`
	Name   string `json:"name"`
	Rows   int64  `json:"rows"`
}

// Object is something that a statement makes.
type Object struct {
	Kind string `json:"kind"` // "FUNCTION"
	Name string `json:"name"` // "public.total"
}

// Contents is what a foreign dump holds.
type Contents struct {
	Origin        string         `json:"origin"`                   // "pg_dump 14.2, plain SQL in gzip"
	ServerVersion string         `json:"server_version,omitempty"` // that was dumped, as the dump says
	Encoding      string         `json:"encoding"`
	Tables        []Table        `json:"tables,omitempty"` // with rows, in their order
	Rows          int64          `json:"rows"`
	Statements    map[string]int `json:"statements,omitempty"` // by kind: "CREATE TABLE": 12
	Code          []Object       `json:"code,omitempty"`       // what the database would run by itself later; at most MaxCode
	CodeCount     int            `json:"code_count,omitempty"`
	Extensions    []string       `json:"extensions,omitempty"`
	Owners        []string       `json:"owners,omitempty"`  // roles to whom something is given
	Roles         []string       `json:"roles,omitempty"`   // roles that are granted something, or not
	Notes         []string       `json:"notes,omitempty"`   // what was left out, and why
	Refused       []string       `json:"refused,omitempty"` // with Options.Look: what cannot be used, with its line; at most MaxRefused
	SQL           int64          `json:"sql"`               // bytes of SQL read
}

// MaxCode and MaxRefused bound lists of Contents.
const (
	MaxCode    = 1000
	MaxRefused = 100
)

// Convert reads the dump at path (a file, or a folder made by pg_dump -Fd) and writes it as an archive into w; the
// caller closes w. w's header is kept but for what the dump says of itself. A file that is no dump, is not whole, or asks
// for what only a client program would do is refused with CodeArchive; an archive of Safepoint's own is ErrArchive.
func Convert(ctx context.Context, path string, w *archive.Writer, opt Options) (Contents, error) {
	opt.Limits = opt.Limits.orDefault()
	src, err := open(ctx, path, opt)
	if err != nil {
		return Contents{}, err
	}
	defer src.Close()
	c := newConverter(ctx, src, w, opt)
	if err := c.run(); err != nil {
		return Contents{}, c.explain(err)
	}
	if err := src.Close(); err != nil { // pg_restore's own end
		return Contents{}, err
	}
	return c.finish()
}

// Check looks at the beginning of the dump at path: Convert would refuse it for what it is, or take it.
func Check(ctx context.Context, path string, opt Options) error {
	opt.Limits = opt.Limits.orDefault()
	src, err := open(ctx, path, opt)
	if err != nil {
		return err
	}
	src.Close() // pg_restore is stopped in the middle
	return nil
}

// finish writes the header.
func (c *converter) finish() (Contents, error) {
	h := c.w.Header()
	h.Engine, h.Foreign = safepoint.PostgreSQL, c.out.Origin
	h.Encoding = c.out.Encoding
	h.ServerVersion, h.ServerVersionNum = c.out.ServerVersion, versionNum(c.out.ServerVersion)
	if h.CreatedAt.IsZero() {
		h.CreatedAt = c.opt.At
	}
	type extension struct {
		Name string `json:"name"`
	}
	properties := struct {
		Owners     []string    `json:"owners,omitempty"`
		Roles      []string    `json:"roles,omitempty"`
		Extensions []extension `json:"extensions,omitempty"`
		Foreign    Contents    `json:"foreign"`
	}{Owners: c.out.Owners, Roles: c.out.Roles, Foreign: c.out}
	for _, name := range c.out.Extensions {
		properties.Extensions = append(properties.Extensions, extension{name})
	}
	properties.Foreign.Tables = nil // the table of contents has them
	var err error
	if h.Properties, err = json.Marshal(properties); err != nil {
		return Contents{}, fmt.Errorf("describe the dump: %w", err)
	}
	c.w.SetHeader(h)
	return c.out, nil
}

// ContentsOf is what a converted archive's header says of the dump it was made of; ok is false for any other archive.
func ContentsOf(h archive.Header) (c Contents, ok bool) {
	if h.Foreign == "" {
		return c, false
	}
	var p struct {
		Foreign *Contents `json:"foreign"`
	}
	if json.Unmarshal(h.Properties, &p) != nil || p.Foreign == nil {
		return c, false
	}
	return *p.Foreign, true
}

// errLine is the cause of a refusal of one line.
var errLine = errors.New("a line cannot be used")

// refuseLine refuses what begins on a line.
func refuseLine(line int, hint, format string, args ...any) error {
	return safepoint.Errorf(safepoint.CodeArchive, "Line %d cannot be used: %s.", line, safepoint.Errorf(safepoint.CodeArchive, format, args...).Quoted()).Hinted(hint).WithCause(errLine)
}

func refuse(hint, format string, args ...any) error {
	return safepoint.Errorf(safepoint.CodeArchive, format, args...).Hinted(hint)
}
