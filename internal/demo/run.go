package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/app"
	"github.com/safepoint-db/safepoint/internal/halt"
	"github.com/safepoint-db/safepoint/internal/pgserver"
	"github.com/safepoint-db/safepoint/internal/server"
)

// Options say where the demo runs.
type Options struct {
	Addr     string    // the console's; "" means server.DefaultAddr
	Dir      string    // keeps its files; "" means a new temporary folder, removed at the end
	Postgres bool      // also run a throwaway PostgreSQL cluster with the same shop
	Out      io.Writer // gets the sign-in link
	Version  string
	Ready    func(Running) // called once everything runs; nil does nothing
}

// Running is a demo that runs.
type Running struct {
	URL        string // of the console
	SignIn     string // one-time link
	Storefront *Storefront
	Shop       string // its SQLite file
}

// Run makes the demo's organization, with a past, and serves it until ctx ends.
func Run(ctx context.Context, o Options) (err error) {
	if o.Dir == "" {
		if o.Dir, err = os.MkdirTemp("", "safepoint-demo-"); err != nil {
			return fmt.Errorf("make demo folder: %w", err)
		}
		defer os.RemoveAll(o.Dir)
	} else if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return fmt.Errorf("make demo folder: %w", err)
	}
	d := &demo{Options: o, password: safepoint.NewID("demo"), log: slog.New(slog.NewTextHandler(io.Discard, nil))}
	defer func() { err = errors.Join(err, d.close()) }()
	if _, err := os.Stat(d.dataDir()); errors.Is(err, os.ErrNotExist) {
		if err := d.make(ctx); err != nil {
			return fmt.Errorf("make the demo: %w", err)
		}
	} else {
		return safepoint.Errorf(safepoint.CodeConflict, "%s holds a demo already.", o.Dir).WithHint("Name another folder, or remove this one.")
	}
	return d.serve(ctx)
}

// demo is a demo under construction.
type demo struct {
	Options
	log        *slog.Logger
	cluster    *pgserver.Cluster
	storefront *Storefront
	admin      safepoint.Actor
	password   string // the admin's
	closers    []func() error
}

func (d *demo) dataDir() string { return filepath.Join(d.Dir, "data") }
func (d *demo) shop() string    { return filepath.Join(d.Dir, "shop.db") }

func (d *demo) close() error {
	var errs []error
	for i := len(d.closers) - 1; i >= 0; i-- {
		errs = append(errs, d.closers[i]())
	}
	return errors.Join(errs...)
}

// adminEmail is whom the demo's organization belongs to.
const adminEmail = "ines@harborline.example"

// pastDays is how far back the demo's history goes.
const pastDays = 8

// make builds the organization by using the product itself, with a clock that starts some days ago: every backup of
// its past is a real file, made by the real scheduler.
func (d *demo) make(ctx context.Context) error {
	fmt.Fprintln(d.Out, "Making a shop and its history. This takes a few seconds.")
	if err := CreateShop(ctx, d.shop()); err != nil {
		return err
	}
	var back atomic.Int64 // how far behind the time it is, in nanoseconds
	back.Store(int64(pastDays*24*time.Hour + 10*time.Minute))
	now := func() time.Time { return time.Now().Add(-time.Duration(back.Load())) }
	s, err := server.Open(ctx, server.Config{DataDir: d.dataDir(), Addr: "127.0.0.1:0", Now: now, Log: d.log, Version: d.Version})
	if err != nil {
		return err
	}
	defer s.Close()
	running, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- s.Run(running) }()
	defer func() {
		stop()
		<-ended
	}()
	if err := d.populate(ctx, s.App, s.SetupCode(), now()); err != nil {
		return err
	}
	for back.Load() > 0 {
		if err := d.settle(ctx, s.App, now); err != nil {
			return err
		}
		back.Store(max(0, back.Load()-int64(4*time.Hour)))
	}
	return d.settle(ctx, s.App, now)
}

// settle lets the scheduler see the clock, and waits until nothing is due, queued or running: a backup that ran while the
// clock goes on would be said to have taken hours.
func (d *demo) settle(ctx context.Context, a *app.App, now func() time.Time) error {
	events, end, err := a.Subscribe(d.admin)
	if err != nil {
		return err
	}
	defer end()
	a.Wake()
	for {
		settled, err := d.settled(ctx, a, now())
		if err != nil || settled {
			return err
		}
		select {
		case <-events:
		case <-time.After(30 * time.Millisecond):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// settled asks what is due before it asks what runs, so that no run is missed between the two.
func (d *demo) settled(ctx context.Context, a *app.App, now time.Time) (bool, error) {
	list, err := a.ScheduleList(ctx, d.admin, app.ScheduleFilter{Limit: 1, Bare: true})
	if err != nil || !list.NextRun.IsZero() && !list.NextRun.After(now) {
		return false, err
	}
	ops, err := a.Running(ctx, d.admin)
	return len(ops) == 0, err
}

// populate is what an admin would do on the first day.
func (d *demo) populate(ctx context.Context, a *app.App, code string, now time.Time) error {
	session, err := a.Setup(ctx, app.Setup{
		Code: code, Email: adminEmail, Name: "Ines Marlow", Password: d.password,
		Organization: "Harborline Goods", TimeZone: "Europe/Zurich",
	}, "127.0.0.1", "demo")
	if err != nil {
		return err
	}
	if d.admin, err = a.Session(ctx, session, "127.0.0.1"); err != nil {
		return err
	}
	shop, err := a.CreateDatabase(ctx, d.admin, app.DatabaseInput{Name: "shop", Engine: safepoint.SQLite, Path: d.shop()})
	if err != nil {
		return err
	}
	schedules := []app.ScheduleInput{
		{Name: "Shop, twice a day", Description: "Orders, customers and stock of the storefront.", Interval: safepoint.Every12Hours, DatabaseID: shop.ID},
		{Name: "Shop, weekly archive", Description: "Kept for the accountants.", Interval: safepoint.Every7Days, DatabaseID: shop.ID, FirstRun: now.Add(4 * time.Hour)},
	}
	if d.Postgres {
		in, err := d.startPostgres(ctx)
		if err != nil {
			return err
		}
		pg, err := a.CreateDatabase(ctx, d.admin, in)
		if err != nil {
			return err
		}
		schedules = append(schedules, app.ScheduleInput{Name: "Shop on PostgreSQL", Interval: safepoint.Every24Hours, DatabaseID: pg.ID})
	}
	for _, in := range schedules {
		if _, err := a.CreateSchedule(ctx, d.admin, in); err != nil {
			return err
		}
	}
	return d.openStorefront(ctx, a)
}

// openStorefront starts the service that sells from the shop, and tells the organization of it.
func (d *demo) openStorefront(ctx context.Context, a *app.App) error {
	secret := halt.NewSecret()
	life, stop := context.WithCancel(context.WithoutCancel(ctx))
	var err error
	if d.storefront, err = StartStorefront(life, StorefrontOptions{Shop: d.shop(), Secret: secret}); err != nil {
		stop()
		return err
	}
	d.closers = append(d.closers, func() error {
		stop()
		return d.storefront.Wait()
	})
	url := d.storefront.URL()
	_, _, err = a.CreateService(ctx, d.admin, app.ServiceInput{
		Name: "storefront", Kind: safepoint.ServiceWebhook, HaltURL: url + "/safepoint/halt", ResumeURL: url + "/safepoint/resume",
		HealthURL: url + "/healthz", Timeout: 20 * time.Second, Secret: &secret,
	})
	return err
}

func (d *demo) startPostgres(ctx context.Context) (app.DatabaseInput, error) {
	// The cluster's folder must be reachable by the user that PostgreSQL runs as, which ours is not.
	dir, err := os.MkdirTemp("", "safepoint-demo-pg-")
	if err != nil {
		return app.DatabaseInput{}, err
	}
	d.closers = append(d.closers, func() error { return os.RemoveAll(dir) })
	if d.cluster, err = pgserver.Start(context.WithoutCancel(ctx), dir, pgserver.Options{}); err != nil {
		return app.DatabaseInput{}, err
	}
	d.closers = append(d.closers, d.cluster.Stop)
	if err := d.cluster.Exec(ctx, "postgres", "CREATE DATABASE shop"); err != nil {
		return app.DatabaseInput{}, err
	}
	t := d.cluster.Target("shop")
	if err := CreateShopPostgres(ctx, t); err != nil {
		return app.DatabaseInput{}, err
	}
	return app.DatabaseInput{Name: "shop_pg", Engine: safepoint.PostgreSQL, Host: t.Host, Port: t.Port, User: t.User, DBName: t.Name, TLS: safepoint.TLSDisable}, nil
}

// serve opens the console for people.
func (d *demo) serve(ctx context.Context) error {
	s, err := server.Open(ctx, server.Config{DataDir: d.dataDir(), Addr: d.Addr, Uploads: app.Uploads{Foreign: true}, Log: d.log, Version: d.Version})
	if err != nil {
		return err
	}
	defer s.Close()
	link, err := s.App.NewSignInLink(ctx, d.admin.UserID, 24*time.Hour)
	if err != nil {
		return err
	}
	r := Running{URL: s.URL(), SignIn: s.URL() + "/signin/link?token=" + link, Storefront: d.storefront, Shop: d.shop()}
	fmt.Fprintf(d.Out, "\nSign in:     %s (once)\nOr as:       %s, password %s\nStorefront:  %s\nStop with Ctrl+C.\n", r.SignIn, adminEmail, d.password, d.storefront.URL())
	if d.Ready != nil {
		d.Ready(r)
	}
	return s.Run(ctx)
}
