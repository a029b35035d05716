package web

import (
	"bytes"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/event"
)

// liveRoute is a route as the streams' own table keeps it: it is found there, never served from there.
type liveRoute struct{ Route }

func (liveRoute) ServeHTTP(http.ResponseWriter, *http.Request) {}

// settle is how long a stream waits after an event for the ones that follow it.
const settle = 150 * time.Millisecond

// streamEvents follows one page: it makes the page again when something of the organization changed, and sends what
// became different. A beat every 5 s says that the console is there. The first message is the whole state, so a
// browser that comes back has missed nothing.
func streamEvents(v *visit) (reply, error) {
	target, err := url.ParseRequestURI(v.r.URL.Query().Get("page"))
	if err != nil || target.IsAbs() || target.Host != "" {
		return nil, safepoint.Errorf(safepoint.CodeNotFound, "There is no such page.")
	}
	changed, end, err := v.app.Subscribe(v.actor)
	if err != nil {
		return nil, err
	}
	defer end()
	st := &stream{v: v, target: target, out: http.NewResponseController(v.w)}
	st.out.SetWriteDeadline(time.Time{})
	h := v.w.Header()
	h.Set("Content-Type", "text/event-stream; charset=utf-8")
	h.Set("X-Accel-Buffering", "no")
	st.follow(changed)
	return nil, nil
}

type stream struct {
	v        *visit
	target   *url.URL
	out      *http.ResponseController
	sent     []byte // the last patch
	said     string
	finished bool
}

func (st *stream) follow(changed <-chan event.Event) {
	beat := time.NewTicker(st.v.s.beat)
	defer beat.Stop()
	st.look()
	for !st.finished {
		select {
		case <-st.v.ctx.Done():
			return
		case <-st.v.s.Stopping:
			return
		case <-changed:
			drain(changed, settle)
			st.look()
		case <-beat.C:
			st.look()
		}
	}
}

// drain takes the events that come within d: one look at the catalog catches up with all of them.
func drain(changed <-chan event.Event, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	for {
		select {
		case <-changed:
		case <-t.C:
			return
		}
	}
}

// look makes the page again and sends what changed, and a beat. When the page cannot be made, nothing is sent:
// the browser then says that it is not live, which is true.
func (st *stream) look() {
	p, v, err := st.make()
	switch safepoint.ErrorCode(err) {
	case "":
	case safepoint.CodeUnauthorized, safepoint.CodeNotFound, safepoint.CodeForbidden:
		st.send("done", st.target.RequestURI()) // the page itself says why
		st.finished = true
		return
	default:
		if v.ctx.Err() == nil {
			v.s.Log.Error("stream failed", "page", st.target.Path, "error", err)
		}
		return
	}
	b, err := v.s.render(v.t.Language, p.Name, "patch", v.view(p))
	if err != nil {
		v.s.Log.Error("stream failed", "page", st.target.Path, "error", err)
		return
	}
	first := st.sent == nil
	if !bytes.Equal(b, st.sent) {
		st.sent = b
		st.send("patch", string(b))
	}
	if p.Say != st.said {
		st.said = p.Say
		if !first && p.Say != "" {
			st.send("say", p.Say)
		}
	}
	st.send("beat", v.t.Time(v.t.now))
}

// make builds the page as the same browser would get it now.
func (st *stream) make() (*page, *visit, error) {
	r := st.v.r.Clone(st.v.ctx)
	r.Method, r.URL, r.RequestURI = http.MethodGet, st.target, st.target.RequestURI()
	v := st.v.s.anonymous(st.v.w, r)
	h, _ := st.v.s.live.Handler(r)
	route, ok := h.(liveRoute)
	if !ok {
		return nil, v, safepoint.Errorf(safepoint.CodeNotFound, "There is no such page.")
	}
	if i := strings.LastIndexByte(route.Pattern, '{'); i > 0 {
		r.SetPathValue("id", strings.TrimPrefix(st.target.Path, route.Pattern[:i]))
	}
	if err := v.identify(); err != nil {
		return nil, v, err
	}
	answer, err := route.handle(v)
	if err != nil {
		return nil, v, err
	}
	p, ok := answer.(*page)
	if !ok || !p.Live {
		return nil, v, safepoint.Errorf(safepoint.CodeNotFound, "This page moved on.")
	}
	return p, v, nil
}

func (st *stream) send(name, data string) {
	var b strings.Builder
	fmt.Fprintf(&b, "event: %s\n", name)
	for line := range strings.SplitSeq(data, "\n") {
		fmt.Fprintf(&b, "data: %s\n", strings.TrimSuffix(line, "\r"))
	}
	b.WriteByte('\n')
	if _, err := st.v.w.Write([]byte(b.String())); err != nil {
		st.finished = true
		return
	}
	if st.out.Flush() != nil {
		st.finished = true
	}
}
