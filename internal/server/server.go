// Package server is Safepoint as one running program: it opens the data directory, and serves the console, the API and
// the schedules until it is asked to stop.
package server

import (
	"cmp"
	"context"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/api"
	"github.com/safepoint-db/safepoint/internal/app"
	"github.com/safepoint-db/safepoint/internal/catalog"
	"github.com/safepoint-db/safepoint/internal/engine"
	"github.com/safepoint-db/safepoint/internal/event"
	"github.com/safepoint-db/safepoint/internal/fault"
	"github.com/safepoint-db/safepoint/internal/fault/calls"
	"github.com/safepoint-db/safepoint/internal/halt"
	"github.com/safepoint-db/safepoint/internal/jobs"
	"github.com/safepoint-db/safepoint/internal/kinds"
	"github.com/safepoint-db/safepoint/internal/web"
)

// DefaultAddr is where a server listens unless it is told otherwise: this machine only.
const DefaultAddr = "127.0.0.1:8321"

// Files and folders of the data directory, besides the key files that package catalog makes.
const (
	lockFile      = "lock"
	catalogFile   = "catalog.db"
	reserveFile   = "catalog.reserve" // see catalog.Reserve
	backupsFolder = "backups"
	uploadsFolder = "uploads" // that were not checked yet
)

// Config is what a server needs to know. DataDir is required.
type Config struct {
	DataDir         string         // made with mode 0700 if it is not there
	Addr            string         // "" means DefaultAddr; port 0 takes a free one
	TLSCert, TLSKey string         // PEM files; both or neither
	BaseURL         string         // how browsers reach the console; "" means URL
	Support         string         // whom people may ask for help: words, a mail address or a URL
	TrustedProxies  []netip.Prefix // whose X-Forwarded-For and X-Forwarded-Proto are believed
	Programs        []string       // folders in which pg_dump is looked for first
	Services        string         // the operator's file of services on this machine; "" is none
	Uploads         app.Uploads    // what may be uploaded; its Dir and Unpack are the server's own
	Version         string         // of the program
	Log             *slog.Logger   // nil means slog.Default()
	// Now tells the time; nil means time.Now. It says what is due, not how long to wait for it: whoever moves it calls
	// App.Wake.
	Now func() time.Time
	// Patience is how long running operations may go on after the server was asked to stop. 0 means 30 seconds.
	Patience time.Duration
}

const defaultPatience = 30 * time.Second

// Server is an open server. App is for those who run one in their own process (the demo, tests).
type Server struct {
	App *app.App

	cfg      Config
	log      *slog.Logger
	catalog  *catalog.Catalog
	jobs     *jobs.Runner
	http     *http.Server
	listener net.Listener
	setup    string
	stopping chan struct{}
	// anyServices says that an operator's file that cannot be used is passed over, loudly: the services that are known
	// without it shall be resumed.
	anyServices bool
	closers     []func() error
}

// Open locks the data directory, opens what is in it and begins to listen; nothing is answered or run before Run.
// A data directory that another process uses is CodeConflict. The caller closes the server, also after Run.
func Open(ctx context.Context, cfg Config) (s *Server, err error) {
	s = &Server{cfg: cfg, log: cmp.Or(cfg.Log, slog.Default()), stopping: make(chan struct{})}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	if err := cfg.check(); err != nil {
		return s, err
	}
	if s.cfg.Now == nil {
		s.cfg.Now = time.Now
	}
	if err := s.openData(ctx); err != nil {
		return s, err
	}
	if err := s.listen(); err != nil {
		return s, err
	}
	handler, err := s.routes()
	if err != nil {
		return s, err
	}
	s.http = s.httpServer(handler)
	return s, s.prepareSetup(ctx)
}

// engine is the engine of a database family, as this server is configured.
func (s *Server) engine(family safepoint.Engine) (engine.Engine, bool) {
	e, ok := kinds.Engine(family)
	return calls.Engine(kinds.WithPrograms(e, s.cfg.Programs)), ok
}

// halter is what halts and resumes a service.
func halter(service safepoint.Service, secret string) (halt.Halter, error) {
	h, err := kinds.Halter(service, secret)
	if err != nil {
		return nil, err
	}
	return calls.Halter(h), nil
}

// openData locks the data directory and opens everything that lives in it, and the app on top of it.
func (s *Server) openData(ctx context.Context) error {
	if err := makeData(s.cfg.DataDir); err != nil {
		return err
	}
	unlock, err := lockData(ctx, s.cfg.DataDir, s.log)
	if err != nil {
		return unusable(s.cfg.DataDir, err)
	}
	s.closing(func() error { unlock(); return nil })
	return unusable(s.cfg.DataDir, s.openLocked(ctx))
}

// openLocked opens what lives in a data directory that is locked.
func (s *Server) openLocked(ctx context.Context) (err error) {
	dir := s.cfg.DataDir
	if err := private(filepath.Join(dir, catalogFile)); err != nil {
		return err
	}
	reserve := catalog.NewReserve(filepath.Join(dir, reserveFile), catalog.ReserveSize)
	if s.catalog, err = catalog.Open(ctx, filepath.Join(dir, catalogFile)); err != nil && reserve.Release() { // the disk may be full
		s.catalog, err = catalog.Open(ctx, filepath.Join(dir, catalogFile))
	}
	if err != nil {
		return unreadableCatalog(dir, err)
	}
	s.closing(s.catalog.Close)
	s.catalog.UseReserve(reserve)
	if err := s.catalog.FillReserve(); err != nil {
		s.log.Warn("there is no room to keep a reserve for Safepoint's own data: free some on its disk", "error", err)
	}
	s.catalog.Now = s.cfg.Now
	keys, err := s.catalog.OpenKeys(ctx, dir)
	if err != nil {
		return err
	}
	store, err := kinds.LocalStorage(filepath.Join(dir, backupsFolder))
	if err != nil {
		return err
	}
	s.closing(store.Close)

	hostServices, err := s.hostServices(ctx)
	if err != nil && !s.anyServices {
		return err
	}
	if err != nil {
		s.log.Error("the operator's file of services cannot be used; a restore that halted one of them will ask for a person", "error", err)
	}
	uploads := s.cfg.Uploads
	uploads.Dir, uploads.Unpack = filepath.Join(dir, uploadsFolder), kinds.Unpack(s.cfg.Programs)
	hub := &event.Hub{}
	s.App = app.New(app.Config{
		Catalog: s.catalog, Keys: keys, Storage: calls.Storage(store), Engine: s.engine, Halter: halter, HostServices: hostServices, Hub: hub,
		Wake: func() { s.jobs.Wake() }, Now: s.cfg.Now, Log: s.log, DataDir: dir, Uploads: uploads,
	})
	// The app is the worker: what is claimed is carried out by App.Work, what a crash left is ended by App.Recover.
	s.jobs = jobs.New(jobs.Config{
		Store: s.catalog, Worker: s.App, Clock: clock{s.cfg.Now}, Lease: fault.Lease(), Grace: cmp.Or(s.cfg.Patience, defaultPatience), Log: s.log,
		OnChange: func(op safepoint.Operation) {
			hub.Publish(event.Event{OrganizationID: op.OrganizationID, Kind: "operation", ID: op.ID})
			s.App.Ended(context.Background(), op)
		},
	})
	return nil
}

// private makes the file with mode 0600 if it is not there. SQLite gives its side files the mode of the file.
func private(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("make catalog: %w", err)
	}
	return f.Close()
}

func (s *Server) listen() error {
	addr := cmp.Or(s.cfg.Addr, DefaultAddr)
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return cannotListen(addr, err)
	}
	if s.cfg.TLSCert != "" {
		cert, err := tls.LoadX509KeyPair(s.cfg.TLSCert, s.cfg.TLSKey)
		if err != nil {
			l.Close()
			return s.cfg.unusableTLS(err)
		}
		l = tls.NewListener(l, &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"}})
	}
	s.listener = l
	s.closing(func() error {
		if err := l.Close(); !errors.Is(err, net.ErrClosed) {
			return err
		}
		return nil
	})
	return nil
}

// routes says what is served where: the API, the health check, and the console for everything else.
func (s *Server) routes() (http.Handler, error) {
	console, err := web.New(web.Config{
		App: s.App, Version: s.cfg.Version, Log: s.log, Secure: strings.HasPrefix(s.URL(), "https://"), BaseURL: s.cfg.BaseURL,
		Support: s.cfg.Support, TrustedProxies: s.cfg.TrustedProxies, Stopping: s.stopping, Now: s.cfg.Now,
	})
	if err != nil {
		return nil, fmt.Errorf("open console: %w", err)
	}
	rest := s.clientAddress(s.endStreams(api.New(api.Config{App: s.App, Log: s.log, Version: s.cfg.Version})))
	mux := http.NewServeMux()
	mux.Handle("/api/", rest)
	mux.Handle("/openapi.json", rest)
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.Header().Set("Cache-Control", "no-store")
		w.Write([]byte("ok\n"))
	})
	mux.Handle("/", console)
	return s.logged(s.recovered(limited(mux))), nil
}

// httpServer has a limit on everything a client could drag out. Handlers that stream lift the last one for themselves.
func (s *Server) httpServer(h http.Handler) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       time.Minute,
		WriteTimeout:      5 * time.Minute, // testing a service halts and resumes it within its own timeouts
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
}

// prepareSetup makes the one-time code for the first admin while no account exists.
func (s *Server) prepareSetup(ctx context.Context) error {
	needed, err := s.App.SetupNeeded(ctx)
	if err != nil || !needed {
		return err
	}
	s.setup, err = s.App.NewSetupCode(ctx)
	return err
}

// SetupCode is the one-time code for the first admin, "" where an account exists.
func (s *Server) SetupCode() string { return s.setup }

// Signer is the key by which archives made here are known, in hex.
func (s *Server) Signer() string { return hex.EncodeToString(s.App.Keys.Public()) }

// Addr is where the server listens.
func (s *Server) Addr() string { return s.listener.Addr().String() }

// URL is how browsers reach the console.
func (s *Server) URL() string {
	if s.cfg.BaseURL != "" {
		return strings.TrimSuffix(s.cfg.BaseURL, "/")
	}
	scheme := "http://"
	if s.cfg.TLSCert != "" {
		scheme = "https://"
	}
	return scheme + s.Addr()
}

// Run serves until ctx ends, then stops: no new requests and no new operations, streams end at once, running
// operations get Patience to end or to reach a place from which the next start goes on. It returns nil if it was asked to stop.
func (s *Server) Run(ctx context.Context) error {
	if err := s.App.SweepUploads(ctx); err != nil {
		s.log.Warn("uploads were not swept", "error", err)
	}
	served := make(chan error, 1)
	go func() { served <- s.http.Serve(s.listener) }()

	// The console answers while recovery ends what a crash left; no new operation starts before.
	working, stopWork := context.WithCancel(context.WithoutCancel(ctx))
	defer stopWork()
	worked := make(chan error, 1)
	go func() { worked <- s.work(working) }()

	var err error
	select {
	case <-ctx.Done():
	case err = <-served:
		err = fmt.Errorf("serve: %w", err)
	case err = <-worked:
		err = fmt.Errorf("run operations: %w", errors.Join(err, errWorkEnded))
		worked <- nil
	}
	s.log.Info("stopping")
	close(s.stopping)
	stopWork()
	err = errors.Join(err, <-worked)
	drain, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if s.http.Shutdown(drain) != nil {
		err = errors.Join(err, s.http.Close())
	}
	return err
}

var errWorkEnded = errors.New("ended by itself")

// Close closes what Open opened, in the reverse order.
func (s *Server) Close() error {
	var errs []error
	for i := len(s.closers) - 1; i >= 0; i-- {
		errs = append(errs, s.closers[i]())
	}
	s.closers = nil
	return errors.Join(errs...)
}

func (s *Server) closing(fn func() error) { s.closers = append(s.closers, fn) }
