package demo

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/safepoint-db/safepoint/internal/halt"
)

// StorefrontOptions say what a storefront sells from, and where.
type StorefrontOptions struct {
	Addr   string        // to listen on; "" means 127.0.0.1 and any free port
	Shop   string        // the shop's SQLite file, as CreateShop makes it
	Secret string        // of the webhooks, as halt.NewSecret makes them
	Marker string        // the file that says it is halted; "" means the shop's file with ".halted"
	Every  time.Duration // between orders; 0 means 250 ms
}

// Storefront is a small service that writes an order to the shop several times a second. It serves
//
//	GET  /                  the shop's totals; while halted, a maintenance page with 503 and Retry-After
//	GET  /healthz           its condition, for a halter of kind webhook: 200 running, 503 halted, 500 failing
//	POST /safepoint/halt    signed by Standard Webhooks: answers 204 once no order is under way and its file is closed
//	POST /safepoint/resume  signed likewise
//
// It stays halted across restarts.
type Storefront struct {
	options  StorefrontOptions
	verifier *standardwebhooks.Webhook
	listener net.Listener
	server   *http.Server
	calls    caller
	done     chan struct{} // closed when everything has ended
	err      error         // why it ended; valid after done

	use    sync.RWMutex  // held for reading while the shop is used, for writing to halt and resume
	db     *sql.DB       // nil while halted
	halted *halt.Request // why, nil while it runs

	mu       sync.Mutex
	saved    []string // numbers of acknowledged orders, oldest first
	total    int64
	failures int   // writes that failed in a row
	failure  error // the last one
}

// StartStorefront starts to listen and, unless it was halted when it last ended, to sell. It ends with ctx: then wait
// with Wait.
func StartStorefront(ctx context.Context, o StorefrontOptions) (*Storefront, error) {
	if o.Addr == "" {
		o.Addr = "127.0.0.1:0"
	}
	if o.Marker == "" {
		o.Marker = o.Shop + ".halted"
	}
	if o.Every == 0 {
		o.Every = 250 * time.Millisecond
	}
	verifier, err := standardwebhooks.NewWebhook(o.Secret)
	if err != nil {
		return nil, fmt.Errorf("start storefront: its secret: %w", err)
	}
	s := &Storefront{options: o, verifier: verifier, done: make(chan struct{})}
	if s.halted, err = readHalted(o.Marker); err != nil {
		return nil, fmt.Errorf("start storefront: %w", err)
	}
	if s.halted == nil {
		if s.db, err = openShop(o.Shop); err != nil {
			return nil, fmt.Errorf("start storefront: %w", err)
		}
	}
	if s.listener, err = net.Listen("tcp", o.Addr); err != nil {
		s.closeShop()
		return nil, fmt.Errorf("start storefront: %w", err)
	}
	s.server = &http.Server{Handler: s.routes(), ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 30 * time.Second, WriteTimeout: 30 * time.Second}
	go s.run(ctx)
	return s, nil
}

// URL is the storefront's address, without a slash at its end.
func (s *Storefront) URL() string { return "http://" + s.listener.Addr().String() }

// Saved are the numbers of the orders that the shop's database acknowledged, oldest first. A number is never used
// twice, also not on a shop that was restored.
func (s *Storefront) Saved() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.saved)
}

// Wait waits for the end and says why it came: nil if it was ctx.
func (s *Storefront) Wait() error {
	<-s.done
	return s.err
}

func (s *Storefront) run(ctx context.Context) {
	defer close(s.done)
	var writer sync.WaitGroup
	ctx, cancel := context.WithCancelCause(ctx)
	writer.Go(func() { s.sell(ctx) })
	stop := context.AfterFunc(ctx, func() {
		grace, done := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer done()
		if s.server.Shutdown(grace) != nil {
			s.server.Close()
		}
	})
	if err := s.server.Serve(s.listener); !errors.Is(err, http.ErrServerClosed) {
		s.err = fmt.Errorf("storefront: %w", err)
	}
	stop()
	cancel(nil)
	writer.Wait()
	s.use.Lock() // pages that are still being written
	defer s.use.Unlock()
	s.closeShop()
}

// closeShop releases the shop's file. s.use is held for writing, or nobody else has s yet.
func (s *Storefront) closeShop() error {
	if s.db == nil {
		return nil
	}
	err := s.db.Close()
	s.db = nil
	return err
}

// halt returns when no order is under way, the file is closed, and that it is halted would survive a restart.
func (s *Storefront) halt(why halt.Request) error {
	s.use.Lock()
	defer s.use.Unlock()
	if err := writeHalted(s.options.Marker, why); err != nil {
		return err
	}
	s.halted = &why
	return s.closeShop()
}

// resume opens the file and reads from it once before it says that it sells again.
func (s *Storefront) resume(ctx context.Context) error {
	s.use.Lock()
	defer s.use.Unlock()
	if s.halted == nil {
		return nil
	}
	db, err := openShop(s.options.Shop)
	if err != nil {
		return err
	}
	var n int
	if err := db.QueryRowContext(ctx, "SELECT count(*) FROM products").Scan(&n); err != nil {
		db.Close()
		return fmt.Errorf("read the shop: %w", err)
	}
	if err := os.Remove(s.options.Marker); err != nil && !errors.Is(err, fs.ErrNotExist) {
		db.Close()
		return err
	}
	s.db, s.halted = db, nil
	s.outcome("", nil)
	return nil
}

// readHalted reads the marker; nil means that the storefront is not halted.
func readHalted(path string) (*halt.Request, error) {
	raw, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	why := &halt.Request{}
	if err := json.Unmarshal(raw, why); err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return why, nil
}

// writeHalted writes the marker durably: a temporary name, synced, then renamed.
func writeHalted(path string, why halt.Request) error {
	raw, err := json.Marshal(why)
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(raw)
	if err == nil {
		err = f.Sync()
	}
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return err
	}
	folder, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer folder.Close()
	return folder.Sync()
}

// condition is what the storefront says of itself.
func (s *Storefront) condition() (halt.Status, int64, string) {
	s.use.RLock()
	halted := s.halted
	s.use.RUnlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	last := ""
	if n := len(s.saved); n > 0 {
		last = s.saved[n-1]
	}
	switch {
	case halted != nil:
		return halt.Status{Condition: halt.Halted, Detail: strings.TrimSpace("Halted. " + halted.Reason)}, s.total, last
	case s.failures >= 3:
		return halt.Status{Condition: halt.Failing, Detail: "Orders cannot be saved."}, s.total, last
	}
	return halt.Status{Condition: halt.Running, Detail: fmt.Sprintf("%d orders saved.", s.total)}, s.total, last
}
