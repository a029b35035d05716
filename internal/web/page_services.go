package web

import (
	"html/template"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/app"
	"github.com/safepoint-db/safepoint/internal/halt"
)

type serviceRow struct {
	safepoint.Service
	KindLabel   string
	First, Last bool
	Stuck       bool
}

func (c locale) kindLabel(k safepoint.ServiceKind) string {
	switch k {
	case safepoint.ServiceWebhook:
		return c.Say("Webhook")
	case safepoint.ServicePgBouncer:
		return "PgBouncer"
	case safepoint.ServiceSystemd:
		return "systemd"
	case safepoint.ServiceDocker:
		return "Docker"
	case safepoint.ServiceKubernetes:
		return "Kubernetes"
	case safepoint.ServiceCommand:
		return c.Say("Command")
	}
	return string(k)
}

// kindSays is how a service of a kind is halted and resumed, in a few words.
func (c locale) kindSays(k safepoint.ServiceKind) string {
	switch k {
	case safepoint.ServiceWebhook:
		return c.Say("Signed HTTP calls to the service itself")
	case safepoint.ServicePgBouncer:
		return c.Say("PAUSE and RESUME on its admin console")
	case safepoint.ServiceSystemd:
		return c.Say("Units are stopped, and those that ran are started again")
	case safepoint.ServiceDocker:
		return c.Say("Containers are stopped, and those that ran are started again")
	case safepoint.ServiceKubernetes:
		return c.Say("Workloads are scaled to 0, and back to what they were")
	case safepoint.ServiceCommand:
		return c.Say("Programs of the operator's halt and resume it")
	}
	return ""
}

// changeable is a service that is not the operator's, for pages that change one.
func (v *visit) changeable() (safepoint.Service, error) {
	s, err := v.app.Service(v.ctx, v.actor, v.id())
	if err == nil && s.Operator != nil {
		err = safepoint.Errorf(safepoint.CodeConflict, "%s is managed by the operator of this server.", s.Name).
			WithHint("It is declared in the file that the server was started with. Ask the operator to change it there.")
	}
	return s, err
}

type servicesView struct{ Rows []serviceRow }

func showServices(v *visit) (reply, error) {
	list, err := v.app.Services(v.ctx, v.actor)
	if err != nil {
		return nil, err
	}
	own := 0
	for _, s := range list {
		if s.Operator == nil {
			own++
		}
	}
	var d servicesView
	at := 0 // among those that can be moved
	for _, s := range list {
		row := serviceRow{Service: s, KindLabel: v.t.kindLabel(s.Kind), First: at == 0, Last: at == own-1, Stuck: slices.Contains(v.state.Attention, s.Name)}
		if s.Operator == nil {
			at++
		}
		d.Rows = append(d.Rows, row)
	}
	return &page{Name: "services", Title: v.t.Say("Services"), Tab: "services", Live: true, Data: d}, nil
}

// doServiceOrder moves one service up or down.
func doServiceOrder(v *visit) (reply, error) {
	list, err := v.app.Services(v.ctx, v.actor)
	if err != nil {
		return nil, err
	}
	var ids []string
	for _, s := range list {
		if s.Operator == nil { // the operator's stay where they are
			ids = append(ids, s.ID)
		}
	}
	at := slices.Index(ids, v.value("id"))
	to := at - 1
	if v.value("move") == "down" {
		to = at + 1
	}
	if at < 0 {
		return nil, safepoint.Errorf(safepoint.CodeNotFound, "This service is not here.")
	}
	if to >= 0 && to < len(ids) {
		ids[at], ids[to] = ids[to], ids[at]
		if err := v.app.OrderServices(v.ctx, v.actor, ids); err != nil {
			return nil, err
		}
	}
	return redirect("/services"), nil
}

type serviceView struct {
	S       safepoint.Service
	Kind    string
	Says    string
	Detail  string // what it says about itself
	Look    string
	Label   string
	Timeout string
	Stuck   bool
	Secret  string // shown once, after it was made
	Test    *serviceTest
}

type serviceTest struct {
	app.ServiceTest
	HaltTook, ResumeTook string
}

func showService(v *visit) (reply, error) {
	s, err := v.app.Service(v.ctx, v.actor, v.id())
	if err != nil {
		return nil, err
	}
	return v.servicePage(s)
}

func (v *visit) servicePage(s safepoint.Service) (*page, error) {
	d := serviceView{S: s, Kind: v.t.kindLabel(s.Kind), Says: v.t.kindSays(s.Kind), Timeout: v.t.Lasted(s.Timeout), Stuck: slices.Contains(v.state.Attention, s.Name)}
	st, err := v.app.ServiceStatus(v.ctx, v.actor, s.ID)
	d.Detail = st.Detail
	switch safepoint.ErrorCode(err) {
	case "":
	case safepoint.CodeUnauthorized, safepoint.CodeForbidden, safepoint.CodeNotFound, safepoint.CodeInternal:
		return nil, err
	default: // it did not answer: that is what the page has to say
		st.Condition, d.Detail = halt.Unknown, v.t.Message(safepoint.UserError(err))
	}
	d.Look, d.Label = v.t.condition(st.Condition)
	return &page{Name: "service", Title: v.t.Say("{name} · Services", "name", s.Name), Tab: "services", Data: d}, nil
}

func (c locale) condition(is halt.Condition) (look, label string) {
	switch is {
	case halt.Running:
		return "ok", c.Say("Running")
	case halt.Halted:
		return "warn", c.Say("Halted")
	case halt.Down:
		return "off", c.Say("Not running")
	case halt.Failing:
		return "bad", c.Say("Failing")
	}
	return "off", c.Say("Not known")
}

type serviceForm struct {
	F      *form
	New    bool
	Kind   string
	Name   string
	Action string
	Back   string
}

func showServiceNew(v *visit) (reply, error) {
	return v.serviceNew(newForm("kind", string(safepoint.ServiceWebhook), "timeout", "60", "port", "6432")), nil
}

func (v *visit) serviceNew(f *form) *page {
	return &page{Name: "service_edit", Title: v.t.Say("Add service"), Tab: "services", Data: serviceForm{F: f, New: true, Kind: f.Get("kind"), Action: "/services/new", Back: "/services"}}
}

func (v *visit) serviceInput() (in app.ServiceInput, err error) {
	in = app.ServiceInput{Name: v.value("name"), Kind: safepoint.ServiceKind(v.value("kind")), HaltURL: v.value("halt_url"), ResumeURL: v.value("resume_url"),
		HealthURL: v.value("health_url"), Host: v.value("host"), User: v.value("user"), DBName: v.value("dbname")}
	if in.Kind == safepoint.ServicePgBouncer {
		if in.Port, err = v.port(); err != nil {
			return in, err
		}
	}
	if s := v.value("timeout"); s != "" {
		seconds, err := strconv.Atoi(s)
		if err != nil || seconds < 1 || seconds > 1800 {
			return in, safepoint.Invalid("timeout", "Enter a number of seconds between 1 and 1800.")
		}
		in.Timeout = time.Duration(seconds) * time.Second
	}
	if s := v.r.PostFormValue("secret"); s != "" {
		in.Secret = &s
	}
	in.Version, _ = strconv.Atoi(v.value("version"))
	return in, nil
}

func doServiceNew(v *visit) (reply, error) {
	f := v.posted("secret")
	p := v.serviceNew(f)
	in, err := v.serviceInput()
	if err != nil {
		return f.refused(p, err)
	}
	if in.Secret == nil {
		made := "" // a webhook's secret is made, a PgBouncer without one has none
		in.Secret = &made
	}
	s, secret, err := v.app.CreateService(v.ctx, v.actor, in)
	if err != nil {
		return f.refused(p, err)
	}
	if secret == "" {
		return redirect("/services/" + s.ID + "?done=service"), nil
	}
	shown, err := v.servicePage(s)
	if err != nil {
		return nil, err
	}
	d := shown.Data.(serviceView)
	d.Secret = secret
	shown.Data, shown.Status = d, http.StatusCreated
	return shown, nil
}

func showServiceEdit(v *visit) (reply, error) {
	s, err := v.changeable()
	if err != nil {
		return nil, err
	}
	return v.serviceEdit(s, newForm("name", s.Name, "halt_url", s.HaltURL, "resume_url", s.ResumeURL, "health_url", s.HealthURL, "host", s.Host,
		"port", strconv.Itoa(s.Port), "user", s.User, "dbname", s.DBName, "timeout", strconv.Itoa(int(s.Timeout/time.Second)), "version", strconv.Itoa(s.Version))), nil
}

func (v *visit) serviceEdit(s safepoint.Service, f *form) *page {
	f.Values.Set("kind", string(s.Kind))
	return &page{Name: "service_edit", Title: v.t.Say("Edit {name}", "name", s.Name), Tab: "services",
		Data: serviceForm{F: f, Kind: string(s.Kind), Name: s.Name, Action: "/services/" + s.ID + "/edit", Back: "/services/" + s.ID}}
}

func doServiceEdit(v *visit) (reply, error) {
	s, err := v.changeable()
	if err != nil {
		return nil, err
	}
	f := v.posted("secret")
	p := v.serviceEdit(s, f)
	in, err := v.serviceInput()
	if err != nil {
		return f.refused(p, err)
	}
	in.Kind = s.Kind
	if _, err := v.app.UpdateService(v.ctx, v.actor, s.ID, in); err != nil {
		return f.refused(p, err)
	}
	return redirect("/services/" + s.ID + "?done=saved"), nil
}

func showServiceTest(v *visit) (reply, error) {
	s, err := v.app.Service(v.ctx, v.actor, v.id())
	if err != nil {
		return nil, err
	}
	return v.ask("services", question{Page: true, Title: v.t.Say("Halt and resume {service} now?", "service", s.Name), Button: v.t.Say("Halt and resume"),
		Body: []template.HTML{
			v.t.HTML("**{service}** stops for a moment and is started again. People who use it notice.", "service", properName(s.Name)),
			v.t.HTML("This is what a restore does. No database is touched."),
		},
		Action: "/services/" + s.ID + "/test", Back: "/services/" + s.ID}), nil
}

func doServiceTest(v *visit) (reply, error) {
	s, err := v.app.Service(v.ctx, v.actor, v.id())
	if err != nil {
		return nil, err
	}
	test, err := v.app.TestService(v.ctx, v.actor, s.ID)
	if err != nil {
		return nil, err
	}
	p, err := v.servicePage(s)
	if err != nil {
		return nil, err
	}
	d := p.Data.(serviceView)
	d.Test = &serviceTest{test, v.t.Lasted(test.HaltTook), v.t.Lasted(test.ResumeTook)}
	p.Data = d
	return p, nil
}

func doServiceResume(v *visit) (reply, error) {
	if err := v.app.ResumeService(v.ctx, v.actor, v.id()); err != nil {
		return nil, err
	}
	return redirect("/services/" + v.id() + "?done=resumed"), nil
}

func showServiceDelete(v *visit) (reply, error) { return v.serviceQuestion(newForm()) }

func (v *visit) serviceQuestion(f *form) (*page, error) {
	s, err := v.changeable()
	if err != nil {
		return nil, err
	}
	return v.ask("services", question{F: f, Title: v.t.Say("Remove {name}?", "name", s.Name), Button: v.t.Say("Remove service"), Danger: true,
		Body: []template.HTML{
			v.t.HTML("**{service}** will not be halted by restores any more.", "service", properName(s.Name)),
			v.t.HTML("What it writes while a restore runs may be lost. {service} itself is not touched.", "service", properName(s.Name)),
		},
		Action: "/services/" + s.ID + "/delete", Back: "/services/" + s.ID}), nil
}

func doServiceDelete(v *visit) (reply, error) {
	f := v.posted()
	p, err := v.serviceQuestion(f)
	if err != nil {
		return nil, err
	}
	if err := v.app.RemoveService(v.ctx, v.actor, v.id()); err != nil {
		return f.refused(p, err)
	}
	return redirect("/services?done=removed"), nil
}
