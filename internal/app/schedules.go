package app

import (
	"context"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/catalog"
)

// runsShown is how far back a card's strip reaches.
const runsShown = 30 * 24 * time.Hour

// Schedule returns one card.
func (a *App) Schedule(ctx context.Context, by safepoint.Actor, id string) (ScheduleCard, error) {
	if err := a.authorize(ctx, by, viewer, "schedule.read"); err != nil {
		return ScheduleCard{}, err
	}
	s, err := a.Catalog.Schedule(ctx, by.OrganizationID, id)
	if err != nil {
		return ScheduleCard{}, err
	}
	d, err := a.deck(ctx, by.OrganizationID, s.DatabaseID)
	if err != nil {
		return ScheduleCard{}, err
	}
	if d.runs[id], err = a.Catalog.ScheduleRuns(ctx, by.OrganizationID, id, d.now.Add(-runsShown)); err != nil {
		return ScheduleCard{}, err
	}
	cards, err := d.fill(ctx, []ScheduleCard{d.card(s)})
	if err != nil {
		return ScheduleCard{}, err
	}
	card := cards[0]
	if !s.IsActive {
		card.Newest, _, err = a.Catalog.NewestBackup(ctx, by.OrganizationID, s.DatabaseID, "")
		card.AtOnce = runNow(s.Schedule, card.Newest, d.now)
	}
	return card, err
}

// deck is what the cards of one organization, or of one database of it, have in common, read once for all of them.
type deck struct {
	app       *App
	orgID     string
	now       time.Time
	schedules []catalog.Schedule
	databases map[string]safepoint.Database
	runs      map[string][]safepoint.Operation // by schedule
	open      map[string]*safepoint.Operation  // the newest run that waits or runs, by schedule
	backups   map[string]int                   // kept files by database
	active    map[string]int                   // active schedules by database
}

// deck reads what cards need; databaseID "" is all databases.
func (a *App) deck(ctx context.Context, orgID, databaseID string) (*deck, error) {
	d := &deck{app: a, orgID: orgID, now: a.Now(), databases: map[string]safepoint.Database{}, active: map[string]int{}, backups: map[string]int{},
		runs: map[string][]safepoint.Operation{}, open: map[string]*safepoint.Operation{}}
	if err := d.readSchedules(ctx, databaseID); err != nil {
		return nil, err
	}
	for _, s := range d.schedules {
		if s.IsActive {
			d.active[s.DatabaseID]++
		}
	}
	open, err := a.Catalog.Running(ctx, orgID)
	if err != nil {
		return nil, err
	}
	for _, op := range open {
		if op.ScheduleID != "" {
			d.open[op.ScheduleID] = &op
		}
	}
	stored, err := a.Catalog.StoredByDatabase(ctx, orgID)
	for _, s := range stored {
		d.backups[s.DatabaseID] = s.Backups
	}
	return d, err
}

// readSchedules reads the schedules and their databases: those of one database in full, those of all as plans.
func (d *deck) readSchedules(ctx context.Context, databaseID string) (err error) {
	if databaseID == "" {
		if d.schedules, err = d.app.Catalog.SchedulePlans(ctx, d.orgID); err != nil {
			return err
		}
		all, err := d.app.Catalog.Databases(ctx, d.orgID)
		for _, db := range all {
			d.databases[db.ID] = db
		}
		return err
	}
	db, err := d.app.Catalog.Database(ctx, d.orgID, databaseID)
	if err != nil {
		return notHere(err, "database")
	}
	d.databases[db.ID] = db
	d.schedules, err = d.app.Catalog.DatabaseSchedules(ctx, d.orgID, databaseID)
	return err
}

// all are the cards of all schedules, of whose last runs only ID and status are there.
func (d *deck) all() []ScheduleCard {
	cards := make([]ScheduleCard, len(d.schedules))
	for i, s := range d.schedules {
		cards[i] = d.card(s)
	}
	return cards
}

func (d *deck) card(s catalog.Schedule) ScheduleCard {
	card := ScheduleCard{
		Schedule: s.Schedule, Database: d.databases[s.DatabaseID], Runs: d.runs[s.ID], Backups: d.backups[s.DatabaseID], Running: d.open[s.ID],
		OnlyOne: s.IsActive && d.active[s.DatabaseID] == 1, NextRun: nextRun(s, d.now), UpdatedBy: s.UpdatedBy, UpdatedAt: s.UpdatedAt,
	}
	if s.LastRun != "" {
		card.LastRun = &safepoint.Operation{ID: s.LastRun, Status: s.LastStatus}
	}
	if s.LastGood != "" {
		card.LastGood = &safepoint.Operation{ID: s.LastGood, Status: safepoint.StatusSucceeded}
	}
	return card
}

// nextRun is when a schedule runs next, zero while it is disabled. A run that is due starts as soon as the scheduler looks.
func nextRun(s catalog.Schedule, now time.Time) time.Time {
	if due, _ := s.Due(s.Done, now); !due.IsZero() {
		return due
	}
	if !s.IsActive {
		return time.Time{}
	}
	return s.NextRun(now)
}

// whole are cards that were made of plans, made again of all that is known of their schedules. One that was removed
// meanwhile is left out.
func (d *deck) whole(ctx context.Context, cards []ScheduleCard) ([]ScheduleCard, error) {
	ids := make([]string, len(cards))
	for i, c := range cards {
		ids[i] = c.ID
	}
	schedules, err := d.app.Catalog.SchedulesByID(ctx, d.orgID, ids...)
	var there []ScheduleCard
	for _, id := range ids {
		if s, ok := schedules[id]; ok {
			there = append(there, d.card(s))
		}
	}
	return there, err
}

// fill reads the last runs of cards, all at once.
func (d *deck) fill(ctx context.Context, cards []ScheduleCard) ([]ScheduleCard, error) {
	var ids []string
	for _, c := range cards {
		for _, op := range []*safepoint.Operation{c.LastRun, c.LastGood} {
			if op != nil {
				ids = append(ids, op.ID)
			}
		}
	}
	last, err := d.app.Catalog.OperationsByID(ctx, d.orgID, ids...)
	for i, c := range cards {
		if c.LastRun != nil {
			cards[i].LastRun = last[c.LastRun.ID]
		}
		if c.LastGood != nil {
			cards[i].LastGood = last[c.LastGood.ID]
		}
	}
	return cards, err
}

// CreateSchedule makes a schedule, active from now on. Without a first run chosen, it runs within a minute.
func (a *App) CreateSchedule(ctx context.Context, by safepoint.Actor, in ScheduleInput) (safepoint.Schedule, error) {
	if err := a.authorize(ctx, by, admin, "schedule.create"); err != nil {
		return safepoint.Schedule{}, err
	}
	s, err := checkSchedule(in)
	if err != nil {
		return safepoint.Schedule{}, err
	}
	if s.DatabaseID = in.DatabaseID; s.DatabaseID == "" {
		return safepoint.Schedule{}, safepoint.Invalid("database", "Choose the database to back up.")
	}
	if now := a.Now(); !in.FirstRun.IsZero() && (in.FirstRun.After(now.AddDate(1, 0, 0)) || in.FirstRun.Before(now.AddDate(-1, 0, 0))) {
		return safepoint.Schedule{}, safepoint.Invalid("first_run", "Choose a time within a year from now.")
	}
	s.OrganizationID, s.Anchor = by.OrganizationID, in.FirstRun
	s.CreatedBy, s.CreatedByName = by.UserID, by.UserName
	if s, err = a.Catalog.CreateSchedule(ctx, s); err != nil {
		return safepoint.Schedule{}, err
	}
	a.audit(ctx, by, act{action: "schedule.create", object: "schedule", id: s.ID, name: s.Name, outcome: done, detail: "Every " + s.Interval.String() + "."})
	a.changed(s.OrganizationID, "schedule", s.ID)
	a.Wake()
	return s, nil
}

// UpdateSchedule stores name, description and interval. Times of a new interval that have passed are not made up for.
func (a *App) UpdateSchedule(ctx context.Context, by safepoint.Actor, id string, in ScheduleInput) (safepoint.Schedule, error) {
	if err := a.authorize(ctx, by, admin, "schedule.update"); err != nil {
		return safepoint.Schedule{}, err
	}
	s, err := checkSchedule(in)
	if err != nil {
		return safepoint.Schedule{}, err
	}
	old, err := a.Catalog.Schedule(ctx, by.OrganizationID, id)
	if err != nil {
		return safepoint.Schedule{}, err
	}
	s.ID, s.OrganizationID, s.Version = id, by.OrganizationID, in.Version
	if s, err = a.Catalog.UpdateSchedule(ctx, s, by.UserName); err != nil {
		return safepoint.Schedule{}, err
	}
	a.audit(ctx, by, act{action: "schedule.update", object: "schedule", id: s.ID, name: s.Name, outcome: done,
		changes: changes("name", old.Name, s.Name, "description", old.Description, s.Description, "interval", old.Interval.String(), s.Interval.String())})
	a.changed(s.OrganizationID, "schedule", s.ID)
	a.Wake()
	return s, nil
}

func checkSchedule(in ScheduleInput) (s safepoint.Schedule, err error) {
	if s.Name, err = checkName("name", in.Name); err != nil {
		return s, err
	}
	s.Description = strings.TrimSpace(in.Description)
	if utf8.RuneCountInString(s.Description) > 500 {
		return s, safepoint.Invalid("description", "Use at most 500 characters.")
	}
	if !utf8.ValidString(s.Description) {
		return s, safepoint.Invalid("description", "This text has characters that cannot be used.")
	}
	s.Interval, err = safepoint.ParseInterval(in.Interval.Slug())
	return s, err
}

// DisableSchedule makes a schedule inactive. From then on nothing of it runs: a run that waits is cancelled. One that
// has begun goes on. A schedule that is inactive already stays so.
func (a *App) DisableSchedule(ctx context.Context, by safepoint.Actor, id string) (safepoint.Schedule, error) {
	if err := a.authorize(ctx, by, admin, "schedule.disable"); err != nil {
		return safepoint.Schedule{}, err
	}
	s, changed, err := a.Catalog.DisableSchedule(ctx, by.OrganizationID, id, by.UserName)
	if err != nil {
		return safepoint.Schedule{}, err
	}
	cancelled, err := a.Catalog.CancelQueuedRuns(context.WithoutCancel(ctx), s.ID)
	if err != nil {
		return safepoint.Schedule{}, err
	}
	for _, op := range cancelled {
		a.changed(s.OrganizationID, "operation", op.ID)
	}
	if changed {
		a.audit(ctx, by, act{action: "schedule.disable", object: "schedule", id: s.ID, name: s.Name, outcome: done})
		a.changed(s.OrganizationID, "schedule", s.ID)
	}
	return s, nil
}

// EnableSchedule makes a schedule active again. If its database has no backup of the last interval, a run is due at
// once and the following ones count from now; else it goes on at its times. An active schedule stays as it is.
func (a *App) EnableSchedule(ctx context.Context, by safepoint.Actor, id string) (safepoint.Schedule, error) {
	if err := a.authorize(ctx, by, admin, "schedule.enable"); err != nil {
		return safepoint.Schedule{}, err
	}
	old, err := a.Catalog.Schedule(ctx, by.OrganizationID, id)
	if err != nil {
		return safepoint.Schedule{}, err
	}
	newest, _, err := a.Catalog.NewestBackup(ctx, by.OrganizationID, old.DatabaseID, "")
	if err != nil {
		return safepoint.Schedule{}, err
	}
	s, changed, err := a.Catalog.EnableSchedule(ctx, by.OrganizationID, id, by.UserName, runNow(old.Schedule, newest, a.Now()))
	if err != nil {
		return safepoint.Schedule{}, err
	}
	if changed {
		a.audit(ctx, by, act{action: "schedule.enable", object: "schedule", id: s.ID, name: s.Name, outcome: done})
		a.changed(s.OrganizationID, "schedule", s.ID)
		a.Wake()
	}
	return s, nil
}

// runNow says whether a schedule that is enabled at now has a run due at once: it has begun, and the newest backup of
// its database (nil: there is none) is older than its interval.
func runNow(s safepoint.Schedule, newest *safepoint.Operation, now time.Time) bool {
	if s.Anchor.After(now) {
		return false
	}
	return newest == nil || now.Sub(newest.StartedAt) > time.Duration(s.Interval)
}

// Overview returns the facts above the cards.
func (a *App) Overview(ctx context.Context, by safepoint.Actor) (Overview, error) {
	if err := a.authorize(ctx, by, viewer, "overview.read"); err != nil {
		return Overview{}, err
	}
	o := Overview{StorageName: a.Storage.Name()}
	var err error
	if o.Newest, o.Oldest, o.Backups, o.Bytes, err = a.Catalog.BackupTotals(ctx, by.OrganizationID); err != nil {
		return Overview{}, err
	}
	if o.Space, err = a.Storage.Space(ctx); err != nil {
		// The page is worth more than its free space: it is shown as not known.
		a.Log.WarnContext(ctx, "free space of the storage is not known", "error", err)
	}
	return o, nil
}

// Stored is how many backup files of a database are kept, and what they take.
type Stored = catalog.Stored

// StoredByDatabase says what fills the storage: every database with backups, also those that were removed, the largest
// first.
func (a *App) StoredByDatabase(ctx context.Context, by safepoint.Actor) ([]Stored, error) {
	if err := a.authorize(ctx, by, viewer, "overview.read"); err != nil {
		return nil, err
	}
	return a.Catalog.StoredByDatabase(ctx, by.OrganizationID)
}
