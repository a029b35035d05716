//go:build unix

package postgres

import (
	"errors"
	"io"
	"net"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// patientFor is how long a read waits in the kernel, in milliseconds, before deadlines are looked at.
	patientFor = 200
	// nap is how long a read lets the server go on, when there was little to read. That is less than what a server needs
	// to fill what the kernel holds for us.
	nap = 300 * time.Microsecond
	// enough is what is read without a nap before the next read, and at the beginning.
	enough = 64 << 10
)

// patientConn reads what comes without pause in small portions. Waiting for each in the runtime's poller costs more than
// reading it: it waits in the kernel instead, and not for every portion. It is for one goroutine.
type patientConn struct {
	conn net.Conn
	raw  syscall.RawConn
	read func(fd uintptr) bool
	p    []byte // of the present call
	n    int
	err  error
	flow int // bytes that came so far
}

// patient is how the rows of a connection are read. One that is encrypted is read as it is.
func patient(conn net.Conn) io.Reader {
	s, ok := conn.(syscall.Conn)
	if !ok {
		return conn
	}
	raw, err := s.SyscallConn()
	if err != nil {
		return conn
	}
	c := &patientConn{conn: conn, raw: raw}
	c.read = c.readFrom
	return c
}

func (c *patientConn) Read(p []byte) (int, error) {
	c.p = p
	err := c.raw.Read(c.read)
	c.p = nil
	switch {
	case err != nil:
		return 0, err
	case c.err != nil:
		return 0, &net.OpError{Op: "read", Net: c.conn.RemoteAddr().Network(), Source: c.conn.LocalAddr(), Addr: c.conn.RemoteAddr(), Err: c.err}
	case c.n == 0 && len(p) > 0:
		return 0, io.EOF
	}
	return c.n, nil
}

// readFrom reads once. It returns false to wait in the poller, which knows of deadlines.
func (c *patientConn) readFrom(fd uintptr) bool {
	if c.flow > enough && c.n < enough {
		sleepInKernel(nap)
	}
	for {
		c.n, c.err = unix.Read(int(fd), c.p)
		switch {
		case errors.Is(c.err, unix.EINTR):
			continue
		case c.err == nil:
			c.flow += c.n
			return true
		case !errors.Is(c.err, unix.EAGAIN):
			return true
		}
		c.n = 0
		if ready, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, patientFor); ready == 0 && err == nil || err != nil && !errors.Is(err, unix.EINTR) {
			return false
		}
	}
}
