package app

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/catalog"
	"github.com/safepoint-db/safepoint/internal/storage"
)

// Notice is something that wants a person: it stands on every page until it is dealt with. It is found in the state of
// things each time, and is gone when that is mended. What cannot be mended, a run that did not happen, an admin dismisses.
type Notice struct {
	ID     string // the same as long as it is the same trouble: "failing:sch_…"
	Kind   NoticeKind
	Urgent bool               // something does not work now; else it will not, or did not once
	Said   *safepoint.Error   // what is the matter, and what to do
	Why    *safepoint.Failure // as recorded; nil where there is nothing
	Since  time.Time          // zero if not known

	DatabaseID, Database string
	ScheduleID, Schedule string
	OperationID          string             // the run or the restore it is about
	Runs                 int                // failing, missed: how many
	Newest               time.Time          // overdue: the moment of the newest proven backup
	Interval             safepoint.Interval // overdue: how often there should be one
	Space                storage.Space      // storage

	DismissedBy string // of one that was dealt with: who, and when
	DismissedAt time.Time
}

// NoticeKind is what a notice is about.
type NoticeKind string

const (
	NoticeRestore   NoticeKind = "restore"   // a restore for which no safe next step could be chosen
	NoticeService   NoticeKind = "service"   // a service that did not resume
	NoticeFailing   NoticeKind = "failing"   // an active schedule whose last run failed
	NoticeOverdue   NoticeKind = "overdue"   // a database whose newest proven backup is older than its schedule allows
	NoticeNever     NoticeKind = "never"     // a database of which there is no proven backup
	NoticeUnguarded NoticeKind = "unguarded" // an instant restore whose safety backup is not made yet
	NoticeStorage   NoticeKind = "storage"   // little room is left, or it is not known
	NoticeMissed    NoticeKind = "missed"    // runs that did not happen
)

// noticeOrder is the order in which notices are told within their urgency.
var noticeOrder = []NoticeKind{NoticeRestore, NoticeService, NoticeFailing, NoticeOverdue, NoticeNever, NoticeStorage, NoticeUnguarded, NoticeMissed}

// NoticeList is what wants a person now, the worst first, and what was dealt with in the last 30 days, the latest first.
type NoticeList struct {
	Open, Dismissed []Notice
}

// noticesBack is how far back missed runs are told.
const noticesBack = 30 * 24 * time.Hour

// noticesKeep is how long a list of notices is used again while nothing of its organization has changed: every page
// asks for it, and what time alone changes may be told this much later.
const noticesKeep = 5 * time.Second

type keptNotices struct {
	list  NoticeList
	at    time.Time
	event uint64
}

// Notices returns what wants a person in the actor's organization.
func (a *App) Notices(ctx context.Context, by safepoint.Actor) (NoticeList, error) {
	if err := a.authorize(ctx, by, viewer, "notice.read"); err != nil {
		return NoticeList{}, err
	}
	event, now := a.Hub.Count(by.OrganizationID), a.Now()
	a.noticesMu.Lock()
	k, ok := a.notices[by.OrganizationID]
	a.noticesMu.Unlock()
	if age := now.Sub(k.at); ok && k.event == event && age >= 0 && age < noticesKeep {
		return k.list, nil
	}
	list, err := a.findNotices(ctx, by.OrganizationID, now)
	if err != nil {
		return NoticeList{}, err
	}
	a.noticesMu.Lock()
	defer a.noticesMu.Unlock()
	if a.notices == nil {
		a.notices = map[string]keptNotices{}
	}
	a.notices[by.OrganizationID] = keptNotices{list, now, event}
	return list, nil
}

// DismissNotice takes a notice of missed runs from every page, for everybody. Runs that are missed later are told anew.
func (a *App) DismissNotice(ctx context.Context, by safepoint.Actor, id string) error {
	if err := a.authorize(ctx, by, admin, "notice.dismiss"); err != nil {
		return err
	}
	now := a.Now()
	missed, err := a.Catalog.MissedRuns(ctx, by.OrganizationID, now.Add(-noticesBack))
	if err != nil {
		return err
	}
	for _, m := range missed {
		if n := missedNotice(m); n.ID == id {
			if err := a.Catalog.DismissMissed(ctx, by.OrganizationID, m, by); err != nil {
				return err
			}
			a.audit(ctx, by, act{action: "notice.dismiss", object: "schedule", id: m.ScheduleID, name: m.Schedule, outcome: done, detail: n.Said.Message})
			a.changed(by.OrganizationID, "notice", id)
			return nil
		}
	}
	list, err := a.findNotices(ctx, by.OrganizationID, now)
	if err != nil {
		return err
	}
	for _, n := range list.Open {
		if n.ID == id {
			return safepoint.Errorf(safepoint.CodeConflict, "This notice goes by itself once what it says is mended.").
				WithHint("Only missed runs can be dismissed: they cannot be made up for.")
		}
	}
	return safepoint.Errorf(safepoint.CodeNotFound, "This notice is not here.").WithHint("It may have been dealt with meanwhile.")
}

func (a *App) findNotices(ctx context.Context, orgID string, now time.Time) (l NoticeList, err error) {
	for _, find := range []func(context.Context, string, time.Time) ([]Notice, error){
		a.restoreNotices, a.backupNotices, a.storageNotice, a.missedNotices,
	} {
		found, err := find(ctx, orgID, now)
		if err != nil {
			return l, err
		}
		l.Open = append(l.Open, found...)
	}
	slices.SortStableFunc(l.Open, func(x, y Notice) int {
		if x.Urgent != y.Urgent {
			if x.Urgent {
				return -1
			}
			return 1
		}
		return cmp.Compare(slices.Index(noticeOrder, x.Kind), slices.Index(noticeOrder, y.Kind))
	})
	dealt, err := a.Catalog.Dismissed(ctx, orgID, now.Add(-noticesBack))
	for _, m := range dealt {
		n := missedNotice(m)
		n.DismissedBy, n.DismissedAt = m.DismissedBy, m.DismissedAt
		l.Dismissed = append(l.Dismissed, n)
	}
	return l, err
}

// restoreNotices are about restores that need somebody, and services that did not resume.
func (a *App) restoreNotices(ctx context.Context, orgID string, _ time.Time) (found []Notice, err error) {
	stuck, unguarded, err := a.Catalog.NeedPeople(ctx, orgID)
	if err != nil {
		return nil, err
	}
	needs := map[string]bool{}
	for _, op := range stuck {
		needs[op.ID] = true
		found = append(found, Notice{ID: "restore:" + op.ID, Kind: NoticeRestore, Urgent: true, OperationID: op.ID, DatabaseID: op.DatabaseID, Database: op.DatabaseName, Since: op.StartedAt, Why: op.Failure,
			Said: safepoint.Errorf(safepoint.CodeNeedsOperator, "The restore of %s needs you.", op.DatabaseName).
				WithHint("Its page says what stands where, and what can be done.")})
	}
	for _, op := range unguarded {
		found = append(found, Notice{ID: "unguarded:" + op.ID, Kind: NoticeUnguarded, OperationID: op.ID, DatabaseID: op.DatabaseID, Database: op.DatabaseName, Since: op.FinishedAt, Why: op.SafetyFailure,
			Said: safepoint.Errorf(safepoint.CodeConflict, "The safety backup of the restore of %s is not made yet.", op.DatabaseName).
				WithHint("What was live before is kept until it is. It is tried again by itself.")})
	}
	state, err := a.Catalog.State(ctx, orgID)
	if err != nil || needs[state.OperationID] { // the restore's own notice says it
		return found, err
	}
	for _, service := range state.Attention {
		found = append(found, Notice{ID: "service:" + state.OperationID + ":" + service, Kind: NoticeService, Urgent: true, OperationID: state.OperationID, Since: state.Since,
			Said: safepoint.Errorf(safepoint.CodeHalt, "%s did not resume.", service).WithHint("People cannot use it until it runs again.")})
	}
	return found, nil
}

// backupNotices are about schedules that fail, and databases without a proven backup that is young enough.
func (a *App) backupNotices(ctx context.Context, orgID string, now time.Time) (found []Notice, err error) {
	failing, err := a.Catalog.Failing(ctx, orgID)
	if err != nil {
		return nil, err
	}
	told := map[string]bool{} // databases
	for _, f := range failing {
		told[f.Last.DatabaseID] = true
		found = append(found, Notice{ID: "failing:" + f.Last.ScheduleID, Kind: NoticeFailing, Urgent: true, ScheduleID: f.Last.ScheduleID, Schedule: f.Schedule,
			DatabaseID: f.Last.DatabaseID, Database: f.Last.DatabaseName, OperationID: f.Last.ID, Runs: f.Runs, Since: f.Since, Why: f.Last.Failure,
			Said: safepoint.Errorf(safepoint.CodeConflict, "The schedule %s is failing.", f.Schedule)})
	}
	databases, err := a.Catalog.Databases(ctx, orgID)
	if err != nil {
		return nil, err
	}
	schedules, err := a.Catalog.SchedulePlans(ctx, orgID)
	if err != nil {
		return nil, err
	}
	proven, err := a.Catalog.NewestProven(ctx, orgID)
	if err != nil {
		return nil, err
	}
	tightest := map[string]catalog.Schedule{}
	for _, s := range schedules {
		if t, ok := tightest[s.DatabaseID]; s.IsActive && (!ok || s.Interval < t.Interval) {
			tightest[s.DatabaseID] = s
		}
	}
	for _, db := range databases {
		p, has := proven[db.ID]
		s, scheduled := tightest[db.ID]
		if told[db.ID] || now.Before(overdueFrom(db, s, scheduled, p, has)) {
			continue
		}
		n := Notice{DatabaseID: db.ID, Database: db.Name, ScheduleID: s.ID, Schedule: s.Name, Interval: s.Interval, Urgent: true, Newest: p.At, OperationID: p.ID}
		if has {
			n.ID, n.Kind, n.Since = "overdue:"+db.ID, NoticeOverdue, p.At.Add(time.Duration(s.Interval))
			n.Said = safepoint.Errorf(safepoint.CodeConflict, "The newest proven backup of %s is older than its schedule allows.", db.Name).
				WithHint("Look in DB Logs at what keeps its runs, or start a manual backup.")
		} else {
			n.ID, n.Kind, n.Since = "never:"+db.ID, NoticeNever, db.CreatedAt
			n.Said = safepoint.Errorf(safepoint.CodeConflict, "%s was never backed up.", db.Name).
				WithHint("Without a backup it cannot be restored. Give it a schedule, or start a manual backup.")
		}
		found = append(found, n)
	}
	return found, nil
}

// neverAfter is how long a database may be here without a backup and without a schedule before that is a notice.
const neverAfter = 24 * time.Hour

// overdueFrom is when a database without a newer proven backup is worth a notice. A schedule may take its interval,
// twice what its last backup took, and an hour. A database that has backups and no active schedule is never overdue:
// whoever disabled it was told.
func overdueFrom(db safepoint.Database, s catalog.Schedule, scheduled bool, p catalog.Proven, has bool) time.Time {
	never := time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)
	switch {
	case !scheduled && has, !has && !db.Connected():
		return never
	case !scheduled:
		return db.CreatedAt.Add(neverAfter)
	}
	from := p.At
	for _, t := range []time.Time{s.EnabledAt, s.Anchor, s.UpdatedAt} {
		if t.After(from) {
			from = t
		}
	}
	return from.Add(time.Duration(s.Interval) + 2*p.Took + time.Hour)
}

// storageNotice is about the room that is left for backups.
// Before there is any backup it is only what stands in the way of the first one: a disk on which hardly any is left.
func (a *App) storageNotice(ctx context.Context, orgID string, _ time.Time) ([]Notice, error) {
	space, err := a.Storage.Space(ctx)
	switch {
	case err != nil:
		return []Notice{{ID: "storage", Kind: NoticeStorage, Urgent: true, Why: safepoint.UserError(err).Failure(),
			Said: safepoint.Errorf(safepoint.CodeUnreachable, "The storage does not say how much room is left.").
				WithHint("Backups fail while it cannot be reached.")}}, nil
	case space.Low() == "":
		return nil, nil
	}
	n := Notice{ID: "storage", Kind: NoticeStorage, Urgent: space.Low() == "bad", Space: space}
	_, _, kept, bytes, err := a.Catalog.BackupTotals(ctx, orgID)
	if err != nil {
		return nil, err
	}
	if kept == 0 {
		if !n.Urgent {
			return nil, nil
		}
		n.Said = safepoint.Errorf(safepoint.CodeSpace, "The disk for backups is almost full, although no backup is kept yet.").
			WithHint("The first backup may fail. Other files fill the disk: the operator can free some room on it, or give it more.")
		return []Notice{n}, nil
	}
	n.Said = safepoint.Errorf(safepoint.CodeSpace, "The storage is filling up.").WithHint("Delete backups that are no longer needed, or give it more room.")
	if n.Urgent {
		n.Said = safepoint.Errorf(safepoint.CodeSpace, "The storage is almost full.").WithHint("The next backups may fail. Delete backups that are no longer needed, or give it more room.")
	}
	if bytes < (space.Total-space.Free)/10 { // deleting them would help little
		n.Said = n.Said.WithHint("Your backups are a small part of what fills its disk: the operator can free some room on it, or give it more.")
	}
	return []Notice{n}, nil
}

func (a *App) missedNotices(ctx context.Context, orgID string, now time.Time) (found []Notice, err error) {
	missed, err := a.Catalog.MissedRuns(ctx, orgID, now.Add(-noticesBack))
	for _, m := range missed {
		found = append(found, missedNotice(m))
	}
	return found, err
}

func missedNotice(m catalog.Missed) Notice {
	return Notice{ID: "missed:" + m.ScheduleID, Kind: NoticeMissed, ScheduleID: m.ScheduleID, Schedule: m.Schedule, DatabaseID: m.DatabaseID, Database: m.Database,
		Runs: m.Runs, Since: m.First, Newest: m.Last,
		Said: safepoint.Errorf(safepoint.CodeInterrupted, "Runs of the schedule %s did not happen.", m.Schedule).
			WithHint("There is no backup of those times. DB Logs says why each was missed.")}
}

// CanDismiss says that an admin may take the notice away.
func (n Notice) CanDismiss() bool {
	return n.Kind == NoticeMissed && n.DismissedAt.IsZero()
}
