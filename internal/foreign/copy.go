package foreign

import (
	"bufio"
	"bytes"
	"io"
	"slices"
	"strings"

	"github.com/safepoint-db/safepoint/internal/archive"
)

// sliceSize is how much SQL of one table goes into a frame, in bytes.
var sliceSize int64 = archive.SliceSize / 4

// copyHead is the COPY … FROM stdin before a table's rows.
type copyHead struct {
	schema, table string
	columns       []string
	text          string // as an archive has it
}

// parseCopy reads COPY table [(columns)] FROM stdin; and why it is refused if it is something else.
func parseCopy(bare []byte) (h copyHead, why string) {
	ts := copyTokens(bare)
	schema, table, n := qualified(ts[1:])
	if n == 0 {
		return h, "COPY of a query's result is not part of a dump"
	}
	h.schema, h.table = schema, table
	i := 1 + n
	end := ts[i-1].end
	if at(ts, i).kind == '(' {
		for i++; i < len(ts) && ts[i].kind != ')'; i++ {
			if ts[i].kind == 'w' || ts[i].kind == 'q' {
				h.columns = append(h.columns, ts[i].name())
			}
		}
		end = at(ts, i).end
		i++
	}
	switch {
	case are(ts[min(i, len(ts)):], "WITH", "OIDS"):
		return h, "it loads row identifiers (OIDS), which PostgreSQL has no more since version 12. Make the dump without --oids"
	case at(ts, i).is("TO"):
		return h, "COPY … TO writes rows out of the database, which no dump does"
	case !at(ts, i).is("FROM"):
		return h, "it is not understood"
	case !at(ts, i+1).is("STDIN"):
		return h, "it reads a file or runs a program on the database server"
	case at(ts, i+2).kind != ';':
		return h, "COPY with options is not read. Make the dump with pg_dump, whose rows need none"
	}
	h.text = "COPY " + strings.TrimSpace(string(bare[ts[0].end:end])) + " FROM stdin;\n"
	return h, ""
}

// copyTokens reads all of a COPY, which may name 1,600 columns.
func copyTokens(bare []byte) []token {
	var all []token
	for from := 0; from < len(bare); {
		ts := tokens(bare[from:])
		if len(ts) == 0 {
			break
		}
		for _, t := range ts {
			t.from += from
			t.end += from
			all = append(all, t)
		}
		from = all[len(all)-1].end
	}
	return all
}

// copy takes the rows behind a COPY statement, to the mark that ends them.
func (c *converter) copy(bare []byte) error {
	line := c.scan.Line()
	head, why := parseCopy(bare)
	if why != "" {
		return refuseLine(line, "Nothing was changed.", "%s", why)
	}
	if head.schema == "" {
		head.schema = c.searchPath
	}
	if err := c.beginRows(); err != nil {
		return err
	}
	b := &rowBlock{c: c, head: head, at: len(c.out.Tables), begins: line}
	c.out.Tables = append(c.out.Tables, Table{Schema: head.schema, Name: head.table})
	if n := len(c.out.Tables); n > archive.MaxFrames {
		return refuse("Split it.", "The dump holds the rows of more than %d tables.", archive.MaxFrames)
	}
	if err := b.startOfRows(c.scan.Reader()); err != nil {
		return err
	}
	if err := b.open(); err != nil {
		return err
	}
	return b.rows(c.scan.Reader())
}

// rowBlock is one COPY block on its way into frames.
type rowBlock struct {
	c      *converter
	head   copyHead
	at     int // in Contents.Tables
	begins int // its line

	crlf    bool // its lines end as on Windows
	cr      bool // the line's last byte so far is a carriage return, which was held back
	slashes int  // backslashes at the end of the line so far
	slice   int
	f       *archive.FrameWriter
}

// startOfRows passes over the rest of the statement's line, in which nothing more may stand.
func (b *rowBlock) startOfRows(r *bufio.Reader) error {
	for {
		c, err := r.ReadByte()
		switch {
		case err == io.EOF:
			return io.ErrUnexpectedEOF
		case err != nil:
			return err
		case c == '\n':
			b.c.scan.Skip(1)
			return nil
		case c == '\r':
			b.crlf = true
		case c != ' ' && c != '\t':
			return refuseLine(b.begins, "Nothing was changed.", "something stands behind COPY … FROM stdin")
		}
	}
}

// open begins the next frame.
func (b *rowBlock) open() (err error) {
	b.f, err = b.c.w.Frame(archive.Entry{Section: b.c.section, Kind: kindCopy, Schema: b.head.schema, Table: b.head.table, Columns: b.head.columns, Slice: b.slice})
	if err != nil {
		return err
	}
	b.slice++
	_, err = io.WriteString(b.f, b.head.text)
	return err
}

func (b *rowBlock) close() error {
	if _, err := io.WriteString(b.f, "\\.\n"); err != nil {
		return err
	}
	b.c.out.Tables[b.at].Rows += b.f.Rows
	b.c.out.Rows += b.f.Rows
	return b.f.Close()
}

// rows copies lines up to the mark. A long line comes in pieces and is never held whole.
func (b *rowBlock) rows(r *bufio.Reader) error {
	for begin, full := true, true; ; { // of a line; of a row
		piece, err := r.ReadSlice('\n')
		ended := err == nil
		switch {
		case err == io.EOF && begin && string(bytes.TrimRight(piece, "\r")) == `\.`:
			return b.close() // the file ends with the mark, without a line's end
		case err == io.EOF:
			return refuse(hintDamaged, "The dump has been cut off: it ends within the rows of %s.%s, which begin on line %d.", b.head.schema, b.head.table, b.begins)
		case err != nil && err != bufio.ErrBufferFull:
			return err
		}
		if ended {
			b.c.scan.Skip(1)
			if begin && (string(piece) == "\\.\n" || string(piece) == "\\.\r\n") {
				return b.close()
			}
		}
		if begin && full && b.f.Len() >= sliceSize {
			if err := b.close(); err != nil {
				return err
			}
			if err := b.open(); err != nil {
				return err
			}
		}
		b.c.read(len(piece))
		if err := b.write(piece, ended); err != nil {
			return err
		}
		b.slashes = slashes(piece, b.slashes)
		if full = ended && b.slashes%2 == 0; full {
			b.f.Rows++
		}
		if ended {
			b.slashes = 0
		}
		begin = ended
	}
}

// write passes a piece on, with the line's end that an archive has.
func (b *rowBlock) write(piece []byte, ended bool) error {
	if b.crlf {
		if b.cr && string(piece) != "\n" {
			if _, err := b.f.Write([]byte("\r")); err != nil {
				return err
			}
		}
		b.cr = !ended && bytes.HasSuffix(piece, []byte("\r"))
		if ended {
			piece = bytes.TrimSuffix(bytes.TrimSuffix(piece, []byte("\n")), []byte("\r"))
		} else {
			piece = bytes.TrimSuffix(piece, []byte("\r"))
		}
	}
	if _, err := b.f.Write(piece); err != nil || !b.crlf || !ended {
		return err
	}
	_, err := b.f.Write([]byte("\n"))
	return err
}

// slashes counts the backslashes at the end of a line so far, its line's end aside: an odd number makes that part of a
// value. before were there at the end of the piece before.
func slashes(piece []byte, before int) int {
	piece = bytes.TrimSuffix(piece, []byte("\n"))
	n := len(piece) - len(bytes.TrimRight(piece, "\\"))
	if n == len(piece) {
		n += before
	}
	return n
}

// mergeTables adds up the rows of a table that has several blocks.
func mergeTables(all []Table) []Table {
	type key struct{ schema, name string }
	first := map[key]int{}
	return slices.DeleteFunc(all, func(t Table) bool {
		k := key{t.Schema, t.Name}
		i, known := first[k]
		if !known {
			first[k] = len(first)
			return false
		}
		all[i].Rows += t.Rows // DeleteFunc keeps what stays in front, in order
		return true
	})
}
