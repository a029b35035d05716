package web

import (
	"fmt"
	"strings"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/app"
	"github.com/safepoint-db/safepoint/internal/halt"
)

// preflightView is what was asked and compared for the restore dialog.
type preflightView struct {
	Rows    string // what becomes of the tables, in a sentence
	Open    bool   // the tables are shown at once
	Tables  []tableLine
	More    int    // tables that are not named
	Newest  string // when the newer backup was made, which has a column then
	Total   string
	About   bool // live rows are estimates
	Unknown string

	Services string // what they answered, in a sentence
	Alarm    bool   // one does not answer
	Answers  []answerLine

	Passed []string
	Facts  [][2]string
}

// tableLine is one table that the restore would change.
type tableLine struct {
	Name, Backup, Newest, Now, Change string
	Gone                              bool
}

type answerLine struct {
	Name, Kind, Timeout string
	Look, Label         string // of its pill
	Meaning, Why        string
}

func (v *visit) preflight(p app.RestorePreview) preflightView {
	d := preflightView{Unknown: p.RowsUnknown, Passed: p.Passed}
	if p.Rows != nil {
		v.compareTables(&d, p.Rows)
	}
	silent := 0
	for _, s := range p.Answers {
		line := answerLine{Name: s.Service.Name, Kind: v.t.kindLabel(s.Service.Kind), Timeout: v.t.Lasted(s.Service.Timeout), Meaning: s.Meaning, Why: s.Status.Detail}
		line.Look, line.Label = v.t.condition(s.Status.Condition)
		if s.Status.Condition == halt.Unknown {
			silent++
			line.Look, line.Label = "bad", "No answer"
		}
		if s.Failure != nil {
			line.Why = s.Failure.Message
		}
		d.Answers = append(d.Answers, line)
	}
	switch n := len(d.Answers); {
	case silent > 0:
		verb := "do not answer"
		if silent == 1 {
			verb = "does not answer"
		}
		d.Services, d.Alarm = fmt.Sprintf("%d of %s %s", silent, v.t.Count(n, "{n} service", "{n} services"), verb), true
	case n > 0:
		d.Services = v.t.Count(n, "{n} service answers", "{n} services answer")
	}
	fact := func(name, value string) {
		if value != "" {
			d.Facts = append(d.Facts, [2]string{name, value})
		}
	}
	family := p.Database.Engine.Label()
	for _, f := range [][2]string{{"Backup of", p.Versions.Backup}, {"Server now", p.Versions.Server}} {
		if f[1] != "" {
			fact(f[0], family+" "+f[1])
		}
	}
	fact("Dump program", p.Versions.Tool)
	if p.LiveSize > 0 {
		fact("Live database", v.t.Size(p.LiveSize))
	}
	if p.SafetySize > 0 && p.Space.Total > 0 {
		fact("Safety backup", fmt.Sprintf("about %s, and the storage has %s free", v.t.Size(p.SafetySize), v.t.Size(p.Space.Free)))
	}
	return d
}

// compareTables says the sum of it in a sentence, and names the tables.
func (v *visit) compareTables(d *preflightView, c *app.Comparison) {
	var parts []string
	for _, p := range []struct {
		n         int
		one, many string
	}{
		{c.Vanishing, "table will be gone", "tables will be gone"}, {c.Returning, "comes back", "come back"},
		{c.Differing, "gets other rows", "get other rows"}, {c.Unknown, "is not known", "are not known"},
	} {
		if p.n > 0 {
			one, many := p.one, p.many
			if len(parts) == 0 && !strings.HasPrefix(one, "table") {
				one, many = "table "+one, "tables "+many
			}
			parts = append(parts, v.t.Count(p.n, "{n} "+one, "{n} "+many))
		}
	}
	switch {
	case len(parts) == 0 && c.Same == 0:
		d.Rows = "No tables, neither here nor there"
	case len(parts) == 0:
		d.Rows = "As far as is known, " + v.t.Count(c.Same, "{n} table is", "{n} tables are") + " as in the backup"
	default:
		if c.Same > 0 {
			parts = append(parts, v.t.Count(c.Same, "{n} stays", "{n} stay"))
		}
		d.Rows = v.t.List(parts)
	}
	d.Open, d.More, d.About = c.Vanishing > 0 || len(c.Changes) <= 6, c.More, c.LiveKnown && !c.Exact
	if c.NewestID != "" {
		d.Newest = title(v.t.Day(c.NewestAt))
	}
	for _, t := range c.Changes {
		d.Tables = append(d.Tables, newTableLine(v.t, t))
	}
	d.Total = v.t.Count(c.BackupRows, "{n} row in the backup", "{n} rows in the backup")
	if c.LiveKnown {
		about := ""
		if !c.Exact {
			about = "about "
		}
		d.Total += ", " + about + v.t.Count(c.LiveRows, "{n} row now", "{n} rows now")
	}
}

func newTableLine(c locale, t app.TableChange) tableLine {
	rows := func(n int64, exact bool) string {
		switch {
		case n < 0:
			return "–"
		case !exact:
			return "about" + nb + c.Number(n)
		}
		return c.Number(n)
	}
	l := tableLine{Name: t.Name, Backup: rows(t.Backup, true), Newest: rows(t.Newest, true), Now: rows(t.Live, t.Exact)}
	switch d := t.Difference(); {
	case t.Fate == app.Vanishes:
		l.Change, l.Gone = "will be gone", true
	case t.Fate == app.ComesBack:
		l.Change = "comes back"
	case t.Fate == app.Differs:
		l.Change = "as many, but others"
	case t.Fate == app.NotKnown:
		l.Change = "not known"
	case d > 0:
		l.Change = "+" + c.Count(d, "{n} row", "{n} rows")
	case d < 0:
		l.Change = "−" + c.Count(-d, "{n} row", "{n} rows")
	default:
		l.Change = "other rows"
	}
	return l
}

// inPlace says that the restore can only be done within the live database.
func (d restoreNewView) InPlace() bool { return d.P.Mode == safepoint.RestoreInPlace }
