package app

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/catalog"
	"github.com/safepoint-db/safepoint/internal/engine"
)

// defaultTestLimit is how long a test of a database or a look before a restore may take.
const defaultTestLimit = 15 * time.Second

// Databases returns the organization's databases by name.
func (a *App) Databases(ctx context.Context, by safepoint.Actor) ([]safepoint.Database, error) {
	if err := a.authorize(ctx, by, viewer, "database.read"); err != nil {
		return nil, err
	}
	return a.Catalog.Databases(ctx, by.OrganizationID)
}

// Database returns one database.
func (a *App) Database(ctx context.Context, by safepoint.Actor, id string) (safepoint.Database, error) {
	if err := a.authorize(ctx, by, viewer, "database.read"); err != nil {
		return safepoint.Database{}, err
	}
	return a.Catalog.Database(ctx, by.OrganizationID, id)
}

// CreateDatabase stores how to reach a database. It does not connect: TryDatabase does.
func (a *App) CreateDatabase(ctx context.Context, by safepoint.Actor, in DatabaseInput) (safepoint.Database, error) {
	if err := a.authorize(ctx, by, admin, "database.create"); err != nil {
		return safepoint.Database{}, err
	}
	c, err := a.connection(in)
	if err != nil {
		return safepoint.Database{}, err
	}
	d := c.database
	if err := a.notOfOthers(ctx, by, d); err != nil {
		return safepoint.Database{}, err
	}
	if d.Name, err = checkName("name", in.Name); err != nil {
		return safepoint.Database{}, err
	}
	if d.InstantSwitch, err = a.instantSwitch(d.Engine, in.InstantSwitch, false); err != nil {
		return safepoint.Database{}, err
	}
	d.ID, d.OrganizationID = safepoint.NewID(safepoint.DatabasePrefix), by.OrganizationID
	d.CreatedBy, d.CreatedByName = by.UserID, by.UserName
	d, err = a.Catalog.CreateDatabase(ctx, d, a.Keys.Seal(catalog.DatabasePlace(d.OrganizationID, d.ID), c.secret()))
	if err != nil {
		return safepoint.Database{}, err
	}
	a.audit(ctx, by, act{action: "database.create", object: "database", id: d.ID, name: d.Name, outcome: done, detail: address(d)})
	a.askAgain(d.OrganizationID, d.ID)
	a.changed(d.OrganizationID, "database", d.ID)
	return d, nil
}

// UpdateDatabase stores how a database is called and reached. Its family stays. A password that is left out is kept,
// unless the database is now reached at another address: a stored password is never sent to a new place.
func (a *App) UpdateDatabase(ctx context.Context, by safepoint.Actor, id string, in DatabaseInput) (safepoint.Database, error) {
	if err := a.authorize(ctx, by, admin, "database.update"); err != nil {
		return safepoint.Database{}, err
	}
	old, err := a.Catalog.Database(ctx, by.OrganizationID, id)
	if err != nil {
		return old, err
	}
	if in.Engine == "" && in.URL == "" {
		in.Engine = old.Engine
	}
	c, err := a.connection(in)
	if err != nil {
		return safepoint.Database{}, err
	}
	d := c.database
	if d.Name, err = checkName("name", in.Name); err != nil {
		return safepoint.Database{}, err
	}
	if d.Path != old.Path {
		if err := a.notOfOthers(ctx, by, d); err != nil {
			return safepoint.Database{}, err
		}
	}
	if d.Engine != old.Engine {
		return safepoint.Database{}, safepoint.Invalid("engine", "%s is a %s database. Add a new one instead.", old.Name, old.Engine.Label())
	}
	if d.InstantSwitch, err = a.instantSwitch(d.Engine, in.InstantSwitch, old.InstantSwitch); err != nil {
		return safepoint.Database{}, err
	}
	d.ID, d.OrganizationID, d.Version = id, by.OrganizationID, in.Version
	var sealed []byte
	if c.password != nil {
		sealed = a.Keys.Seal(catalog.DatabasePlace(d.OrganizationID, d.ID), *c.password)
	} else if sealed, err = a.Catalog.DatabasePassword(ctx, d.OrganizationID, d.ID); err != nil {
		return safepoint.Database{}, err
	} else if sealed != nil {
		if err := mayKeepPassword(old, d); err != nil {
			return safepoint.Database{}, err
		}
	}
	if d, err = a.Catalog.UpdateDatabase(ctx, d, sealed, by.UserName); err != nil {
		return safepoint.Database{}, err
	}
	a.audit(ctx, by, act{action: "database.update", object: "database", id: d.ID, name: d.Name, outcome: done, changes: changes(
		"name", old.Name, d.Name, "address", address(old), address(d), "user", old.User, d.User, "tls", string(old.TLS), string(d.TLS),
		"instant_switch", yes(old.InstantSwitch), yes(d.InstantSwitch), "password", "", changedIf(c.password != nil))})
	a.askAgain(d.OrganizationID, d.ID)
	a.changed(d.OrganizationID, "database", d.ID)
	return d, nil
}

// mayKeepPassword refuses an edit that would send the stored password where others could read it: an admin who may use it
// need not know it.
func mayKeepPassword(old, d safepoint.Database) error {
	switch {
	case d.Host != old.Host || d.Port != old.Port:
		return safepoint.Invalid("password", "Enter the password again, because the address changed.")
	case d.TLS.WeakerThan(old.TLS) || d.CACert != old.CACert && d.TLS != safepoint.TLSDisable && d.TLS != safepoint.TLSRequire:
		return safepoint.Invalid("password", "Enter the password again, because the connection would be protected differently.")
	}
	return nil
}

// RemoveDatabase takes a database off the list, with its disabled schedules, and forgets its password. The database
// itself is not touched, and its backups stay listed and can be downloaded. It is refused, saying why, while an active
// schedule backs it up, something is queued or runs on it, or a restore of it can still be undone.
func (a *App) RemoveDatabase(ctx context.Context, by safepoint.Actor, id string) error {
	if err := a.authorize(ctx, by, admin, "database.remove"); err != nil {
		return err
	}
	d, err := a.Catalog.Database(ctx, by.OrganizationID, id)
	if err != nil {
		return err
	}
	if err := a.Catalog.RemoveDatabase(ctx, by.OrganizationID, id); err != nil {
		return err
	}
	a.audit(ctx, by, act{action: "database.remove", object: "database", id: d.ID, name: d.Name, outcome: done, detail: address(d)})
	a.askAgain(d.OrganizationID, d.ID)
	a.changed(d.OrganizationID, "database", d.ID)
	a.changed(d.OrganizationID, "schedule", "")
	return nil
}

// FieldGone is the field of a refusal of RemoveDatabase that RemoveLostDatabase is for.
const FieldGone = catalog.FieldGone

// RemoveLostDatabase removes a database whose server is gone for good, with a restore that could be undone or has no safety
// backup yet: what RemoveDatabase refuses with the field "gone". name confirms it. What restores set aside is given up: nobody
// goes back to it, backs it up or removes it any more. It is refused while the server answers.
func (a *App) RemoveLostDatabase(ctx context.Context, by safepoint.Actor, id, name string) error {
	if err := a.authorize(ctx, by, admin, "database.remove"); err != nil {
		return err
	}
	d, err := a.Catalog.Database(ctx, by.OrganizationID, id)
	if err != nil {
		return err
	}
	if name != d.Name {
		return safepoint.Invalid(catalog.FieldGone, "To confirm, type the database's name exactly: %s.", d.Name)
	}
	if a.serverAnswers(ctx, d) {
		return safepoint.Errorf(safepoint.CodeConflict, "The server of %s answers: it is not gone.", d.Name).
			WithHint("What restores set aside on it is removed in time. Remove the database afterwards.")
	}
	givenUp, err := a.Catalog.RemoveLostDatabase(ctx, by.OrganizationID, id)
	if err != nil {
		return err
	}
	detail := address(d) + ". Its server is gone."
	for _, op := range givenUp {
		detail += " Given up: " + engine.AsideName(op.ID) + "."
	}
	a.audit(ctx, by, act{action: "database.remove", object: "database", id: d.ID, name: d.Name, outcome: done, detail: detail})
	a.changed(d.OrganizationID, "database", d.ID)
	a.changed(d.OrganizationID, "schedule", "")
	return nil
}

// answersWithin is how long a server may take to show that it is there.
const answersWithin = 15 * time.Second

// serverAnswers says whether a database's server answers, be it that the database is not there any more.
func (a *App) serverAnswers(ctx context.Context, d safepoint.Database) bool {
	e, t, err := a.reach(ctx, d)
	if err != nil {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, answersWithin)
	defer cancel()
	_, err = e.Leftovers(ctx, t)
	return err == nil
}

// TestDatabase connects to a database and says in words what would stop or hamper a backup or a restore.
func (a *App) TestDatabase(ctx context.Context, by safepoint.Actor, id string) (TestResult, error) {
	if err := a.authorize(ctx, by, admin, "database.test"); err != nil {
		return TestResult{}, err
	}
	d, err := a.Catalog.Database(ctx, by.OrganizationID, id)
	if err != nil {
		return TestResult{}, err
	}
	t, err := a.target(ctx, d)
	if err != nil {
		return TestResult{}, err
	}
	at := a.Now()
	result := a.test(ctx, t)
	if ctx.Err() == nil {
		a.keepAnswer(d, at, result.Info, result.Took, result.Failure)
	}
	if result.Info.ServerVersion != "" {
		if err := a.Catalog.SetServerVersion(ctx, d.OrganizationID, d.ID, result.Info.ServerVersion); err != nil {
			return result, err
		}
	}
	a.audit(ctx, by, act{action: "database.test", object: "database", id: d.ID, name: d.Name, outcome: outcomeOf(result.OK)})
	return result, nil
}

// TryDatabase is TestDatabase for what is not saved yet.
func (a *App) TryDatabase(ctx context.Context, by safepoint.Actor, in DatabaseInput) (TestResult, error) {
	if err := a.authorize(ctx, by, admin, "database.test"); err != nil {
		return TestResult{}, err
	}
	c, err := a.connection(in)
	if err == nil {
		err = a.notOfOthers(ctx, by, c.database)
	}
	if err != nil {
		return TestResult{}, err
	}
	result := a.test(ctx, targetOf(c.database, c.secret()))
	result.Findings = append(c.findings, result.Findings...)
	a.audit(ctx, by, act{action: "database.test", object: "database", name: address(c.database), outcome: outcomeOf(result.OK)})
	return result, nil
}

func outcomeOf(ok bool) string {
	if ok {
		return done
	}
	return failed
}

// test asks the engine everything it can say without changing anything.
func (a *App) test(ctx context.Context, t engine.Target) TestResult {
	ctx, cancel := context.WithTimeout(ctx, a.testLimit)
	defer cancel()
	start := time.Now()
	var r TestResult
	err := func() error {
		e, ok := a.Engine(t.Engine)
		if !ok {
			return safepoint.Invalid("engine", "This program cannot work with %s.", t.Engine.Label())
		}
		info, err := e.Inspect(ctx, t)
		if err != nil {
			return err
		}
		r.Info = info
		forDump, err := e.CanDump(ctx, t)
		if err != nil {
			return err
		}
		forRestore, err := e.CanRestore(ctx, t, nil)
		r.Findings = append(forDump, forRestore...)
		return err
	}()
	r.Took = time.Since(start)
	if t.Engine == safepoint.PostgreSQL && t.TLS == safepoint.TLSDisable && !isSocket(t.Host) && !isLoopback(t.Host) {
		r.Findings = append(r.Findings, engine.Found(safepoint.Errorf(safepoint.CodeTLS, "The connection to %s is not encrypted.", t.Host).
			WithHint("Anybody on the way can read the data and the password. Choose verify-full.")))
	}
	if err != nil {
		r.Failure = a.failure(ctx, "test of a database failed", slow(ctx, a.testLimit, err, serverOf(databaseOf(t))))
	}
	r.OK = err == nil
	for _, f := range r.Findings {
		r.OK = r.OK && !f.Blocker
	}
	return r
}

// slow says in words that the time was up, where that is why err came.
func slow(ctx context.Context, limit time.Duration, err error, where string) error {
	var known *safepoint.Error
	if errors.As(err, &known) || !errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return err
	}
	return safepoint.Errorf(safepoint.CodeUnreachable, "%s did not answer within %s.", where, inSpan(limit)).
		WithHint("Check that the server runs, and that a firewall lets this machine through.").WithCause(err)
}

// target is how to reach a database, with its password: never for a log or an error.
func (a *App) target(ctx context.Context, d safepoint.Database) (engine.Target, error) {
	if !d.Connected() {
		return engine.Target{}, safepoint.Errorf(safepoint.CodeUnreachable, "Nobody has told yet how to reach %s: it was recovered from its backups.", d.Name).
			WithHint("Add its connection: Databases, %s, Edit; or safepoint database edit.", d.Name)
	}
	sealed, err := a.Catalog.DatabasePassword(ctx, d.OrganizationID, d.ID)
	if err != nil {
		return engine.Target{}, err
	}
	password, err := a.Keys.Unseal(catalog.DatabasePlace(d.OrganizationID, d.ID), sealed)
	if err != nil {
		return engine.Target{}, err
	}
	return targetOf(d, password), nil
}

// reach is how a database is worked with: by its family's engine, at its target.
func (a *App) reach(ctx context.Context, d safepoint.Database) (engine.Engine, engine.Target, error) {
	e, ok := a.Engine(d.Engine)
	if !ok {
		return nil, engine.Target{}, safepoint.Errorf(safepoint.CodeVersion, "This program cannot work with %s.", d.Engine.Label())
	}
	t, err := a.target(ctx, d)
	return e, t, err
}

// reachOf is reach of an operation's database.
func (a *App) reachOf(ctx context.Context, op safepoint.Operation) (engine.Engine, engine.Target, error) {
	d, err := a.Catalog.Database(ctx, op.OrganizationID, op.DatabaseID)
	if err != nil {
		return nil, engine.Target{}, err
	}
	return a.reach(ctx, d)
}

func targetOf(d safepoint.Database, password string) engine.Target {
	return engine.Target{Engine: d.Engine, Host: d.Host, Port: d.Port, User: d.User, Password: password,
		Name: d.DBName, TLS: d.TLS, CACert: d.CACert, Path: d.Path}
}

func databaseOf(t engine.Target) safepoint.Database {
	return safepoint.Database{Engine: t.Engine, Host: t.Host, Port: t.Port, User: t.User, DBName: t.Name, Path: t.Path}
}

// serverOf is who answers for a database: its server, or its file.
func serverOf(d safepoint.Database) string {
	if d.Engine == safepoint.SQLite {
		return d.Path
	}
	return fmt.Sprintf("%s:%d", d.Host, d.Port)
}

// address is where a database is, for people: without its password.
func address(d safepoint.Database) string {
	if !d.Connected() {
		return "no connection yet"
	}
	if d.Engine == safepoint.SQLite {
		return d.Path
	}
	return fmt.Sprintf("%s on %s:%d", d.DBName, d.Host, d.Port)
}
