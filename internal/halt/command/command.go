// Package command halts and resumes a service by running programs that the operator names.
//
// A program that ends with 0 has done it. One that ends with 75 (EX_TEMPFAIL) is run again, until the timeout; any other
// code fails at once. The probe program says what the service is doing: 0 running, 3 halted, anything else failing.
package command

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/halt"
	"github.com/safepoint-db/safepoint/internal/halt/process"
)

// Codes with which a program says more than that it failed.
const (
	exitHalted = 3  // as of "is it running?" in the Linux Standard Base
	exitLater  = 75 // EX_TEMPFAIL of sysexits.h
)

const defaultTimeout = time.Minute

// Halter halts one service. It is safe for concurrent use.
type Halter struct {
	service safepoint.Service
	command safepoint.CommandService
}

var _ halt.Halter = (*Halter)(nil)

// New makes the halter of s. It runs nothing. What is wrong with s is a *safepoint.Error on the field "command".
func New(s safepoint.Service) (*Halter, error) {
	if s.Operator == nil || s.Operator.Command == nil {
		return nil, safepoint.Invalid("command", "Services of kind command are declared in the operator's file.")
	}
	if s.Timeout <= 0 {
		s.Timeout = defaultTimeout
	}
	h := &Halter{s, *s.Operator.Command}
	for name, args := range map[string][]string{"halt": h.command.Halt, "resume": h.command.Resume, "probe": h.command.Probe} {
		if name == "probe" && len(args) == 0 {
			continue
		}
		if err := h.program(args, halt.Request{}).Check(); err != nil {
			return nil, safepoint.Invalid("command", "command.%s: %s.", name, err)
		}
	}
	return h, nil
}

// program is what to run, told about the restore in its environment.
func (h *Halter) program(args []string, r halt.Request) process.Program {
	p := process.Program{Args: args, Dir: h.command.Dir, Env: h.command.Env}
	for name, value := range map[string]string{
		"SAFEPOINT_OPERATION_ID": r.OperationID, "SAFEPOINT_ORGANIZATION_ID": r.OrganizationID,
		"SAFEPOINT_ORGANIZATION_NAME": halt.OneLine(r.OrganizationName), "SAFEPOINT_REASON": halt.OneLine(r.Reason),
	} {
		if value != "" {
			p.Set = append(p.Set, name+"="+value)
		}
	}
	return p
}

// Probe implements halt.Halter.
func (h *Halter) Probe(ctx context.Context) (halt.Status, error) {
	ctx, cancel := context.WithTimeout(ctx, h.service.Timeout)
	defer cancel()
	return h.probe(ctx)
}

func (h *Halter) probe(ctx context.Context) (halt.Status, error) {
	if len(h.command.Probe) == 0 {
		return halt.Status{Condition: halt.Unknown, Detail: "It has no probe to ask."}, nil
	}
	r, err := h.program(h.command.Probe, halt.Request{}).Run(ctx)
	if err != nil {
		return halt.Status{Condition: halt.Unknown}, h.notRun(ctx, "probe", r, err)
	}
	switch r.Exit {
	case 0:
		return halt.Status{Condition: halt.Running, Detail: r.Output}, nil
	case exitHalted:
		return halt.Status{Condition: halt.Halted, Detail: r.Output}, nil
	}
	return halt.Status{Condition: halt.Failing, Detail: said(r)}, nil
}

// Halt implements halt.Halter.
func (h *Halter) Halt(ctx context.Context, r halt.Request) error {
	return h.do(ctx, "halt", h.command.Halt, r, func(c halt.Condition) bool { return c == halt.Halted })
}

// Resume implements halt.Halter.
func (h *Halter) Resume(ctx context.Context, r halt.Request) error {
	return h.do(ctx, "resume", h.command.Resume, r, func(c halt.Condition) bool { return c == halt.Running })
}

// do runs a program until it succeeds, and then asks the probe until it agrees.
func (h *Halter) do(ctx context.Context, verb string, args []string, r halt.Request, agrees func(halt.Condition) bool) error {
	ctx, cancel := context.WithTimeout(ctx, h.service.Timeout)
	defer cancel()
	err := halt.Again(ctx, func(ctx context.Context) (bool, error) {
		res, err := h.program(args, r).Run(ctx)
		switch {
		case err != nil:
			return false, h.notRun(ctx, verb, res, err)
		case res.Exit != 0:
			return res.Exit == exitLater, safepoint.Errorf(safepoint.CodeHalt, "%s did not %s: its program ended with %s.", h.service.Name, safepoint.Noun(verb), said(res)).
				WithHint("Run the %s program by hand, as the user of this server, to see why.", safepoint.Noun(verb))
		}
		return false, nil
	})
	if err != nil || len(h.command.Probe) == 0 {
		return err
	}
	return halt.Again(ctx, func(ctx context.Context) (bool, error) {
		st, err := h.probe(ctx)
		if err == nil && !agrees(st.Condition) {
			err = safepoint.Errorf(safepoint.CodeHalt, "%s did not %s within %s: its probe says that it is %s.", h.service.Name, safepoint.Noun(verb), halt.Seconds(h.service.Timeout), st.Condition).
				WithHint("Look at the service itself, or give it more time.")
		}
		return true, err
	})
}

// notRun is why a program did not come to its end.
func (h *Halter) notRun(ctx context.Context, verb string, r process.Result, err error) error {
	name := h.service.Name
	e := safepoint.Errorf(safepoint.CodeHalt, "The %s program of %s could not be run.", safepoint.Noun(verb), name)
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		e = safepoint.Errorf(safepoint.CodeHalt, "The %s program of %s did not end within %s, and was killed.", safepoint.Noun(verb), name, halt.Seconds(h.service.Timeout)).
			WithHint("Give it more time, or look at why it waits.")
	case ctx.Err() != nil:
		e = safepoint.Errorf(safepoint.CodeHalt, "The %s program of %s was stopped.", safepoint.Noun(verb), name)
	case errors.Is(err, fs.ErrNotExist):
		e = e.WithHint("The program, or its folder, is not there. The operator's file names it.")
	case errors.Is(err, fs.ErrPermission):
		e = e.WithHint("The user of this server may not execute it.")
	}
	return e.WithCause(err)
}

// said is how a program ended, with its last words.
func said(r process.Result) string {
	code := fmt.Sprint(r.Exit)
	if r.Exit < 0 {
		code = "a signal"
	}
	if r.Output == "" {
		return code
	}
	return code + " (" + r.Output + ")"
}
