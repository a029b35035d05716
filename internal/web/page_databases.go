package web

import (
	"cmp"
	"context"
	"html/template"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/app"
)

type databaseRow struct {
	safepoint.Database
	Where      template.HTML
	Connection connectionView
}

type databasesView struct {
	Rows    []databaseRow
	Verdict verdict
}

func showDatabases(v *visit) (reply, error) {
	dbs, err := v.app.Databases(v.ctx, v.actor)
	if err != nil {
		return nil, err
	}
	known, err := v.app.DatabaseAnswers(v.ctx, v.actor)
	if err != nil {
		return nil, err
	}
	var d databasesView
	for _, db := range dbs {
		d.Rows = append(d.Rows, databaseRow{db, v.t.where(db), newConnectionView(v.t, db, known.About(db))})
	}
	d.Verdict = connectionVerdict(v.t, d.Rows)
	return &page{Name: "databases", Title: v.t.Say("Databases"), Tab: "databases", Live: true, Data: d}, nil
}

type databaseView struct {
	DB         safepoint.Database
	Where      template.HTML
	Connection connectionView
	Schedules  []app.ScheduleCard
	Backups    int
	Days       []pointDay
	Test       *testView
}

// testView is what a test found, with the form or the page it belongs to.
type testView struct {
	app.TestResult
	Took string
}

func newTestView(c locale, t app.TestResult) *testView { return &testView{t, c.Lasted(t.Took)} }

func showDatabase(v *visit) (reply, error) { return v.databasePage(v.id()) }

func (v *visit) databasePage(id string) (*page, error) {
	db, err := v.app.Database(v.ctx, v.actor, id)
	if err != nil {
		return nil, err
	}
	known, err := v.app.DatabaseAnswers(v.ctx, v.actor)
	if err != nil {
		return nil, err
	}
	d := databaseView{DB: db, Where: v.t.where(db), Connection: newConnectionView(v.t, db, known.About(db))}
	if d.Schedules, err = v.app.DatabaseSchedules(v.ctx, v.actor, id); err != nil {
		return nil, err
	}
	ops, err := v.app.Operations(v.ctx, v.actor, safepoint.OperationFilter{DatabaseID: id, Type: safepoint.TypeBackup, Status: safepoint.StatusSucceeded, Limit: 1})
	if err != nil {
		return nil, err
	}
	d.Backups = ops.Total
	if d.Days, err = v.points(id, d.Schedules); err != nil {
		return nil, err
	}
	return &page{Name: "database", Title: v.t.Say("{name} · Databases", "name", db.Name), Tab: "databases", Live: true, Data: d}, nil
}

// doDatabaseTest shows what the test found on the database's page itself: it is a look, it leaves nothing behind.
func doDatabaseTest(v *visit) (reply, error) {
	test, err := v.app.TestDatabase(v.ctx, v.actor, v.id())
	if err != nil {
		return nil, err
	}
	p, err := v.databasePage(v.id())
	if err != nil {
		return nil, err
	}
	d := p.Data.(databaseView)
	d.Test, p.Live = newTestView(v.t, test), false
	p.Data = d
	return p, nil
}

type databaseForm struct {
	F      *form
	New    bool
	ID     string
	Name   string
	Engine string
	Stored bool // a password is kept
	Test   *testView
	Action string
	Back   string
}

func showDatabaseNew(v *visit) (reply, error) {
	return v.databaseNew(newForm("engine", string(safepoint.PostgreSQL), "port", "5432", "tls", string(safepoint.TLSVerifyFull))), nil
}

func (v *visit) databaseNew(f *form) *page {
	return &page{Name: "database_edit", Title: v.t.Say("Connect a database"), Tab: "databases",
		Data: databaseForm{F: f, New: true, Engine: f.Get("engine"), Action: "/databases/new", Back: "/databases"}}
}

// databaseInput reads the form. An empty password keeps the stored one, unless the form says it has none.
func (v *visit) databaseInput() (in app.DatabaseInput, err error) {
	in = app.DatabaseInput{Name: v.value("name"), URL: v.value("url"), Engine: safepoint.Engine(v.value("engine")), Host: v.value("host"), User: v.value("user"),
		DBName: v.value("dbname"), Path: v.value("path"), TLS: safepoint.TLSMode(v.value("tls")), CACert: v.value("ca_cert")}
	if in.Port, err = v.port(); err != nil {
		return in, err
	}
	if p := v.r.PostFormValue("password"); p != "" {
		in.Password = &p
	} else if v.r.PostFormValue("no_password") != "" {
		empty := ""
		in.Password = &empty
	}
	in.Version, _ = strconv.Atoi(v.value("version"))
	instant := v.value("instant_switch") != ""
	in.InstantSwitch = &instant
	return in, nil
}

func doDatabaseNew(v *visit) (reply, error) {
	f := v.posted("password", "url")
	f.spread(v.value("url"))
	p := v.databaseNew(f)
	in, err := v.databaseInput()
	if err != nil {
		return f.refused(p, err)
	}
	if v.value("do") == "test" {
		return v.tryDatabase(f, p, in)
	}
	db, err := v.app.CreateDatabase(v.ctx, v.actor, in)
	if err != nil {
		return f.refused(p, err)
	}
	if !v.org.Guided { // the guide goes on once the database has answered, and says so where it has not
		if _, err := v.app.TestDatabase(v.ctx, v.actor, db.ID); err != nil {
			v.s.Log.Warn("the first database was not tested", "database", db.ID, "error", err)
		}
		return redirect("/start?done=connected"), nil
	}
	return redirect("/databases/" + db.ID + "?done=connected"), nil
}

// spread fills the fields of a connection from its URL, the password aside, which is never sent back.
func (f *form) spread(s string) {
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "postgres" && u.Scheme != "postgresql" {
		return
	}
	f.Values.Set("host", cmp.Or(u.Query().Get("host"), u.Hostname()))
	f.Values.Set("port", cmp.Or(u.Port(), "5432"))
	f.Values.Set("dbname", strings.TrimPrefix(u.Path, "/"))
	f.Values.Set("user", u.User.Username())
	if mode := u.Query().Get("sslmode"); mode != "" {
		f.Values.Set("tls", mode)
	}
}

// tryDatabase tests what is in the form before it is saved, and shows the form again with what it found.
func (v *visit) tryDatabase(f *form, p *page, in app.DatabaseInput) (reply, error) {
	test, err := v.app.TryDatabase(v.ctx, v.actor, in)
	if err != nil {
		return f.refused(p, err)
	}
	d := p.Data.(databaseForm)
	d.Test = newTestView(v.t, test)
	p.Data = d
	return p, nil
}

func showDatabaseEdit(v *visit) (reply, error) {
	db, err := v.app.Database(v.ctx, v.actor, v.id())
	if err != nil {
		return nil, err
	}
	return v.databaseEdit(db, newForm("name", db.Name, "engine", string(db.Engine), "host", db.Host, "port", strconv.Itoa(db.Port), "user", db.User,
		"dbname", db.DBName, "path", db.Path, "tls", string(db.TLS), "ca_cert", db.CACert, "version", strconv.Itoa(db.Version), "instant_switch", box(db.InstantSwitch))), nil
}

// box is the value of a box that is checked, "" of one that is not.
func box(on bool) string {
	if on {
		return "1"
	}
	return ""
}

func (v *visit) databaseEdit(db safepoint.Database, f *form) *page {
	f.Values.Set("engine", string(db.Engine))
	return &page{Name: "database_edit", Title: v.t.Say("Edit {name}", "name", db.Name), Tab: "databases",
		Data: databaseForm{F: f, ID: db.ID, Name: db.Name, Engine: string(db.Engine), Stored: db.HasPassword, Action: "/databases/" + db.ID + "/edit", Back: "/databases/" + db.ID}}
}

func doDatabaseEdit(v *visit) (reply, error) {
	db, err := v.app.Database(v.ctx, v.actor, v.id())
	if err != nil {
		return nil, err
	}
	f := v.posted("password", "url")
	p := v.databaseEdit(db, f)
	in, err := v.databaseInput()
	if err != nil {
		return f.refused(p, err)
	}
	in.Engine = db.Engine
	if _, err := v.app.UpdateDatabase(v.ctx, v.actor, db.ID, in); err != nil {
		return f.refused(p, err)
	}
	return redirect("/databases/" + db.ID + "?done=saved"), nil
}

func showDatabaseDelete(v *visit) (reply, error) {
	f := newForm()
	if v.r.URL.Query().Get("gone") != "" {
		return v.lostDatabaseQuestion(f)
	}
	return v.databaseQuestion(f)
}

// lostDatabaseQuestion asks whether what restores set aside is to be given up, because its server is gone.
func (v *visit) lostDatabaseQuestion(f *form) (*page, error) {
	d, err := v.app.Database(v.ctx, v.actor, v.id())
	if err != nil {
		return nil, err
	}
	return v.ask("databases", question{F: f, Title: v.t.Say("Is the server of {name} gone for good?", "name", d.Name), Button: v.t.Say("Remove database"), Danger: true,
		Body: []template.HTML{
			v.t.HTML("A restore of **{name}** keeps what was live before on that server, so that it can be undone. If the server is gone for good, this is lost, and there may be no safety backup of it.", "name", properName(d.Name)),
			v.t.HTML("If the server comes back, Safepoint no longer removes what was set aside there, and can no longer go back to it."),
		},
		Action: "/databases/" + d.ID + "/delete?gone=yes", Back: "/databases/" + d.ID, Confirm: d.Name}), nil
}

func (v *visit) databaseQuestion(f *form) (*page, error) {
	p, err := v.databasePage(v.id())
	if err != nil {
		return nil, err
	}
	d := p.Data.(databaseView)
	q := question{F: f, Title: v.t.Say("Remove {name}?", "name", d.DB.Name), Button: v.t.Say("Remove database"), Danger: true,
		Body:   []template.HTML{v.t.HTML("**{name}** is no longer backed up by Safepoint. The database itself is not touched.", "name", properName(d.DB.Name))},
		Action: "/databases/" + d.DB.ID + "/delete", Back: "/databases/" + d.DB.ID}
	if n := len(d.Schedules); n > 0 {
		q.Body = append(q.Body, v.t.CountHTML(n, "{n} schedule of it will not run any more.", "{n} schedules of it will not run any more."))
	}
	if d.Backups > 0 {
		q.Body = append(q.Body, v.t.CountHTML(d.Backups, "{n} backup of it stays in DB Logs and can be downloaded, but not restored from here.", "{n} backups of it stay in DB Logs and can be downloaded, but not restored from here."))
		q.Confirm = d.DB.Name
	}
	return v.ask("databases", q), nil
}

func doDatabaseDelete(v *visit) (reply, error) {
	f := v.posted()
	ask, remove := v.databaseQuestion, v.app.RemoveDatabase
	if v.r.URL.Query().Get("gone") != "" {
		ask = v.lostDatabaseQuestion
		remove = func(ctx context.Context, a safepoint.Actor, id string) error {
			return v.app.RemoveLostDatabase(ctx, a, id, v.r.PostFormValue("confirm"))
		}
	}
	p, err := ask(f)
	if err != nil {
		return nil, err
	}
	if want := p.Data.(question).Confirm; want != "" && v.r.PostFormValue("confirm") != want {
		f.Errors["confirm"] = v.t.Say("Type {name} exactly as shown. Nothing was removed.", "name", want)
		p.Status = http.StatusUnprocessableEntity
		return p, nil
	}
	if err := remove(v.ctx, v.actor, v.id()); err != nil {
		if e := safepoint.UserError(err); e.Field == app.FieldGone && e.Code == safepoint.CodeConflict {
			q := p.Data.(question)
			q.Body = append(q.Body, link("/databases/"+v.id()+"/delete?gone=yes", v.t.Say("Its server is gone for good")))
			p.Data = q
			f.Problem, p.Status = e, status(err)
			return p, nil
		}
		return f.refused(p, err)
	}
	return redirect("/databases?done=removed"), nil
}
