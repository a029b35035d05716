package web

import (
	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/app"
)

// guideStep is one step of the first run. What exists says whether it is done: nothing remembers where somebody was.
type guideStep struct {
	Title string
	Done  bool
	Now   bool   // the first that is not done
	Fact  string // what there is
	Lead  string // why it is asked, where it is the one to do
	Bad   string // what went wrong

	Link, LinkText string
	Post           bool // the link is a button's
	Dialog         bool
	Also, AlsoText string
	Running        *safepoint.Operation
	ETA            string
}

type guideView struct {
	Steps  []guideStep
	At, Of int
	Done   bool
	Name   string // of the first schedule's database
}

// guideNote leads back to the guide from every page until it is done with.
type guideNote struct {
	At, Of int
	Title  string
}

// guideNote is nil where nobody is to be guided, or nothing is left to do: that is then noted once.
func (v *visit) guideNote(p *page) *guideNote {
	if !v.admin() || v.org.ID == "" || v.org.Guided || p.Tab == "" || v.fragment() {
		return nil
	}
	d, err := v.guide()
	if err != nil {
		v.s.Log.Warn("the guide is left out", "error", err)
		return nil
	}
	if d.Done {
		if err := v.app.EndGuide(v.ctx, v.actor); err != nil {
			v.s.Log.Warn("the end of the guide is not recorded", "error", err)
		}
		return nil
	}
	return &guideNote{d.At, d.Of, d.Steps[d.At-1].Title}
}

func showGuide(v *visit) (reply, error) {
	d, err := v.guide()
	if err != nil {
		return nil, err
	}
	p := &page{Name: "guide", Title: v.t.Say("Get started"), Live: true, Data: d}
	if !d.Done {
		p.State = v.t.Say("{step} of {of}", "step", d.At, "of", d.Of)
		p.Busy = d.Steps[d.At-1].Running != nil
		p.Say = d.Steps[d.At-1].Title
	} else {
		p.Say = v.t.Say("The first backup is there.")
	}
	return p, nil
}

func doGuideEnd(v *visit) (reply, error) {
	if err := v.app.EndGuide(v.ctx, v.actor); err != nil {
		return nil, err
	}
	return redirect("/backups?done=guided"), nil
}

// guide says what of the first run is done, from what there is.
func (v *visit) guide() (guideView, error) {
	var d guideView
	dbs, err := v.app.Databases(v.ctx, v.actor)
	if err != nil {
		return d, err
	}
	over, err := v.app.Overview(v.ctx, v.actor)
	if err != nil {
		return d, err
	}
	list, err := v.app.ScheduleList(v.ctx, v.actor, app.ScheduleFilter{Limit: 1, Bare: true})
	if err != nil {
		return d, err
	}
	c := v.t
	d.Steps = []guideStep{
		{Title: c.Say("Your account"), Done: true, Fact: v.actor.UserName + ", " + v.actor.Email},
		{Title: c.Say("Organization and time zone"), Done: true, Fact: v.org.Name + ", " + v.org.TimeZone, Also: "/settings/general", AlsoText: c.Say("Change")},
		v.guideDatabase(dbs, over.Backups),
		{Title: c.Say("Storage"), Done: over.StorageName != "", Fact: c.storage(over.StorageName), Also: "/storage", AlsoText: c.Say("Look at it")},
		{Title: c.Say("First schedule"), Done: list.All > 0, Lead: c.Say("A schedule backs up one database at an interval you choose. Its first run starts within a minute."),
			Link: "/backups/new", LinkText: c.Say("New schedule")},
		{Title: c.Say("First backup"), Done: over.Backups > 0, Lead: c.Say("A backup counts when its file was read again and found whole."),
			Link: "/backups/manual", LinkText: c.Say("Start it now"), Dialog: true},
	}
	if over.Space.Total > 0 {
		d.Steps[3].Fact = c.Say("{free} free of {total}", "free", c.Size(over.Space.Free), "total", c.Size(over.Space.Total))
	}
	if len(dbs) > 0 {
		d.Steps[4].Link += "?database=" + dbs[0].ID
	}
	if len(list.Cards) > 0 {
		s := list.Cards[0]
		d.Steps[4].Fact, d.Name = c.Say("{schedule}, every {interval}", "schedule", s.Name, "interval", c.every(s.Interval)), s.Database.Name
		d.Steps[5].Link += "?database=" + s.DatabaseID
		if last := s.LastRun; last != nil && last.Failure != nil {
			d.Steps[5].Bad = why(c, last.Failure)
			d.Steps[5].Also, d.Steps[5].AlsoText = "/logs/"+last.ID, c.Say("See what happened")
		}
	}
	for _, op := range v.running {
		if op.Type == safepoint.TypeBackup {
			last := &d.Steps[5]
			last.Running, last.ETA, last.Link, last.LinkText, last.Dialog = &op, left(v.t, op), "/logs/"+op.ID, c.Say("Follow it"), false
			last.Bad, last.Also = "", ""
		}
	}
	if over.Newest != nil {
		d.Steps[5].Fact = c.Say("{file}, {size}, read again and found whole", "file", over.Newest.Name, "size", c.Size(over.Newest.Size))
	}
	d.Of = len(d.Steps)
	for i := range d.Steps {
		if !d.Steps[i].Done {
			d.Steps[i].Now, d.At = true, i+1
			return d, nil
		}
	}
	d.Done, d.At = true, d.Of
	return d, nil
}

// guideDatabase is done once a database has answered.
func (v *visit) guideDatabase(dbs []safepoint.Database, backups int) guideStep {
	c := v.t
	s := guideStep{Title: c.Say("First database"), Lead: c.Say("Safepoint connects to it as a login of yours, and asks for nothing but what a backup needs. It takes about two minutes."),
		Link: "/databases/new", LinkText: c.Say("Connect a database")}
	for _, db := range dbs {
		s.Fact = db.Name + ", " + db.Engine.Label()
		if db.ServerVersion != "" {
			s.Fact += " " + db.ServerVersion
		}
		if s.Done = db.ServerVersion != "" || backups > 0; s.Done {
			return s
		}
		s.Lead = c.Say("{database} is connected, and was not tested yet.", "database", db.Name)
		s.Link, s.LinkText, s.Post = "/databases/"+db.ID+"/test", c.Say("Test the connection"), true
		s.Also, s.AlsoText = "/databases/"+db.ID+"/edit", c.Say("Change it")
	}
	return s
}
