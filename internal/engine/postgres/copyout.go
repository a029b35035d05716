package postgres

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/safepoint-db/safepoint/internal/archive"
)

// rowSink takes what COPY … TO STDOUT sends.
type rowSink interface {
	// begin takes note of the next COPY. Its rows are summed up in the digester.
	begin() (*archive.Digester, error)
	// text takes rows as they were sent, one after the other. A row too long to be held comes in several calls.
	// whole is how many rows end in it, and it ends with the end of a row unless whole is 0. It is good until the call returns.
	text(run []byte, whole int64) error
	// end is told how many rows the server speaks of.
	end(rows int64) error
}

// copyOut sends statements as one message, COPY … TO STDOUT among them, and hands on what comes. After an error that
// is not the server's own the session is closed.
func copyOut(ctx context.Context, conn *pgconn.PgConn, sql string, sink rowSink) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := conn.SyncConn(ctx); err != nil { // from here the connection is read past pgx
		return breakOff(conn, err)
	}
	defer cancelWith(ctx, conn)()
	query, err := (&pgproto3.Query{String: sql}).Encode(nil)
	if err == nil {
		_, err = conn.Conn().Write(query)
	}
	if err != nil {
		return breakOff(conn, err)
	}
	in := &copyReader{src: patient(conn.Conn()), buf: copyBuffers.Get().(*[copyBuffer]byte)[:], sink: sink}
	defer copyBuffers.Put((*[copyBuffer]byte)(in.buf))
	if err := in.run(); err != nil {
		return breakOff(conn, err)
	}
	return in.reported
}

// copyBuffer is how much is read at once. A row that is longer comes in pieces.
const copyBuffer = 256 << 10

var copyBuffers = sync.Pool{New: func() any { return new([copyBuffer]byte) }}

// maxAnswer bounds what the server says beside rows.
const maxAnswer = 8 << 20

// copyReader reads the server's answer to one query. Rows are counted, hashed and handed on where they lie: what stands
// between them is closed up, so that a buffer full of short rows becomes one run of text.
type copyReader struct {
	src  io.Reader
	buf  []byte
	r, w int // what was read and not yet looked at

	sink     rowSink
	sum      *archive.Digester // nil outside of COPY
	before   int64             // rows that it had at the beginning
	run0     int               // the run of text that was not handed on yet, in buf
	run1     int
	rows     int64 // in it
	long     *archive.LongRow
	reported error // what the server finds wrong
}

// message is the head of one: a byte for its kind, four for its length.
const messageHead = 5

func (c *copyReader) run() error {
	for ready := false; ; {
		c.wholeRows()
		if err := c.need(messageHead); err != nil {
			return err
		}
		kind, length := c.buf[c.r], int(int32(binary.BigEndian.Uint32(c.buf[c.r+1:])))-4
		switch {
		case length < 0:
			return fmt.Errorf("the server sent a message of %d bytes", length)
		case kind == 'd':
			if err := c.row(length); err != nil {
				return err
			}
			continue
		}
		c.r += messageHead
		if err := c.flush(); err != nil {
			return err
		}
		body, err := c.body(length)
		if err != nil {
			return err
		}
		done, err := c.answer(kind, body)
		if err != nil {
			return err
		}
		if ready = ready || done; ready && c.r == c.w { // a notice may have come along
			return nil
		}
	}
}

// wholeRows takes the rows that lie in the buffer whole, as far as they follow one another.
func (c *copyReader) wholeRows() {
	if c.sum == nil {
		return
	}
	buf, r, to := c.buf[:c.w], c.r, c.run1
	if c.run0 == c.run1 {
		c.run0, to = r, r
	}
	for len(buf)-r >= messageHead && buf[r] == 'd' {
		length := int(binary.BigEndian.Uint32(buf[r+1:])) - 4
		row := r + messageHead
		if length < 1 || length > len(buf)-row || buf[row+length-1] != '\n' {
			break
		}
		c.sum.Add(buf[row : row+length-1])
		copy(buf[to:], buf[row:row+length])
		to += length
		r = row + length
		c.rows++
	}
	c.r, c.run1 = r, to
}

// row takes a row of which a part has not come yet, or which is no row.
func (c *copyReader) row(length int) error {
	switch {
	case c.sum == nil:
		return errors.New("the server sent rows out of turn")
	case length < 1:
		return errNoRowEnd
	case length+messageHead > len(c.buf):
		c.r += messageHead
		return c.longRow(length)
	}
	if err := c.need(messageHead + length); err != nil {
		return err
	}
	if c.buf[c.r+messageHead+length-1] != '\n' {
		return errNoRowEnd
	}
	return nil // it is whole now
}

// longRow hands on a row in pieces.
func (c *copyReader) longRow(length int) error {
	if err := c.flush(); err != nil {
		return err
	}
	if c.long == nil {
		c.long = archive.NewLongRow()
	}
	for length > 0 {
		if err := c.need(1); err != nil {
			return err
		}
		piece := c.buf[c.r:min(c.w, c.r+length)]
		c.r += len(piece)
		if length -= len(piece); length > 0 {
			c.long.Write(piece)
			if err := c.sink.text(piece, 0); err != nil {
				return err
			}
			continue
		}
		last := len(piece) - 1
		if piece[last] != '\n' {
			return errNoRowEnd
		}
		c.long.Write(piece[:last])
		c.sum.AddLong(c.long)
		if err := c.sink.text(piece, 1); err != nil {
			return err
		}
	}
	return nil
}

// need reads until n bytes are there. What was taken before is handed on, where room is needed.
func (c *copyReader) need(n int) error {
	for c.w-c.r < n {
		if err := c.flush(); err != nil {
			return err
		}
		if c.r > 0 {
			c.w = copy(c.buf, c.buf[c.r:c.w])
			c.r = 0
		}
		if n > len(c.buf) {
			return fmt.Errorf("the server sent a message of %d bytes", n)
		}
		got, err := c.src.Read(c.buf[c.w:])
		c.w += got
		if got == 0 && err != nil {
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return err
		}
	}
	return nil
}

// flush hands on the run of text.
func (c *copyReader) flush() error {
	run, rows := c.buf[c.run0:c.run1], c.rows
	c.run0, c.run1, c.rows = 0, 0, 0
	if rows == 0 {
		return nil
	}
	return c.sink.text(run, rows)
}

// body gives what a message holds beside its head.
func (c *copyReader) body(length int) ([]byte, error) {
	if length <= len(c.buf) {
		if err := c.need(length); err != nil {
			return nil, err
		}
		c.r += length
		return c.buf[c.r-length : c.r], nil
	}
	if length > maxAnswer {
		return nil, fmt.Errorf("the server sent a message of %d bytes", length)
	}
	body := make([]byte, 0, length)
	for len(body) < length {
		if err := c.need(1); err != nil {
			return nil, err
		}
		n := min(c.w-c.r, length-len(body))
		body = append(body, c.buf[c.r:c.r+n]...)
		c.r += n
	}
	return body, nil
}

// answer takes a message that is not a row. It says whether the server is done.
func (c *copyReader) answer(kind byte, body []byte) (done bool, err error) {
	switch kind {
	case 'H': // CopyOutResponse
		if c.sum, err = c.sink.begin(); err != nil {
			return false, err
		}
		c.before = c.sum.Rows()
	case 'C': // CommandComplete
		if c.sum == nil {
			return false, nil
		}
		spoken := pgconn.NewCommandTag(string(body[:max(0, len(body)-1)])).RowsAffected()
		if came := c.sum.Rows() - c.before; came != spoken {
			return false, fmt.Errorf("%d rows came, the server speaks of %d", came, spoken)
		}
		c.sum = nil
		return false, c.sink.end(spoken)
	case 'E': // ErrorResponse
		var m pgproto3.ErrorResponse
		if err := m.Decode(body); err != nil {
			return false, err
		}
		c.reported = pgconn.ErrorResponseToPgError(&m)
		c.sum = nil
	case 'Z': // ReadyForQuery
		return true, nil
	}
	return false, nil
}

// What may be wrong with what the server sends.
var (
	errNoRowEnd      = errors.New("the server sent a row without its end")
	errTooManyTables = errors.New("the server sent more tables than were asked for")
)

// cancelWith has the server stop when ctx ends, and gives up on its answer a little later. The function that it
// returns must be called when the answer has come.
func cancelWith(ctx context.Context, conn *pgconn.PgConn) func() {
	done := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(done)
		conn.Conn().SetDeadline(time.Now().Add(closeTimeout))
		ask, cancel := context.WithTimeout(context.Background(), closeTimeout)
		defer cancel()
		conn.CancelRequest(ask)
	})
	return func() {
		if !stop() {
			<-done
		}
	}
}

// breakOff ends a session in the middle of an answer.
func breakOff(conn *pgconn.PgConn, why error) error {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	conn.CancelRequest(ctx)
	conn.Close(ctx)
	return fmt.Errorf("read rows: %w", why)
}
