package sqlite

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
	"unsafe"

	"modernc.org/libc"
	"modernc.org/libc/sys/types"
	_ "modernc.org/sqlite" // sets the library up: its mutexes and patches
	sqlite3 "modernc.org/sqlite/lib"
)

// conn is one connection to one file. It speaks to the library directly, because database/sql hides what this engine
// stands on: a file name taken literally, values with their storage class, and a backup into an open connection.
// It is not safe for concurrent use.
type conn struct {
	tls   *libc.TLS
	db    uintptr
	ctx   context.Context
	wait  time.Duration // how long to wait for a lock that another process holds
	since time.Time     // when the present wait began
	allow authorizer    // nil allows everything

	bigEndian bool // the database's text is UTF-16, big-endian
}

// authorizer decides whether a statement may do one thing. The arguments are those of sqlite3_set_authorizer.
type authorizer func(action int32, arg1, arg2 string) bool

// sqliteError is the library's answer: an extended result code, and its words.
type sqliteError struct {
	code int32
	msg  string
}

func (e *sqliteError) Error() string { return fmt.Sprintf("sqlite: %s (%d)", e.msg, e.code) }

// resultCode is the primary result code in err's chain, 0 if there is none.
func resultCode(err error) int32 {
	var e *sqliteError
	if !errors.As(err, &e) {
		return 0
	}
	return e.code & 0xff
}

var errNUL = &sqliteError{sqlite3.SQLITE_MISUSE, "a NUL byte in a statement or name"}

// conns finds a conn from the library's callbacks, which carry only its handle.
var conns sync.Map // uintptr → *conn

type access int32

const (
	readOnly  access = sqlite3.SQLITE_OPEN_READONLY
	readWrite access = sqlite3.SQLITE_OPEN_READWRITE
	create    access = sqlite3.SQLITE_OPEN_READWRITE | sqlite3.SQLITE_OPEN_CREATE
)

// openFile opens the file at path, which is taken literally: no URI, no "?" options. Statements end when ctx does, and
// wait at most wait for a lock. No schema that it reads is trusted, and none can be written to by hand.
func openFile(ctx context.Context, path string, how access, wait time.Duration) (*conn, error) {
	c := &conn{tls: libc.NewTLS(), ctx: ctx, wait: wait}
	name, err := c.cstring(path)
	if err != nil {
		c.tls.Close()
		return nil, err
	}
	defer libc.Xfree(c.tls, name)

	pp := c.tls.Alloc(8)
	rc := sqlite3.Xsqlite3_open_v2(c.tls, name, pp, int32(how)|sqlite3.SQLITE_OPEN_FULLMUTEX, 0)
	c.db = *(*uintptr)(pointer(pp))
	c.tls.Free(8)
	if rc != sqlite3.SQLITE_OK {
		err := c.err(rc)
		c.close()
		return nil, err
	}
	conns.Store(c.db, c)
	sqlite3.Xsqlite3_extended_result_codes(c.tls, c.db, 1)
	sqlite3.Xsqlite3_busy_handler(c.tls, c.db, funcPointer(onBusy), c.db)
	sqlite3.Xsqlite3_progress_handler(c.tls, c.db, 10_000, funcPointer(onProgress), c.db)
	for option, on := range map[int32]int32{
		sqlite3.SQLITE_DBCONFIG_DEFENSIVE:      1,
		sqlite3.SQLITE_DBCONFIG_TRUSTED_SCHEMA: 0,
	} {
		if rc := c.config(option, on); rc != sqlite3.SQLITE_OK {
			err := c.err(rc)
			c.close()
			return nil, err
		}
	}
	return c, nil
}

func (c *conn) config(option, on int32) int32 {
	args := libc.Xmalloc(c.tls, 16)
	defer libc.Xfree(c.tls, args)
	return sqlite3.Xsqlite3_db_config(c.tls, c.db, option, libc.VaList(args, on, uintptr(0)))
}

// close rolls back what is open and releases the file. It may be called twice.
func (c *conn) close() error {
	if c.tls == nil {
		return nil
	}
	conns.Delete(c.db)
	rc := sqlite3.Xsqlite3_close_v2(c.tls, c.db)

	c.tls.Close()
	c.tls = nil
	if rc != sqlite3.SQLITE_OK {
		return &sqliteError{rc, "close"}
	}
	return nil
}

// restrict makes allow decide about every statement prepared from now on.
func (c *conn) restrict(allow authorizer) {
	c.allow = allow
	sqlite3.Xsqlite3_set_authorizer(c.tls, c.db, funcPointer(onAuthorize), c.db)
}

func (c *conn) err(rc int32) error {
	if c.ctx.Err() != nil {
		return context.Cause(c.ctx)
	}
	msg := libc.GoString(sqlite3.Xsqlite3_errstr(c.tls, rc))
	if c.db != 0 {
		if said := libc.GoString(sqlite3.Xsqlite3_errmsg(c.tls, c.db)); said != "not an error" {
			msg = said
		}
	}
	return &sqliteError{rc, msg}
}

// exec runs every statement of script, and passes over rows that they return.
func (c *conn) exec(script string) error {
	return c.execFrom(strings.NewReader(script), int64(len(script)))
}

// execFrom is exec of the size bytes that r holds. They are read into the library's memory, where they are needed.
func (c *conn) execFrom(r io.Reader, size int64) error {
	text := libc.Xmalloc(c.tls, types.Size_t(size+1))
	if text == 0 {
		return &sqliteError{sqlite3.SQLITE_NOMEM, "out of memory"}
	}
	defer libc.Xfree(c.tls, text)
	script := unsafe.Slice((*byte)(pointer(text)), size+1)
	if _, err := io.ReadFull(r, script[:size]); err != nil {
		return fmt.Errorf("read statements: %w", err)
	}
	if bytes.IndexByte(script[:size], 0) >= 0 {
		return errNUL
	}
	script[size] = 0
	for at := text; *(*byte)(pointer(at)) != 0; {
		s, next, err := c.compile(at)
		if err != nil {
			return err
		}
		at = next
		if s == nil {
			continue // a comment, or white space
		}
		for more := true; more && err == nil; {
			more, err = s.step()
		}
		if closed := s.close(); err == nil {
			err = closed
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// prepare compiles one statement and binds its arguments: string, int64 or []byte.
func (c *conn) prepare(sql string, args ...any) (*stmt, error) {
	text, err := c.cstring(sql)
	if err != nil {
		return nil, err
	}
	defer libc.Xfree(c.tls, text)
	s, _, err := c.compile(text)
	if err != nil {
		return nil, err
	}
	for i, arg := range args {
		switch v := arg.(type) {
		case int64:
			sqlite3.Xsqlite3_bind_int64(c.tls, s.handle, int32(i+1), v)
		case string:
			p, err := c.cstring(v)
			if err != nil {
				s.close()
				return nil, err
			}
			s.owned = append(s.owned, p)
			sqlite3.Xsqlite3_bind_text(c.tls, s.handle, int32(i+1), p, int32(len(v)), 0)
		default:
			panic(fmt.Sprintf("sqlite: cannot bind a %T", arg))
		}
	}
	return s, nil
}

func (c *conn) compile(text uintptr) (s *stmt, next uintptr, err error) {
	if c.ctx.Err() != nil {
		return nil, 0, context.Cause(c.ctx)
	}
	c.since = time.Time{}
	pp := c.tls.Alloc(16)
	defer c.tls.Free(16)
	if rc := sqlite3.Xsqlite3_prepare_v2(c.tls, c.db, text, -1, pp, pp+8); rc != sqlite3.SQLITE_OK {
		return nil, 0, c.err(rc)
	}
	next = *(*uintptr)(pointer(pp + 8))
	if handle := *(*uintptr)(pointer(pp)); handle != 0 {
		s = &stmt{c: c, handle: handle}
	}
	return s, next, nil
}

// cstring copies s to the library's memory. A NUL byte would hide the rest of s from it, so it is refused.
func (c *conn) cstring(s string) (uintptr, error) {
	p := libc.Xmalloc(c.tls, types.Size_t(len(s)+1))
	if p == 0 {
		return 0, &sqliteError{sqlite3.SQLITE_NOMEM, "out of memory"}
	}
	if strings.IndexByte(s, 0) >= 0 {
		libc.Xfree(c.tls, p)
		return 0, errNUL
	}
	to := unsafe.Slice((*byte)(pointer(p)), len(s)+1)
	copy(to, s)
	to[len(s)] = 0
	return p, nil
}

// int is the first column of the first row of a query, 0 if there is no row.
func (c *conn) int(sql string, args ...any) (int64, error) {
	var n int64
	err := c.each(func(s *stmt) error { n = s.int(0); return errEnough }, sql, args...)
	return n, err
}

// text is the first column of the first row of a query, "" if there is no row.
func (c *conn) text(sql string, args ...any) (string, error) {
	var t string
	err := c.each(func(s *stmt) error { t = s.text(0); return errEnough }, sql, args...)
	return t, err
}

var errEnough = errors.New("no more rows are wanted")

// each calls row for every row of a query, until row returns an error; errEnough ends it without one.
func (c *conn) each(row func(*stmt) error, sql string, args ...any) error {
	s, err := c.prepare(sql, args...)
	if err != nil {
		return err
	}
	defer s.close()
	for {
		more, err := s.step()
		if err != nil || !more {
			return err
		}
		switch err := row(s); {
		case errors.Is(err, errEnough):
			return nil
		case err != nil:
			return err
		}
	}
}

// dataVersion is a number that changes, for this connection, whenever it finds that another one wrote to the file.
func (c *conn) dataVersion() (uint32, error) {
	main, err := c.cstring("main")
	if err != nil {
		return 0, err
	}
	defer libc.Xfree(c.tls, main)
	p := c.tls.Alloc(8)
	defer c.tls.Free(8)
	if rc := sqlite3.Xsqlite3_file_control(c.tls, c.db, main, sqlite3.SQLITE_FCNTL_DATA_VERSION, p); rc != sqlite3.SQLITE_OK {
		return 0, c.err(rc)
	}
	return *(*uint32)(pointer(p)), nil
}

// onBusy is asked by the library whether to try a lock again.
func onBusy(_ *libc.TLS, db uintptr, _ int32) int32 {
	v, ok := conns.Load(db)
	if !ok {
		return 0
	}
	c := v.(*conn)
	if c.since.IsZero() {
		c.since = time.Now()
	}
	if time.Since(c.since) >= c.wait {
		return 0
	}
	timer := time.NewTimer(5 * time.Millisecond)
	defer timer.Stop()
	select {
	case <-c.ctx.Done():
		return 0
	case <-timer.C:
		return 1
	}
}

// onProgress is asked by the library, inside long statements, whether to stop.
func onProgress(_ *libc.TLS, db uintptr) int32 {
	if v, ok := conns.Load(db); ok && v.(*conn).ctx.Err() != nil {
		return 1
	}
	return 0
}

// onAuthorize is asked by the library about each thing a statement would do, while it is prepared.
func onAuthorize(_ *libc.TLS, db uintptr, action int32, arg1, arg2, _, _ uintptr) int32 {
	v, ok := conns.Load(db)
	if !ok {
		return sqlite3.SQLITE_DENY
	}
	if allow := v.(*conn).allow; allow == nil || allow(action, libc.GoString(arg1), libc.GoString(arg2)) {
		return sqlite3.SQLITE_OK
	}
	return sqlite3.SQLITE_DENY
}

// funcPointer is f as the translated library calls it: a pointer to the function's value. f must be a declared
// function, not a closure.
func funcPointer[F any](f F) uintptr {
	return *(*uintptr)(unsafe.Pointer(&struct{ f F }{f}))
}

// pointer is the address p in the library's own memory, which Go's collector neither moves nor frees.
func pointer(p uintptr) unsafe.Pointer { return *(*unsafe.Pointer)(unsafe.Pointer(&p)) }
