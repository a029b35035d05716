package app

import (
	"context"
	"encoding/base64"
	"strings"
	"time"

	"github.com/safepoint-db/safepoint"
)

// ScheduleFilter selects cards of DB Backup. Zero fields select everything.
type ScheduleFilter struct {
	Text       string        // part of the name of the schedule or of its database
	Show       ScheduleState // "" is any
	DatabaseID string
	Offset     int    // cards to pass over
	After      string // the Next of the page before: only what comes after that one
	Limit      int    // 0 is all of them
	Bare       bool   // the cards' Runs are not needed
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
	NextOf  string                // the name of the schedule that it is a run of
	Next    string                // what the page after this one comes after, "" at the end
}

// ScheduleList returns the cards that f selects, active ones first, then by name, with their Runs. What it reads of
// schedules that are not on the page is their plans. A page that is asked for by After neither repeats nor passes over
// a schedule because others were added or removed meanwhile.
func (a *App) ScheduleList(ctx context.Context, by safepoint.Actor, f ScheduleFilter) (ScheduleList, error) {
	if err := a.authorize(ctx, by, viewer, "schedule.read"); err != nil {
		return ScheduleList{}, err
	}
	d, err := a.deck(ctx, by.OrganizationID, "")
	if err != nil {
		return ScheduleList{}, err
	}
	if _, err := parsePlace(f.After); err != nil {
		return ScheduleList{}, err
	}
	l := ListSchedules(d.all(), f)
	if l.Cards, err = d.whole(ctx, l.Cards); err != nil {
		return ScheduleList{}, err
	}
	if l.Cards, err = d.fill(ctx, l.Cards); err != nil {
		return ScheduleList{}, err
	}
	if f.Bare {
		return l, nil
	}
	return l, d.addRuns(ctx, l.Cards)
}

// DatabaseSchedules returns the cards of one database, in the order of ScheduleList and without their Runs. What other
// databases have is not read.
func (a *App) DatabaseSchedules(ctx context.Context, by safepoint.Actor, databaseID string) ([]ScheduleCard, error) {
	if err := a.authorize(ctx, by, viewer, "schedule.read"); err != nil {
		return nil, err
	}
	d, err := a.deck(ctx, by.OrganizationID, databaseID)
	if err != nil {
		return nil, err
	}
	return d.fill(ctx, d.all())
}

// addRuns reads the runs of cards, all at once.
func (d *deck) addRuns(ctx context.Context, cards []ScheduleCard) error {
	ids := make([]string, len(cards))
	for i, c := range cards {
		ids[i] = c.ID
	}
	runs, err := d.app.Catalog.RunsSince(ctx, d.orgID, d.now.Add(-runsShown), ids...)
	for i, c := range cards {
		cards[i].Runs = runs[c.ID]
	}
	return err
}

// ListSchedules makes the page of f out of all cards.
func ListSchedules(cards []ScheduleCard, f ScheduleFilter) ScheduleList {
	l := ScheduleList{All: len(cards), States: map[ScheduleState]int{}}
	text := strings.ToLower(f.Text)
	after, _ := parsePlace(f.After)
	for _, c := range cards {
		state := c.State()
		l.States[state]++
		if !c.NextRun.IsZero() && (l.NextRun.IsZero() || c.NextRun.Before(l.NextRun)) {
			l.NextRun, l.NextOf = c.NextRun, c.Name
		}
		if f.Show != "" && f.Show != state || f.DatabaseID != "" && f.DatabaseID != c.DatabaseID || !strings.Contains(strings.ToLower(c.Name), text) && !strings.Contains(strings.ToLower(c.Database.Name), text) {
			continue
		}
		l.Found++
		switch {
		case l.Found <= f.Offset || f.After != "" && place(c) <= after:
		case f.Limit == 0 || len(l.Cards) < f.Limit:
			l.Cards = append(l.Cards, c)
		case l.Next == "":
			l.Next = base64.RawURLEncoding.EncodeToString([]byte(place(l.Cards[len(l.Cards)-1])))
		}
	}
	return l
}

// place is where a card stands in the order in which the catalog has schedules: places compare as text.
func place(c ScheduleCard) string {
	lower := func(r rune) rune { // as SQLite does it, which knows ASCII alone
		if r >= 'A' && r <= 'Z' {
			r += 'a' - 'A'
		}
		return r
	}
	return map[bool]string{true: "0", false: "1"}[c.IsActive] + strings.Map(lower, c.Name) + "\x00" + c.ID
}

func parsePlace(after string) (string, error) {
	b, err := base64.RawURLEncoding.DecodeString(after)
	if err != nil {
		return "", safepoint.Invalid("cursor", "This page does not exist.").WithHint("Start again from the first page.")
	}
	return string(b), nil
}
