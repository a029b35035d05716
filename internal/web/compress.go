package web

import (
	"bytes"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"github.com/klauspost/compress/gzip"
)

// packed is what is sent, and the same compressed with gzip; nil where that gains nothing.
type packed struct{ plain, gzip []byte }

// smallest is the length from which on something is compressed: less fits into one packet anyway.
const smallest = 1200

// pack compresses b with a level of package gzip.
func pack(b []byte, level int) packed {
	if len(b) < smallest {
		return packed{plain: b}
	}
	pool := &packers[level]
	w, _ := pool.Get().(*gzip.Writer)
	if w == nil {
		w, _ = gzip.NewWriterLevel(nil, level) // the level is one of the two below
	}
	defer pool.Put(w)
	var out bytes.Buffer
	out.Grow(len(b) / 8) // lists become a twelfth, texts a third
	w.Reset(&out)
	w.Write(b)
	if err := w.Close(); err != nil || out.Len() >= len(b) {
		return packed{plain: b}
	}
	return packed{b, out.Bytes()}
}

// Files are compressed once, pages for each answer.
const (
	forFiles = gzip.BestCompression
	forPages = 5
)

// packers keep writers, a megabyte each, by level.
var packers [gzip.BestCompression + 1]sync.Pool

// send answers with p as the browser can take it.
func (v *visit) send(p packed, status int, compressed bool) {
	h, b := v.w.Header(), p.plain
	if compressed && p.gzip != nil {
		h.Set("Content-Encoding", "gzip")
		b = p.gzip
	}
	h.Set("Content-Length", strconv.Itoa(len(b)))
	v.w.WriteHeader(status)
	if v.r.Method != http.MethodHead {
		v.w.Write(b)
	}
}

// takesGzip says whether the browser reads gzip.
func takesGzip(r *http.Request) bool {
	for coding := range strings.SplitSeq(strings.Join(r.Header.Values("Accept-Encoding"), ","), ",") {
		name, weight, _ := strings.Cut(coding, ";")
		if name = strings.ToLower(strings.TrimSpace(name)); name == "gzip" || name == "*" {
			q, err := strconv.ParseFloat(strings.TrimPrefix(strings.ReplaceAll(weight, " ", ""), "q="), 64)
			return strings.TrimSpace(weight) == "" || err == nil && q > 0
		}
	}
	return false
}

// mayCompress says whether the length of a compressed page gives nothing away.
//
// A page may show what the address says (a search) beside what only members may know. Who can make a member's browser
// ask for a page again and again with other words, and sees how long the encrypted answers are, learns from lengths
// what is compressed together with the words (BREACH). So a page is compressed only where the console itself or the
// person asked for it, which browsers say in Sec-Fetch-Site; never the answer to a form, which may show a new
// password or token; and without that header only where nothing is encrypted whose length could matter.
func (v *visit) mayCompress() bool {
	if v.r.Method != http.MethodGet && v.r.Method != http.MethodHead || !takesGzip(v.r) {
		return false
	}
	switch v.r.Header.Get("Sec-Fetch-Site") {
	case "same-origin", "none":
		return true
	case "":
		return !v.secure()
	}
	return false
}
