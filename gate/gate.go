// Package gate lets an application stop using its databases while Safepoint replaces them, and go on afterwards.
//
// A Gate knows whether its organization is halted, from either or both of two sources: the state stream of a Safepoint
// server, which it follows with a token of a viewer (Config.URL), and signed calls of that server (WebhookHandler).
// Middleware answers requests with 503, Retry-After and a maintenance page while it is; Enter does the same for work
// that is no request. Both count what is under way, so that the call that halts the application is answered when nothing
// uses the database any more: that, and not the stream, is what a restore waits for.
//
//	g, err := gate.New(gate.Config{URL: "https://backup.example", Token: token})
//	…
//	hook, err := g.WebhookHandler(secret)
//	…
//	http.Handle("/safepoint", hook)
//	http.Handle("/", g.Middleware(app))
//
// # When the server cannot be reached
//
// What was said last goes on to hold. An application whose server is away keeps working, also one that has not heard
// from it yet: a console that is down must not take applications down. Config.FailClosedAfter changes that. A halt that
// was heard lasts until the server, or its call, says that it is over.
//
// The package uses the standard library only.
package gate

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

// Config says whom to ask and what to do. The zero value is an application that is only told, by WebhookHandler.
type Config struct {
	URL            string // of the Safepoint server, such as https://backup.example; "" follows no stream
	OrganizationID string // "" means the one the token was made for
	Token          string // an API token; a viewer's will do

	// FailClosedAfter closes the gate when the server has not been heard for so long; 0 never does. A server that is
	// well is heard every 15 seconds, so anything under a minute closes the gate for nothing.
	FailClosedAfter time.Duration

	// Hold is how long a request waits for the end of a halt before it is answered with 503; 0 does not wait. With the
	// instant switch a halt takes a fraction of a second: a Hold of a few seconds hides it.
	Hold time.Duration
	// Drain is how long requests and other work may go on after a halt began, before their contexts end; 0 leaves them
	// to themselves. The server waits no longer than the service's own timeout.
	Drain time.Duration
	// RetryAfter is what clients are told where nobody knows how long a halt takes; 0 means 5 seconds.
	RetryAfter time.Duration
	// Page answers a request during a halt, after Retry-After and Cache-Control were set; nil means a page, a JSON object or
	// a line of text, by what the client accepts, with status 503.
	Page func(http.ResponseWriter, *http.Request, State)

	// OnHalt is called when the gate is closed and nothing that it counts is under way any more: close idle connections
	// here. While it fails it is called again, and the server is not told that the application is halted.
	OnHalt func(context.Context, State) error
	// OnResume is called before the gate opens. While it fails it is called again, and the gate stays closed.
	OnResume func(context.Context) error

	HTTP   *http.Client // follows the stream; its Timeout must be 0; nil means one of the package's own
	Logger *slog.Logger // hears of lost and found servers, halts and resumes; nil discards
	// Now tells the time; nil means time.Now.
	Now func() time.Time
}

// State is what a Gate knows.
type State struct {
	Halted      bool
	Since       time.Time // of the halt; zero if not known
	Until       time.Time // about when it ends; zero if not known
	Reason      string    // for people, such as "Restoring shop"
	OperationID string    // the restore

	Heard    time.Time // when the server was last heard; zero if never
	InFlight int       // requests and other work under way
}

// Gate is open or closed. It is safe for concurrent use.
type Gate struct {
	cfg    Config
	log    *slog.Logger
	client *http.Client
	base   string

	stop  context.CancelFunc
	ended <-chan struct{} // closed by Close
	done  sync.WaitGroup

	mu        sync.Mutex
	stream    State                           // as the stream said last
	hook      State                           // as the last call said
	resumed   string                          // the restore of which a call said that it is over for us; the stream says so only when all services run
	carried   map[[sha256.Size]byte]bool      // the calls that brought hook about
	lastHalts bool                            // what they asked for
	overtaken map[[sha256.Size]byte]time.Time // earlier calls, and since when they hold no more
	started   time.Time
	closed    bool // nothing new is let in
	settled   bool // what the sources say has been carried out, hooks included
	inFlight  int
	held      int
	serving   context.Context // of what is under way; ends Drain after a halt began
	endWork   context.CancelCauseFunc
	changed   chan struct{} // closed and replaced at every change of the above
}

// ErrClosed is what waiting for a Gate ends with that was closed by Close.
var ErrClosed = errors.New("gate: closed")

// ErrHalted is the cause of contexts that end because a halt did not wait longer (Config.Drain).
var ErrHalted = errors.New("gate: the application is halted")

// New makes a Gate, which is open until it hears otherwise, and begins to follow the server. It does not wait for it:
// Wait does. The caller closes it.
func New(cfg Config) (*Gate, error) {
	g := &Gate{cfg: cfg, log: cmp.Or(cfg.Logger, slog.New(slog.DiscardHandler)), client: cfg.HTTP, settled: true, changed: make(chan struct{}),
		carried: map[[sha256.Size]byte]bool{}, overtaken: map[[sha256.Size]byte]time.Time{}}
	if g.cfg.Now == nil {
		g.cfg.Now = time.Now
	}
	if g.cfg.RetryAfter <= 0 {
		g.cfg.RetryAfter = 5 * time.Second
	}
	if cfg.URL != "" {
		u, err := url.Parse(cfg.URL)
		if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.User != nil {
			return nil, errors.New("gate: URL is not the address of a Safepoint server, such as https://backup.example")
		}
		if cfg.Token == "" {
			return nil, errors.New("gate: a token is needed to follow the server at URL")
		}
		g.base = strings.TrimSuffix(u.String(), "/")
	}
	if g.client == nil {
		g.client = newClient()
	}
	g.started = g.cfg.Now()
	g.serving, g.endWork = context.WithCancelCause(context.Background())
	var ctx context.Context
	ctx, g.stop = context.WithCancel(context.Background())
	g.ended = ctx.Done()
	g.done.Go(func() { g.carryOut(ctx) })
	if g.base != "" {
		g.done.Go(func() { g.follow(ctx) })
	}
	return g, nil
}

// Close stops following the server and ends all waiting. The gate stays as it is.
func (g *Gate) Close() error {
	g.stop()
	g.done.Wait()
	return nil
}

// State is what the Gate knows now.
func (g *Gate) State() State {
	g.mu.Lock()
	defer g.mu.Unlock()
	s := g.said()
	s.Halted = g.closed || s.Halted
	return s
}

// said is what the sources say together. The caller holds g.mu.
func (g *Gate) said() State {
	s := State{}
	now := g.cfg.Now()
	last := cmp.Or(g.stream.Heard, g.started)
	switch {
	case g.hook.Halted:
		s = g.hook
	case g.stream.Halted && (g.resumed == "" || g.resumed != g.stream.OperationID):
		s = g.stream
	case g.base != "" && g.cfg.FailClosedAfter > 0 && now.Sub(last) >= g.cfg.FailClosedAfter:
		s = State{Halted: true, Since: last.Add(g.cfg.FailClosedAfter), Reason: "The backup server has not been heard."}
	}
	s.Heard, s.InFlight = g.stream.Heard, g.inFlight
	return s
}

// change changes what the sources say, and wakes everyone who waits.
func (g *Gate) change(fn func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	fn()
	g.settled = g.said().Halted == g.closed && g.settled
	g.wake()
}

// wake tells everyone who waits to look again. The caller holds g.mu.
func (g *Gate) wake() {
	close(g.changed)
	g.changed = make(chan struct{})
}

// await waits until ready, which is called with g.mu held, says so, or until ctx ends. It looks once in any case.
func (g *Gate) await(ctx context.Context, ready func() bool) error {
	for {
		g.mu.Lock()
		if ready() {
			g.mu.Unlock()
			return nil
		}
		changed := g.changed
		g.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-g.ended:
			return ErrClosed
		}
	}
}

// Wait waits until the gate is open or ctx ends, and, where there is a server to follow, until it was heard once. An
// application that may start while it is halted waits before it first uses its databases.
func (g *Gate) Wait(ctx context.Context) error {
	return g.await(ctx, func() bool { return !g.closed && !g.said().Halted && (g.base == "" || !g.stream.Heard.IsZero()) })
}

// Enter begins work that uses the databases: it waits until the gate is open, and counts the work until leave is
// called, once. working ends with ctx, or Config.Drain after a halt began.
func (g *Gate) Enter(ctx context.Context) (working context.Context, leave func(), err error) {
	return g.enter(ctx, ctx, func() bool { return true })
}

// enter is Enter that waits as long as waiting, and as mayWait allows, for work that lives as long as ctx. mayWait is asked
// with g.mu held, each time that the gate is found closed: whether it is, and whether to wait, is decided in one moment.
func (g *Gate) enter(waiting, ctx context.Context, mayWait func() bool) (working context.Context, leave func(), err error) {
	var serving context.Context
	err = g.await(waiting, func() bool {
		if g.closed {
			return !mayWait()
		}
		g.inFlight++
		serving = g.serving
		return true
	})
	if err == nil && serving == nil {
		err = ErrHalted
	}
	if err != nil {
		return nil, nil, err
	}
	working, cancel := context.WithCancelCause(ctx)
	detach := context.AfterFunc(serving, func() { cancel(context.Cause(serving)) })
	return working, sync.OnceFunc(func() {
		detach()
		cancel(nil)
		g.mu.Lock()
		defer g.mu.Unlock()
		if g.inFlight--; g.inFlight == 0 {
			g.wake()
		}
	}), nil
}

// carryOut closes and opens the gate as the sources say, one after the other, until ctx ends.
func (g *Gate) carryOut(ctx context.Context) {
	for {
		err := g.await(ctx, func() bool { return g.said().Halted != g.closed || !g.settled })
		if err == nil {
			err = g.turn(ctx)
		}
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			g.log.Error("gate: a hook failed and is called again", "error", err)
			pause(ctx, time.Second)
		}
	}
}

// turn makes one step to what the sources say.
func (g *Gate) turn(ctx context.Context) error {
	g.mu.Lock()
	s, was := g.said(), g.closed
	if s.Halted && !was {
		g.closed, g.settled = true, false
		g.wake()
	}
	g.mu.Unlock()
	if s.Halted {
		return g.halt(ctx, s, was)
	}
	return g.resume(ctx, was)
}

// halt lets what is under way end, and calls the hook. It returns early if the halt is over meanwhile.
func (g *Gate) halt(ctx context.Context, s State, again bool) error {
	if !again {
		g.log.Info("gate: halted", "reason", s.Reason, "operation", s.OperationID)
	}
	if g.cfg.Drain > 0 {
		end := g.endWork
		patience := time.AfterFunc(g.cfg.Drain, func() { end(ErrHalted) })
		defer func() {
			if !patience.Stop() { // it is over, or about to be: what is let in from now on is not meant
				end(ErrHalted)
			}
		}()
	}
	over := false
	err := g.await(ctx, func() bool { over = !g.said().Halted; return over || g.inFlight == 0 })
	if err != nil || over {
		return err
	}
	if g.cfg.OnHalt != nil {
		if err := g.cfg.OnHalt(ctx, s); err != nil {
			return fmt.Errorf("OnHalt: %w", err)
		}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.settled = true
	g.wake()
	return nil
}

// resume calls the hook and opens the gate.
func (g *Gate) resume(ctx context.Context, wasClosed bool) error {
	if wasClosed && g.cfg.OnResume != nil {
		if err := g.cfg.OnResume(ctx); err != nil {
			return fmt.Errorf("OnResume: %w", err)
		}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.said().Halted {
		return nil // halted again meanwhile: the gate was never open, so the hook of a halt is due
	}
	g.closed, g.settled = false, true
	if g.serving.Err() != nil { // else what is still under way from before is ended by the next halt
		g.serving, g.endWork = context.WithCancelCause(context.Background())
	}
	g.wake()
	if wasClosed {
		g.log.Info("gate: resumed")
	}
	return nil
}

// pause waits for d, or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
