package client

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
	"time"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/api/wire"
)

// silence is how long an event stream may say nothing, three of the server's heartbeats, before it counts as dead.
const silence = 45 * time.Second

// WatchState calls fn with the state now and at each change, until ctx ends, fn fails or the stream breaks. It does
// not connect again by itself: a caller who does learns of the gap.
func (c *Client) WatchState(ctx context.Context, fn func(wire.State) error) error {
	path, err := c.inOrg(ctx, "state", "events")
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	resp, err := c.do(ctx, http.MethodGet, path, nil, nil, http.Header{"Accept": {"text/event-stream"}})
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	dead := time.AfterFunc(silence, func() {
		cancel(safepoint.Errorf(safepoint.CodeUnreachable, "%s has gone silent.", c.base.Host))
	})
	defer dead.Stop()

	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
		dead.Reset(silence)
		data, ok := strings.CutPrefix(lines.Text(), "data: ")
		if !ok {
			continue
		}
		var s wire.State
		if err := json.Unmarshal([]byte(data), &s); err != nil {
			return fmt.Errorf("read state: %w", err)
		}
		if err := fn(s); err != nil {
			return err
		}
	}
	if err := lines.Err(); err != nil {
		return c.unreachable(ctx, err)
	}
	return safepoint.Errorf(safepoint.CodeUnreachable, "%s ended the stream.", c.base.Host)
}

// File is a backup's file on its way. The caller closes it.
type File struct {
	io.ReadCloser
	Size int64 // of what is still to come; -1 if not known
}

// Download opens a backup's file from byte offset on.
func (c *Client) Download(ctx context.Context, id string, offset int64) (*File, error) {
	path, err := c.inOrg(ctx, "operations", id, "file")
	if err != nil {
		return nil, err
	}
	header := http.Header{}
	if offset > 0 {
		header.Set("Range", fmt.Sprintf("bytes=%d-", offset))
	}
	resp, err := c.do(ctx, http.MethodGet, path, nil, nil, header)
	if err != nil {
		return nil, err
	}
	if offset > 0 && resp.StatusCode != http.StatusPartialContent {
		resp.Body.Close()
		return nil, safepoint.Errorf(safepoint.CodeUnreachable, "%s cannot go on with a download that broke off.", c.base.Host)
	}
	return &File{ReadCloser: resp.Body, Size: resp.ContentLength}, nil
}

// Tables lists the tables in a backup.
func (c *Client) Tables(ctx context.Context, id string) ([]wire.Table, error) {
	return items(get[wire.List[wire.Table]](ctx, c, nil, "operations", id, "tables"))
}

// Extract opens the SQL of chosen tables of a backup. The notes say what stays behind. Reading to io.EOF without an
// error means that the script is whole. The caller closes it.
func (c *Client) Extract(ctx context.Context, id string, in wire.TableChoice) (script io.ReadCloser, notes []string, err error) {
	path, err := c.inOrg(ctx, "operations", id, "extract")
	if err != nil {
		return nil, nil, err
	}
	body, err := json.Marshal(in)
	if err != nil {
		return nil, nil, fmt.Errorf("encode the choice: %w", err)
	}
	resp, err := c.do(ctx, http.MethodPost, path, nil, bytes.NewReader(body), nil)
	if err != nil {
		return nil, nil, err
	}
	var words mime.WordDecoder
	for _, note := range resp.Header.Values("Safepoint-Note") {
		if text, err := words.DecodeHeader(note); err == nil {
			notes = append(notes, text)
		}
	}
	return resp.Body, notes, nil
}

// Wait asks about an operation until it has ended, and tells each answer to seen (nil: nobody). A server that does not
// answer for a moment, for instance because it is restarted, is asked again for up to two minutes.
func (c *Client) Wait(ctx context.Context, id string, every time.Duration, seen func(wire.Operation)) (wire.Operation, error) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	var lost time.Time
	for {
		o, err := c.Operation(ctx, id)
		switch {
		case err == nil:
			lost = time.Time{}
			if seen != nil {
				seen(o)
			}
			if o.Ended() {
				return o, nil
			}
		case !Passing(err) || ctx.Err() != nil:
			return o, err
		case lost.IsZero():
			lost = time.Now()
		case time.Since(lost) > 2*time.Minute:
			return o, err
		}
		select {
		case <-ctx.Done():
			return o, context.Cause(ctx)
		case <-tick.C:
		}
	}
}

// Passing says whether err may be gone in a moment: the server is being restarted, or the network is away.
func Passing(err error) bool {
	switch safepoint.ErrorCode(err) {
	case safepoint.CodeUnreachable, safepoint.CodeRefused, safepoint.CodeInterrupted, safepoint.CodeTooMany:
		return true
	}
	return false
}
