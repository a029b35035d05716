package web

import (
	"html/template"
	"strconv"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/app"
	"github.com/safepoint-db/safepoint/internal/storage"
)

// connectionView says how a database's connection is, from what it said when it was last asked.
type connectionView struct {
	State, Label string // of its pill
	When         string // when it was asked, or last answered
	Failure      *safepoint.Failure
	Size         string
	Tables       int
	Free, Total  string // of its server's disk, "" where that is not known
	FreeLow      string
}

func newConnectionView(c locale, d safepoint.Database, a app.DatabaseAnswer) connectionView {
	k := connectionView{Failure: a.Failure, Tables: a.Info.Tables}
	if !a.AnsweredAt.IsZero() {
		k.Size = c.Size(a.Info.Size)
	}
	if a.Info.DiskTotal > 0 {
		k.Free, k.Total, k.FreeLow = c.Size(a.Info.DiskFree), c.Size(a.Info.DiskTotal), storage.Space{Free: a.Info.DiskFree, Total: a.Info.DiskTotal}.Low()
	}
	switch {
	case !d.Connected():
		return connectionView{State: "off", Label: c.Say("No connection yet")}
	case a.State == app.AnswerGood:
		k.State, k.Label, k.When = "ok", c.Say("Connected"), c.Say("asked {time}", "time", c.Ago(a.AskedAt))
	case a.State == app.AnswerFailing:
		k.State, k.Label, k.When = "bad", c.Say("No answer"), c.Say("asked {time}", "time", c.Ago(a.AskedAt))
		if !a.AnsweredAt.IsZero() {
			k.When = c.Say("asked {time}, last answered {answered}", "time", c.Ago(a.AskedAt), "answered", c.Ago(a.AnsweredAt))
		}
	default:
		k.Failure = nil // what was in the way then may not be now
		if k.State, k.Label = "off", c.Say("Not known"); a.Asking {
			k.State, k.Label = "run", c.Say("Asking")
		}
		if k.When = c.Say("not asked yet"); !a.AnsweredAt.IsZero() {
			k.When = c.Say("last answered {time}", "time", c.Ago(a.AnsweredAt))
		} else if !a.AskedAt.IsZero() {
			k.When = c.Say("last asked {time}, without an answer", "time", c.Ago(a.AskedAt))
		}
	}
	return k
}

// where is how a database is reached, without its secret.
func (c locale) where(d safepoint.Database) template.HTML {
	if !d.Connected() {
		return c.HTML("no connection yet")
	}
	if d.Engine == safepoint.SQLite {
		return monoName(d.Path)
	}
	s := d.Host
	if d.Port != 0 {
		s += ":" + strconv.Itoa(d.Port)
	}
	return monoName(s + "/" + d.DBName)
}

// connectionVerdict says how many databases answer, the worst first.
func connectionVerdict(c locale, rows []databaseRow) verdict {
	n := map[string]int{}
	for _, r := range rows {
		n[r.Connection.State]++
	}
	unknown := n["off"] + n["run"]
	switch all := len(rows); {
	case n["bad"] > 0 && all == 1:
		return verdict{Dot: "bad", Bold: c.Say("The database does not answer.")}
	case n["bad"] > 0:
		return verdict{Dot: "bad", Bold: c.Count(n["bad"], "{n} of {all} databases does not answer.", "{n} of {all} databases do not answer.", "all", all)}
	case unknown == all:
		return verdict{Dot: "off", Bold: c.Count(all, "Whether the database answers is not known yet.", "Whether the databases answer is not known yet.")}
	case unknown > 0:
		return verdict{Dot: "off", Bold: c.Count(unknown, "It is not known whether {n} of {all} databases answers.", "It is not known whether {n} of {all} databases answer.", "all", all)}
	default:
		return verdict{Dot: "ok", Bold: c.Count(all, "The database answers.", "All {n} databases answer.")}
	}
}
