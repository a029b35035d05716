//go:build !unix

package postgres

import (
	"io"
	"net"
)

// patient is how the rows of a connection are read.
func patient(conn net.Conn) io.Reader { return conn }
