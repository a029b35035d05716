package web

import (
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"
)

const hostile = `"><script>alert(1)</script>'`

func parse(s string) (url.Values, error) { return url.ParseQuery(s) }

// TestEscaping draws every page with hostile words in every text the application can return, and in the address.
func TestEscaping(t *testing.T) {
	escaped := 0
	for _, s := range stories() {
		poison(reflect.ValueOf(s.fake).Elem(), 0)
		if s.post == nil {
			sep := "?"
			if strings.Contains(s.path, "?") {
				sep = "&"
			}
			for _, k := range []string{"q", "who", "what", "next", "token", "code", "from", "to", "schedule", "page", "done", "database"} {
				if !strings.Contains(s.path, k+"=") {
					s.path += sep + k + "=" + url.QueryEscape(hostile)
					sep = "&"
				}
			}
		} else {
			for k := range s.post {
				s.post.Set(k, s.post.Get(k)+hostile)
			}
		}
		w := s.get(t)
		if html := w.Body.String(); strings.Contains(html, "<script>alert") || strings.Contains(html, `"><`+"script") {
			i := strings.Index(html, "<script>alert")
			t.Errorf("%s: %d not escaped: …%s…", s.name, w.Code, html[max(0, i-120):min(len(html), i+60)])
		}
		if strings.Contains(w.Body.String(), "&lt;script&gt;alert(1)") {
			escaped++
		}
		if w.Code == 500 {
			t.Errorf("%s: 500 %s", s.name, w.Body)
		}
	}
	if escaped < 80 {
		t.Errorf("only %d pages show the hostile words at all: the test looks away", escaped)
	}
}

var timeType = reflect.TypeFor[time.Time]()

// poison appends the hostile words to every text that people or servers can enter. Identifiers, states and other
// words of the program are left, so that pages are found and drawn.
func poison(v reflect.Value, depth int) {
	if depth > 12 {
		return
	}
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if !v.IsNil() && v.Kind() == reflect.Pointer {
			poison(v.Elem(), depth+1)
		}
	case reflect.Slice:
		for i := range v.Len() {
			poison(v.Index(i), depth+1)
		}
	case reflect.Struct:
		if v.Type() == timeType {
			return
		}
		for i := range v.NumField() {
			name := v.Type().Field(i).Name
			if strings.HasSuffix(name, "ID") || name == "TimeZone" || name == "hub" || name == "Theme" || name == "called" || name == "filters" {
				continue
			}
			f := v.Field(i)
			if !f.CanSet() { // an unexported field of the test double
				f = reflect.NewAt(f.Type(), f.Addr().UnsafePointer()).Elem()
			}
			poison(f, depth+1)
		}
	case reflect.String:
		if v.Type() == reflect.TypeFor[string]() && v.String() != "operating" && v.String() != "halted" {
			v.SetString(v.String() + hostile)
		}
	}
}
