package bench

import (
	"bufio"
	"context"
	_ "embed"
	"encoding/hex"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"github.com/safepoint-db/safepoint/internal/pgserver"
)

//go:embed schema.sql
var schemaSQL string

//go:embed indexes.sql
var indexesSQL string

// generation names what Generate makes. A database of another generation is made anew.
const generation = "2"

// counts are how many of each there are at a size; 1 is a database of more than 2 GB.
type counts struct {
	pgbench                                         int // scale: 100,000 accounts each
	customers, documents, events, blobs, ledger     int
	partitions, perPartition, tinyTables, largeObjs int
}

func countsAt(size float64) counts {
	n := func(full int) int { return max(1, int(float64(full)*size)) }
	return counts{
		pgbench: n(70), customers: n(100_000), documents: n(150_000), events: n(650_000), blobs: n(18_000), ledger: n(2_400_000),
		partitions: 24, perPartition: n(80_000), tinyTables: n(2_000), largeObjs: n(600),
	}
}

// Generate fills a new database of the cluster, the same for the same size: every row comes from a seeded generator.
func Generate(ctx context.Context, c *pgserver.Cluster, name string, size float64, say func(string, ...any)) error {
	note := fmt.Sprintf("safepoint bench %s, size %g", generation, size)
	if found, err := made(ctx, c, name, note); err != nil || found {
		return err
	}
	n := countsAt(size)
	say("generating %s", name)
	if err := c.Exec(ctx, "postgres", "CREATE DATABASE "+ident(name)+" TEMPLATE template0"); err != nil {
		return err
	}
	if out, err := c.Tool(ctx, "pgbench", name, "-i", "-q", "-I", "dtGvpf", "-s", strconv.Itoa(n.pgbench)).CombinedOutput(); err != nil {
		return fmt.Errorf("pgbench: %w: %s", err, out)
	}
	conn, err := c.Connect(ctx, name)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if err := execAll(ctx, conn, schemaSQL, partitions(n.partitions)); err != nil {
		return err
	}
	group, filling := errgroup.WithContext(ctx)
	group.SetLimit(runtime.NumCPU())
	for i, t := range tables(n) {
		group.Go(func() error {
			conn, err := c.Connect(filling, name)
			if err != nil {
				return err
			}
			defer conn.Close(context.WithoutCancel(ctx))
			if err := fill(filling, conn, t, uint64(i)); err != nil {
				return fmt.Errorf("fill %s: %w", t.name, err)
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	err = execAll(ctx, conn, indexesSQL, "CREATE SCHEMA tiny", tinyTables(n.tinyTables), fmt.Sprintf(
		"SELECT count(lo_from_bytea(900000 + i, convert_to((SELECT string_agg(md5((i * 10000 + j)::text), '') FROM generate_series(1, 2000) j), 'UTF8'))) FROM generate_series(1, %d) i", n.largeObjs),
		"INSERT INTO pgbench_history SELECT 1 + i % 10, 1 + i % "+strconv.Itoa(n.pgbench)+", 1 + i, i % 5000, timestamp '2026-01-01' + i * interval '1 second' FROM generate_series(1, "+strconv.Itoa(n.events/4)+") i")
	if err != nil {
		return err
	}
	return finish(ctx, conn, name, note)
}

// GenerateTables fills a new database with so many tables of three rows.
func GenerateTables(ctx context.Context, c *pgserver.Cluster, name string, count int, say func(string, ...any)) error {
	note := fmt.Sprintf("safepoint bench %s, %d tables", generation, count)
	if found, err := made(ctx, c, name, note); err != nil || found {
		return err
	}
	say("generating %s", name)
	if err := c.Exec(ctx, "postgres", "CREATE DATABASE "+ident(name)+" TEMPLATE template0"); err != nil {
		return err
	}
	conn, err := c.Connect(ctx, name)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if err := execAll(ctx, conn, "CREATE SCHEMA tiny", tinyTables(count)); err != nil {
		return err
	}
	return finish(ctx, conn, name, note)
}

// made says whether the database is there already, by the comment that finish gave it; half of one is dropped.
func made(ctx context.Context, c *pgserver.Cluster, name, note string) (bool, error) {
	conn, err := c.Connect(ctx, "postgres")
	if err != nil {
		return false, err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	var found *string
	err = conn.QueryRow(ctx, "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = $1", name).Scan(&found)
	if err == nil && found != nil && *found == note {
		return true, nil
	}
	_, err = conn.Exec(ctx, "DROP DATABASE IF EXISTS "+ident(name)+" WITH (FORCE)")
	return false, err
}

// finish leaves nothing for autovacuum to do while others are measured, and marks the database as complete.
func finish(ctx context.Context, conn *pgx.Conn, name, note string) error {
	return execAll(ctx, conn, "VACUUM (ANALYZE)", "COMMENT ON DATABASE "+ident(name)+" IS "+literal(note), "CHECKPOINT")
}

func execAll(ctx context.Context, conn *pgx.Conn, statements ...string) error {
	for _, s := range statements {
		if _, err := conn.Exec(ctx, s); err != nil {
			return fmt.Errorf("%w\nin: %.300s", err, s)
		}
	}
	return nil
}

func partitions(n int) string {
	var b strings.Builder
	for i := range n {
		from := time.Date(2025, time.Month(1+i), 1, 0, 0, 0, 0, time.UTC)
		fmt.Fprintf(&b, "CREATE TABLE app.measure_%s PARTITION OF app.measure FOR VALUES FROM ('%s+00') TO ('%s+00');\n",
			from.Format("2006_01"), from.Format(time.DateTime), from.AddDate(0, 1, 0).Format(time.DateTime))
	}
	return b.String()
}

// tinyTables makes tables in the schema tiny, five hundred in a transaction: each holds locks until its end.
func tinyTables(count int) string {
	return fmt.Sprintf(`DO $$
BEGIN
	FOR i IN 1..%d LOOP
		EXECUTE format('CREATE TABLE tiny.t_%%s (id int PRIMARY KEY, name text NOT NULL, made timestamptz DEFAULT ''2026-01-01 00:00:00+00'')', lpad(i::text, 6, '0'));
		EXECUTE format('INSERT INTO tiny.t_%%s VALUES (1, ''one''), (2, ''two of %%s''), (3, ''three'')', lpad(i::text, 6, '0'), i);
		IF i %% 500 = 0 THEN COMMIT; END IF;
	END LOOP;
END $$`, count)
}

// table is one that Go fills: row i as one line of COPY's text format, without its end.
type table struct {
	name string
	rows int
	row  func(g *gen, i int)
}

func tables(n counts) []table {
	return []table{
		{"app.customer", n.customers, func(g *gen, i int) {
			g.num(i).text(g.words(2)).raw(fmt.Sprintf("customer.%d@%s.example", i, g.word())).stamp(i * 40)
			g.raw(fmt.Sprintf(`{"street": "%s %d", "city": "%s", "zip": "%05d", "floor": %d}`, g.word(), g.IntN(200), g.word(), g.IntN(100000), g.IntN(9)))
		}},
		{"app.document", n.documents, func(g *gen, i int) {
			g.num(i).num(1 + g.IntN(n.customers)).text(g.words(6)).text(g.words(30)).text(g.words(120 + g.IntN(240)))
			g.text(g.words(2)).text(g.words(1)).null(i%3 == 0, g.words(12)).raw("{" + g.word() + "," + g.word() + "," + g.word() + "}").stamp(i * 90)
		}},
		{"app.event", n.events, func(g *gen, i int) {
			g.num(i).num(1 + g.IntN(n.customers)).stamp(i * 30).text(g.kind())
			g.raw(fmt.Sprintf(`{"session": "%016x", "path": "/%s/%s", "ms": %d, "agent": {"name": "%s", "version": "%d.%d"}, "items": [%d, %d, %d], "note": "%s", "ok": %t}`,
				g.Uint64(), g.word(), g.word(), g.IntN(4000), g.word(), g.IntN(120), g.IntN(10), g.IntN(1e6), g.IntN(1e6), g.IntN(1e6), g.words(14), g.IntN(5) > 0))
		}},
		{"app.blob", n.blobs, func(g *gen, i int) {
			g.num(i).num(1+g.IntN(n.customers)).bytes(32, false).bytes(2000+g.IntN(12000), i%3 == 0)
		}},
		{"app.ledger", n.ledger, func(g *gen, i int) {
			amount := g.Int64N(20_000_000) - 10_000_000
			g.num(i).num(1 + g.IntN(n.customers)).raw(decimal(amount, 4)).raw(decimal(amount*7+int64(i), 2))
			g.null(i%4 == 0, decimal(g.Int64N(1e12), 10)).raw(g.at(i * 8).Format("2006-01-02 15:04:05.000000")).raw(g.at(i * 8).Format(time.DateOnly))
			g.raw([]string{"new", "paid", "shipped", "returned"}[g.IntN(4)]).null(i%5 > 0, g.words(4))
		}},
		{"app.measure", n.partitions * n.perPartition, func(g *gen, i int) {
			month, k := (i-1)/n.perPartition, (i-1)%n.perPartition
			at := time.Date(2025, time.Month(1+month), 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(k) * (23 * 24 * time.Hour / time.Duration(n.perPartition)))
			g.num(k % 50).raw(at.Format("2006-01-02 15:04:05.000000+00")).raw(strconv.FormatFloat(20+g.NormFloat64()*5, 'g', -1, 64)).num(g.IntN(4))
		}},
	}
}

func fill(ctx context.Context, conn *pgx.Conn, t table, seed uint64) error {
	r, w := io.Pipe()
	go func() {
		buffered := bufio.NewWriterSize(w, 256<<10)
		g := newGen(seed)
		for i := 1; i <= t.rows; i++ {
			g.line = g.line[:0]
			t.row(g, i)
			g.line[len(g.line)-1] = '\n' // instead of the last tab
			if _, err := buffered.Write(g.line); err != nil {
				break // COPY failed and says why
			}
		}
		w.CloseWithError(buffered.Flush())
	}()
	defer r.Close()
	_, err := conn.PgConn().CopyFrom(ctx, r, "COPY "+t.name+" FROM STDIN")
	return err
}

// gen makes the columns of one line.
type gen struct {
	*rand.Rand
	zipf  *rand.Zipf
	vocab []string
	line  []byte
	phase []byte
}

func newGen(seed uint64) *gen {
	r := rand.New(rand.NewPCG(2026, seed))
	g := &gen{Rand: r, zipf: rand.NewZipf(r, 1.1, 8, 9999)}
	syllables := rand.New(rand.NewPCG(1, 1))
	for range 10_000 {
		var w []byte
		for range 1 + syllables.IntN(4) {
			w = append(w, "bcdfghklmnprstvwz"[syllables.IntN(17)], "aeiouy"[syllables.IntN(6)])
			if syllables.IntN(3) == 0 {
				w = append(w, "nrstlm"[syllables.IntN(6)])
			}
		}
		g.vocab = append(g.vocab, string(w))
	}
	return g
}

func (g *gen) word() string { return g.vocab[g.zipf.Uint64()] }

// words is text with the statistics of a language: few words make up most of it.
func (g *gen) words(n int) string {
	g.phase = g.phase[:0]
	for i := range n {
		if i > 0 {
			g.phase = append(g.phase, ' ')
		}
		g.phase = append(g.phase, g.word()...)
	}
	return string(g.phase)
}

func (g *gen) kind() string {
	return []string{"view", "click", "order", "payment", "error", "sign-in"}[g.IntN(6)]
}

// at is a moment so many seconds after the beginning of 2025.
func (g *gen) at(seconds int) time.Time {
	return time.Date(2025, 1, 1, 0, 0, seconds, g.IntN(1e6)*1000, time.UTC)
}

func (g *gen) raw(s string) *gen  { g.line = append(append(g.line, s...), '\t'); return g }
func (g *gen) text(s string) *gen { return g.raw(s) } // the vocabulary needs no escapes
func (g *gen) num(n int) *gen {
	g.line = append(strconv.AppendInt(g.line, int64(n), 10), '\t')
	return g
}
func (g *gen) stamp(seconds int) *gen {
	g.line = append(g.at(seconds).AppendFormat(g.line, "2006-01-02 15:04:05.000000+00"), '\t')
	return g
}

func (g *gen) null(is bool, s string) *gen {
	if is {
		s = `\N`
	}
	return g.raw(s)
}

// bytes is bytea: noise as of an image, or rows of a small alphabet as of a log.
func (g *gen) bytes(n int, plain bool) *gen {
	b := make([]byte, n)
	for i := range b {
		if b[i] = byte(g.Uint32()); plain {
			b[i] = "0123456789 abcdef"[b[i]%17]
		}
	}
	g.line = append(g.line, `\\x`...)
	g.line = append(hex.AppendEncode(g.line, b), '\t')
	return g
}

// decimal writes n divided by 10^places.
func decimal(n int64, places int) string {
	sign := ""
	if n < 0 {
		sign, n = "-", -n
	}
	s := fmt.Sprintf("%0*d", places+1, n)
	return sign + s[:len(s)-places] + "." + s[len(s)-places:]
}

func ident(s string) string   { return `"` + strings.ReplaceAll(s, `"`, `""`) + `"` }
func literal(s string) string { return `'` + strings.ReplaceAll(s, `'`, `''`) + `'` }
