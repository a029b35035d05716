package web

import (
	"fmt"
	"html/template"
	"strings"
	"time"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/app"
)

// card is a schedule as DB Backup shows it.
type card struct {
	app.ScheduleCard
	State, Label    string // the pill
	Strip           strip
	Spark           template.HTML
	LastLabel       string
	LastRel         string
	LastAbs         string
	NextRel         string
	NextAbs         string
	Size, Change    string
	ProblemWhen     string // set: the last run did not succeed
	Problem         string
	Say             string
	Act, ActLink    string
	ActDialog       bool
	RunAgain, Cause string // links of a failing card
}

type backupsView struct {
	Databases []safepoint.Database
	Unbacked  string // names of databases, where there is no schedule
	Cards     []card
	Overview  app.Overview
	NewestAt  string
	OldestAt  string
	OldestAgo string
	FreeLow   string // "", "warn" or "bad"
	Used      int    // percent of the storage
	Verdict   verdict
}

// verdict is the first line of the page: the worst thing first, then what comes next.
type verdict struct{ Dot, Bold, Rest string }

func showBackups(v *visit) (reply, error) {
	dbs, err := v.app.Databases(v.ctx, v.actor)
	if err != nil {
		return nil, err
	}
	schedules, err := v.app.Schedules(v.ctx, v.actor)
	if err != nil {
		return nil, err
	}
	over, err := v.app.Overview(v.ctx, v.actor)
	if err != nil {
		return nil, err
	}
	d := backupsView{Databases: dbs, Overview: over, Used: used(over.Space.Free, over.Space.Total)}
	d.FreeLow = freeState(over.Space.Free, over.Space.Total)
	for _, s := range schedules {
		d.Cards = append(d.Cards, newCard(v.t, s))
	}
	if over.Newest != nil {
		d.NewestAt = v.t.Ago(made(*over.Newest))
	}
	if over.Oldest != nil {
		d.OldestAt = strings.ReplaceAll(v.t.Ago(made(*over.Oldest)), nb, " ") // a narrow box: it may wrap
		if back := v.t.now.Sub(made(*over.Oldest)); back > 7*24*time.Hour {
			d.OldestAgo = ", " + v.t.Count(int(back/(24*time.Hour)), "{n} day", "{n} days") + " back"
		}
	}
	var names []string
	for _, db := range dbs {
		names = append(names, db.Name)
	}
	d.Unbacked = v.t.List(names)
	d.Verdict = newVerdict(v.t, d.Cards)
	p := &page{Name: "backups", Title: "DB Backup", Tab: "backups", Live: true, Busy: len(v.running) > 0, Data: d}
	if n := failing(d.Cards); n > 0 {
		p.State, p.Icon = fmt.Sprintf("%d failing", n), "bad"
	}
	return p, nil
}

// made is the moment a backup stands for.
func made(op safepoint.Operation) time.Time {
	if !op.StartedAt.IsZero() {
		return op.StartedAt
	}
	return op.CreatedAt
}

func used(free, total int64) int {
	if total <= 0 {
		return 0
	}
	return int((total - free) * 100 / total)
}

func freeState(free, total int64) string {
	switch u := used(free, total); {
	case u >= 95:
		return "bad"
	case u >= 85:
		return "warn"
	}
	return ""
}

func failing(cards []card) int {
	n := 0
	for _, c := range cards {
		if c.ProblemWhen != "" {
			n++
		}
	}
	return n
}

func newVerdict(c locale, cards []card) verdict {
	active, bad, waiting := 0, failing(cards), 0
	var next time.Time
	for _, k := range cards {
		if !k.IsActive {
			continue
		}
		active++
		if k.LastRun == nil {
			waiting++
		}
		if !k.NextRun.IsZero() && (next.IsZero() || k.NextRun.Before(next)) {
			next = k.NextRun
		}
	}
	v := verdict{Dot: "ok"}
	switch good := active - bad; {
	case bad > 0:
		v.Dot = "bad"
		v.Bold = fmt.Sprintf("%d of %s %s failing.", bad, c.Count(len(cards), "{n} schedule", "{n} schedules"), map[bool]string{true: "is", false: "are"}[bad == 1])
		switch {
		case good == 1:
			v.Rest = "The other active schedule is up to date. "
		case good > 1:
			v.Rest = fmt.Sprintf("The other %d active schedules are up to date. ", good)
		}
	case active == 0:
		v.Dot, v.Bold, v.Rest = "warn", "Every schedule is disabled.", "Nothing is backed up by itself."
	case waiting == active:
		v.Dot, v.Bold = "run", "No scheduled run has finished yet."
	case active == 1:
		v.Bold = "The active schedule is up to date."
	default:
		v.Bold = fmt.Sprintf("All %d active schedules are up to date.", active)
	}
	if !next.IsZero() {
		v.Rest += "Next run: " + c.At(next) + ", " + c.Ago(next) + "."
	}
	return v
}

func newCard(c locale, s app.ScheduleCard) card {
	k := card{ScheduleCard: s, State: "ok", Label: "Active", LastLabel: "Last backup", Strip: newStrip(c, s)}
	k.sizes(c, s.Runs)
	if s.LastGood != nil {
		k.LastRel, k.LastAbs = c.Ago(made(*s.LastGood)), c.Day(made(*s.LastGood))
		k.Size = c.Size(s.LastGood.Size)
	}
	if !s.NextRun.IsZero() {
		k.NextRel, k.NextAbs = c.Ago(s.NextRun), c.Day(s.NextRun)
	}
	k.Act, k.ActLink = "Restore points", "/backups/"+s.ID+"#points"
	switch {
	case !s.IsActive:
		k.State, k.Label = "off", "Disabled"
		k.NextAbs = "Off since " + c.short(s.DisabledAt)
		k.Say = fmt.Sprintf("Disabled by %s on %s. %s", cmpOr(s.DisabledByName, "Safepoint"), c.Date(s.DisabledAt), kept(c, s.Backups))
		k.Act, k.ActLink, k.ActDialog = "Enable schedule", "/backups/"+s.ID+"/enable", true
	case s.LastRun != nil && (s.LastRun.Status == safepoint.StatusFailed || s.LastRun.Status == safepoint.StatusMissed):
		k.State, k.Label, k.LastLabel = "bad", "Failing", "Last good backup"
		k.problem(s)
	case s.LastRun != nil && s.LastRun.Status == safepoint.StatusCancelled:
		k.Say = "The last run was cancelled. The schedule goes on as planned."
	case s.LastGood == nil && s.Running != nil:
		k.Say = "The first run is under way."
	case s.LastGood == nil:
		k.Say = "No run yet. The first is due " + c.At(s.NextRun) + "."
	case s.LastGood.VerifiedAt.IsZero():
		k.Say = "The newest backup is stored."
	default:
		k.Say = "The newest backup is verified: it was read again and is whole."
	}
	if s.Running != nil && s.IsActive {
		k.State, k.Label = "run", "Running"
		if s.Running.Status == safepoint.StatusQueued {
			k.Label = "Waiting"
		}
	}
	return k
}

func kept(c locale, n int) string {
	switch n {
	case 0:
		return "There are no backups of this database."
	case 1:
		return "The existing backup is kept."
	}
	return fmt.Sprintf("The %s existing backups are kept.", c.Number(n))
}

func (k *card) sizes(c locale, runs []safepoint.Operation) {
	var v []int64
	for _, op := range runs {
		if op.Status == safepoint.StatusSucceeded && op.Size > 0 {
			v = append(v, op.Size)
		}
	}
	if len(v) < 2 {
		return
	}
	k.Change = c.Change(v[len(v)-1]-v[0]) + " in 30" + nb + "days"
	if len(v) > 40 {
		v = v[len(v)-40:]
	}
	k.Spark = spark(v)
}

// problem says how many runs in a row did not succeed, and why the last one did not.
func (k *card) problem(s app.ScheduleCard) {
	n, missed := 0, 0
	for i := len(s.Runs) - 1; i >= 0; i-- {
		switch s.Runs[i].Status {
		case safepoint.StatusFailed:
		case safepoint.StatusMissed:
			missed++
		case safepoint.StatusQueued, safepoint.StatusRunning:
			continue
		default:
			i = 0
			continue
		}
		n++
	}
	what := "failed"
	if missed == n && n > 0 {
		what = "did not happen"
	} else if missed > 0 {
		what = "did not succeed"
	}
	k.ProblemWhen = "Last run " + what + "."
	if n > 1 {
		k.ProblemWhen = fmt.Sprintf("Last %d runs %s.", n, what)
	}
	if f := s.LastRun.Failure; f != nil {
		k.Problem = strings.TrimSpace(f.Message + " " + f.Hint)
	}
	k.Cause, k.RunAgain = "/logs/"+s.LastRun.ID, "/backups/manual?database="+s.DatabaseID
}
