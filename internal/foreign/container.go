package foreign

import (
	"archive/zip"
	"bufio"
	"bytes"
	"compress/bzip2"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/klauspost/compress/zstd"
	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/archive"
	"github.com/therootcompany/xz"
)

// ErrArchive says that a file is one of Safepoint's own archives: there is nothing to convert.
var ErrArchive = errors.New("the file is an archive of Safepoint")

// format is what a file is, told by its first bytes and never by its name.
type format string

const (
	plain     format = "plain SQL"
	gzipped   format = "gzip"
	zstandard format = "zstd"
	bzipped   format = "bzip2"
	xzipped   format = "xz"
	zipped    format = "zip"
	tarred    format = "tar"
	custom    format = "custom format"
	folder    format = "directory format"
)

// headLen is how much of a file is looked at to tell what it is.
const headLen = 4096

// magic lists the first bytes of what we read.
var magic = []struct {
	at     int
	bytes  string
	format format
}{
	{0, "\x1f\x8b", gzipped},
	{0, "\x28\xb5\x2f\xfd", zstandard},
	{0, "BZh", bzipped},
	{0, "\xfd7zXZ\x00", xzipped},
	{0, "PK\x03\x04", zipped},
	{0, "PGDMP", custom},
	{257, "ustar", tarred},
}

// others lists the first bytes of what we do not read, and what to do about it.
var others = []struct{ bytes, what, hint string }{
	{"SQLite format 3\x00", "an SQLite database", "Add it as a database of its own instead; its backups can then be restored."},
	{"age-encryption.org/", "encrypted with age", "Decrypt it first: age -d -i KEY FILE."},
	{"-----BEGIN AGE ENCRYPTED FILE-----", "encrypted with age", "Decrypt it first: age -d -i KEY FILE."},
	{"\x04\x22\x4d\x18", "compressed with lz4", "Decompress it first: lz4 -d FILE."},
	{"7z\xbc\xaf\x27\x1c", "a 7-Zip file", "Unpack it first."},
	{"Rar!", "a RAR file", "Unpack it first."},
	{"PK\x05\x06", "an empty zip file", "Look where the dump was made for what went wrong."},
	{"\xff\xfe", "text in UTF-16", "PowerShell's > makes such files out of pg_dump's output, and damages text on the way. Make the dump anew with pg_dump --file=NAME."},
	{"\xfe\xff", "text in UTF-16", "Make the dump anew with pg_dump --file=NAME."},
}

// Head is how much of a file Known looks at.
const Head = headLen

// Known refuses a file by its first bytes, where they tell that it cannot be used, whatever follows.
func Known(head []byte) error {
	_, err := detect(head[:min(len(head), headLen)])
	return err
}

// detect tells a file by its first bytes.
func detect(head []byte) (format, error) {
	if len(head) == 0 {
		return "", refuse("A dump is never empty, even of a database without tables. Copy the file again from where it was made.", "The file is empty: it has zero bytes.")
	}
	for _, m := range magic {
		if len(head) >= m.at && bytes.HasPrefix(head[m.at:], []byte(m.bytes)) {
			return m.format, nil
		}
	}
	if len(head) >= 4 && head[0]&0xf0 == 0x50 && string(head[1:4]) == "\x2a\x4d\x18" {
		return zstandard, nil // a skippable frame
	}
	for _, o := range others {
		if bytes.HasPrefix(head, []byte(o.bytes)) {
			return "", refuse(o.hint, "This is not a dump of PostgreSQL: it is %s.", o.what)
		}
	}
	if bytes.IndexByte(head, 0) >= 0 {
		return "", refuse("Choose a file that pg_dump or Safepoint made.", "This is not a dump of PostgreSQL: it holds neither SQL nor anything that is known here.")
	}
	return plain, nil
}

// source is the SQL of a dump, and what it came out of.
type source struct {
	io.Reader
	container format
	closers   []func() error
	done      func() (done, total int64) // bytes of the file
}

// Close ends everything that was opened for it, in reverse order. Closing it again does nothing.
func (s *source) Close() error {
	var errs []error
	for i := len(s.closers) - 1; i >= 0; i-- {
		errs = append(errs, s.closers[i]())
	}
	s.closers = nil
	return errors.Join(errs...)
}

// open finds out what is at path and opens its SQL.
func open(ctx context.Context, path string, opt Options) (*source, error) {
	s := &source{}
	if err := s.open(ctx, path, opt); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func (s *source) open(ctx context.Context, path string, opt Options) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if info.IsDir() {
		return s.openFolder(ctx, path, opt)
	}
	if !info.Mode().IsRegular() {
		return safepoint.Errorf(safepoint.CodeInvalid, "%s is neither a file nor a folder.", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	s.closers = append(s.closers, f.Close)
	head := make([]byte, headLen)
	n, err := io.ReadFull(f, head)
	if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
		return fmt.Errorf("read the dump: %w", err)
	}
	if s.container, err = detect(head[:n]); err != nil {
		return err
	}
	if s.container == zstandard {
		if err := notOurs(f, info.Size()); err != nil {
			return err
		}
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("read the dump: %w", err)
	}
	switch s.container {
	case custom, tarred:
		return s.openOwn(ctx, path, f, info.Size(), opt)
	}
	in := &counter{ctx: ctx, r: f}
	s.done = func() (int64, int64) { return in.n, info.Size() }
	if err := s.decompress(f, in, info.Size(), opt.Limits); err != nil {
		return err
	}
	return s.unwrapped()
}

// notOurs returns ErrArchive for an archive of ours that is whole, and why it is refused for one that is not.
func notOurs(f *os.File, size int64) error {
	_, err := archive.Open(f, size, archive.Trust{Unsigned: true})
	if err == nil {
		return ErrArchive
	}
	if errors.Is(err, archive.ErrNoContents) {
		return nil
	}
	return err
}

// decompress sets the reader of the SQL in f, of which in reads the bytes.
func (s *source) decompress(f *os.File, in *counter, size int64, l Limits) error {
	read := func() int64 { return in.n }
	limited := func(r io.Reader) io.Reader { return &guard{r: r, what: s.container, in: read, limits: l} }
	buffered := bufio.NewReaderSize(in, 64<<10)
	switch s.container {
	case plain:
		s.Reader = limited(in)
	case gzipped:
		r, err := gzip.NewReader(buffered)
		if err != nil {
			return damaged(s.container, err)
		}
		s.Reader = limited(r)
	case bzipped:
		s.Reader = limited(bzip2.NewReader(buffered))
	case xzipped:
		r, err := xz.NewReader(buffered, uint32(min(l.Window, 1<<31)))
		if err != nil {
			return damaged(s.container, err)
		}
		s.Reader = limited(r)
	case zstandard:
		r, err := zstd.NewReader(in, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(uint64(l.Window)))
		if err != nil {
			return damaged(s.container, err)
		}
		s.closers = append(s.closers, func() error { r.Close(); return nil })
		s.Reader = limited(r)
	case zipped:
		r, err := onlyMember(io.NewSectionReader(countAt{in, f}, 0, size), size)
		if err != nil {
			return err
		}
		s.closers = append(s.closers, r.Close)
		s.Reader = limited(r)
	}
	return nil
}

// onlyMember opens the one file in a zip. Names in it are never used.
func onlyMember(r io.ReaderAt, size int64) (io.ReadCloser, error) {
	z, err := zip.NewReader(r, size)
	if err != nil {
		return nil, damaged(zipped, err)
	}
	var only *zip.File
	for _, f := range z.File {
		switch {
		case f.Mode().IsDir():
		case !f.Mode().IsRegular():
			return nil, refuse("Put the dump alone into the zip file.", "The zip file holds something that is not a file.")
		case only != nil:
			return nil, refuse("Put the dump alone into a zip file, or unpack it and choose the dump.", "The zip file holds %d files, and only one can be the dump.", len(z.File))
		case f.Flags&1 != 0:
			return nil, refuse("Unpack it with its password first.", "The zip file is encrypted.")
		default:
			only = f
		}
	}
	if only == nil {
		return nil, refuse("Look where the dump was made for what went wrong.", "The zip file holds no file.")
	}
	m, err := only.Open()
	if err != nil {
		return nil, damaged(zipped, err)
	}
	return m, nil
}

// unwrapped looks at the SQL's first bytes: what is compressed twice, or is a dump of something else, is refused.
func (s *source) unwrapped() error {
	b := bufio.NewReaderSize(s.Reader, 64<<10)
	head, err := b.Peek(headLen)
	if err != nil && err != io.EOF {
		return s.broken(err)
	}
	if len(head) > 0 && s.container != plain {
		inner, err := detect(head)
		switch {
		case err != nil:
			return err
		case inner != plain:
			return refuse("Unpack it once, and choose what comes out.", "The file is packed twice: a %s inside a %s file.", inner, s.container)
		}
	}
	s.Reader = b
	return dialect(head)
}

// broken words a reader's failure, unless it is worded already.
func (s *source) broken(err error) error {
	var known *safepoint.Error
	var path *fs.PathError
	switch {
	case errors.As(err, &known), errors.As(err, &path), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	case s.container == plain, s.container == folder, s.container == custom, s.container == tarred:
		return fmt.Errorf("read the dump: %w", err)
	}
	return damaged(s.container, err)
}

const hintDamaged = "Copy it again from where it was made. Nothing was changed."

func damaged(f format, err error) error {
	switch {
	case errors.Is(err, zstd.ErrWindowSizeExceeded), errors.Is(err, zstd.ErrDecoderSizeExceeded), errors.Is(err, xz.ErrMemlimit):
		return refuse("Decompress it first, or raise the limit: --max-window.", "The %s file asks for more memory than the limit on its window allows.", f)
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return refuse(hintDamaged, "The %s file has been cut off.", f)
	}
	return safepoint.Errorf(safepoint.CodeArchive, "The %s file is damaged: it cannot be decompressed.", f).Hinted(hintDamaged).WithCause(err)
}

// openFolder opens what pg_dump -Fd made.
func (s *source) openFolder(ctx context.Context, path string, opt Options) error {
	s.container = folder
	if _, err := os.Stat(filepath.Join(path, "toc.dat")); err != nil {
		return refuse("Choose a file, or a folder made by pg_dump --format=directory.", "The folder holds no toc.dat: it is not a dump of pg_dump.")
	}
	var size int64
	entries, err := os.ReadDir(path)
	if err != nil {
		return err
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			return err
		}
		if !info.Mode().IsRegular() {
			return refuse("Choose a folder made by pg_dump --format=directory.", "The folder holds something that is not a file: %.60q.", e.Name())
		}
		size += info.Size()
	}
	return s.unpack(ctx, path, size, opt)
}

// unpack has pg_restore write the SQL of an archive of size bytes.
func (s *source) unpack(ctx context.Context, path string, size int64, opt Options) error {
	if opt.Unpack == nil {
		return safepoint.Errorf(safepoint.CodeTool, "This is a dump in pg_dump's %s, and pg_restore is not at hand to read it.", s.container).
			WithHint("Install the client programs of PostgreSQL, or make a plain dump.")
	}
	r, err := opt.Unpack(ctx, path)
	if err != nil {
		return err
	}
	s.closers = append(s.closers, r.Close)
	s.Reader = &guard{r: r, what: s.container, in: func() int64 { return size }, limits: opt.Limits}
	s.done = func() (int64, int64) { return 0, 0 }
	return s.unwrapped()
}
