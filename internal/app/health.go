package app

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/catalog"
	"github.com/safepoint-db/safepoint/internal/storage"
)

// HealthRanges are how many days back health looks.
var HealthRanges = []int{30, 90, 365}

// HealthFilter selects databases. Zero fields select everything.
type HealthFilter struct {
	Days          int    // of the storage's totals: one of HealthRanges; 0 is 30
	Text          string // part of the name
	Offset, Limit int    // 0 is all of them
	Counted       bool   // runs are only counted: DatabaseHealth.Runs is empty
}

// Health is how an organization's databases and their storage have fared.
type Health struct {
	Days      int
	Databases []DatabaseHealth // by name
	Found     int              // that the filter selects
	All       int              // the organization's databases
	Unproven  int              // those of them that have no proven backup
	Storage   StorageHealth
}

// DatabaseHealth is how the backups of a database have fared.
type DatabaseHealth struct {
	Database   safepoint.Database
	ProvenID   string        // the newest kept backup that was read again and found whole; "" for none
	ProvenAt   time.Time     // the moment it stands for
	VerifiedAt time.Time     // when it was read again
	Size       int64         // of it
	Took       time.Duration // to make it
	NextRun    time.Time     // of the earliest active schedule; zero: none
	Good       int           // runs of the last 30 days, today among them
	Failed     int
	Missed     int
	Runs       []HealthRun // of the days looked at, oldest first
}

// HealthRun is one backup: what became of it, and for one that succeeded its size and how long it took.
type HealthRun struct {
	At     time.Time
	Status safepoint.Status // succeeded, failed or missed
	Size   int64
	Took   time.Duration
}

// StorageHealth is how much the organization's backups take, and how long there will be room.
type StorageHealth struct {
	Name     string
	Space    storage.Space
	Bytes    int64      // of the organization's kept backups
	Totals   []DayTotal // of them at the end of each day, oldest first
	Forecast Forecast   // of all backups in the storage
	Shared   bool       // other organizations' backups are in it too
}

// Health returns the databases that f selects, by name, with their backups of the last 30 days, and the storage's totals
// of the days asked for.
func (a *App) Health(ctx context.Context, by safepoint.Actor, f HealthFilter) (Health, error) {
	if err := a.authorize(ctx, by, viewer, "health.read"); err != nil {
		return Health{}, err
	}
	h := Health{Days: rangeOf(f.Days)}
	databases, err := a.Catalog.Databases(ctx, by.OrganizationID)
	if err != nil {
		return h, err
	}
	proven, err := a.Catalog.NewestProven(ctx, by.OrganizationID)
	if err != nil {
		return h, err
	}
	h.All, h.Unproven = len(databases), len(databases)-len(proven)
	databases = slices.DeleteFunc(databases, func(d safepoint.Database) bool {
		return !strings.Contains(strings.ToLower(d.Name), strings.ToLower(f.Text))
	})
	h.Found = len(databases)
	databases = databases[min(max(f.Offset, 0), len(databases)):]
	if f.Limit > 0 && len(databases) > f.Limit {
		databases = databases[:f.Limit]
	}
	if h.Databases, err = a.databaseHealth(ctx, by.OrganizationID, databases, proven, HealthRanges[0], f.Counted); err != nil {
		return h, err
	}
	h.Storage, err = a.storageHealth(ctx, by.OrganizationID, h.Days)
	return h, err
}

// DatabaseHealth returns how one database has fared in the last days.
func (a *App) DatabaseHealth(ctx context.Context, by safepoint.Actor, id string, days int) (DatabaseHealth, error) {
	if err := a.authorize(ctx, by, viewer, "health.read"); err != nil {
		return DatabaseHealth{}, err
	}
	db, err := a.Catalog.Database(ctx, by.OrganizationID, id)
	if err != nil {
		return DatabaseHealth{}, err
	}
	proven, err := a.Catalog.NewestProven(ctx, by.OrganizationID)
	if err != nil {
		return DatabaseHealth{}, err
	}
	all, err := a.databaseHealth(ctx, by.OrganizationID, []safepoint.Database{db}, proven, rangeOf(days), false)
	if err != nil {
		return DatabaseHealth{}, err
	}
	return all[0], nil
}

// rangeOf is the shortest range that reaches as many days back, or the longest there is.
func rangeOf(days int) int {
	for _, r := range HealthRanges {
		if days <= r {
			return r
		}
	}
	return HealthRanges[len(HealthRanges)-1]
}

// plansOf are the plans of the schedules of databases: of a page of them, or of more than that the plans of all there are.
func (a *App) plansOf(ctx context.Context, orgID string, databases []safepoint.Database) ([]catalog.Schedule, error) {
	const page = 100
	if len(databases) == 0 || len(databases) > page {
		return a.Catalog.SchedulePlans(ctx, orgID)
	}
	ids := make([]string, len(databases))
	for i, db := range databases {
		ids[i] = db.ID
	}
	return a.Catalog.SchedulePlans(ctx, orgID, ids...)
}

func (a *App) databaseHealth(ctx context.Context, orgID string, databases []safepoint.Database, proven map[string]catalog.Proven, days int, counted bool) ([]DatabaseHealth, error) {
	now := a.Now()
	schedules, err := a.plansOf(ctx, orgID, databases)
	if err != nil {
		return nil, err
	}
	org, err := a.Catalog.Organization(ctx, orgID)
	if err != nil {
		return nil, err
	}
	month := monthBegin(org, now)
	next := map[string]time.Time{}
	for _, s := range schedules {
		if t := nextRun(s, now); !t.IsZero() && (next[s.DatabaseID].IsZero() || t.Before(next[s.DatabaseID])) {
			next[s.DatabaseID] = t
		}
	}
	var counts map[string]catalog.RunCount
	if counted {
		if counts, err = a.Catalog.RunCounts(ctx, orgID, month); err != nil {
			return nil, err
		}
	}
	all := []DatabaseHealth{}
	for _, db := range databases {
		p := proven[db.ID]
		d := DatabaseHealth{Database: db, ProvenID: p.ID, ProvenAt: p.At, VerifiedAt: p.Verified, Size: p.Size, Took: p.Took, NextRun: next[db.ID]}
		if counted {
			n := counts[db.ID]
			d.Good, d.Failed, d.Missed = n.Good, n.Failed, n.Missed
		} else if err := a.addRuns(ctx, &d, now.AddDate(0, 0, -days), month); err != nil {
			return nil, err
		}
		all = append(all, d)
	}
	return all, nil
}

// addRuns puts the backups since a moment into d, and counts those since the beginning of the month.
func (a *App) addRuns(ctx context.Context, d *DatabaseHealth, since, month time.Time) error {
	runs, err := a.Catalog.BackupRuns(ctx, d.Database.OrganizationID, d.Database.ID, since)
	for _, r := range runs {
		d.Runs = append(d.Runs, HealthRun{At: r.At, Status: r.Status, Size: r.Size, Took: r.Took})
		if r.At.Before(month) {
			continue
		}
		switch r.Status {
		case safepoint.StatusSucceeded:
			d.Good++
		case safepoint.StatusFailed:
			d.Failed++
		case safepoint.StatusMissed:
			d.Missed++
		}
	}
	return err
}

// monthBegin is the beginning of the first of the last 30 days, today among them, in the organization's zone: the days
// of a schedule's strip.
func monthBegin(org safepoint.Organization, now time.Time) time.Time {
	zone, err := time.LoadLocation(org.TimeZone)
	if err != nil {
		zone = time.UTC
	}
	y, m, d := now.In(zone).Date()
	return time.Date(y, m, d-29, 0, 0, 0, 0, zone)
}

// growthKeep is how long the days of a storage are used again: they are the sum of many backups, and change slowly.
const growthKeep = 5 * time.Minute

type growthKey struct {
	orgID string
	days  int
}

type keptDays struct {
	days []catalog.StorageDay
	at   time.Time
}

func (a *App) storageHealth(ctx context.Context, orgID string, days int) (StorageHealth, error) {
	s := StorageHealth{Name: a.Storage.Name()}
	var err error
	if _, _, _, s.Bytes, err = a.Catalog.BackupTotals(ctx, orgID); err != nil {
		return s, err
	}
	var spaceErr error
	if s.Space, spaceErr = a.Storage.Space(ctx); spaceErr != nil {
		a.Log.WarnContext(ctx, "free space of the storage is not known", "error", spaceErr)
	}
	now := a.Now()
	changes, err := a.storageDays(ctx, orgID, days, now)
	if err != nil {
		return s, err
	}
	own, all := totals(changes, s.Bytes, now)
	for _, c := range changes {
		s.Shared = s.Shared || c.Own != c.All
	}
	s.Totals = own
	s.Forecast = NewForecast(all, s.Space.Free, spaceErr == nil && s.Space.Total > 0, now)
	return s, nil
}

func (a *App) storageDays(ctx context.Context, orgID string, days int, now time.Time) ([]catalog.StorageDay, error) {
	key := growthKey{orgID, days}
	a.growthMu.Lock()
	k, ok := a.growth[key]
	a.growthMu.Unlock()
	if age := now.Sub(k.at); ok && age >= 0 && age < growthKeep {
		return k.days, nil
	}
	changes, err := a.Catalog.StorageDays(ctx, orgID, now.AddDate(0, 0, -days))
	if err != nil {
		return nil, err
	}
	a.growthMu.Lock()
	defer a.growthMu.Unlock()
	if a.growth == nil || len(a.growth) > 1000 {
		a.growth = map[growthKey]keptDays{}
	}
	a.growth[key] = keptDays{changes, now}
	return changes, nil
}

// totals are the bytes kept at the end of each day from the first change to today: of the organization, which keeps
// bytes now, and of all, counted from any base.
func totals(changes []catalog.StorageDay, bytes int64, now time.Time) (own, all []DayTotal) {
	if len(changes) == 0 {
		return nil, nil
	}
	base := bytes
	for _, c := range changes {
		base -= c.Own
	}
	i, sumOwn, sumAll := 0, max(base, 0), int64(0)
	for day := changes[0].Day; !day.After(now); day = day.AddDate(0, 0, 1) {
		if i < len(changes) && changes[i].Day.Equal(day) {
			sumOwn, sumAll, i = sumOwn+changes[i].Own, sumAll+changes[i].All, i+1
		}
		own, all = append(own, DayTotal{day, max(sumOwn, 0)}), append(all, DayTotal{day, sumAll})
	}
	return own, all
}
