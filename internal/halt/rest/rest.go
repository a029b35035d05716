// Package rest makes one call to an HTTP API that answers in JSON and says what went wrong in a member "message", as
// those of Docker and Kubernetes do.
package rest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"syscall"
	"time"

	"github.com/safepoint-db/safepoint/internal/halt"
)

const maxAnswer = 16 << 20

// Client calls one API.
type Client struct {
	HTTP *http.Client
	Base string                  // without a slash at its end
	Auth func(http.Header) error // called before each call; nil adds nothing
}

// NewHTTP is a client that follows no redirect and no proxy setting. dial may be nil.
func NewHTTP(t *http.Transport) *http.Client {
	t.Proxy, t.TLSHandshakeTimeout, t.DisableKeepAlives, t.MaxResponseHeaderBytes = nil, 5*time.Second, true, 64<<10
	if t.DialContext == nil {
		t.DialContext = (&net.Dialer{Timeout: 5 * time.Second}).DialContext
	}
	return &http.Client{Transport: t, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// StatusError is an answer that is none of 2xx and 304.
type StatusError struct {
	Status  int
	Message string // its own words, on one line; may be ""
}

func (e *StatusError) Error() string {
	if e.Message == "" {
		return fmt.Sprintf("it answered %d %s", e.Status, http.StatusText(e.Status))
	}
	return fmt.Sprintf("it answered %d: %s", e.Status, e.Message)
}

// Status is that of a StatusError, 0 for any other error.
func Status(err error) int {
	var s *StatusError
	if errors.As(err, &s) {
		return s.Status
	}
	return 0
}

// Passing says whether the same call may succeed a moment later.
func Passing(err error) bool {
	switch s := Status(err); {
	case s == http.StatusConflict, s == http.StatusTooManyRequests, s >= 500:
		return true
	case s != 0:
		return false
	}
	var dial *net.OpError
	return errors.As(err, &dial) && !errors.Is(err, syscall.ENOENT) && !errors.Is(err, syscall.EACCES) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
}

// Do makes one call. in, if not nil, is sent as JSON of contentType; out, if not nil, gets the answer. 304 is success.
func (c Client) Do(ctx context.Context, method, path, contentType string, in, out any) error {
	var body io.Reader
	if in != nil {
		text, err := json.Marshal(in)
		if err != nil {
			return fmt.Errorf("encode call: %w", err)
		}
		body = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.Base+path, body)
	if err != nil {
		return fmt.Errorf("make call: %w", err)
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "safepoint")
	if in != nil {
		req.Header.Set("Content-Type", contentType)
	}
	if c.Auth != nil {
		if err := c.Auth(req.Header); err != nil {
			return err
		}
	}
	resp, err := c.HTTP.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	answer := io.LimitReader(resp.Body, maxAnswer)
	if resp.StatusCode/100 != 2 && resp.StatusCode != http.StatusNotModified {
		var said struct{ Message string }
		text, _ := io.ReadAll(io.LimitReader(answer, 64<<10))
		_ = json.Unmarshal(text, &said) // an answer without words has none
		return &StatusError{resp.StatusCode, halt.OneLine(said.Message)}
	}
	if out == nil {
		return nil
	}
	if err := json.NewDecoder(answer).Decode(out); err != nil {
		return fmt.Errorf("read answer: %w", err)
	}
	return nil
}
