package web

import (
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/url"
	"slices"
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

// maxPages is how many pages one stream follows.
const maxPages = 256

// streamEvents follows the pages that a browser shows, in however many tabs: it makes them again when something of the
// organization changed, and sends what became different. A beat every 5 s says that the console is there. The first
// message of each page is its whole state, so a browser that comes back has missed nothing.
//
//	/events?page=/backups&page=/logs%3Ftype%3Dbackup
//
// A message's data is the page's address, a line break, and what is to be shown: of "patch" pieces of HTML with ids, of
// "say" a sentence for a screen reader. "done" says that the page is to be asked for again; "beat" has the time alone.
func streamEvents(v *visit) (reply, error) {
	st := &stream{v: v, out: http.NewResponseController(v.w), seen: map[string]*followed{}}
	for _, page := range v.r.URL.Query()["page"] {
		target, err := url.ParseRequestURI(page)
		if err != nil || target.IsAbs() || target.Host != "" || !strings.HasPrefix(target.Path, "/") || strings.ContainsAny(page, "\r\n") {
			return nil, safepoint.Errorf(safepoint.CodeNotFound, "There is no such page.")
		}
		if st.seen[page] == nil {
			st.seen[page] = &followed{target: target}
			st.pages = append(st.pages, page)
		}
	}
	if n := len(st.pages); n == 0 || n > maxPages {
		return nil, safepoint.Errorf(safepoint.CodeInvalid, "A stream follows 1 to %d pages.", maxPages)
	}
	changed, end, err := v.app.Subscribe(v.actor)
	if err != nil {
		return nil, err
	}
	defer end()
	st.begin()
	st.follow(changed)
	return nil, nil
}

// stream is one connection and the pages it follows, in the order they were asked for.
type stream struct {
	v        *visit
	out      *http.ResponseController
	pages    []string
	seen     map[string]*followed // by page
	finished bool
}

// followed is what was sent last of a page. The pieces are kept as a sum: with many tabs they would add up.
type followed struct {
	target *url.URL
	sent   bool
	sum    [sha256.Size]byte
	said   string
}

func (st *stream) begin() {
	st.out.SetWriteDeadline(time.Time{}) // it lasts as long as the browser looks
	h := st.v.w.Header()
	h.Set("Content-Type", "text/event-stream; charset=utf-8")
	h.Set("X-Accel-Buffering", "no")
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
			if !st.settled(changed) {
				return
			}
			st.look()
		case <-beat.C:
			st.look()
		}
	}
}

// settled takes the events that come within a moment, since one look at the catalog catches up with all of them.
// It says whether the stream goes on.
func (st *stream) settled(changed <-chan event.Event) bool {
	t := time.NewTimer(settle)
	defer t.Stop()
	for {
		select {
		case <-st.v.ctx.Done():
			return false
		case <-st.v.s.Stopping:
			return false
		case <-changed:
		case <-t.C:
			return true
		}
	}
}

// look makes the pages again and sends what changed of each, and a beat. When that cannot be done, nothing is sent:
// the browser then says that it is not live, which is true.
func (st *stream) look() {
	now := st.v.s.anonymous(st.v.w, st.v.r)
	err := now.identify()
	if gone(err) {
		for _, page := range st.pages {
			st.send("done", page, "") // the page itself says why
		}
		st.finished = true
		return
	}
	if err != nil {
		st.failed(now, "", err)
		return
	}
	whole := true
	for _, page := range slices.Clone(st.pages) {
		whole = st.lookAt(now, page) && whole
		if st.finished || st.v.ctx.Err() != nil {
			return
		}
	}
	if len(st.pages) == 0 {
		st.finished = true
		return
	}
	if whole {
		st.send("beat", "", now.t.Time(now.t.now))
	}
}

// gone says that a page is not there any more for whoever follows it.
func gone(err error) bool {
	switch safepoint.ErrorCode(err) {
	case safepoint.CodeUnauthorized, safepoint.CodeNotFound, safepoint.CodeForbidden:
		return true
	}
	return false
}

// lookAt makes one page again and sends what changed of it. It says whether the page could be made.
func (st *stream) lookAt(now *visit, page string) bool {
	f := st.seen[page]
	p, v, err := f.make(now)
	if gone(err) {
		st.send("done", page, "")
		st.pages = slices.DeleteFunc(st.pages, func(other string) bool { return other == page })
		delete(st.seen, page)
		return true
	}
	text := newBuffer()
	defer buffers.Put(text)
	if err == nil {
		err = render(text, v.t.Language, v.view(p), "patch", p.Name+"/live", "patch-end")
	}
	if err != nil {
		st.failed(v, f.target.Path, err)
		return false
	}
	b, first := text.Bytes(), !f.sent
	if sum := sha256.Sum256(b); first || sum != f.sum {
		f.sent, f.sum = true, sum
		st.send("patch", page, string(b))
	}
	if p.Say != f.said {
		f.said = p.Say
		if !first && p.Say != "" {
			st.send("say", page, p.Say)
		}
	}
	return true
}

func (st *stream) failed(v *visit, path string, err error) {
	if st.v.ctx.Err() == nil {
		v.s.Log.Error("stream failed", "page", path, "error", err)
	}
}

// make builds the page as the browser of the visit now would get it.
func (f *followed) make(now *visit) (*page, *visit, error) {
	r := now.r.Clone(now.ctx)
	r.Method, r.URL, r.RequestURI = http.MethodGet, f.target, f.target.RequestURI()
	v := *now
	v.r = r
	h, _ := v.s.live.Handler(r)
	route, ok := h.(liveRoute)
	if !ok {
		return nil, &v, safepoint.Errorf(safepoint.CodeNotFound, "There is no such page.")
	}
	if i := strings.LastIndexByte(route.Pattern, '{'); i > 0 {
		r.SetPathValue("id", strings.TrimPrefix(f.target.Path, route.Pattern[:i]))
	}
	if v.actor.OrganizationID == "" || route.Who == Admin && !v.admin() {
		return nil, &v, safepoint.Errorf(safepoint.CodeNotFound, "This page moved on.")
	}
	answer, err := route.handle(&v)
	if err != nil {
		return nil, &v, err
	}
	p, ok := answer.(*page)
	if !ok || !p.Live {
		return nil, &v, safepoint.Errorf(safepoint.CodeNotFound, "This page moved on.")
	}
	return p, &v, nil
}

// send writes one message. Its data is page, where it is about one, and then data.
func (st *stream) send(name, page, data string) {
	var b strings.Builder
	fmt.Fprintf(&b, "event: %s\n", name)
	if page != "" {
		fmt.Fprintf(&b, "data: %s\n", page)
	}
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

// endStream answers a stream of nobody: each of its pages is to be asked for again, which leads to signing in.
func (v *visit) endStream() {
	st := &stream{v: v, out: http.NewResponseController(v.w)}
	st.begin()
	for _, page := range v.r.URL.Query()["page"] {
		if !strings.ContainsAny(page, "\r\n") {
			st.send("done", page, "")
		}
	}
}
