package e2e

import (
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
)

// console is a browser without scripts that is signed in.
type console struct {
	*bench
	http *http.Client
}

func (b *bench) console() *console {
	b.t.Helper()
	c := &console{b, &http.Client{Transport: b.seen, Jar: must(cookiejar.New(nil))(b.t)}}
	if status, body := c.post("/signin", url.Values{"email": {email}, "password": {password}}); status != 200 || strings.Contains(body, `name="password"`) {
		b.t.Fatalf("signing in: %d %.500s", status, body)
	}
	return c
}

// get returns a page, after redirects.
func (c *console) get(path string) (int, string) {
	c.t.Helper()
	return c.do(must(http.NewRequestWithContext(c.t.Context(), http.MethodGet, "http://"+c.Addr()+path, nil))(c.t))
}

func (c *console) post(path string, form url.Values) (int, string) {
	c.t.Helper()
	req := must(http.NewRequestWithContext(c.t.Context(), http.MethodPost, "http://"+c.Addr()+path, strings.NewReader(form.Encode())))(c.t)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return c.do(req)
}

func (c *console) do(req *http.Request) (int, string) {
	c.t.Helper()
	resp := must(c.http.Do(req))(c.t)
	defer resp.Body.Close()
	return resp.StatusCode, string(must(io.ReadAll(resp.Body))(c.t))
}
