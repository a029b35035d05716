// Package client speaks the REST API: one method per thing the command line does, in the API's own nouns
// (package wire), with every error as a *safepoint.Error.
package client

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/api/wire"
)

// callTimeout is how long one call may take, files and streams excepted. Testing a service halts and resumes it, which
// may take twice its own timeout.
const callTimeout = 5 * time.Minute

// Config says which server to speak to, and as whom.
type Config struct {
	URL          string // "https://backup.example"; a path in it is kept
	Token        string // "" only for Login
	Organization string // ID; "" means the one the token was made for
	UserAgent    string
	HTTP         *http.Client // nil means one with sound timeouts
}

// Client is safe for concurrent use.
type Client struct {
	base  *url.URL
	token string
	agent string
	http  *http.Client

	mu  sync.Mutex
	org string
}

// New checks cfg; it does not connect.
func New(cfg Config) (*Client, error) {
	u, err := url.Parse(cfg.URL)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || u.User != nil || u.RawQuery != "" {
		return nil, safepoint.Invalid("url", "%q is not the address of a Safepoint server.", redact(cfg.URL)).
			WithHint("It looks like https://backup.example or http://127.0.0.1:8321.")
	}
	u.Path = strings.TrimSuffix(u.Path, "/")
	c := &Client{base: u, token: cfg.Token, agent: cfg.UserAgent, http: cfg.HTTP, org: cfg.Organization}
	if c.http == nil {
		c.http = &http.Client{Transport: transport(), CheckRedirect: noRedirect}
	}
	return c, nil
}

// transport has limits on everything that can hang but the body of a long answer.
func transport() *http.Transport {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.DialContext = (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 15 * time.Second}).DialContext
	t.TLSHandshakeTimeout = 10 * time.Second
	t.ResponseHeaderTimeout = callTimeout
	return t
}

// noRedirect keeps the token from following a redirect to another host, and a POST from becoming a GET.
func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// URL is the server's address.
func (c *Client) URL() string { return c.base.String() }

// call sends in (nil: no body) and reads the answer into a T. A T of struct{} reads nothing.
func call[T any](ctx context.Context, c *Client, method, path string, query url.Values, in any) (out T, err error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	var body io.Reader
	if in != nil {
		data, err := json.Marshal(in)
		if err != nil {
			return out, fmt.Errorf("write request: %w", err)
		}
		body = bytes.NewReader(data)
	}
	resp, err := c.do(ctx, method, path, query, body, nil)
	if err != nil {
		return out, err
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusNoContent {
		return out, nil
	}
	if err := json.NewDecoder(resp.Body).Decode(&out); err != nil {
		return out, c.unreachable(ctx, fmt.Errorf("read answer: %w", err))
	}
	return out, nil
}

// do sends one request and returns its answer if that is a success. The caller closes the body.
func (c *Client) do(ctx context.Context, method, path string, query url.Values, body io.Reader, header http.Header) (*http.Response, error) {
	u := *c.base
	u = *u.JoinPath(path) // path is escaped already
	u.RawQuery = query.Encode()
	req, err := http.NewRequestWithContext(ctx, method, u.String(), body)
	if err != nil {
		return nil, fmt.Errorf("make request: %w", err)
	}
	if s, ok := body.(*sized); ok {
		req.ContentLength = s.n
		if s.n == 0 {
			req.ContentLength = -1
		}
	}
	if c.agent != "" {
		req.Header.Set("User-Agent", c.agent)
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	for k, v := range header {
		req.Header[k] = v
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, c.unreachable(ctx, err)
	}
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		defer resp.Body.Close()
		return nil, c.problem(resp)
	}
	return resp, nil
}

// problem turns an answer that is no success into a *safepoint.Error.
func (c *Client) problem(resp *http.Response) error {
	var p wire.Problem
	data, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if !strings.HasPrefix(resp.Header.Get("Content-Type"), "application/problem+json") || json.Unmarshal(data, &p) != nil || p.Code == "" {
		return safepoint.Errorf(safepoint.CodeUnreachable, "%s answered %q, not as a Safepoint server does.", c.base.Host, resp.Status).
			WithHint("Check the address; a proxy in between may have answered.")
	}
	e := &safepoint.Error{Code: safepoint.Code(p.Code), Message: p.Title, Hint: p.Hint, Field: p.Field}
	if p.Detail != "" {
		e.Message += " " + p.Field + ": " + p.Detail
	}
	return e
}

// unreachable says in words why there was no answer.
func (c *Client) unreachable(ctx context.Context, err error) error {
	if ctx.Err() != nil && errors.Is(ctx.Err(), context.Canceled) {
		return context.Cause(ctx)
	}
	host := c.base.Host
	var dns *net.DNSError
	var cert *tls.CertificateVerificationError
	var plain tls.RecordHeaderError
	switch {
	case errors.As(err, &cert):
		return safepoint.Errorf(safepoint.CodeTLS, "The certificate of %s is not trusted: %v.", host, cert.Err).
			WithHint("Name the authority that signed it, or the certificate itself, in SSL_CERT_FILE (a PEM file). Nothing was sent.").WithCause(err)
	case errors.As(err, &plain):
		return safepoint.Errorf(safepoint.CodeTLS, "%s does not speak TLS.", host).WithHint("Check the port, or whether its address begins with http://.").WithCause(err)
	case errors.As(err, &dns) && dns.IsNotFound:
		return safepoint.Errorf(safepoint.CodeName, "There is no host %s.", c.base.Hostname()).
			WithHint("Check the spelling of the server's address, and that this machine can look names up.").WithCause(err)
	case errors.Is(err, syscall.ECONNREFUSED):
		return safepoint.Errorf(safepoint.CodeRefused, "Nothing listens at %s.", host).
			WithHint("Start the server with \"safepoint serve\", or check the address.").WithCause(err)
	}
	return safepoint.Errorf(safepoint.CodeUnreachable, "%s did not answer.", host).
		WithHint("Check the server's address, that it runs, and firewalls between here and there.").WithCause(err)
}

// redact is a URL without a password that someone put into it.
func redact(s string) string {
	if u, err := url.Parse(s); err == nil {
		return u.Redacted()
	}
	if i := strings.LastIndexByte(s, '@'); i >= 0 {
		return "…" + s[i:]
	}
	return s
}

// inOrg is the path of something below the organization.
func (c *Client) inOrg(ctx context.Context, parts ...string) (string, error) {
	org, err := c.Organization(ctx)
	if err != nil {
		return "", err
	}
	path := "/api/v1/organizations/" + url.PathEscape(org)
	for _, p := range parts {
		path += "/" + url.PathEscape(p)
	}
	return path, nil
}

// Organization is the ID of the organization every call is about.
func (c *Client) Organization(ctx context.Context) (string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.org == "" {
		me, err := call[wire.Me](ctx, c, http.MethodGet, "/api/v1/me", nil, nil)
		if err != nil {
			return "", err
		}
		c.org = me.Organization.ID
	}
	return c.org, nil
}

// get, post, put and remove are call below the organization.
func get[T any](ctx context.Context, c *Client, query url.Values, parts ...string) (T, error) {
	return send[T](ctx, c, http.MethodGet, query, nil, parts...)
}

func post[T any](ctx context.Context, c *Client, in any, parts ...string) (T, error) {
	return send[T](ctx, c, http.MethodPost, nil, in, parts...)
}

func put[T any](ctx context.Context, c *Client, in any, parts ...string) (T, error) {
	return send[T](ctx, c, http.MethodPut, nil, in, parts...)
}

func remove(ctx context.Context, c *Client, query url.Values, parts ...string) error {
	_, err := send[struct{}](ctx, c, http.MethodDelete, query, nil, parts...)
	return err
}

func send[T any](ctx context.Context, c *Client, method string, query url.Values, in any, parts ...string) (out T, err error) {
	path, err := c.inOrg(ctx, parts...)
	if err != nil {
		return out, err
	}
	return call[T](ctx, c, method, path, query, in)
}

// items is the content of a list.
func items[T any](l wire.List[T], err error) ([]T, error) { return l.Items, err }
