package pages

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptrace"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
)

// Page is what was measured of one address.
type Page struct {
	Path     string
	Status   int
	First    time.Duration // the first time it was asked for
	Alone    Times         // asked for by one client, up to the last byte
	Together Times         // by several at once
	Byte     Times         // by one client, up to the first byte
	Sent     int           // bytes of the body as it was sent
	Plain    int           // and not compressed
}

// Times are what an address took, each time.
type Times []time.Duration

// At is the time within which a part of the answers came: 0.99 is the 99th percentile. It is that of an answer, not
// between two of them.
func (t Times) At(part float64) time.Duration {
	if len(t) == 0 {
		return 0
	}
	return slices.Sorted(slices.Values(t))[max(int(math.Ceil(part*float64(len(t))))-1, 0)]
}

// Browser asks a server for pages as a signed-in browser does.
type Browser struct {
	URL            string
	Session, Token string
	client         http.Client
}

// NewBrowser has up to clients connections to a server.
func NewBrowser(address, session, token string, clients int) *Browser {
	return &Browser{URL: address, Session: session, Token: token, client: http.Client{
		Transport:     &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: clients, MaxConnsPerHost: clients},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Timeout:       time.Minute,
	}}
}

type answer struct {
	status      int
	first, last time.Duration
	sent        []byte
	compressed  bool
}

// Get asks for one address.
func (b *Browser) Get(ctx context.Context, path string) (a answer, err error) {
	var began time.Time
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotFirstResponseByte: func() { a.first = time.Since(began) }})
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, b.URL+path, nil)
	if err != nil {
		return a, err
	}
	if strings.HasPrefix(path, "/api/") {
		req.Header.Set("Authorization", "Bearer "+b.Token)
	} else {
		req.AddCookie(&http.Cookie{Name: "safepoint", Value: b.Session})
	}
	req.Header.Set("Accept-Encoding", "gzip")
	req.Header.Set("Sec-Fetch-Site", "same-origin")
	began = time.Now()
	resp, err := b.client.Do(req)
	if err != nil {
		return a, err
	}
	defer resp.Body.Close()
	a.sent, err = io.ReadAll(resp.Body)
	a.last, a.status, a.compressed = time.Since(began), resp.StatusCode, resp.Header.Get("Content-Encoding") == "gzip"
	return a, err
}

// text is the answer's body, not compressed.
func (a answer) text() ([]byte, error) {
	if !a.compressed {
		return a.sent, nil
	}
	r, err := gzip.NewReader(bytes.NewReader(a.sent))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(r)
}

var older = regexp.MustCompile(`href="([^"]*)" rel="next"`)

// Descend follows the link to older rows some pages down from each address, and returns where it came to.
func (b *Browser) Descend(ctx context.Context, paths []string, pages int) (deep []string, err error) {
	for _, path := range paths {
		for range pages {
			a, err := b.Get(ctx, path)
			if err != nil {
				return nil, err
			}
			text, err := a.text()
			if err != nil {
				return nil, err
			}
			next := older.FindSubmatch(text)
			if next == nil {
				break
			}
			path = strings.ReplaceAll(string(next[1]), "&amp;", "&")
		}
		deep = append(deep, path)
	}
	return deep, nil
}

// Measure asks for every address reps times alone, and as often with several clients at once. Addresses take turns, so
// that a slow moment of the machine hits many of them once and not one of them often.
func (b *Browser) Measure(ctx context.Context, paths []string, reps, clients int) ([]Page, error) {
	pages := make([]Page, len(paths))
	for i, path := range paths {
		a, err := b.Get(ctx, path)
		if err != nil {
			return nil, err
		}
		text, err := a.text()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		if a.status >= 500 {
			return nil, fmt.Errorf("%s: status %d\n%s", path, a.status, text)
		}
		pages[i] = Page{Path: path, Status: a.status, First: a.last, Sent: len(a.sent), Plain: len(text)}
	}
	for range reps {
		for i := range pages {
			a, err := b.Get(ctx, pages[i].Path)
			if err != nil {
				return nil, err
			}
			pages[i].Alone, pages[i].Byte = append(pages[i].Alone, a.last), append(pages[i].Byte, a.first)
		}
	}
	return pages, b.together(ctx, pages, reps, clients)
}

func (b *Browser) together(ctx context.Context, pages []Page, reps, clients int) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	turns := make(chan int)
	var all sync.WaitGroup
	var mu sync.Mutex
	for range clients {
		all.Go(func() {
			for i := range turns {
				a, err := b.Get(ctx, pages[i].Path)
				if err != nil {
					stop(err)
					continue
				}
				mu.Lock()
				pages[i].Together = append(pages[i].Together, a.last)
				mu.Unlock()
			}
		})
	}
	for range reps {
		for i := range pages {
			turns <- i
		}
	}
	close(turns)
	all.Wait()
	return context.Cause(ctx)
}

// all are the times of every page together.
func all(pages []Page, of func(Page) Times) Times {
	var t Times
	for _, p := range pages {
		t = append(t, of(p)...)
	}
	return t
}

// worst is the page that is slowest at a percentile.
func worst(pages []Page, of func(Page) Times, part float64) Page {
	return slices.MaxFunc(pages, func(a, b Page) int { return cmp.Compare(of(a).At(part), of(b).At(part)) })
}
