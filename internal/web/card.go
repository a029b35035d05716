package web

import (
	"cmp"
	"html/template"
	"time"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/app"
)

// card is a schedule as DB Backup shows it.
type card struct {
	app.ScheduleCard
	State, Label   string // the pill
	Strip          strip
	Spark          template.HTML
	LastLabel      string
	LastRel        string
	LastAbs        string
	NextRel        string
	NextAbs        string
	Size, Change   string
	ProblemWhen    string // set: the last run did not succeed
	Problem        string
	Say            string
	Act, ActLink   string
	ActDialog      bool
	RunAgain       string // links of a failing card
	Cause, CauseIs string
}

func newCard(c locale, s app.ScheduleCard) card {
	k := card{ScheduleCard: s, State: "ok", Label: c.Say("Active"), LastLabel: c.Say("Last backup"), Strip: newStrip(c, s)}
	k.sizes(c, s.Runs)
	if s.LastGood != nil {
		k.LastRel, k.LastAbs = c.Ago(made(*s.LastGood)), c.Day(made(*s.LastGood))
		k.Size = c.Size(s.LastGood.Size)
	}
	if !s.NextRun.IsZero() {
		k.NextRel, k.NextAbs = c.Ago(s.NextRun), c.Day(s.NextRun)
	}
	k.Act, k.ActLink = c.Say("Restore points"), "/backups/"+s.ID+"#points"
	switch state := s.State(); {
	case state == app.ScheduleDisabled:
		k.State, k.Label = "off", c.Say("Disabled")
		k.NextAbs = c.Say("Off since {date}", "date", c.short(s.DisabledAt))
		k.Say = c.Say("Disabled by {name} on {date}.", "name", cmp.Or(s.DisabledByName, "Safepoint"), "date", c.Date(s.DisabledAt)) + " " + kept(c, s.Backups)
		k.Act, k.ActLink, k.ActDialog = c.Say("Enable schedule"), "/backups/"+s.ID+"/enable", true
	case state == app.ScheduleFailing:
		k.State, k.Label, k.LastLabel = "bad", c.Say("Failing"), c.Say("Last good backup")
		k.problem(c)
	case s.LastRun != nil && s.LastRun.Status == safepoint.StatusCancelled:
		k.Say = c.Say("The last run was cancelled. The schedule goes on as planned.")
	case s.LastGood == nil && s.Running != nil:
		k.Say = c.Say("The first run is under way.")
	case s.LastGood == nil:
		k.Say = c.Say("No run yet. The first is due {time}.", "time", c.At(s.NextRun))
	case s.LastGood.VerifiedAt.IsZero():
		k.Say = c.Say("The newest backup is stored.")
	default:
		k.Say = c.Say("The newest backup is verified: it was read again and is whole.")
	}
	if s.Running != nil && s.IsActive {
		k.State, k.Label = "run", c.Say("Running")
		if s.Running.Status == safepoint.StatusQueued {
			k.Label = c.Say("Waiting")
		}
	}
	return k
}

func kept(c locale, n int) string {
	if n == 0 {
		return c.Say("There are no backups of this database.")
	}
	return c.Count(n, "The existing backup is kept.", "The {n} existing backups are kept.")
}

// sizes words how the size changed over the strip's days, and draws it.
func (k *card) sizes(c locale, runs []safepoint.Operation) {
	var sizes []int64
	var first, last time.Time
	for _, op := range runs {
		if op.Status == safepoint.StatusSucceeded && op.Size > 0 {
			if sizes = append(sizes, op.Size); first.IsZero() {
				first = made(op)
			}
			last = made(op)
		}
	}
	if len(sizes) < 2 {
		return
	}
	k.Spark = spark(sizes)
	change := c.Change(sizes[len(sizes)-1] - sizes[0])
	// The first run of the thirty days is up to one interval younger than they are.
	days := int((last.Sub(first) + 12*time.Hour) / (24 * time.Hour))
	if c.now.Sub(first) > stripDays*24*time.Hour-time.Duration(k.Interval)-24*time.Hour {
		days = stripDays
	}
	if days == 0 {
		k.Change = c.Say("{change} in {time}", "change", change, "time", c.Lasted(last.Sub(first)))
		return
	}
	k.Change = c.Count(days, "{change} in {n} day", "{change} in {n} days", "change", change)
}

// problem says how many runs in a row did not succeed, and why the last one did not.
func (k *card) problem(c locale) {
	failed, missed := 0, 0
	for i := len(k.Runs) - 1; i >= 0; i-- {
		switch k.Runs[i].Status {
		case safepoint.StatusFailed:
			failed++
		case safepoint.StatusMissed:
			missed++
		case safepoint.StatusQueued, safepoint.StatusRunning:
		default:
			i = 0
		}
	}
	if failed+missed == 0 { // the last run is older than what is shown
		failed, missed = 1, 0
		if k.LastRun.Status == safepoint.StatusMissed {
			failed, missed = 0, 1
		}
	}
	switch n := failed + missed; {
	case missed == 0:
		k.ProblemWhen = c.Count(n, "Last run failed.", "Last {n} runs failed.")
	case failed == 0:
		k.ProblemWhen = c.Count(n, "Last run did not happen.", "Last {n} runs did not happen.")
	default:
		k.ProblemWhen = c.Count(n, "Last run did not succeed.", "Last {n} runs did not succeed.")
	}
	k.Problem = why(c, k.LastRun.Failure)
	k.Cause, k.CauseIs, k.RunAgain = "/logs/"+k.LastRun.ID, c.Say("Details"), "/backups/manual?database="+k.DatabaseID
	if f := k.LastRun.Failure; f != nil && f.Code == safepoint.CodeSpace {
		k.Cause, k.CauseIs = "/storage/"+app.StorageID, c.Say("Free up space")
	}
}
