package api

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/api/wire"
	"github.com/safepoint-db/safepoint/internal/event"
)

// heartbeat is how often a silent event stream shows that it lives, and that its reader may still read.
const heartbeat = 15 * time.Second

// streamPatience is how long a reader of a stream or of a file may stand still.
const streamPatience = time.Minute

func (a *API) stateRoutes() {
	const tag = "State"
	get := op(http.MethodGet, orgPrefix+"/state", "get-state", "Whether the organization's services may work on its databases", tag)
	handle(a, get, func(ctx context.Context, by safepoint.Actor, _ *InOrg) (*body[wire.State], error) {
		s, err := a.cfg.App.State(ctx, by)
		return reply(wire.FromState(s), err)
	})

	events := op(http.MethodGet, orgPrefix+"/state/events", "watch-state", "The state now and at each change, as server-sent events", tag)
	events.Description = "Each event is named `state` and holds the JSON of `GET …/state`: one at once, and one at each change. " +
		"A comment line every 15 seconds shows that the stream lives. Connect again where it ends; nothing is missed, because the first event is the state."
	events.Responses = map[string]*huma.Response{"200": {
		Description: "A stream of events",
		Content: map[string]*huma.MediaType{"text/event-stream": {
			Schema:  &huma.Schema{Type: huma.TypeString},
			Example: "event: state\ndata: {\"state\":\"halted\",\"since\":\"2026-11-22T14:16:00Z\"}\n\n",
		}},
	}}
	handle(a, events, func(ctx context.Context, by safepoint.Actor, _ *InOrg) (*huma.StreamResponse, error) {
		// Subscribed before the first look: no change falls between.
		changes, end, err := a.cfg.App.Subscribe(by)
		if err != nil {
			return nil, err
		}
		first, err := a.cfg.App.State(ctx, by)
		if err != nil {
			end()
			return nil, err
		}
		return &huma.StreamResponse{Body: func(c huma.Context) {
			defer end()
			a.streamState(c, by, first, changes)
		}}, nil
	})
}

// streamState runs until the reader leaves, the server stops, or the reader may no longer read.
func (a *API) streamState(c huma.Context, by safepoint.Actor, s safepoint.OrganizationState, changes <-chan event.Event) {
	r, w := humago.Unwrap(c)
	ctx, rc := r.Context(), http.NewResponseController(w)
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no") // a proxy in between passes events on at once
	send := func(text string) bool {
		rc.SetWriteDeadline(time.Now().Add(streamPatience))
		_, err := w.Write([]byte(text))
		return err == nil && rc.Flush() == nil
	}
	tick := time.NewTicker(heartbeat)
	defer tick.Stop()

	ok := send(stateEvent(s))
	for ok {
		var err error
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			// The token may have been revoked, or the member removed, since the stream began.
			if by, err = a.actor(c); err != nil {
				return
			}
			ok = send(": alive\n\n")
		case <-changes:
		}
		now, err := a.cfg.App.State(ctx, by)
		if err != nil {
			return
		}
		if ok && !reflect.DeepEqual(now, s) {
			s = now
			ok = send(stateEvent(s))
		}
	}
}

func stateEvent(s safepoint.OrganizationState) string {
	data, err := json.Marshal(wire.FromState(s))
	if err != nil {
		panic("api: a state cannot be written as JSON: " + err.Error())
	}
	return fmt.Sprintf("event: state\ndata: %s\n\n", data)
}
