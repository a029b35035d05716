package gate

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const (
	silence      = 45 * time.Second // three of the server's heartbeats: then a stream counts as dead
	firstRetry   = 250 * time.Millisecond
	longestRetry = 15 * time.Second
	maxLine      = 64 << 10 // of a stream
)

// newClient has no timeout, because a stream has no end, and follows no redirect: a token goes where it was meant to.
func newClient() *http.Client {
	return &http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			Proxy: http.ProxyFromEnvironment, DialContext: (&net.Dialer{Timeout: 10 * time.Second}).DialContext, TLSHandshakeTimeout: 10 * time.Second,
			ResponseHeaderTimeout: 30 * time.Second, ForceAttemptHTTP2: true,
		},
	}
}

// follow keeps a stream open until ctx ends. Nothing is missed between two: each begins with the state.
func (g *Gate) follow(ctx context.Context) {
	if g.cfg.FailClosedAfter > 0 {
		g.done.Go(func() { g.watchSilence(ctx) })
	}
	wait, lost := firstRetry, ""
	for ctx.Err() == nil {
		err := g.listen(ctx, func() {
			if lost != "" {
				g.log.Info("gate: the server is heard again", "server", g.base)
			}
			wait, lost = firstRetry, ""
		})
		if ctx.Err() != nil {
			return
		}
		if err != nil && err.Error() != lost { // a long outage needs no line a minute
			lost = err.Error()
			g.log.Warn("gate: the server is not heard; what it said last goes on to hold", "server", g.base, "error", err)
		}
		// Applications that lost the same server do not come back all at once.
		pause(ctx, wait/2+rand.N(wait))
		wait = min(2*wait, longestRetry)
	}
}

// watchSilence makes everyone look again when FailClosedAfter has passed.
func (g *Gate) watchSilence(ctx context.Context) {
	for ctx.Err() == nil {
		pause(ctx, max(g.cfg.FailClosedAfter/8, 10*time.Millisecond))
		g.change(func() {})
	}
}

// listen reads one stream to its end. heard is called when the first state came.
func (g *Gate) listen(ctx context.Context, heard func()) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	dead := time.AfterFunc(silence, func() { cancel(errors.New("it has gone silent")) })
	defer dead.Stop()
	org, err := g.organization(ctx)
	if err != nil {
		return err
	}
	body, err := g.get(ctx, "/api/v1/organizations/"+url.PathEscape(org)+"/state/events", "text/event-stream")
	if err != nil {
		return err
	}
	defer body.Close()
	lines := bufio.NewScanner(body)
	lines.Buffer(nil, maxLine)
	for lines.Scan() {
		dead.Reset(silence)
		data, ok := strings.CutPrefix(lines.Text(), "data:")
		if !ok { // a comment that shows life, or an event's name
			g.change(func() {
				if !g.stream.Heard.IsZero() {
					g.stream.Heard = g.cfg.Now()
				}
			})
			continue
		}
		var said struct {
			State       string    `json:"state"`
			Since       time.Time `json:"since"`
			Until       time.Time `json:"until"`
			Reason      string    `json:"reason"`
			OperationID string    `json:"operation_id"`
		}
		if err := json.Unmarshal([]byte(data), &said); err != nil || said.State == "" {
			return errors.New("it does not speak of states")
		}
		g.change(func() {
			g.stream = State{Halted: said.State == "halted", Since: said.Since, Until: said.Until, Reason: said.Reason, OperationID: said.OperationID, Heard: g.cfg.Now()}
			if !g.stream.Halted {
				g.resumed = ""
			}
		})
		heard()
	}
	if err := context.Cause(ctx); err != nil {
		return err
	}
	if err := lines.Err(); err != nil {
		return err
	}
	return errors.New("it ended the stream")
}

// organization is whose state is followed: that of the configuration, or of the token.
func (g *Gate) organization(ctx context.Context) (string, error) {
	if g.cfg.OrganizationID != "" {
		return g.cfg.OrganizationID, nil
	}
	body, err := g.get(ctx, "/api/v1/me", "application/json")
	if err != nil {
		return "", err
	}
	defer body.Close()
	var me struct {
		Organization struct {
			ID string `json:"id"`
		} `json:"organization"`
	}
	if err := json.NewDecoder(io.LimitReader(body, 1<<20)).Decode(&me); err != nil || me.Organization.ID == "" {
		return "", errors.New("it does not say whose token this is")
	}
	return me.Organization.ID, nil
}

func (g *Gate) get(ctx context.Context, path, accept string) (io.ReadCloser, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, g.base+path, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", accept)
	req.Header.Set("Authorization", "Bearer "+g.cfg.Token)
	resp, err := g.client.Do(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		resp.Body.Close()
		switch resp.StatusCode {
		case http.StatusUnauthorized:
			return nil, errors.New("it does not accept the token: it was revoked, has expired, or is of another server")
		case http.StatusNotFound:
			return nil, errors.New("it has no such organization for this token")
		}
		return nil, fmt.Errorf("it answered %s", resp.Status)
	}
	return resp.Body, nil
}
