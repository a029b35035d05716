package server

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/catalog"
)

// MinWatch is the shortest time after which the watchdog may act: a few heartbeats of a console that lives.
const MinWatch = 5 * time.Second

const (
	watchPoll   = 5 * time.Second  // between looks, or a tenth of the time it waits for
	deathWithin = 10 * time.Second // for a killed console to be gone
)

// Watch ends what a console that does not live any more left halted, until ctx ends. A console counts as dead when a
// restore that halts its organization has given no sign of life for as long as after, as this process itself has
// watched. Then, and only then, the watchdog makes sure that the console is dead, takes the data directory's lock and
// does what the console's next start would do: open the database, resume the services, end the restore.
//
// docs/decisions/0014-watchdog.md says why the two can never act at once.
func Watch(ctx context.Context, cfg Config, after time.Duration) error {
	if after < MinWatch {
		return safepoint.Errorf(safepoint.CodeInvalid, "The watchdog waits for %s at least: a console gives a sign of life every two seconds.", MinWatch)
	}
	if err := asOwner(cfg.DataDir); err != nil {
		return err
	}
	w := &watchdog{cfg: cfg, after: after, log: cmp.Or(cfg.Log, slog.Default()), silent: map[catalog.Pulse]time.Time{}}
	tick := time.NewTicker(max(200*time.Millisecond, min(watchPoll, after/10)))
	defer tick.Stop()
	for ctx.Err() == nil {
		if err := w.look(ctx); err != nil && ctx.Err() == nil {
			w.complain(err)
		} else {
			w.said = ""
		}
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
	return nil
}

type watchdog struct {
	cfg   Config
	after time.Duration
	log   *slog.Logger
	// silent is since when each sign of life has been the last, by this process's own clock, which neither a change of
	// the machine's time nor its sleep moves on.
	silent map[catalog.Pulse]time.Time
	said   string
}

// complain logs an error once, not at each look.
func (w *watchdog) complain(err error) {
	if text := err.Error(); text != w.said {
		w.said = text
		w.log.Error("the watchdog cannot do its work", "error", err)
	}
}

// look reads the signs of life, and takes over if one has been the last for too long.
func (w *watchdog) look(ctx context.Context) error {
	pulses, err := w.pulses(ctx)
	if err != nil {
		return err
	}
	now := time.Now()
	for p := range w.silent {
		if !slices.Contains(pulses, p) {
			delete(w.silent, p)
		}
	}
	overdue := false
	for _, p := range pulses {
		since, known := w.silent[p]
		if !known {
			w.silent[p] = now
			continue
		}
		overdue = overdue || now.Sub(since) >= w.after
	}
	if !overdue {
		return nil
	}
	w.log.Warn("no sign of life of the console while an organization is halted: taking over", "after", w.after, "operations", ids(pulses))
	if err := w.takeOver(ctx, pulses); err != nil {
		return err
	}
	clear(w.silent)
	return nil
}

func ids(pulses []catalog.Pulse) (out []string) {
	for _, p := range pulses {
		out = append(out, p.OperationID)
	}
	return out
}

// pulses reads the catalog anew each time: it may be replaced, and nothing is kept open in it.
func (w *watchdog) pulses(ctx context.Context) ([]catalog.Pulse, error) {
	c, err := catalog.OpenReader(ctx, filepath.Join(w.cfg.DataDir, catalogFile))
	if err != nil {
		return nil, err
	}
	defer c.Close()
	return c.HaltedPulses(ctx)
}

// takeOver makes sure that no console lives, and ends what it left. seen is what was silent.
func (w *watchdog) takeOver(ctx context.Context, seen []catalog.Pulse) error {
	dir := w.cfg.DataDir
	leave, err := LockFile(filepath.Join(dir, takeoverFile))
	if err != nil {
		return err // another watchdog is at it
	}
	defer leave(false)
	unlock, err := w.lock(ctx, seen)
	if unlock == nil {
		return err
	}
	defer unlock(false)
	return w.recover(ctx)
}

// lock takes the data directory's lock: free if the console is dead. If one holds it that gave no sign of life, it
// stands still, and nobody can say where: it is killed first, so that it cannot go on from there. unlock is nil if there
// was nothing to take.
func (w *watchdog) lock(ctx context.Context, seen []catalog.Pulse) (unlock func(bool), err error) {
	killed := false
	for deadline := time.Now().Add(deathWithin); ; {
		unlock, err := LockFile(filepath.Join(w.cfg.DataDir, lockFile))
		switch {
		case err == nil:
			return unlock, nil
		case safepoint.ErrorCode(err) != safepoint.CodeConflict || time.Now().After(deadline):
			return nil, err
		}
		if !killed {
			now, err := w.pulses(ctx)
			if err != nil {
				return nil, err
			}
			if !slices.ContainsFunc(now, func(p catalog.Pulse) bool { return slices.Contains(seen, p) }) {
				return nil, nil // it lives after all, or another has begun
			}
			if err := writable(w.cfg.DataDir); err != nil {
				return nil, err
			}
			if err := endHolder(w.cfg.DataDir); err != nil {
				return nil, fmt.Errorf("the console stands still while it holds the data directory, and cannot be ended from here (is it in another container, or another user's?): %w", err)
			}
			killed = true
			w.log.Warn("the console stood still and was ended")
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// writable refuses where the data directory's disk is full: a console that lives gives no sign of life then either, and
// goes on trying, and nobody could do better in its place.
func writable(dir string) error {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return fmt.Errorf("look at the data directory's disk: %w", err)
	}
	if uint64(st.Bavail)*uint64(st.Bsize) < 1<<20 {
		return safepoint.Errorf(safepoint.CodeSpace, "The disk of the data directory is full: nothing can be taken over.").WithHint("Free some space on it.")
	}
	return nil
}

// recover is what the next start of the console would do first, and nothing else. The caller holds the lock.
func (w *watchdog) recover(ctx context.Context) (err error) {
	s := &Server{cfg: w.cfg, log: w.log, anyServices: true}
	if s.cfg.Now == nil {
		s.cfg.Now = time.Now
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	if err := s.openLocked(ctx); err != nil {
		return err
	}
	if !s.jobs.RunRecovery(ctx) {
		return errors.New("the interrupted operations could not be read")
	}
	left, err := s.catalog.HaltedPulses(ctx)
	if err != nil {
		return err
	}
	if len(left) > 0 {
		return fmt.Errorf("operations %v could not be ended yet; the data directory is free again, and they will be tried again", ids(left))
	}
	w.log.Info("what the console left is in order; start it again")
	return nil
}
