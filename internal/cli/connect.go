package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/api/wire"
	"github.com/safepoint-db/safepoint/internal/client"
)

// connect chooses server, token and organization: flags and environment first, then the stored sign-ins.
func (r Remote) connect(ctx context.Context) (*client.Client, error) {
	url := strings.TrimSuffix(r.URL, "/")
	if r.Token != "" {
		if url == "" {
			return nil, usagef("with a token, --url (SAFEPOINT_URL) is needed too")
		}
		return newClient(ctx, url, r.Token, r.Organization)
	}
	cfg, err := openConfig()
	if err != nil {
		return nil, err
	}
	s, ok := cfg.find(url, r.Organization)
	if !ok {
		where := url
		if where == "" {
			where = "any server"
		}
		if r.Organization != "" {
			where += " for " + r.Organization
		}
		return nil, safepoint.Errorf(safepoint.CodeUnauthorized, "You are not signed in to %s.", where).
			WithHint("Run safepoint login URL, or set SAFEPOINT_URL and SAFEPOINT_TOKEN.")
	}
	return newClient(ctx, s.URL, s.Token, s.OrganizationID)
}

// newClient makes a client; organization may be a name.
func newClient(ctx context.Context, url, token, organization string) (*client.Client, error) {
	cfg := client.Config{URL: url, Token: token, UserAgent: "safepoint/" + Version}
	if organization == "" || strings.HasPrefix(organization, safepoint.OrganizationPrefix+"_") {
		cfg.Organization = organization
		return client.New(cfg)
	}
	c, err := client.New(cfg)
	if err != nil {
		return nil, err
	}
	orgs, err := c.Organizations(ctx)
	if err != nil {
		return nil, err
	}
	o, err := choose("organization", organization, orgs, func(o wire.Organization) (string, string) { return o.ID, o.Name })
	if err != nil {
		return nil, err
	}
	cfg.Organization = o.ID
	return client.New(cfg)
}

// listHints say where the names are that choose was given none of.
var listHints = map[string]string{
	"organization": "safepoint login says which organizations are yours; leave --organization out for the one you signed in to.",
	"database":     "See safepoint database list.",
	"schedule":     "See safepoint schedule list.",
	"service":      "See safepoint service list.",
	"storage":      "See safepoint storage list.",
	"entry":        "See safepoint logs; what is older is found with --text or --limit.",
}

// choose finds what ref names, by ID or by name.
func choose[T any](noun, ref string, all []T, idName func(T) (id, name string)) (found T, err error) {
	var ids []string
	for _, v := range all {
		id, name := idName(v)
		if id == ref {
			return v, nil
		}
		if name == ref {
			found = v
			ids = append(ids, id)
		}
	}
	switch len(ids) {
	case 0:
		return found, safepoint.Errorf(safepoint.CodeNotFound, "There is no %s %q.", noun, ref).WithHint("%s", listHints[noun])
	case 1:
		return found, nil
	}
	return found, safepoint.Errorf(safepoint.CodeInvalid, "More than one %s is called %q.", noun, ref).
		WithHint("Use the ID: %s.", strings.Join(ids, ", "))
}

// found connects to the server, and finds there what ref names.
func found[T any](ctx context.Context, r Remote, ref string, find func(context.Context, *client.Client, string) (T, error)) (c *client.Client, thing T, err error) {
	if c, err = r.connect(ctx); err == nil {
		thing, err = find(ctx, c, ref)
	}
	return c, thing, err
}

func findDatabase(ctx context.Context, c *client.Client, ref string) (wire.Database, error) {
	all, err := c.Databases(ctx)
	if err != nil {
		return wire.Database{}, err
	}
	return choose("database", ref, all, func(d wire.Database) (string, string) { return d.ID, d.Name })
}

func findService(ctx context.Context, c *client.Client, ref string) (wire.Service, error) {
	all, err := c.Services(ctx)
	if err != nil {
		return wire.Service{}, err
	}
	return choose("service", ref, all, func(s wire.Service) (string, string) { return s.ID, s.Name })
}

func findSchedule(ctx context.Context, c *client.Client, ref string) (wire.Schedule, error) {
	all, err := c.Schedules(ctx)
	if err != nil {
		return wire.Schedule{}, err
	}
	return choose("schedule", ref, all, func(s wire.Schedule) (string, string) { return s.ID, s.Name })
}

// findOperation takes an ID or the exact name of an entry of DB Logs.
func findOperation(ctx context.Context, c *client.Client, ref string) (wire.Operation, error) {
	if strings.HasPrefix(ref, safepoint.OperationPrefix+"_") {
		return c.Operation(ctx, ref)
	}
	page, err := c.Operations(ctx, safepoint.OperationFilter{Text: ref, Limit: 200})
	if err != nil {
		return wire.Operation{}, err
	}
	return choose("entry", ref, page.Items, func(o wire.Operation) (string, string) { return o.ID, o.Name })
}

// ended prints an operation that has ended and returns the error it ended with, if any.
func (env *Env) ended(o wire.Operation) error {
	err := outcome(o)
	if err != nil && env.JSON {
		// The operation itself says why: it is the result, on standard output.
		err = reported{err}
	}
	return firstError(env.print(o, func(w ioWriter) { printOperation(w, o) }), err)
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// outcome is nil for an operation that succeeded and needs nobody.
func outcome(o wire.Operation) error {
	status := safepoint.Status(o.Status)
	switch {
	case o.NeedsOperator:
		return safepoint.Errorf(safepoint.CodeNeedsOperator, "The %s %s needs a person: no safe next step was found.", o.Type, o.ID).
			WithHint("%s Then safepoint service resume --restore %s opens the database and resumes what was halted.", failureText(o.Failure), o.ID)
	case len(o.Attention) > 0:
		return safepoint.Errorf(safepoint.CodeNeedsOperator, "Services did not resume: %s.", strings.Join(o.Attention, ", ")).
			WithHint("Look at them, then run safepoint service resume NAME.")
	case status == safepoint.StatusSucceeded:
		return nil
	case o.Failure != nil:
		return &safepoint.Error{Code: safepoint.Code(o.Failure.Code), Message: o.Failure.Message, Hint: o.Failure.Hint}
	case status == safepoint.StatusCancelled:
		return safepoint.Errorf(safepoint.CodeCancelled, "The %s was cancelled.", o.Type)
	}
	return safepoint.Errorf(safepoint.CodeInternal, "The %s ended as %s.", o.Type, o.Status)
}

func failureText(f *wire.Failure) string {
	if f == nil {
		return ""
	}
	return strings.TrimSpace(f.Message + " " + f.Hint)
}

// started prints an operation that has begun, or with wait follows it to its end.
func (env *Env) started(ctx context.Context, c *client.Client, o wire.Operation, wait bool) error {
	if !wait {
		return env.print(o, func(w ioWriter) {
			fmt.Fprintf(w, "%s is %s. Follow it with: safepoint logs view %s --wait\n", o.ID, o.Status, o.ID)
		})
	}
	m := env.meter(nil)
	o, err := c.Wait(ctx, o.ID, waitEvery, m.showOperation)
	m.end()
	if err != nil {
		if !env.JSON && o.ID != "" {
			fmt.Fprintf(env.Err, "%s goes on without this terminal. Stop it with: safepoint logs cancel %s\n", o.ID, o.ID)
		}
		return err
	}
	return env.ended(o)
}
