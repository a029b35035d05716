package e2e

import (
	"io"
	"net"
	"strconv"
	"sync"
	"testing"
)

// line stands between the server and a PostgreSQL cluster, and can hold back what the cluster sends.
type line struct {
	listener net.Listener
	to       string

	mu    sync.Mutex
	left  int64         // bytes to let through before holding
	armed bool          // left counts
	held  chan struct{} // closed when the limit is reached
	free  chan struct{} // closed to let everything through
	conns []net.Conn
}

// newLine passes connections on to a port of this machine.
func newLine(t *testing.T, port int) *line {
	t.Helper()
	listener := must(net.Listen("tcp", "127.0.0.1:0"))(t)
	l := &line{listener: listener, to: net.JoinHostPort("127.0.0.1", strconv.Itoa(port))}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			all.Go(func() { l.serve(client) })
		}
	})
	t.Cleanup(func() {
		listener.Close()
		l.release()
		l.mu.Lock()
		for _, c := range l.conns {
			c.Close()
		}
		l.mu.Unlock()
		all.Wait()
	})
	return l
}

func (l *line) port() int { return l.listener.Addr().(*net.TCPAddr).Port }

func (l *line) serve(client net.Conn) {
	server, err := net.Dial("tcp", l.to)
	if err != nil {
		client.Close()
		return
	}
	l.mu.Lock()
	l.conns = append(l.conns, client, server)
	l.mu.Unlock()
	var both sync.WaitGroup
	both.Go(func() {
		io.Copy(server, client)
		server.Close()
	})
	both.Go(func() {
		io.Copy(client, reader{l, server})
		client.Close()
	})
	both.Wait()
}

// hold lets n more bytes of the cluster through, in all connections together, and then nothing until release. The
// signal is closed when the limit is reached.
func (l *line) hold(n int64) <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.armed, l.left = true, n
	l.held, l.free = make(chan struct{}), make(chan struct{})
	return l.held
}

func (l *line) release() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.armed {
		l.armed = false
		close(l.free)
	}
}

// reader reads from the cluster at the line's pace.
type reader struct {
	l    *line
	conn net.Conn
}

func (r reader) Read(p []byte) (int, error) {
	n, err := r.conn.Read(p)
	r.l.mu.Lock()
	wait := false
	if r.l.armed && r.l.left >= 0 {
		if r.l.left -= int64(n); r.l.left < 0 {
			close(r.l.held)
		}
	}
	wait = r.l.armed && r.l.left < 0
	free := r.l.free
	r.l.mu.Unlock()
	if wait {
		<-free
	}
	return n, err
}
