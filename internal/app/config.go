package app

import (
	"context"
	"crypto/ed25519"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/archive"
	"github.com/safepoint-db/safepoint/internal/catalog"
	"github.com/safepoint-db/safepoint/internal/encrypt"
	"github.com/safepoint-db/safepoint/internal/engine"
	"github.com/safepoint-db/safepoint/internal/event"
	"github.com/safepoint-db/safepoint/internal/halt"
	"github.com/safepoint-db/safepoint/internal/passkey"
	"github.com/safepoint-db/safepoint/internal/storage"
)

// Config is what an App works with.
type Config struct {
	Catalog *catalog.Catalog // required
	Keys    *catalog.Keys    // required
	Storage storage.Storage  // required

	// Engine finds the engine of a database family. Required.
	Engine func(safepoint.Engine) (engine.Engine, bool)
	// Halter makes what halts and resumes a service, with its secret in the clear. Required.
	Halter func(s safepoint.Service, secret string) (halt.Halter, error)

	// HostServices are those of the operator's file, each with the ID of its organization and its own. They are halted
	// and resumed like the others, and changed by nobody here.
	HostServices []safepoint.Service

	Hub  *event.Hub       // nil makes one
	Wake func()           // called after something was queued or came due; nil does nothing
	Now  func() time.Time // nil means time.Now; the catalog is given the same clock by whoever opens it
	// Elapsed is how long this process has run, by a clock that nobody sets; nil measures it.
	Elapsed func() time.Duration
	Log     *slog.Logger // nil discards

	// LocalPaths decides which SQLite files an organization may name; its error is shown. nil allows every
	// absolute path outside DataDir.
	LocalPaths func(path string) error
	DataDir    string // our own folder: never a database of anybody; "" if there is none

	Uploads Uploads

	SessionIdle time.Duration // a session not used for so long ends; 0 means 8 hours
	SessionLife time.Duration // every session ends after so long; 0 means 7 days
}

// App does what users ask for. It is safe for concurrent use. See New.
type App struct {
	Config
	throttle throttle
	passkeys *passkey.Challenges
	hashing  chan struct{} // a password hash takes 19 MiB: two at once

	testLimit time.Duration // defaultTestLimit; tests wait less long

	mu      sync.Mutex
	acting  map[string]*ending // lines of the audit log that this process has begun and not ended; how the act ended, nil while it goes on
	testing map[string]string  // organization → name of the service being tested: no restore starts meanwhile

	untidy chan struct{}

	timeMu   sync.Mutex
	looked   bool          // at the clock
	kept     time.Duration // Elapsed when that was last
	growthMu sync.Mutex
	growth   map[growthKey]keptDays

	noticesMu sync.Mutex
	notices   map[string]keptNotices // by organization

	answersMu sync.Mutex
	answers   map[string]*answers // by organization
	toAsk     chan string         // organizations whose databases AskDatabases is to ask

	downloads downloads

	heldMu sync.Mutex
	held   map[string]encrypt.FileKey // restore → the key of the one file it reads, as long as it needs it
}

// New makes an App. It panics if a required field is missing: that is a mistake of the program, not of its user.
func New(cfg Config) *App {
	if cfg.Catalog == nil || cfg.Keys == nil || cfg.Storage == nil || cfg.Engine == nil || cfg.Halter == nil {
		panic("app: New needs Catalog, Keys, Storage, Engine and Halter")
	}
	if cfg.Hub == nil {
		cfg.Hub = &event.Hub{}
	}
	if cfg.Wake == nil {
		cfg.Wake = func() {}
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Elapsed == nil {
		began := time.Now()
		cfg.Elapsed = func() time.Duration { return time.Since(began) }
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.SessionIdle == 0 {
		cfg.SessionIdle = 8 * time.Hour
	}
	if cfg.SessionLife == 0 {
		cfg.SessionLife = 7 * 24 * time.Hour
	}
	a := &App{Config: cfg, passkeys: passkey.NewChallenges(cfg.Elapsed), testLimit: defaultTestLimit, hashing: make(chan struct{}, 2), testing: map[string]string{}, acting: map[string]*ending{},
		untidy: make(chan struct{}, 1), answers: map[string]*answers{}, toAsk: make(chan string, 256)}
	if a.LocalPaths == nil {
		a.LocalPaths = a.outsideDataDir
	}
	return a
}

// outsideDataDir refuses our own files: whoever could restore over the catalog would be everybody's admin.
func (a *App) outsideDataDir(path string) error {
	if a.DataDir == "" {
		return nil
	}
	own, err := filepath.Abs(a.DataDir)
	if err != nil {
		return err
	}
	for _, p := range []string{path, resolve(path)} {
		for _, dir := range []string{own, resolve(own)} {
			if p == dir || strings.HasPrefix(p, dir+string(filepath.Separator)) {
				return safepoint.Invalid("path", "This is a folder of Safepoint itself.")
			}
		}
	}
	return nil
}

// resolve follows the symbolic links of as much of path as exists.
func resolve(path string) string {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		return real
	} else if !errors.Is(err, os.ErrNotExist) || filepath.Dir(path) == path {
		return path
	}
	return filepath.Join(resolve(filepath.Dir(path)), filepath.Base(path))
}

// trust is whose archives are this installation's: its own, and those of the keys that its operator vouched for.
func (a *App) trust() archive.Trust {
	return archive.Trust{Keys: append([]ed25519.PublicKey{a.Keys.Public()}, a.Keys.Trusted()...)}
}

// changed tells the organization's pages and streams that something of it is not as it was.
func (a *App) changed(orgID, kind, id string) {
	a.Hub.Publish(event.Event{OrganizationID: orgID, Kind: kind, ID: id})
}

// failure is what a person may see of err; the cause goes to the log here, once.
func (a *App) failure(ctx context.Context, what string, err error) *safepoint.Failure {
	a.Log.WarnContext(ctx, what, "error", err)
	e := safepoint.UserError(err)
	return e.Failure()
}
