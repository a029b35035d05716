package app

import (
	"testing"
	"time"

	"github.com/safepoint-db/safepoint"
)

// TestSignIns: a person sees the browsers they are signed in with, and ends each of them or all others.
func TestSignIns(t *testing.T) {
	w := newWorld(t)
	open := func(agent string) string {
		w.pass(time.Minute)
		u, _, err := w.Catalog.User(w.ctx, w.admin.UserID)
		w.ok(err)
		s, err := w.startSession(w.ctx, u, "", "192.0.2.1", agent)
		w.ok(err)
		return s
	}
	first, second, third := open("one"), open("two"), open("three")
	list, err := w.SignIns(w.ctx, w.admin, first)
	w.ok(err)
	if len(list) < 3 || list[0].Agent != "three" || list[0].This || !list[2].This {
		t.Fatalf("%+v", list)
	}
	w.ok(w.EndSignIn(w.ctx, w.admin, list[1].ID))
	if _, err := w.Session(w.ctx, second, "192.0.2.1"); safepoint.ErrorCode(err) != safepoint.CodeUnauthorized {
		t.Errorf("an ended session goes on: %v", err)
	}
	w.refused(w.EndSignIn(w.ctx, w.viewer, list[0].ID), safepoint.CodeNotFound, "not here") // somebody else's
	w.ok(w.EndOtherSignIns(w.ctx, w.admin, first))
	if _, err := w.Session(w.ctx, third, "192.0.2.1"); safepoint.ErrorCode(err) != safepoint.CodeUnauthorized {
		t.Errorf("another session goes on: %v", err)
	}
	if _, err := w.Session(w.ctx, first, "192.0.2.1"); err != nil {
		t.Errorf("the one that asked ended: %v", err)
	}
	token := w.admin
	token.Via = "token"
	_, err = w.SignIns(w.ctx, token, "")
	w.refused(err, safepoint.CodeForbidden, "token")
}

// TestSessionIdle: the strictest of a person's organizations says how long a session may rest.
func TestSessionIdle(t *testing.T) {
	w := newWorld(t)
	u, _, err := w.Catalog.User(w.ctx, w.admin.UserID)
	w.ok(err)
	idle := func(d time.Duration) {
		_, err := w.UpdateOrganization(w.ctx, w.admin, OrganizationChange{SessionIdle: &d})
		w.ok(err)
	}
	rest := func(d time.Duration) error {
		s, err := w.startSession(w.ctx, u, "", "192.0.2.1", "")
		w.ok(err)
		w.pass(d)
		_, err = w.Session(w.ctx, s, "192.0.2.1")
		return err
	}
	idle(24 * time.Hour)
	w.ok(rest(23 * time.Hour))
	idle(15 * time.Minute)
	w.refused(rest(16*time.Minute), safepoint.CodeUnauthorized, "signed out after 15")
	idle(0)
	w.ok(rest(7 * time.Hour))
	w.refused(rest(9*time.Hour), safepoint.CodeUnauthorized, "8 hours")
	for _, wrong := range []time.Duration{time.Minute, 8 * 24 * time.Hour} {
		_, err := w.UpdateOrganization(w.ctx, w.admin, OrganizationChange{SessionIdle: &wrong})
		w.refused(err, safepoint.CodeInvalid, "between 5 minutes and 7 days")
	}
}

// TestDisplay: how a person reads the console is stored, and reaches whoever asks in their name.
func TestDisplay(t *testing.T) {
	w := newWorld(t)
	w.ok(w.SetDisplay(w.ctx, w.admin, safepoint.Display{Theme: "dark", Language: "de", Hours: "12"}))
	u, _, err := w.Catalog.User(w.ctx, w.admin.UserID)
	w.ok(err)
	s, err := w.startSession(w.ctx, u, "", "192.0.2.1", "")
	w.ok(err)
	by, err := w.Session(w.ctx, s, "192.0.2.1")
	if err != nil || by.Display != (safepoint.Display{Theme: "dark", Language: "de", Hours: "12"}) {
		t.Errorf("%+v, %v", by.Display, err)
	}
	w.refused(w.SetDisplay(w.ctx, w.admin, safepoint.Display{Language: "tlh"}), safepoint.CodeInvalid, "does not speak tlh")
	w.refused(w.SetDisplay(w.ctx, w.admin, safepoint.Display{Hours: "13"}), safepoint.CodeInvalid, "24 or 12")
	w.refused(w.SetDisplay(w.ctx, w.admin, safepoint.Display{Theme: "pink"}), safepoint.CodeInvalid, "light or dark")
}

// TestOrganizationChanges: what is changed is in the audit log with what it was, and nothing else changes.
func TestOrganizationChanges(t *testing.T) {
	w := newWorld(t)
	tag := "de"
	o, err := w.UpdateOrganization(w.ctx, w.admin, OrganizationChange{Language: &tag})
	if err != nil || o.Language != "de" || o.UndoWindow != safepoint.DefaultUndoWindow || o.Guided {
		t.Fatalf("%+v, %v", o, err)
	}
	page, err := w.Audit(w.ctx, w.admin, AuditFilter{Limit: 1})
	w.ok(err)
	if e := page.Entries[0]; e.Action != "organization.update" || len(e.Changes) != 1 || e.Changes[0] != (safepoint.Change{Field: "language", After: "de"}) {
		t.Errorf("%+v", e)
	}
	w.ok(w.EndGuide(w.ctx, w.admin))
	if o, err = w.Organization(w.ctx, w.admin); err != nil || !o.Guided || o.Language != "de" {
		t.Errorf("%+v, %v", o, err)
	}
}
