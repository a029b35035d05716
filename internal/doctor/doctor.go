// Package doctor looks at a data directory and at database servers, says what stands where, and offers the next safe
// step. It believes servers, not the catalog, and works where the catalog is lost. Looking changes nothing.
package doctor

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/catalog"
	"github.com/safepoint-db/safepoint/internal/engine"
)

// Severity says how much a finding matters.
type Severity string

const (
	Problem Severity = "problem" // something is not as it must be; a person must act
	Warning Severity = "warning" // it will need somebody, or may be a loss of room or of safety
	Info    Severity = "info"    // as it should be; worth knowing
)

// Action is something that the doctor can do, when asked to.
type Action string

const (
	Open    Action = "open"     // let everyone into a database that was left shut
	Resume  Action = "resume"   // end what a dead server left, services first
	Discard Action = "discard"  // drop a staging database or load login whose identity and mark agree
	PutBack Action = "put-back" // give the set-aside database the live name, which nothing holds
)

// Actions are all of them.
var Actions = []Action{Open, Resume, Discard, PutBack}

// Finding is one thing that was seen, and what is safe to do next.
type Finding struct {
	Severity Severity `json:"severity"`
	Code     string   `json:"code"`  // what kind of finding, stable
	Where    string   `json:"where"` // which server, folder or directory
	What     string   `json:"what"`
	Next     string   `json:"next,omitempty"`
	Command  string   `json:"command,omitempty"` // to copy
	Fix      Action   `json:"fix,omitempty"`     // what --fix does about it
	Subject  string   `json:"subject,omitempty"` // of the fix: the name of what it acts on
	Asks     string   `json:"-"`                 // the question before the fix

	Do func(context.Context) error `json:"-"` // the fix
}

// Report is everything that was seen.
type Report struct {
	At       time.Time `json:"at"`
	Server   string    `json:"server"` // "running (process 123)", "not running", "" without a data directory
	Findings []Finding `json:"findings"`
}

// Well says that nothing needs anybody.
func (r Report) Well() bool {
	return !slices.ContainsFunc(r.Findings, func(f Finding) bool { return f.Severity != Info })
}

// Config says where to look. Zero fields leave a part out.
type Config struct {
	DataDir  string
	Catalog  *catalog.Catalog // of DataDir, open for reading; nil where it is lost
	Lost     error            // why it is nil
	Keys     *catalog.Keys    // of DataDir; nil where they cannot be read
	KeysLost error
	Backups  string                                          // the folder of backup files in DataDir
	Running  int                                             // the process that holds DataDir, 0 if none does
	Targets  []engine.Target                                 // databases to look at besides those of the catalog
	Engine   func(safepoint.Engine) (engine.Engine, bool)    // of a family
	Resume   func(ctx context.Context, restore string) error // ends what a dead server left, or asks the one that runs
	Now      func() time.Time
}

type doctor struct {
	Config
	report Report
	seen   map[string]bool // places looked at
}

// Look looks everywhere it was told to. What cannot be looked at is a finding.
func Look(ctx context.Context, c Config) Report {
	if c.Now == nil {
		c.Now = time.Now
	}
	d := &doctor{Config: c, seen: map[string]bool{}}
	d.report.At = c.Now().UTC().Truncate(time.Second)
	if c.DataDir != "" {
		d.report.Server = "not running"
		if c.Running != 0 {
			d.report.Server = fmt.Sprintf("running (process %d)", c.Running)
		}
		d.dataDir(ctx)
	}
	for _, t := range d.targets(ctx) {
		d.place(ctx, t)
	}
	rank := map[Severity]int{Problem: 0, Warning: 1, Info: 2}
	slices.SortStableFunc(d.report.Findings, func(a, b Finding) int { return rank[a.Severity] - rank[b.Severity] })
	return d.report
}

func (d *doctor) add(f Finding) { d.report.Findings = append(d.report.Findings, f) }

// failed is a finding about something that could not be looked at.
func (d *doctor) failed(code, where, what string, err error) {
	e := safepoint.UserError(err)
	if e.Code == safepoint.CodeInternal {
		e = safepoint.Errorf(e.Code, "%s", err.Error()) // unlike in the console, who reads this can act on it
	}
	d.add(Finding{Severity: Problem, Code: code, Where: where, What: what + ": " + e.Message, Next: e.Hint})
}

// targets are the databases to look at: those named, and those of the catalog that can be reached. A server or folder
// is looked at for each of its databases, but told of once.
func (d *doctor) targets(ctx context.Context) []engine.Target {
	all := slices.Clone(d.Targets)
	if d.Catalog == nil {
		return all
	}
	databases, err := d.Catalog.AllDatabases(ctx)
	if err != nil {
		d.failed("catalog.unreadable", d.DataDir, "The databases cannot be read from the catalog", err)
		return all
	}
	for _, db := range databases {
		if !db.Connected() {
			d.add(Finding{Severity: Warning, Code: "database.unconnected", Where: db.Name,
				What: fmt.Sprintf("%s was recovered from its backups, and how to reach it is not known.", db.Name),
				Next: "Add its connection in the console (Databases, Edit), or:", Command: "safepoint database edit " + quoted(db.Name) + " --database-url URL"})
			continue
		}
		t := engine.Target{Engine: db.Engine, Host: db.Host, Port: db.Port, User: db.User, Name: db.DBName, TLS: db.TLS, CACert: db.CACert, Path: db.Path}
		if db.HasPassword {
			if d.Keys == nil {
				continue // told of already
			}
			sealed, err := d.Catalog.DatabasePassword(ctx, db.OrganizationID, db.ID)
			if err == nil {
				t.Password, err = d.Keys.Unseal(catalog.DatabasePlace(db.OrganizationID, db.ID), sealed)
			}
			if err != nil {
				d.failed("database.password", db.Name, "Its password cannot be opened", err)
				continue
			}
		}
		all = append(all, t)
	}
	return all
}

// quoted is a word as a shell reads it.
func quoted(s string) string {
	if s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./:=@") == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
