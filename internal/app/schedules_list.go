package app

import (
	"context"
	"strings"
	"time"

	"github.com/safepoint-db/safepoint"
)

// ScheduleFilter selects cards of DB Backup. Zero fields select everything.
type ScheduleFilter struct {
	Text       string        // part of the name of the schedule or of its database
	Show       ScheduleState // "" is any
	DatabaseID string
	Offset     int // cards to pass over
	Limit      int // 0 is all of them
}

// ScheduleState is how a schedule stands.
type ScheduleState string

const (
	ScheduleFailing  ScheduleState = "failing"  // its last run failed or was missed
	ScheduleWaiting  ScheduleState = "waiting"  // it has no good backup yet, and nothing went wrong
	ScheduleGood     ScheduleState = "good"     // its last run succeeded, or was cancelled after one that did
	ScheduleDisabled ScheduleState = "disabled" // it is not active
)

// ScheduleStates are all of them, the worst first.
var ScheduleStates = []ScheduleState{ScheduleFailing, ScheduleWaiting, ScheduleGood, ScheduleDisabled}

// State is how the card's schedule stands.
func (c ScheduleCard) State() ScheduleState {
	switch {
	case !c.IsActive:
		return ScheduleDisabled
	case c.LastRun != nil && (c.LastRun.Status == safepoint.StatusFailed || c.LastRun.Status == safepoint.StatusMissed):
		return ScheduleFailing
	case c.LastGood == nil:
		return ScheduleWaiting
	}
	return ScheduleGood
}

// ScheduleList is one page of cards, with the figures of all of them.
type ScheduleList struct {
	Cards   []ScheduleCard
	Found   int                   // that the filter selects
	All     int                   // of the organization
	States  map[ScheduleState]int // of all
	NextRun time.Time             // the earliest of all; zero: none
}

// ScheduleList returns the cards that f selects, active ones first, then by name, with their Runs. What it reads of
// schedules that are not on the page is one row each.
func (a *App) ScheduleList(ctx context.Context, by safepoint.Actor, f ScheduleFilter) (ScheduleList, error) {
	if err := a.authorize(ctx, by, viewer, "schedule.read"); err != nil {
		return ScheduleList{}, err
	}
	d, err := a.deck(ctx, by.OrganizationID)
	if err != nil {
		return ScheduleList{}, err
	}
	l := ListSchedules(d.all(), f)
	if l.Cards, err = d.fill(ctx, l.Cards); err != nil {
		return ScheduleList{}, err
	}
	ids := make([]string, len(l.Cards))
	for i, c := range l.Cards {
		ids[i] = c.ID
	}
	runs, err := a.Catalog.RunsSince(ctx, by.OrganizationID, d.now.Add(-runsShown), ids...)
	for i, c := range l.Cards {
		l.Cards[i].Runs = runs[c.ID]
	}
	return l, err
}

// ListSchedules makes the page of f out of all cards.
func ListSchedules(cards []ScheduleCard, f ScheduleFilter) ScheduleList {
	l := ScheduleList{All: len(cards), States: map[ScheduleState]int{}}
	text := strings.ToLower(f.Text)
	for _, c := range cards {
		state := c.State()
		l.States[state]++
		if !c.NextRun.IsZero() && (l.NextRun.IsZero() || c.NextRun.Before(l.NextRun)) {
			l.NextRun = c.NextRun
		}
		if f.Show != "" && f.Show != state || f.DatabaseID != "" && f.DatabaseID != c.DatabaseID || !strings.Contains(strings.ToLower(c.Name), text) && !strings.Contains(strings.ToLower(c.Database.Name), text) {
			continue
		}
		if l.Found++; l.Found > f.Offset && (f.Limit == 0 || len(l.Cards) < f.Limit) {
			l.Cards = append(l.Cards, c)
		}
	}
	return l
}
