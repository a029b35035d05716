package web

import (
	"strings"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/app"
)

type restoreIntoView struct {
	F      *form
	Op     safepoint.Operation
	Tables []string // that were chosen; none means all
	File   bool     // the new database is a file
	At     string

	NeedsKey bool
}

// showRestoreInto asks for the name of a new database. Tables chosen before come along in the address.
func showRestoreInto(v *visit) (reply, error) {
	return v.restoreInto(newForm("name", ""), v.r.URL.Query()["t"])
}

func (v *visit) restoreInto(f *form, tables []string) (*page, error) {
	op, err := v.app.Operation(v.ctx, v.actor, v.id())
	if err != nil {
		return nil, err
	}
	d := restoreIntoView{F: f, Op: op, Tables: given(tables), File: op.Engine == safepoint.SQLite, At: v.t.Weekday(made(op))}
	if d.NeedsKey, err = v.needsKey(op); err != nil {
		return nil, err
	}
	return &page{Name: "restore_into", Title: v.t.Say("Restore into a new database"), Tab: "logs", Data: d}, nil
}

func doRestoreInto(v *visit) (reply, error) {
	in := app.NewDatabase{Name: v.value("name"), Tables: given(v.r.PostForm["t"]), Keys: v.r.PostFormValue("identity")}
	op, err := v.app.StartRestoreInto(v.ctx, v.actor, v.id(), in)
	if err == nil {
		return redirect("/restores/" + op.ID), nil
	}
	f := v.posted("identity")
	p, perr := v.restoreInto(f, in.Tables)
	if perr != nil {
		return nil, perr
	}
	return f.refused(p, atKey(err, p.Data.(restoreIntoView).NeedsKey))
}

// given are the texts that are not blank.
func given(texts []string) []string {
	var out []string
	for _, t := range texts {
		if t = strings.TrimSpace(t); t != "" {
			out = append(out, t)
		}
	}
	return out
}
