package postgres

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/safepoint-db/safepoint/internal/engine"
	"github.com/safepoint-db/safepoint/internal/scratch"
)

// relay lends a session that we opened and logged in to a program such as pg_dump, which finds it at a Unix socket in
// a private folder and needs no password. So no secret reaches a command line, an environment or a file, TLS is ours,
// a database's name is never interpreted, and the session can be opened before a gate closes the database.
type relay struct {
	target engine.Target
	conn   *pgconn.PgConn
	dir    *scratch.Folder // of the socket
}

const relayPort = "5432" // part of the socket's name only

func newRelay(ctx context.Context, t engine.Target) (*relay, error) {
	session, err := connectContent(ctx, t)
	if err != nil {
		return nil, err
	}
	dir, err := scratch.New("")
	if err != nil {
		hangUp(session)
		return nil, err
	}
	return &relay{target: t, conn: session.PgConn(), dir: dir}, nil
}

func (r *relay) close() {
	if r == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	r.conn.Close(ctx)
	r.dir.Remove()
}

// pid is the server's process of the session.
func (r *relay) pid() uint32 { return r.conn.PID() }

// conninfo is what the program is told. User and database are words of ours: the session has its own already.
func (r *relay) conninfo() string {
	return fmt.Sprintf("host='%s' port=%s user=safepoint dbname=safepoint sslmode=disable gssencmode=disable", r.dir.Path, relayPort)
}

// run runs a program that makes one connection to the relay, and waits for its end. Its standard error becomes the
// error's text; where the server reported an error through the session, that is the cause.
// The session can be used again if the program took leave of it in order.
// answer, if not nil, may give the tag with which a statement is answered at once, without the server.
func (r *relay) run(ctx context.Context, cmd *exec.Cmd, answer func(statement string) (tag string, ok bool)) error {
	socket := filepath.Join(r.dir.Path, ".s.PGSQL."+relayPort)
	os.Remove(socket)
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: socket, Net: "unix"})
	if err != nil {
		return fmt.Errorf("listen for %s: %w", filepath.Base(cmd.Path), err)
	}
	defer l.Close()
	var said tail
	cmd.Stderr = &said
	cmd.WaitDelay = closeTimeout
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", filepath.Base(cmd.Path), err)
	}
	served := make(chan error, 1)
	hijacked, err := r.conn.Hijack()
	if err != nil {
		cmd.Process.Kill()
		cmd.Wait()
		return fmt.Errorf("lend a session: %w", err)
	}
	lend := &lending{hijacked: hijacked, answer: answer}
	go func() { served <- lend.serve(l) }()

	exited := cmd.Wait()
	l.Close() // ends serve where the program never came
	hijacked.Conn.SetDeadline(time.Now())
	servedErr := <-served
	hijacked.Conn.SetDeadline(time.Time{})
	conn, err := pgconn.Construct(hijacked)
	if err != nil {
		hijacked.Conn.Close()
		return fmt.Errorf("take the session back: %w", err)
	}
	r.conn = conn
	switch {
	case ctx.Err() != nil:
		r.abandon()
		return fmt.Errorf("stopped: %w", ctx.Err())
	case lend.reported != nil && exited != nil:
		r.reset(ctx) // if that fails, so will the next use
		return lend.reported
	case exited != nil && servedErr != nil:
		r.abandon()
		return servedErr
	case exited != nil:
		return fmt.Errorf("%s failed: %w: %s", filepath.Base(cmd.Path), exited, said.String())
	}
	return r.reset(ctx)
}

// reset makes the session as it was before it was lent.
func (r *relay) reset(ctx context.Context) error {
	for _, sql := range []string{"ROLLBACK", "DISCARD ALL", contentSettings(r.conn)} {
		if err := r.conn.Exec(ctx, sql).Close(); err != nil {
			return fmt.Errorf("take the session back: %w", err)
		}
	}
	return nil
}

// abandon stops what the session is doing and ends it.
func (r *relay) abandon() {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	r.conn.CancelRequest(ctx)
	r.conn.Close(ctx)
}

// lending is one use of a session by a program.
type lending struct {
	hijacked *pgconn.HijackedConn
	answer   func(statement string) (tag string, ok bool)
	reported *pgconn.PgError // the last error that the server reported
}

// serve lets in one client, answers its start as the server did ours, and copies messages both ways until the client
// takes leave (nil) or one side breaks.
func (l *lending) serve(listener *net.UnixListener) error {
	client, err := listener.Accept()
	if err != nil {
		return fmt.Errorf("wait for the program: %w", err)
	}
	defer client.Close()
	if err := l.start(client); err != nil {
		return fmt.Errorf("let the program in: %w", err)
	}
	answers := make(chan error, 1)
	go func() {
		err := forward(client, l.hijacked.Conn, func(kind byte, body []byte, _ bool) bool { l.listen(kind, body); return false })
		client.Close() // the program learns that the server is gone
		answers <- err
	}()
	err = forward(l.hijacked.Conn, client, func(kind byte, body []byte, alone bool) bool { return alone && l.answered(client, kind, body) })
	left := errors.Is(err, errTerminate)
	// Wakes the other direction, which waits for an answer that nobody asked for. The session itself goes on.
	l.hijacked.Conn.SetReadDeadline(time.Now())
	answered := <-answers
	switch {
	case left:
		return nil
	case answered != nil && !errors.Is(answered, os.ErrDeadlineExceeded):
		return fmt.Errorf("read from the server: %w", answered)
	}
	return fmt.Errorf("the program went away: %w", err)
}

const (
	requestSSL    = 80877103
	requestGSS    = 80877104
	protocolMajor = 3
)

func (l *lending) start(client net.Conn) error {
	client.SetDeadline(time.Now().Add(dialTimeout))
	defer client.SetDeadline(time.Time{})
	minor := uint32(0)
	for {
		var head [8]byte
		if _, err := io.ReadFull(client, head[:]); err != nil {
			return err
		}
		length, code := binary.BigEndian.Uint32(head[:4]), binary.BigEndian.Uint32(head[4:])
		if length < 8 || length > 64<<10 {
			return errors.New("not the start of a PostgreSQL client")
		}
		if _, err := io.CopyN(io.Discard, client, int64(length-8)); err != nil {
			return err
		}
		if code == requestSSL || code == requestGSS {
			if _, err := client.Write([]byte("N")); err != nil {
				return err
			}
			continue
		}
		if code>>16 != protocolMajor {
			return fmt.Errorf("protocol %d.%d", code>>16, code&0xffff)
		}
		minor = code & 0xffff
		break
	}
	return l.greet(client, minor)
}

func (l *lending) greet(client net.Conn, minor uint32) error {
	var out []byte
	var err error
	add := func(m pgproto3.BackendMessage) {
		if err == nil {
			out, err = m.Encode(out)
		}
	}
	if minor > 0 {
		add(&pgproto3.NegotiateProtocolVersion{NewestMinorProtocol: 0})
	}
	add(&pgproto3.AuthenticationOk{})
	for name, value := range l.hijacked.ParameterStatuses {
		add(&pgproto3.ParameterStatus{Name: name, Value: value})
	}
	add(&pgproto3.BackendKeyData{ProcessID: l.hijacked.PID, SecretKey: l.hijacked.SecretKey})
	add(&pgproto3.ReadyForQuery{TxStatus: 'I'})
	if err != nil {
		return err
	}
	_, err = client.Write(out)
	return err
}

// listen notes what the server reports.
func (l *lending) listen(kind byte, body []byte) {
	if kind != 'E' {
		return
	}
	var m pgproto3.ErrorResponse
	if m.Decode(body) == nil {
		l.reported = pgconn.ErrorResponseToPgError(&m)
	}
}

// answered answers a statement in the server's place: it has nothing to say then, for it waits for the next one.
func (l *lending) answered(client net.Conn, kind byte, body []byte) bool {
	if kind != 'Q' || l.answer == nil || len(body) == 0 {
		return false
	}
	tag, ok := l.answer(string(body[:len(body)-1]))
	if !ok {
		return false
	}
	reply, err := (&pgproto3.CommandComplete{CommandTag: []byte(tag)}).Encode(nil)
	if err == nil {
		reply, err = (&pgproto3.ReadyForQuery{TxStatus: 'T'}).Encode(reply)
	}
	if err == nil {
		_, err = client.Write(reply)
	}
	return err == nil
}

var errTerminate = errors.New("the client took leave")

// forward copies messages (a byte for the kind, a length that counts itself, a body) until src ends or says goodbye.
// take is called with short messages, and told whether nothing came after it yet. What it takes is not passed on.
func forward(dst io.Writer, src io.Reader, take func(kind byte, body []byte, alone bool) bool) error {
	in, out := bufio.NewReaderSize(src, 64<<10), bufio.NewWriterSize(dst, 64<<10)
	for {
		head, err := in.Peek(5)
		if err != nil {
			return err
		}
		length := int64(binary.BigEndian.Uint32(head[1:]))
		if length < 4 {
			return errors.New("a message shorter than its own length")
		}
		if head[0] == 'X' {
			return errTerminate
		}
		if length < 32<<10 {
			whole, err := in.Peek(int(length) + 1)
			if err == nil && take(whole[0], whole[5:], in.Buffered() == len(whole) && out.Buffered() == 0) {
				in.Discard(len(whole))
				continue
			}
		}
		if _, err := io.CopyN(out, in, length+1); err != nil {
			return err
		}
		if in.Buffered() == 0 {
			if err := out.Flush(); err != nil {
				return err
			}
		}
	}
}

// tail keeps the end of what a program said.
type tail struct{ b []byte }

const tailSize = 8 << 10

func (t *tail) Write(p []byte) (int, error) {
	t.b = append(t.b, p...)
	if len(t.b) > tailSize {
		t.b = append(t.b[:0], t.b[len(t.b)-tailSize:]...)
	}
	return len(p), nil
}

func (t *tail) String() string { return string(t.b) }
