package sqlite

import (
	"time"
	"unsafe"

	"modernc.org/libc"
	sqlite3 "modernc.org/sqlite/lib"
)

// Storage classes of a value, as the library numbers them.
const (
	classInteger = sqlite3.SQLITE_INTEGER
	classReal    = sqlite3.SQLITE_FLOAT
	classText    = sqlite3.SQLITE_TEXT
	classBlob    = sqlite3.SQLITE_BLOB
	classNull    = sqlite3.SQLITE_NULL
)

// stmt is one compiled statement.
type stmt struct {
	c      *conn
	handle uintptr
	owned  []uintptr // memory of bound texts
}

// step goes to the next row, and says whether there is one.
func (s *stmt) step() (bool, error) {
	s.c.since = time.Time{}
	switch rc := sqlite3.Xsqlite3_step(s.c.tls, s.handle); rc {
	case sqlite3.SQLITE_ROW:
		return true, nil
	case sqlite3.SQLITE_DONE:
		return false, nil
	default:
		return false, s.c.err(rc)
	}
}

func (s *stmt) close() error {
	rc := sqlite3.Xsqlite3_finalize(s.c.tls, s.handle)
	s.handle = 0
	for _, p := range s.owned {
		libc.Xfree(s.c.tls, p)
	}
	s.owned = nil
	if rc != sqlite3.SQLITE_OK {
		return s.c.err(rc)
	}
	return nil
}

func (s *stmt) columns() int { return int(sqlite3.Xsqlite3_column_count(s.c.tls, s.handle)) }

func (s *stmt) class(i int) int32 { return sqlite3.Xsqlite3_column_type(s.c.tls, s.handle, int32(i)) }

func (s *stmt) int(i int) int64 { return sqlite3.Xsqlite3_column_int64(s.c.tls, s.handle, int32(i)) }

func (s *stmt) real(i int) float64 {
	return sqlite3.Xsqlite3_column_double(s.c.tls, s.handle, int32(i))
}

// text is a copy of a value as UTF-8 text.
func (s *stmt) text(i int) string { return string(s.textBytes(i)) }

// textBytes are the bytes of a value as UTF-8 text. They are the library's, and valid until the next step.
func (s *stmt) textBytes(i int) []byte {
	p := sqlite3.Xsqlite3_column_text(s.c.tls, s.handle, int32(i))
	return view(p, sqlite3.Xsqlite3_column_bytes(s.c.tls, s.handle, int32(i)))
}

// text16Bytes are the bytes of a value as little-endian UTF-16 text. See textBytes.
func (s *stmt) text16Bytes(i int) []byte {
	p := sqlite3.Xsqlite3_column_text16(s.c.tls, s.handle, int32(i))
	return view(p, sqlite3.Xsqlite3_column_bytes16(s.c.tls, s.handle, int32(i)))
}

// blobBytes are the bytes of a blob. See textBytes.
func (s *stmt) blobBytes(i int) []byte {
	p := sqlite3.Xsqlite3_column_blob(s.c.tls, s.handle, int32(i))
	return view(p, sqlite3.Xsqlite3_column_bytes(s.c.tls, s.handle, int32(i)))
}

func view(p uintptr, n int32) []byte {
	if p == 0 || n == 0 {
		return nil
	}
	return unsafe.Slice((*byte)(pointer(p)), int(n))
}

// backup copies a whole database, page by page, into an open connection to another file.
type backup struct {
	from, to *conn
	handle   uintptr
}

// startBackup prepares the copy. Nothing is locked or read until the first step. Neither connection may have a
// transaction open.
func startBackup(from, to *conn) (*backup, error) {
	main, err := to.cstring("main")
	if err != nil {
		return nil, err
	}
	defer libc.Xfree(to.tls, main)
	b := &backup{from: from, to: to, handle: sqlite3.Xsqlite3_backup_init(to.tls, to.db, main, from.db, main)}
	if b.handle == 0 {
		return nil, to.err(sqlite3.Xsqlite3_extended_errcode(to.tls, to.db))
	}
	return b, nil
}

// step copies up to n pages; all that remain if n is negative. With 0 it copies none, but locks the destination until
// finish. The destination changes for others only in the step that copies the last page, and then as a whole.
func (b *backup) step(n int32) (done bool, err error) {
	b.to.since, b.from.since = time.Time{}, time.Time{}
	switch rc := sqlite3.Xsqlite3_backup_step(b.to.tls, b.handle, n); rc {
	case sqlite3.SQLITE_OK:
		return false, nil
	case sqlite3.SQLITE_DONE:
		return true, nil
	default:
		return false, &sqliteError{rc, "copy pages: " + libc.GoString(sqlite3.Xsqlite3_errstr(b.to.tls, rc))}
	}
}

// finish releases the destination. Unless the last step was done, it is as it was before.
func (b *backup) finish() error {
	if b.handle == 0 {
		return nil
	}
	rc := sqlite3.Xsqlite3_backup_finish(b.to.tls, b.handle)
	b.handle = 0
	if rc != sqlite3.SQLITE_OK {
		return &sqliteError{rc, "finish copying: " + libc.GoString(sqlite3.Xsqlite3_errstr(b.to.tls, rc))}
	}
	return nil
}
