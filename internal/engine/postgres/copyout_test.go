package postgres

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/safepoint-db/safepoint/internal/archive"
	"github.com/safepoint-db/safepoint/internal/engine"
	"github.com/safepoint-db/safepoint/internal/pgtest"
)

// message is one of the server's.
func message(kind byte, body string) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{kind}, uint32(len(body)+4)), body...)
}

// taken is a sink that keeps everything.
type taken struct {
	texts []string
	sums  []*archive.Digester
	rows  []int64
}

func (k *taken) begin() (*archive.Digester, error) {
	k.texts, k.rows, k.sums = append(k.texts, ""), append(k.rows, 0), append(k.sums, &archive.Digester{})
	return k.sums[len(k.sums)-1], nil
}

func (k *taken) text(run []byte, whole int64) error {
	if whole > 0 && run[len(run)-1] != '\n' {
		return errors.New("a run of rows ends within one")
	}
	k.texts[len(k.texts)-1] += string(run)
	k.rows[len(k.rows)-1] += whole
	return nil
}

func (k *taken) end(int64) error { return nil }

// TestRowsAreTakenWhereverReadsCutThem has rows of all lengths around the buffer's.
func TestRowsAreTakenWhereverReadsCutThem(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 7))
	const buffer = 4 << 10 // a small one, which what is read comes across often
	lengths := []int{0, 0, 1, 5, 100, 240, 241, buffer - 7, buffer - 6, buffer - 5, buffer, buffer + 1, 3*buffer + 17, 2 * buffer}
	for range 500 {
		lengths = append(lengths, r.IntN(300))
	}
	var stream []byte
	var texts [2]string
	var sums [2]archive.Digester
	for i := range texts {
		r.Shuffle(len(lengths), func(a, b int) { lengths[a], lengths[b] = lengths[b], lengths[a] })
		stream = append(stream, message('H', "\x00\x00\x00")...)
		for n, length := range lengths {
			row := strings.Repeat(string(rune('a'+n%26)), length)
			sums[i].Add([]byte(row))
			texts[i] += row + "\n"
			stream = append(stream, message('d', row+"\n")...)
			if n%97 == 0 {
				stream = append(stream, message('N', "SNOTICE\x00\x00")...)
			}
		}
		stream = append(stream, message('c', "")...)
		stream = append(stream, message('C', fmt.Sprintf("COPY %d\x00", len(lengths)))...)
	}
	stream = append(stream, message('Z', "I")...)
	for name, src := range map[string]io.Reader{"whole": bytes.NewReader(stream), "byte by byte": iotest.OneByteReader(bytes.NewReader(stream)), "at random": &ragged{bytes.NewReader(stream), r}} {
		var k taken
		c := &copyReader{src: src, buf: make([]byte, buffer), sink: &k}
		if err := c.run(); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for i := range texts {
			if k.texts[i] != texts[i] || k.rows[i] != int64(len(lengths)) || k.sums[i].Digest() != sums[i].Digest() {
				t.Errorf("%s: table %d differs: %d bytes of %d, %d rows of %d, %v instead of %v", name, i, len(k.texts[i]), len(texts[i]), k.rows[i], len(lengths), k.sums[i].Digest(), sums[i].Digest())
			}
		}
	}
}

type ragged struct {
	r io.Reader
	n *rand.Rand
}

func (r *ragged) Read(p []byte) (int, error) { return r.r.Read(p[:min(len(p), 1+r.n.IntN(2_000))]) }

func TestWhatIsNotRowsIsRefused(t *testing.T) {
	begin := string(message('H', "\x00\x00\x00"))
	for name, stream := range map[string]string{
		"rows before COPY":     string(message('d', "a\n")),
		"a row without an end": begin + string(message('d', "a")),
		"an empty row":         begin + string(message('d', "")),
		"a long row without":   begin + string(message('d', strings.Repeat("a", 2*copyBuffer))),
		"too few rows":         begin + string(message('d', "a\n")) + string(message('C', "COPY 2\x00")),
		"a negative length":    begin + "d\xff\xff\xff\xff",
		"a huge message":       begin + "N\x7f\xff\xff\xff",
		"an end too soon":      begin + string(message('d', "a\n")),
		"an end within a row":  begin + string(message('d', "abc\n"))[:7],
	} {
		var k taken
		c := &copyReader{src: strings.NewReader(stream), buf: make([]byte, copyBuffer), sink: &k}
		if err := c.run(); err == nil {
			t.Errorf("%s: no error; it gave %q", name, k.texts)
		}
	}
}

// TestCopyOutEndsWithItsContext while the server says nothing, and while it says more than is taken.
func TestCopyOutEndsWithItsContext(t *testing.T) {
	c := pgtest.Shared(t)
	target := pgtest.Create(t, c)
	for name, target := range map[string]engine.Target{"socket": target, "TCP": c.TCPTarget(target.Name)} {
		for query, what := range map[string]string{
			"COPY (SELECT pg_sleep(600)) TO STDOUT":                                         "silent",
			"COPY (SELECT repeat('x', 1000) FROM generate_series(1, 1000000000)) TO STDOUT": "endless",
		} {
			t.Run(name+"/"+what, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				conn, err := connectContent(ctx, target)
				if err != nil {
					t.Fatal(err)
				}
				defer hangUp(conn)
				ended := make(chan error, 1)
				go func() { ended <- copyOut(ctx, conn.PgConn(), query, dropping{}) }()
				for asked := time.Now(); pgtest.Query(t, target, "SELECT count(*) FROM pg_stat_activity WHERE query = $1 AND state = 'active'", query)[0] != "1"; {
					if time.Since(asked) > time.Minute {
						t.Fatal("the server does not begin")
					}
				}
				cancel()
				select {
				case err := <-ended:
					var server *pgconn.PgError
					if err == nil || errors.As(err, &server) && server.Code != "57014" {
						t.Errorf("it ended with %v", err)
					}
				case <-time.After(10 * closeTimeout):
					t.Error("it did not end")
				}
			})
		}
	}
}

// dropping drops all rows.
type dropping struct{}

func (dropping) begin() (*archive.Digester, error) { return &archive.Digester{}, nil }
func (dropping) text([]byte, int64) error          { return nil }
func (dropping) end(int64) error                   { return nil }

// TestASessionIsGoodAfterRows in all the ways that pgx knows, also after the server refused in between.
func TestASessionIsGoodAfterRows(t *testing.T) {
	target := pgtest.Create(t, pgtest.Shared(t))
	conn, err := connectContent(t.Context(), target)
	if err != nil {
		t.Fatal(err)
	}
	defer hangUp(conn)
	for range 3 {
		var k taken
		if err := copyOut(t.Context(), conn.PgConn(), "SET application_name = 'now'; COPY (SELECT repeat('x', 1000000)) TO STDOUT; COPY (SELECT 1 WHERE false) TO STDOUT", &k); err != nil {
			t.Fatal(err)
		}
		if len(k.texts) != 2 || len(k.texts[0]) != 1_000_001 || k.rows[0] != 1 || k.texts[1] != "" {
			t.Fatalf("%d tables, rows %v", len(k.texts), k.rows)
		}
		if err := copyOut(t.Context(), conn.PgConn(), "COPY (SELECT 1/(3 - g) FROM generate_series(1, 5) g) TO STDOUT", &k); state(err) != "22012" {
			t.Fatalf("a division by zero gave %v", err)
		}
		var n int
		if err := conn.QueryRow(t.Context(), "SELECT 1 + $1::int", 1).Scan(&n); err != nil || n != 2 {
			t.Fatalf("%d, %v", n, err)
		}
	}
}
