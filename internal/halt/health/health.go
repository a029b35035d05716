// Package health adds a check of the operator's to a halter: a service that was resumed counts as running when the
// check agrees too.
package health

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/halt"
	"github.com/safepoint-db/safepoint/internal/halt/process"
)

const (
	defaultTimeout = time.Minute
	oneCheck       = 10 * time.Second // for a single check
)

// Halter is a halter with a check. See With.
type Halter struct {
	halt.Halter
	service safepoint.Service
	check   func(context.Context) error
}

// With adds the check of s to h; without one it returns h. What is wrong with the check is a *safepoint.Error on "health".
func With(h halt.Halter, s safepoint.Service) (halt.Halter, error) {
	if s.Operator == nil || s.Operator.Health == nil {
		return h, nil
	}
	if s.Timeout <= 0 {
		s.Timeout = defaultTimeout
	}
	out := &Halter{Halter: h, service: s}
	if c := s.Operator.Health; c.URL != "" {
		u, err := url.Parse(c.URL)
		if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			return nil, safepoint.Invalid("health", "health.url is an address that starts with http:// or https://.")
		}
		out.check = func(ctx context.Context) error { return get(ctx, c.URL) }
		return out, nil
	}
	p := process.Program{Args: s.Operator.Health.Command}
	if err := p.Check(); err != nil {
		return nil, safepoint.Invalid("health", "health.command: %s.", err)
	}
	out.check = func(ctx context.Context) error { return run(ctx, p) }
	return out, nil
}

// Probe implements halt.Halter: what runs and does not pass the check is failing. Both have the service's timeout together.
func (h *Halter) Probe(ctx context.Context) (halt.Status, error) {
	ctx, cancel := context.WithTimeout(ctx, h.service.Timeout)
	defer cancel()
	st, err := h.Halter.Probe(ctx)
	if err != nil || st.Condition != halt.Running && st.Condition != halt.Unknown {
		return st, err
	}
	if err := h.try(ctx); err != nil {
		st.Condition, st.Detail = halt.Failing, halt.OneLine("Health check: "+err.Error())
	} else {
		st.Condition = halt.Running
	}
	return st, nil
}

// Resume implements halt.Halter: both have the service's timeout together.
func (h *Halter) Resume(ctx context.Context, r halt.Request) error {
	limited, cancel := context.WithTimeout(ctx, h.service.Timeout)
	defer cancel()
	if err := h.Halter.Resume(limited, r); err != nil {
		return err
	}
	err := halt.Again(limited, func(ctx context.Context) (bool, error) { return true, h.try(ctx) })
	if err == nil {
		return nil
	}
	return safepoint.Errorf(safepoint.CodeHalt, "%s runs, but was not healthy within %s: %s.", h.service.Name, halt.Seconds(h.service.Timeout), halt.OneLine(err.Error())).
		WithHint("Look at the service itself, or give it more time.").WithCause(err)
}

func (h *Halter) try(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, min(oneCheck, h.service.Timeout))
	defer cancel()
	return h.check(ctx)
}

// client follows no redirect and no proxy setting: what is asked is what was entered.
var client = &http.Client{
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	Transport: &http.Transport{DialContext: (&net.Dialer{Timeout: 5 * time.Second}).DialContext, TLSHandshakeTimeout: 5 * time.Second,
		DisableKeepAlives: true, MaxResponseHeaderBytes: 64 << 10},
}

func get(ctx context.Context, address string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		if u, ok := err.(*url.Error); ok { // its text holds the address, which may hold a token
			err = u.Err
		}
		return err
	}
	resp.Body.Close()
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("it answered %d", resp.StatusCode)
	}
	return nil
}

func run(ctx context.Context, p process.Program) error {
	r, err := p.Run(ctx)
	switch {
	case err != nil && ctx.Err() != nil:
		return fmt.Errorf("the program did not end in time")
	case err != nil:
		return fmt.Errorf("the program could not be run")
	case r.Exit != 0 && r.Output != "":
		return fmt.Errorf("the program ended with %d: %s", r.Exit, r.Output)
	case r.Exit != 0:
		return fmt.Errorf("the program ended with %d", r.Exit)
	}
	return nil
}
