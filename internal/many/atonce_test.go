package many

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	_ "modernc.org/sqlite" // what the test's own sessions speak

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/api/wire"
	"github.com/safepoint-db/safepoint/internal/client"
	"github.com/safepoint-db/safepoint/internal/engine"
	"github.com/safepoint-db/safepoint/internal/kinds"
	"github.com/safepoint-db/safepoint/internal/pgserver"
	"github.com/safepoint-db/safepoint/internal/pgtest"
)

var (
	seeds     = flag.Int("seeds", 1, "histories to record and check")
	firstSeed = flag.Uint64("seed", 1, "of the first history")
)

const atOnce = 100 // requests per organization

// TestAtOnce sends a hundred requests at once that exclude each other, in two organizations, kills the server in the
// middle of some, and has the whole history checked against the model: there must be an order of single steps, each
// within its call, that explains every answer.
func TestAtOnce(t *testing.T) {
	began := time.Now()
	calls, won, kills := 0, 0, 0
	for i := range *seeds {
		seed := *firstSeed + uint64(i)
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			for _, o := range historyOf(t, seed) {
				for _, h := range o.history {
					if h.Input.(input).Act == end {
						continue
					}
					if calls++; h.Output.(output).OK {
						won++
					}
				}
			}
			kills += 2
		})
	}
	writeReport(t, "at-once", []goal{
		{"histories of two organizations, checked for linearizability", "20", fmt.Sprint(*seeds), *seeds >= 20},
		{"histories that no order of single steps explains", "0", map[bool]string{false: "0", true: "some"}[t.Failed()], !t.Failed()},
		{"requests, a hundred at once: granted, and refused as they should be", "", fmt.Sprintf("%d, %d", won, calls-won), true},
		{"kills of the server in the middle", "", fmt.Sprint(kills), true},
	}, time.Since(began), fmt.Sprintf("make reliability SEEDS=%d", *seeds),
		fmt.Sprintf("Seeds %d to %d. Backups, restores, undos and deletions of one database; odd seeds SQLite, even seeds PostgreSQL; checked with porcupine.", *firstSeed, *firstSeed+uint64(*seeds)-1))
}

func historyOf(t *testing.T, seed uint64) []*org {
	random := rand.New(rand.NewPCG(seed, 10))
	data := filepath.Join(t.TempDir(), "data")
	harbor, fjord := setUp(t, data)
	p := newProcess(t, data)
	p.start(t)
	e := safepoint.SQLite
	if seed%2 == 0 {
		e = safepoint.PostgreSQL
	}
	orgs := []*org{newOrg(t, p, harbor, e, seed), newOrg(t, p, fjord, safepoint.SQLite, seed)}
	orgs[0].others, orgs[1].others = orgs[1].backups, orgs[0].backups

	both := func(kinds int, killed bool, kind func(*org) []input) {
		var all sync.WaitGroup
		for _, o := range orgs {
			asked := kind(o)
			o.reset()
			all.Go(func() { o.burst(asked) })
		}
		if killed { // once a part of the answers is there
			want := 1 + random.IntN(atOnce)
			eventually(t, "some answers are there", func() bool { return orgs[0].answers() >= want })
			p.kill()
			p.start(t)
		}
		all.Wait()
		for _, o := range orgs {
			o.settle(killed)
			if sum := o.won(); kinds == 1 && sum != 1 {
				t.Errorf("%s: %d of %d alike won", o.tenant.Name, sum, atOnce)
			}
		}
	}
	same := func(a act, of func(*org) string) func(*org) []input {
		return func(o *org) []input { return slices.Repeat([]input{{a, of(o)}}, atOnce) }
	}
	nothing := func(*org) string { return "" }
	oldest := func(o *org) string { return o.backups[0] }
	both(1, false, same(backup, nothing))
	both(1, false, same(restore, oldest))
	both(1, false, same(undo, func(o *org) string { return o.restores[len(o.restores)-1] }))
	both(1, false, same(remove, oldest))
	for round := range 4 {
		both(4, round%2 == 1, func(o *org) []input { return o.mixed(random) })
	}
	for _, o := range orgs {
		o.check()
	}
	return orgs
}

// org is an organization with one database, of whose history every call is kept.
type org struct {
	t      *testing.T
	tenant tenant
	api    *client.Client
	till   *till
	shop   wire.Database
	target engine.Target
	others []string // backups of another organization

	mu       sync.Mutex
	begun    time.Time
	history  []porcupine.Operation
	unknown  []porcupine.Operation // calls whose connection broke, and of which no effect was seen yet
	answered int                   // in this burst
	winners  map[act]int           // in this burst
	watched  map[string]bool       // operations whose end is watched
	watch    sync.WaitGroup
	backups  []string // kept, as far as is known; oldest first
	restores []string // that switched
}

func newOrg(t *testing.T, p *process, as tenant, e safepoint.Engine, seed uint64) *org {
	t.Helper()
	o := &org{t: t, tenant: as, api: p.client(t, as), begun: time.Now(), watched: map[string]bool{}}
	o.till = startTill(t, o.api)
	const rows = `CREATE TABLE orders (id int PRIMARY KEY, note text NOT NULL); INSERT INTO orders VALUES (1, 'one'), (2, 'two')`
	in := wire.DatabaseInput{Name: "shop", Engine: "sqlite"}
	if e == safepoint.PostgreSQL {
		o.target = pgtest.Create(t, pgtest.Shared(t))
		pgtest.Exec(t, o.target, rows)
		c := pgtest.Shared(t).TCPTarget(o.target.Name)
		in = wire.DatabaseInput{Name: "shop", Engine: "postgres", Host: c.Host, Port: c.Port, User: c.User, Password: &c.Password, DBName: c.Name, TLS: string(safepoint.TLSDisable)}
	} else {
		o.target = engine.Target{Engine: e, Path: filepath.Join(t.TempDir(), as.Name+".db")}
		executeSQLite(t, o.target.Path, rows)
		in.Path = o.target.Path
	}
	o.shop = must(o.api.CreateDatabase(t.Context(), in))(t)
	for range 4 {
		op := o.ended(must(o.api.StartBackup(t.Context(), o.shop.ID))(t).ID)
		if op.Status != "succeeded" {
			t.Fatalf("a backup ended %s: %+v", op.Status, op.Failure)
		}
		o.backups = append(o.backups, op.ID)
		o.watched[op.ID] = true
	}
	return o
}

func openSQLite(t testing.TB, path string) *sql.DB {
	t.Helper()
	return must(sql.Open("sqlite", "file:"+(&url.URL{Path: path}).EscapedPath()+"?_pragma=busy_timeout(5000)"))(t)
}

func executeSQLite(t testing.TB, path, statements string) {
	t.Helper()
	db := openSQLite(t, path)
	defer db.Close()
	if _, err := db.Exec(statements); err != nil {
		t.Fatalf("%v\nin: %.300s", err, statements)
	}
}

// mixed is a hundred requests of all kinds.
func (o *org) mixed(random *rand.Rand) []input {
	asked := make([]input, atOnce)
	kept := func() string { return o.backups[random.IntN(len(o.backups))] }
	for i := range asked {
		switch n := random.IntN(20); {
		case n < 5:
			asked[i] = input{Act: backup}
		case n < 11:
			asked[i] = input{restore, kept()}
		case n < 15 && len(o.restores) > 0:
			asked[i] = input{undo, o.restores[random.IntN(len(o.restores))]}
		case n < 19:
			asked[i] = input{remove, kept()}
		default:
			asked[i] = input{foreign, o.others[random.IntN(len(o.others))]}
		}
	}
	return asked
}

func (o *org) reset() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.answered, o.winners = 0, map[act]int{}
}

// burst sends all requests at once and keeps what came of them.
func (o *org) burst(asked []input) {
	letGo := o.till.hold() // so that what wins lasts until all others were refused
	release := func() {}
	if len(asked) > 0 && asked[0].Act == backup {
		release = o.holdBackup()
	}
	var all sync.WaitGroup
	gate := make(chan struct{})
	for i, in := range asked {
		all.Go(func() {
			<-gate
			o.call(i, in)
		})
	}
	close(gate)
	all.Wait()
	letGo()
	release()
}

// holdBackup keeps a backup from reading the table until it is released.
func (o *org) holdBackup() (release func()) {
	o.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	if o.target.Engine == safepoint.PostgreSQL {
		conn := must(pgserver.Connect(ctx, o.target))(o.t)
		must(conn.Exec(ctx, "BEGIN; LOCK TABLE orders IN ACCESS EXCLUSIVE MODE"))(o.t)
		return func() {
			conn.Close(ctx)
			cancel()
		}
	}
	db := openSQLite(o.t, o.target.Path)
	conn := must(db.Conn(ctx))(o.t)
	must(conn.ExecContext(ctx, "BEGIN EXCLUSIVE"))(o.t)
	return func() {
		conn.ExecContext(ctx, "ROLLBACK")
		cancel()
		db.Close()
	}
}

func (o *org) answers() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.answered
}

func (o *org) now() int64 { return int64(time.Since(o.begun)) }

// call sends one request.
func (o *org) call(client int, in input) {
	ctx := o.t.Context()
	began := o.now()
	var op wire.Operation
	var err error
	switch {
	case in.Act == backup:
		op, err = o.api.StartBackup(ctx, o.shop.ID)
	case in.Act == restore, in.Act == foreign && client%2 == 0:
		op, err = o.api.StartRestore(ctx, in.Of, wire.RestoreInput{Confirm: "shop"})
	case in.Act == undo:
		op, err = o.api.StartUndo(ctx, in.Of)
	default:
		err = o.api.DeleteBackup(ctx, in.Of, "shop")
	}
	out, message := output{OK: err == nil, ID: op.ID}, ""
	if err != nil {
		e := safepoint.UserError(err)
		out.Code, message = e.Code, e.Message+" "+e.Hint
		out.Says = saidIn(message)
	}
	done := porcupine.Operation{ClientId: client, Input: in, Call: began, Output: out, Return: o.now()}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.answered++
	switch {
	case errors.Is(err, syscall.ECONNREFUSED): // nobody heard it
	case errors.Is(err, errTransport):
		o.unknown = append(o.unknown, done)
	default:
		o.history = append(o.history, done)
		if out.OK {
			o.winners[in.Act]++
		}
		if out.ID != "" {
			o.follow(out.ID, began)
		}
		if strings.Contains(out.Says, " of shop") && !strings.Contains(message, o.tenant.Admin) || err != nil && out.Code != safepoint.CodeConflict && out.Code != safepoint.CodeNotFound {
			o.t.Errorf("%+v is refused with %s: %s", in, out.Code, message)
		}
	}
}

// follow adds the end of an operation to the history: between the last look that found it under way, and the first
// that found it ended. o.mu is held.
func (o *org) follow(id string, began int64) {
	if o.watched[id] {
		return
	}
	o.watched[id] = true
	o.watch.Go(func() {
		notBefore := began
		for deadline := time.Now().Add(time.Minute); ; {
			asked := o.now()
			op, err := o.api.Operation(o.t.Context(), id)
			if err == nil && op.Ended() {
				o.ends(op, notBefore)
				return
			}
			if err == nil {
				notBefore = asked
			}
			if time.Now().After(deadline) {
				o.t.Errorf("%s does not end: %+v %v", id, op, err)
				return
			}
			<-time.After(5 * time.Millisecond)
		}
	})
}

// ends keeps the end of an operation.
func (o *org) ends(op wire.Operation, notBefore int64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	moved := op.Type == "restore" && op.Trigger == "manual" && op.Switched
	o.history = append(o.history, porcupine.Operation{ClientId: atOnce, Input: input{end, op.ID}, Call: notBefore,
		Output: output{OK: true, Status: safepoint.Status(op.Status), Moved: moved}, Return: o.now()})
	if moved {
		o.restores = append(o.restores, op.ID)
	}
	if op.Status != "succeeded" && (op.Failure == nil || op.Failure.Code != string(safepoint.CodeInterrupted)) {
		o.t.Errorf("%s: the %s %s ended %s: %+v", o.tenant.Name, op.Trigger, op.Type, op.Status, op.Failure)
	}
}

// settle waits until everything has ended, and finds out what became of the calls whose connection broke.
func (o *org) settle(killed bool) {
	o.t.Helper()
	o.watch.Wait()
	ctx := o.t.Context()
	for cursor := ""; ; {
		page := must(o.api.Operations(ctx, safepoint.OperationFilter{Limit: 200, Cursor: cursor}))(o.t)
		for _, op := range page.Items {
			o.mu.Lock()
			if kind := startedBy(op); kind != "" && !o.watched[op.ID] {
				o.explain(kind, op)
			}
			o.mu.Unlock()
		}
		if cursor = page.Next; cursor == "" {
			break
		}
	}
	o.watch.Wait()
	o.mu.Lock()
	o.explainDeleted()
	lost := len(o.unknown)
	o.unknown = slices.DeleteFunc(o.unknown, func(u porcupine.Operation) bool { // a deletion that was begun may end later
		in := u.Input.(input)
		return in.Act != remove || o.deleted(in.Of)
	})
	o.backups = slices.DeleteFunc(o.backups, func(id string) bool { return o.deleted(id) })
	winners := fmt.Sprint(o.winners)
	o.mu.Unlock()
	o.t.Logf("%s: won %s, %d answers were lost", o.tenant.Name, winners, lost)
	if o.won() == 0 && !killed {
		o.t.Errorf("%s: nobody won", o.tenant.Name)
	}
	if o.till.isHalted() {
		o.t.Errorf("%s: the service is still halted", o.tenant.Name)
	}
	for len(o.backups) < 4 { // for the next burst
		began := o.now()
		op := must(o.api.StartBackup(ctx, o.shop.ID))(o.t)
		o.mu.Lock()
		o.history = append(o.history, porcupine.Operation{ClientId: atOnce, Input: input{Act: backup}, Call: began, Output: output{OK: true, ID: op.ID}, Return: o.now()})
		o.follow(op.ID, began)
		o.mu.Unlock()
		o.watch.Wait()
		if op := o.ended(op.ID); op.Status != "succeeded" {
			o.t.Fatalf("a backup ended %s: %+v", op.Status, op.Failure)
		}
		o.backups = append(o.backups, op.ID)
	}
}

// won is how many requests of the last burst were granted.
func (o *org) won() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	sum := 0
	for _, n := range o.winners {
		sum += n
	}
	return sum
}

// startedBy is the request that an operation came of.
func startedBy(op wire.Operation) act {
	switch {
	case op.Type == "backup" && op.Trigger == "manual":
		return backup
	case op.Type == "restore" && op.Trigger == "manual":
		return restore
	case op.Trigger == "undo":
		return undo
	}
	return ""
}

// explain finds the call that an operation nobody was told of came of. o.mu is held.
func (o *org) explain(kind act, op wire.Operation) {
	o.t.Helper()
	for i, u := range o.unknown {
		if in := u.Input.(input); in.Act == kind && in.Of == op.SourceID {
			o.unknown = slices.Delete(o.unknown, i, i+1)
			u.Output, u.Return = output{OK: true, ID: op.ID}, o.now()
			for _, alike := range o.unknown { // it may have been any of these
				if alike.Input == u.Input {
					u.Call = min(u.Call, alike.Call)
				}
			}
			o.history = append(o.history, u)
			o.follow(op.ID, u.Call)
			return
		}
	}
	o.t.Errorf("%s: %s %s was started by nobody: %+v", o.tenant.Name, op.Trigger, op.Type, op)
}

// explainDeleted adds the deletions whose answer was lost. One that others were told of ends after the restart, if it
// had not before. o.mu is held.
func (o *org) explainDeleted() {
	for _, u := range o.unknown {
		in := u.Input.(input)
		if in.Act != remove || o.deleted(in.Of) {
			continue
		}
		// Asked again, the server says whether it was begun: it ends it then. If not, this call deletes.
		again := porcupine.Operation{ClientId: atOnce, Input: in, Output: output{OK: true}, Call: o.now()}
		if err := o.api.DeleteBackup(o.t.Context(), in.Of, "shop"); err == nil {
			again.Return = o.now()
			o.history = append(o.history, again)
			continue
		}
		eventually(o.t, "a deletion that was begun is ended", func() bool {
			return !must(o.api.Operation(o.t.Context(), in.Of))(o.t).DeletedAt.IsZero()
		})
		for _, alike := range o.unknown {
			if alike.Input == u.Input {
				u.Call = min(u.Call, alike.Call)
			}
		}
		u.Output, u.Return = output{OK: true}, o.now()
		o.history = append(o.history, u)
	}
}

// deleted says whether the history has a deletion of a backup. o.mu is held.
func (o *org) deleted(id string) bool {
	return slices.ContainsFunc(o.history, func(h porcupine.Operation) bool {
		return h.Input == any(input{remove, id}) && h.Output.(output).OK
	})
}

// ended waits for the end of an operation that is no part of the history.
func (o *org) ended(id string) wire.Operation {
	o.t.Helper()
	ctx, cancel := context.WithTimeout(o.t.Context(), time.Minute)
	defer cancel()
	return must(o.api.Wait(ctx, id, 5*time.Millisecond, nil))(o.t)
}

// check has the history checked, and the database compared with what it must hold.
func (o *org) check() {
	o.t.Helper()
	ids := map[act]int{}
	for _, h := range o.history {
		ids[h.Input.(input).Act]++
	}
	began := time.Now()
	narrowed, left, ok := witness(o.history)
	if !ok {
		o.t.Errorf("%s: no order of single steps explains this history", o.tenant.Name)
		o.unexplained(narrowed, left)
	} else if !porcupine.CheckOperations(model, narrowed) {
		o.t.Errorf("%s: the checker does not confirm the order that was found", o.tenant.Name)
	}
	o.t.Logf("%s: %d calls and ends %v checked in %s", o.tenant.Name, len(o.history), ids, time.Since(began).Round(time.Millisecond))
	e, _ := kinds.Engine(o.target.Engine)
	for _, d := range must(e.Digest(o.t.Context(), o.target, nil))(o.t) {
		if d.Rows != 2 {
			o.t.Errorf("%s: the database holds %+v", o.tenant.Name, d)
		}
	}
}

// unexplained logs the steps of the longest order that was found, and what it leaves over first.
func (o *org) unexplained(longest, left []porcupine.Operation) {
	s := state{}
	for _, h := range longest {
		if _, next := step(s, h.Input.(input), h.Output.(output)); next != s {
			o.t.Logf("%12d %+v -> %+v: %+v", h.Call, h.Input, h.Output, next)
			s = next
		}
	}
	slices.SortFunc(left, func(a, b porcupine.Operation) int { return cmp.Compare(a.Return, b.Return) })
	for _, h := range left[:min(len(left), 12)] {
		o.t.Logf("left: %12d %12d %+v -> %+v", h.Call, h.Return, h.Input, h.Output)
	}
}
