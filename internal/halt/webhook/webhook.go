// Package webhook halts and resumes a service by telling it to, with HTTP calls signed by the Standard Webhooks scheme.
//
// Halt and resume are POSTs of
//
//	{"type": "safepoint.halt", "timestamp": "2026-11-22T14:00:00Z", "data": {…a halt.Request…}}
//
// (or "safepoint.resume") with the headers webhook-id, webhook-timestamp and webhook-signature. An answer of 2xx says
// that it is done. The message's ID is the operation's with "_halt" or "_resume": a repeated call has the same one.
// The health URL, where there is one, is then asked until it agrees: 2xx is running, 503 is halted, and a JSON body
// {"condition": "running" | "halted" | "down" | "failing", "detail": "…"} says so more exactly.
package webhook

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/egress"
	"github.com/safepoint-db/safepoint/internal/halt"
)

const (
	defaultTimeout = time.Minute
	minSecret      = 24 // bytes, as the scheme asks for
	maxSecret      = 64
)

// Halter halts one service. It is safe for concurrent use.
type Halter struct {
	service safepoint.Service
	signer  *standardwebhooks.Webhook
	client  *http.Client
}

var _ halt.Halter = (*Halter)(nil)

// New makes the halter of s, whose secret is as halt.NewSecret makes them. It connects to nothing. What is wrong with s is a
// *safepoint.Error on the field "halt_url", "resume_url", "health_url" or "secret".
func New(s safepoint.Service, secret string) (*Halter, error) {
	for _, u := range []struct {
		field, url string
		optional   bool
	}{{"halt_url", s.HaltURL, false}, {"resume_url", s.ResumeURL, false}, {"health_url", s.HealthURL, true}} {
		if u.url == "" && u.optional {
			continue
		}
		if err := checkURL(u.field, u.url); err != nil {
			return nil, err
		}
	}
	raw, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
	if err != nil || len(raw) < minSecret || len(raw) > maxSecret {
		return nil, safepoint.Invalid("secret", "A signing secret is \"whsec_\" followed by %d to %d bytes in base64.", minSecret, maxSecret).
			WithHint("Leave it empty to have one made.")
	}
	signer, err := standardwebhooks.NewWebhookRaw(raw)
	if err != nil {
		return nil, safepoint.Invalid("secret", "This signing secret cannot be used.")
	}
	if s.Timeout <= 0 {
		s.Timeout = defaultTimeout
	}
	return &Halter{service: s, signer: signer, client: newClient()}, nil
}

func checkURL(field, text string) error {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return safepoint.Invalid(field, "Enter an address that starts with https:// or http://.")
	}
	if u.User != nil {
		return safepoint.Invalid(field, "Leave user and password out of the address: calls are signed with the secret instead.")
	}
	return nil
}

// newClient makes a client that follows no redirect and no proxy setting, so that what is called is what was entered.
func newClient() *http.Client {
	dialer := egress.Dialer(5 * time.Second)
	return &http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			DialContext: dialer.DialContext, TLSHandshakeTimeout: 5 * time.Second,
			DisableKeepAlives: true, MaxResponseHeaderBytes: 64 << 10, DisableCompression: true,
		},
	}
}

// Halt implements halt.Halter.
func (h *Halter) Halt(ctx context.Context, r halt.Request) error {
	ctx, cancel := context.WithTimeout(ctx, h.service.Timeout)
	defer cancel()
	if err := h.tell(ctx, "halt", h.service.HaltURL, r); err != nil {
		return err
	}
	return h.await(ctx, "halt", func(c halt.Condition) bool { return c == halt.Halted || c == halt.Down })
}

// Resume implements halt.Halter.
func (h *Halter) Resume(ctx context.Context, r halt.Request) error {
	ctx, cancel := context.WithTimeout(ctx, h.service.Timeout)
	defer cancel()
	if err := h.tell(ctx, "resume", h.service.ResumeURL, r); err != nil {
		return err
	}
	return h.await(ctx, "resume", func(c halt.Condition) bool { return c == halt.Running })
}

// Probe implements halt.Halter. Without a health URL nobody can tell: the condition is halt.Unknown.
func (h *Halter) Probe(ctx context.Context) (halt.Status, error) {
	if h.service.HealthURL == "" {
		return halt.Status{Condition: halt.Unknown, Detail: "It has no health URL to ask."}, nil
	}
	ctx, cancel := context.WithTimeout(ctx, h.service.Timeout)
	defer cancel()
	return h.health(ctx)
}

// message is the body of a call.
type message struct {
	Type      string       `json:"type"`
	Timestamp time.Time    `json:"timestamp"`
	Data      halt.Request `json:"data"`
}

// tell sends one signed message, again and again while an answer may still come, until ctx ends.
func (h *Halter) tell(ctx context.Context, verb, address string, r halt.Request) error {
	body, err := json.Marshal(message{"safepoint." + verb, time.Now().UTC().Truncate(time.Millisecond), r})
	if err != nil {
		return err
	}
	id := r.OperationID + "_" + verb
	return halt.Again(ctx, func(ctx context.Context) (bool, error) { return h.post(ctx, verb, address, id, body) })
}

// post makes one call. again says whether the same call may yet succeed.
func (h *Halter) post(ctx context.Context, verb, address, id string, body []byte) (again bool, err error) {
	now := time.Now()
	signature, err := h.signer.Sign(id, now, body)
	if err != nil {
		return false, err
	}
	a, err := h.call(ctx, http.MethodPost, address, body, http.Header{
		"Content-Type":                          {"application/json"},
		standardwebhooks.HeaderWebhookID:        {id},
		standardwebhooks.HeaderWebhookTimestamp: {unix(now)},
		standardwebhooks.HeaderWebhookSignature: {signature},
	})
	switch {
	case err != nil:
		return retryable(err), h.unreachable(ctx, err)
	case a.status/100 == 2:
		return false, nil
	case a.status/100 == 3:
		return false, h.failed("%s was not told to %s: its address answers with a redirect (%d), which is not followed.", h.service.Name, safepoint.Noun(verb), a.status).
			WithHint("Enter the address it redirects to.")
	case a.status == http.StatusUnauthorized || a.status == http.StatusForbidden:
		return false, h.failed("%s refused to %s: it answered %s.", h.service.Name, safepoint.Noun(verb), a).
			WithHint("Check that it has the signing secret of this service, and that its clock is right.")
	}
	return a.status >= 500 || a.status == http.StatusTooManyRequests, h.failed("%s did not %s: it answered %s.", h.service.Name, safepoint.Noun(verb), a).
		WithHint("Check that it runs and that its address is right.")
}

// await asks for the service's health until done accepts it, or ctx ends.
func (h *Halter) await(ctx context.Context, verb string, done func(halt.Condition) bool) error {
	if h.service.HealthURL == "" {
		return nil
	}
	return halt.Again(ctx, func(ctx context.Context) (bool, error) {
		st, err := h.health(ctx)
		if err == nil && !done(st.Condition) {
			err = h.disagrees(verb, st)
		}
		return true, err
	})
}

// disagrees says what the health check still said when the time was over.
func (h *Halter) disagrees(verb string, st halt.Status) error {
	says := string(st.Condition)
	if st.Detail != "" {
		says += " (" + st.Detail + ")"
	}
	e := h.failed("%s was resumed, but its health check still said %s after %s.", h.service.Name, says, halt.Seconds(h.service.Timeout))
	if verb == "halt" {
		e = h.failed("%s accepted the halt, but its health check still said %s after %s.", h.service.Name, says, halt.Seconds(h.service.Timeout))
	}
	return e.WithHint("Look at the service itself, or give it more time.")
}
