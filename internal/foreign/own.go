package foreign

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"regexp"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/scratch"
)

// formatAt is where a custom dump, or a toc.dat, says in which format of pg_dump it is. In a folder that is the tar format.
const (
	formatAt     = 10
	formatCustom = 1
)

// openOwn opens an archive of pg_dump's own in one file: its custom format, its tar format, or a folder of its directory
// format that somebody put into a tar file.
func (s *source) openOwn(ctx context.Context, path string, f *os.File, size int64, opt Options) error {
	if s.container == custom {
		head := make([]byte, formatAt+1)
		if _, err := f.ReadAt(head, 0); err != nil {
			return refuse(hintDamaged, "The dump in pg_dump's custom format has been cut off.")
		}
		if head[formatAt] != formatCustom {
			return refuse("Choose the folder; or to upload it, put the folder into a tar file: tar -cf NAME.tar FOLDER.", "This is the table of contents of a folder that pg_dump --format=directory made, and only one file of it.")
		}
		return s.unpack(ctx, path, size, opt)
	}
	whole, err := isTarFormat(f)
	switch {
	case err != nil:
		return err
	case whole:
		return s.unpack(ctx, path, size, opt)
	}
	dir, err := scratch.New(opt.Temp)
	if err != nil {
		return err
	}
	s.closers = append(s.closers, dir.Remove)
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	if err := extractFolder(ctx, f, dir.Path, size); err != nil {
		return err
	}
	s.container = folder
	return s.unpack(ctx, dir.Path, size, opt)
}

// isTarFormat tells what pg_dump --format=tar made, which begins with toc.dat and compresses nothing, from a folder that
// somebody put into a tar file.
func isTarFormat(f *os.File) (bool, error) {
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return false, err
	}
	first, contents, packed := "", false, false
	for r := tar.NewReader(f); ; {
		h, err := r.Next()
		switch {
		case err == io.EOF && !contents:
			return false, refuse("Unpack it, and choose the dump.", "The tar file holds no dump that pg_dump made as tar or as a folder.")
		case err == io.EOF:
			return first == "toc.dat" && !packed, nil
		case err != nil:
			return false, damagedTar(err)
		}
		if first == "" {
			first = h.Name
		}
		contents = contents || path.Base(h.Name) == "toc.dat"
		switch path.Ext(h.Name) {
		case ".gz", ".lz4", ".zst":
			packed = true
		}
	}
}

func damagedTar(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		return refuse(hintDamaged, "The tar file has been cut off.")
	}
	return damaged(tarred, err)
}

// memberName is what files of a directory dump are called. Nothing else is unpacked, wherever the tar file wants it.
var memberName = regexp.MustCompile(`^(toc\.dat|blobs(_\d{1,10})?\.toc|(blob_)?\d{1,10}\.dat(\.gz|\.lz4|\.zst)?)$`)

// maxMembers bounds the files of a folder.
const maxMembers = 1 << 20

// extractFolder unpacks the files of one folder into dir, under their own last names. A tar file compresses nothing: no
// more than its own size comes out of it, but for one with holes, of which a few bytes stand for as many zeros as it says.
func extractFolder(ctx context.Context, f io.Reader, dir string, size int64) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	in := ""
	for r, n := tar.NewReader(f), 0; ; n++ {
		h, err := r.Next()
		switch {
		case err == io.EOF:
			return nil
		case err != nil:
			return damagedTar(err)
		case n > maxMembers:
			return refuse("Unpack it, and choose the dump.", "The tar file holds more than %d files.", maxMembers)
		case h.Typeflag == tar.TypeDir:
			continue
		case h.Typeflag != tar.TypeReg || !memberName.MatchString(path.Base(h.Name)) || in != "" && path.Dir(h.Name) != in:
			return refuse("Put only the folder that pg_dump made into it: tar -cf NAME.tar FOLDER.", "The tar file holds something that is not part of a dump: %.80q.", h.Name)
		case h.Size > size:
			return refuse("Put the folder into the tar file without --sparse: tar -cf NAME.tar FOLDER.", "The tar file says that more bytes are in it than it has.")
		}
		size -= h.Size
		in = path.Dir(h.Name)
		if err := writeMember(ctx, root, path.Base(h.Name), r); err != nil {
			return err
		}
	}
}

func writeMember(ctx context.Context, root *os.Root, name string, r io.Reader) error {
	out, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("unpack the tar file: %w", err)
	}
	_, err = io.Copy(out, &counter{ctx: ctx, r: r})
	if errors.Is(err, io.ErrUnexpectedEOF) {
		err = damagedTar(err)
	}
	return errors.Join(err, out.Close())
}

// Spool keeps what comes from r in a file of its own below dir ("" is the system's), mode 0600, and returns its path.
// The caller removes it. More than limit bytes are refused; 0 is no limit.
func Spool(ctx context.Context, r io.Reader, dir string, limit int64) (file string, err error) {
	f, err := os.CreateTemp(dir, "safepoint-upload-*")
	if err != nil {
		return "", fmt.Errorf("make a file for the dump: %w", err)
	}
	defer func() {
		if cerr := f.Close(); err == nil {
			err = cerr
		}
		if err != nil {
			os.Remove(f.Name())
		}
	}()
	var from io.Reader = &counter{ctx: ctx, r: r}
	if limit > 0 {
		from = io.LimitReader(from, limit+1)
	}
	n, err := io.Copy(f, from)
	switch {
	case err != nil:
		return "", fmt.Errorf("receive the dump: %w", err)
	case limit > 0 && n > limit:
		return "", TooLarge(limit)
	}
	if err := f.Sync(); err != nil { // it may wait for its turn behind a power cut
		return "", fmt.Errorf("receive the dump: %w", err)
	}
	return filepath.Clean(f.Name()), nil
}

// TooLarge refuses a file of more than limit bytes.
func TooLarge(limit int64) error {
	return refuse("Compress it; or have the operator raise --foreign-max-size of safepoint serve.", "The file is larger than %s: that is the limit on uploads.", safepoint.Bytes(limit))
}
