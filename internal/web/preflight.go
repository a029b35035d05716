package web

import (
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
	var d preflightView
	for _, check := range p.Passed {
		d.Passed = append(d.Passed, v.t.Phrase(check))
	}
	if p.RowsUnknown != nil {
		d.Unknown = v.t.Message(p.RowsUnknown)
	}
	if p.Rows != nil {
		v.compareTables(&d, p.Rows)
	}
	v.answers(&d, p.Answers)
	fact := func(name, value string) {
		if value != "" {
			d.Facts = append(d.Facts, [2]string{name, value})
		}
	}
	family := p.Database.Engine.Label()
	for _, f := range [][2]string{{v.t.Say("Backup of"), p.Versions.Backup}, {v.t.Say("Server now"), p.Versions.Server}} {
		if f[1] != "" {
			fact(f[0], family+" "+f[1])
		}
	}
	fact(v.t.Say("Dump program"), p.Versions.Tool)
	if p.LiveSize > 0 {
		fact(v.t.Say("Live database"), v.t.Size(p.LiveSize))
	}
	if p.SafetySize > 0 && p.Space.Total > 0 {
		fact(v.t.Say("Safety backup"), v.t.Say("about {size}, and the storage has {free} free", "size", v.t.Size(p.SafetySize), "free", v.t.Size(p.Space.Free)))
	}
	return d
}

// answers says what each service said.
func (v *visit) answers(d *preflightView, answers []app.ServiceAnswer) {
	silent := 0
	for _, s := range answers {
		line := answerLine{Name: s.Service.Name, Kind: v.t.kindLabel(s.Service.Kind), Timeout: v.t.Lasted(s.Service.Timeout), Meaning: v.t.Phrase(s.Meaning), Why: s.Status.Detail}
		line.Look, line.Label = v.t.condition(s.Status.Condition)
		if s.Status.Condition == halt.Unknown {
			silent++
			line.Look, line.Label = "bad", v.t.Say("No answer")
		}
		if s.Failure != nil {
			line.Why = v.t.Message(s.Failure.Failed())
		}
		d.Answers = append(d.Answers, line)
	}
	switch n := len(d.Answers); {
	case silent > 0:
		d.Services, d.Alarm = v.t.Count(silent, "{n} of {all} services does not answer", "{n} of {all} services do not answer", "all", n), true
	case n > 0:
		d.Services = v.t.Count(n, "{n} service answers", "{n} services answer")
	}
}

// compareTables says the sum of it in a sentence, and names the tables.
func (v *visit) compareTables(d *preflightView, c *app.Comparison) {
	var parts []string
	if n := c.Vanishing; n > 0 {
		parts = append(parts, v.t.Count(n, "{n} table will be gone", "{n} tables will be gone"))
	}
	if n := c.Returning; n > 0 {
		parts = append(parts, v.t.Count(n, "{n} table comes back", "{n} tables come back"))
	}
	if n := c.Differing; n > 0 {
		parts = append(parts, v.t.Count(n, "{n} table gets other rows", "{n} tables get other rows"))
	}
	if n := c.Unknown; n > 0 {
		parts = append(parts, v.t.Count(n, "{n} table is not known", "{n} tables are not known"))
	}
	switch n := c.Same; {
	case len(parts) == 0 && n == 0:
		parts = append(parts, v.t.Say("No tables, neither here nor there"))
	case len(parts) == 0:
		parts = append(parts, v.t.Count(n, "As far as is known, {n} table is as in the backup", "As far as is known, {n} tables are as in the backup"))
	case n > 0:
		parts = append(parts, v.t.Count(n, "{n} table stays", "{n} tables stay"))
	}
	d.Rows = v.t.List(parts)
	d.Open, d.More, d.About = c.Vanishing > 0 || len(c.Changes) <= 6, c.More, c.LiveKnown && !c.Exact
	if c.NewestID != "" {
		d.Newest = v.t.Short(c.NewestAt) + ", " + v.t.Hour(c.NewestAt)
	}
	for _, t := range c.Changes {
		d.Tables = append(d.Tables, newTableLine(v.t, t))
	}
	d.Total = v.t.Count(c.BackupRows, "{n} row in the backup.", "{n} rows in the backup.")
	switch {
	case c.LiveKnown && c.Exact:
		d.Total = sentences(d.Total, v.t.Count(c.LiveRows, "{n} row now.", "{n} rows now."))
	case c.LiveKnown:
		d.Total = sentences(d.Total, v.t.Count(c.LiveRows, "About {n} row now.", "About {n} rows now."))
	}
}

func newTableLine(c locale, t app.TableChange) tableLine {
	rows := func(n int64, exact bool) string {
		switch {
		case n < 0:
			return "–"
		case !exact:
			return c.Say("about {number}", "number", n)
		}
		return c.Number(n)
	}
	l := tableLine{Name: t.Name, Backup: rows(t.Backup, true), Newest: rows(t.Newest, true), Now: rows(t.Live, t.Exact)}
	switch d := t.Difference(); {
	case t.Fate == app.Vanishes:
		l.Change, l.Gone = c.Say("will be gone"), true
	case t.Fate == app.ComesBack:
		l.Change = c.Say("comes back")
	case t.Fate == app.Differs:
		l.Change = c.Say("as many, but others")
	case t.Fate == app.NotKnown:
		l.Change = c.Say("not known")
	case d > 0:
		l.Change = c.Count(d, "+{n} row", "+{n} rows")
	case d < 0:
		l.Change = c.Count(-d, "−{n} row", "−{n} rows")
	default:
		l.Change = c.Say("other rows")
	}
	return l
}

// inPlace says that the restore can only be done within the live database.
func (d restoreNewView) InPlace() bool { return d.P.Mode == safepoint.RestoreInPlace }
