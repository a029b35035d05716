package app

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/restore"
)

// ResumeRestore is a person's way out of a restore that could not end by itself: the database is opened, the services
// that the restore halted are resumed, and the organization operates again. What was set aside or staged stays as it is.
// It may be called again until nothing is left. A restore that still tries only has its services resumed.
func (a *App) ResumeRestore(ctx context.Context, by safepoint.Actor, id string) error {
	if err := a.authorize(ctx, by, admin, "restore.resume"); err != nil {
		return err
	}
	op, err := a.Catalog.Operation(ctx, by.OrganizationID, id)
	if err != nil {
		return notHere(err, "restore")
	}
	if err := a.resumable(ctx, op); err != nil {
		return err
	}
	r, err := a.haltRequest(ctx, by, "Resumed by "+by.UserName)
	if err != nil {
		return err
	}
	entries, err := a.Catalog.Journal(ctx, op.ID)
	if err != nil {
		return err
	}
	halted, err := restore.HaltedServices(entries)
	if err != nil {
		return err
	}
	ctx = context.WithoutCancel(ctx) // nothing stays half resumed because somebody closed a page
	end := a.auditBegin(ctx, by, act{action: resumeRestoreAction, object: "operation", id: op.ID, name: op.Name})
	var opened error
	if op.Status.Ended() {
		opened = a.openAgain(ctx, op, entries)
	}
	var left []string
	var first error
	for _, h := range halted {
		s, halter, err := a.serviceHalter(ctx, op.OrganizationID, h.ID)
		if safepoint.ErrorCode(err) == safepoint.CodeNotFound && s.ID == "" {
			continue // it was removed: there is nothing to resume
		}
		name := cmp.Or(s.Name, h.Name) // it may have been renamed
		if len(op.Attention) > 0 && !slices.Contains(op.Attention, h.Name) && !slices.Contains(op.Attention, name) {
			continue
		}
		if err == nil {
			r.Prior = h.Prior
			err = halter.Resume(ctx, r)
		}
		if err != nil {
			left, first = append(left, name), cmp.Or(first, err)
		}
	}
	err = a.resumed(ctx, op, left, opened)
	if first != nil {
		err = safepoint.Errorf(safepoint.CodeHalt, "%s did not resume: %s", strings.Join(left, ", "), safepoint.UserError(first).Quoted()).
			HintedAs(safepoint.UserError(first)).WithCause(first)
	}
	end(err)
	return err
}

// What a person does after a restore, as the audit log calls it. See endActs.
const resumeServiceAction, resumeRestoreAction = "service.resume", "restore.resume"

// resumable says why there is nothing to resume after a restore, nil if there is.
func (a *App) resumable(ctx context.Context, op safepoint.Operation) error {
	if op.Type != safepoint.TypeRestore {
		return safepoint.Errorf(safepoint.CodeConflict, "This is a backup: it has halted nothing.")
	}
	if err := a.Catalog.RestoreAtWork(ctx, op.OrganizationID); err != nil {
		return err
	}
	state, err := a.Catalog.State(ctx, op.OrganizationID)
	if err != nil || state.OperationID == op.ID || op.NeedsOperator {
		return err
	}
	return safepoint.Errorf(safepoint.CodeConflict, "Nothing of this restore is left to resume.")
}

// settle takes a service that runs again, or is removed, off the list of those that need a person.
func (a *App) settle(ctx context.Context, orgID string, s safepoint.Service) error {
	state, err := a.Catalog.State(ctx, orgID)
	if err != nil || state.OperationID == "" {
		return err
	}
	op, err := a.Catalog.Operation(ctx, orgID, state.OperationID)
	if err != nil {
		return err
	}
	if !slices.Contains(state.Attention, s.Name) {
		return nil
	}
	entries, err := a.Catalog.Journal(ctx, op.ID)
	if err != nil {
		return err
	}
	halted, err := restore.HaltedServices(entries)
	if err != nil || !slices.ContainsFunc(halted, func(h restore.Halted) bool { return h.ID == s.ID }) {
		return err // another one has that name
	}
	left := slices.DeleteFunc(state.Attention, func(n string) bool { return n == s.Name })
	var opened error
	if len(left) == 0 && op.Status.Ended() && op.NeedsOperator {
		opened = a.openAgain(ctx, op, entries)
	}
	return a.resumed(ctx, op, left, opened)
}

// resumed records that all services of a restore run again but for those left. opened is why its database could not be
// opened: the restore goes on needing a person then, but its organization is halted no longer.
func (a *App) resumed(ctx context.Context, op safepoint.Operation, left []string, opened error) error {
	defer a.changed(op.OrganizationID, "state", op.OrganizationID)
	defer a.changed(op.OrganizationID, "operation", op.ID)
	if !op.Status.Ended() {
		return nil // it goes on by itself, and resumes them all again then
	}
	if err := a.Catalog.Settle(ctx, op.OrganizationID, op.ID, left, opened == nil); err != nil || len(left) > 0 {
		return err
	}
	defer a.Wake()
	if opened != nil {
		e := safepoint.UserError(opened)
		return safepoint.Errorf(e.Code, "Services run again, but %s could not be opened: %s", op.DatabaseName, e.Quoted()).HintedAs(e).WithCause(opened)
	}
	return nil
}

// openAgain lets everyone into the database of a restore that ended without.
func (a *App) openAgain(ctx context.Context, op safepoint.Operation, entries []safepoint.JournalEntry) error {
	plan, err := restore.PlanOf(entries)
	if err != nil || plan == nil {
		return err
	}
	e, target, err := a.reachOf(ctx, op)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, a.testLimit)
	defer cancel()
	return e.Open(ctx, target, *plan)
}
