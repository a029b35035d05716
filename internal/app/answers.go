package app

import (
	"context"
	"sync"
	"time"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/engine"
)

const (
	answerEvery = 5 * time.Minute  // while somebody looks, a database is asked this often
	answerStale = 15 * time.Minute // an older answer says nothing of now
	answerLimit = 10 * time.Second // how long a database has to answer
	answersOnce = 4                // databases of an organization asked at once
	answersAll  = 16               // of all organizations
)

// AnswerState says what is known of a database's connection.
type AnswerState string

const (
	AnswerUnknown AnswerState = "unknown" // not asked yet, or too long ago
	AnswerGood    AnswerState = "answers" // when last asked, it answered
	AnswerFailing AnswerState = "failing" // when last asked, it did not: Failure says why
)

// DatabaseAnswer is what a database said when it was last asked in the background. It is kept in memory alone.
type DatabaseAnswer struct {
	State      AnswerState
	Asking     bool               // it is being asked now
	AskedAt    time.Time          // when it was last asked, zero: not since this program started
	AnsweredAt time.Time          // when it last answered; zero: it has not since
	Info       engine.Info        // of AnsweredAt
	Took       time.Duration      // to answer then
	Failure    *safepoint.Failure // with AnswerFailing
}

// answers is what the databases of one organization said.
type answers struct {
	asked    time.Time // when the last round ended
	asking   bool      // a round is asked for, or under way
	of       map[string]DatabaseAnswer
	versions map[string]int // of the connection that was asked, by database
}

// DatabaseAnswers is what is known of the databases of an organization. The zero value knows nothing.
type DatabaseAnswers struct {
	Asking bool                      // a round of questions is under way
	Of     map[string]DatabaseAnswer // by the database's ID
}

// About is what is known of one database.
func (all DatabaseAnswers) About(d safepoint.Database) DatabaseAnswer {
	if answer, ok := all.Of[d.ID]; ok {
		return answer
	}
	return DatabaseAnswer{State: AnswerUnknown, Asking: all.Asking && d.Connected()}
}

// DatabaseAnswers returns what is known of each database's connection, and waits for none of them: those whose answer is
// missing or older than five minutes are asked in the background, after which pages look again.
func (a *App) DatabaseAnswers(ctx context.Context, by safepoint.Actor) (DatabaseAnswers, error) {
	if err := a.authorize(ctx, by, viewer, "database.read"); err != nil {
		return DatabaseAnswers{}, err
	}
	now := a.Now()
	a.answersMu.Lock()
	defer a.answersMu.Unlock()
	o := a.answersOf(by.OrganizationID)
	if !o.asking && since(o.asked, now) >= answerEvery {
		select {
		case a.toAsk <- by.OrganizationID:
			o.asking = true
		default: // whoever asks is busy with many others: the next look asks again
		}
	}
	all := DatabaseAnswers{Asking: o.asking, Of: make(map[string]DatabaseAnswer, len(o.of))}
	for id, d := range o.of {
		d.Asking = o.asking && since(d.AskedAt, now) >= answerEvery
		if since(d.AskedAt, now) >= answerStale {
			d.State = AnswerUnknown
		}
		all.Of[id] = d
	}
	return all, nil
}

// since is how long ago t was; a clock that was set back makes everything old.
func since(t, now time.Time) time.Duration {
	if t.IsZero() || now.Before(t) {
		return answerStale
	}
	return now.Sub(t)
}

// answersOf is called with answersMu held.
func (a *App) answersOf(orgID string) *answers {
	o := a.answers[orgID]
	if o == nil {
		o = &answers{of: map[string]DatabaseAnswer{}, versions: map[string]int{}}
		a.answers[orgID] = o
	}
	return o
}

// AskDatabases asks databases how they are, whenever DatabaseAnswers wants to know, until ctx ends.
func (a *App) AskDatabases(ctx context.Context) {
	limit := make(chan struct{}, answersAll)
	var rounds sync.WaitGroup
	defer rounds.Wait()
	for {
		select {
		case <-ctx.Done():
			return
		case orgID := <-a.toAsk:
			rounds.Go(func() { a.askRound(ctx, orgID, limit) })
		}
	}
}

// askRound asks the databases of an organization that were not asked lately, and has pages look again.
func (a *App) askRound(ctx context.Context, orgID string, limit chan struct{}) {
	asked := false
	defer func() {
		a.answersMu.Lock()
		o := a.answersOf(orgID)
		o.asking, o.asked = false, a.Now()
		a.answersMu.Unlock()
		if asked && ctx.Err() == nil {
			a.changed(orgID, "database", "")
		}
	}()
	dbs, err := a.Catalog.Databases(ctx, orgID)
	if err != nil {
		a.Log.WarnContext(ctx, "databases were not asked how they are", "organization", orgID, "error", err)
		return
	}
	due := a.dueToAsk(orgID, dbs)
	asked = len(due) > 0
	next := make(chan safepoint.Database)
	var asking sync.WaitGroup
	for range min(answersOnce, len(due)) {
		asking.Go(func() {
			for d := range next {
				limit <- struct{}{}
				a.askOne(ctx, d)
				<-limit
			}
		})
	}
	for _, d := range due {
		if ctx.Err() == nil {
			next <- d
		}
	}
	close(next)
	asking.Wait()
}

// dueToAsk are the databases whose answer is missing, old, or of another connection; what was removed is forgotten.
func (a *App) dueToAsk(orgID string, dbs []safepoint.Database) (due []safepoint.Database) {
	now := a.Now()
	a.answersMu.Lock()
	defer a.answersMu.Unlock()
	o := a.answersOf(orgID)
	there := map[string]bool{}
	for _, d := range dbs {
		there[d.ID] = true
		if d.Connected() && (o.versions[d.ID] != d.Version || since(o.of[d.ID].AskedAt, now) >= answerEvery) {
			due = append(due, d)
		}
	}
	for id := range o.of {
		if !there[id] {
			delete(o.of, id)
			delete(o.versions, id)
		}
	}
	return due
}

// askOne connects to a database and looks. While a restore has it in hand nobody is let in, and nothing is asked.
func (a *App) askOne(ctx context.Context, d safepoint.Database) {
	if a.inRestore(ctx, d) {
		return
	}
	limited, cancel := context.WithTimeout(ctx, answerLimit)
	defer cancel()
	start, at := time.Now(), a.Now()
	info, err := a.inspect(limited, d)
	if err != nil && (ctx.Err() != nil || a.inRestore(ctx, d)) {
		return
	}
	var failure *safepoint.Failure
	if err != nil {
		failure = safepoint.UserError(slow(limited, answerLimit, err, serverOf(d))).Failure()
		a.Log.InfoContext(ctx, "a database did not say how it is", "database", d.ID, "error", err)
	} else if err := a.Catalog.SetServerVersion(ctx, d.OrganizationID, d.ID, info.ServerVersion); err != nil {
		a.Log.WarnContext(ctx, "the version of a database was not noted", "database", d.ID, "error", err)
	}
	a.keepAnswer(d, at, info, time.Since(start), failure)
}

func (a *App) inspect(ctx context.Context, d safepoint.Database) (engine.Info, error) {
	e, t, err := a.reach(ctx, d)
	if err != nil {
		return engine.Info{}, err
	}
	return e.Inspect(ctx, t)
}

// inRestore says whether a restore of the database is under way.
func (a *App) inRestore(ctx context.Context, d safepoint.Database) bool {
	running, err := a.Catalog.Running(ctx, d.OrganizationID)
	for _, op := range running {
		if op.DatabaseID == d.ID && op.Type == safepoint.TypeRestore && op.Status == safepoint.StatusRunning {
			return true
		}
	}
	return err != nil // not known: better not
}

// keepAnswer keeps what a database said at a time, or why it said nothing. An answer of a connection that has been
// changed meanwhile is asked for again.
func (a *App) keepAnswer(d safepoint.Database, at time.Time, info engine.Info, took time.Duration, failure *safepoint.Failure) {
	a.answersMu.Lock()
	defer a.answersMu.Unlock()
	o := a.answersOf(d.OrganizationID)
	kept := o.of[d.ID]
	if o.versions[d.ID] != d.Version {
		kept = DatabaseAnswer{}
	}
	kept.AskedAt, kept.Failure = at, failure
	if kept.State = AnswerFailing; failure == nil {
		kept.State, kept.AnsweredAt, kept.Info, kept.Took = AnswerGood, at, info, took
	}
	o.of[d.ID], o.versions[d.ID] = kept, d.Version
}

// askAgain forgets what a database said, since its connection has changed, and has it asked at the next look.
func (a *App) askAgain(orgID, databaseID string) {
	a.answersMu.Lock()
	defer a.answersMu.Unlock()
	o := a.answersOf(orgID)
	delete(o.of, databaseID)
	delete(o.versions, databaseID)
	o.asked = time.Time{}
}
