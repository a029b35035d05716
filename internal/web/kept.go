package web

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"reflect"
	"strings"
)

// What a person typed outlives the end of their session: the form that could not be taken is kept by their browser for
// a quarter of an hour, without its secrets, and put back into the page it came from once they are signed in again: they,
// and nobody else who signs in at the same browser. Whose it is a cookie says that every page of theirs sets, since
// nothing is known any more of a session that has ended.
const (
	keptCookie = "safepoint-kept"
	keptAge    = 15 * 60
	keptMost   = 3 << 10 // what a cookie holds for certain, with room for its name
)

// The names of the cookie that says whose pages the browser shows, as sessionOf's.
const (
	secureAccountCookie = "__Host-safepoint-account"
	plainAccountCookie  = "safepoint-account"
)

// keptForm is what the browser keeps.
type keptForm struct {
	Account string     `json:"account"` // of who typed it
	Values  url.Values `json:"values"`
}

// secretWords are in the names of inputs that are never kept.
var secretWords = []string{"password", "secret", "identity", "token", "passkey"}

// keep has the browser keep the form of a POST, and returns the page that shows it: the one at the same address, or the
// nearest above it. "" means that there is none, or that the form is too long.
func (v *visit) keep() string {
	if v.r.Method != http.MethodPost || v.fragment() || v.r.ParseForm() != nil {
		return ""
	}
	values := url.Values{}
	for name, vs := range v.r.PostForm {
		if !isSecret(name) {
			values[name] = vs
		}
	}
	account := v.accountShown()
	b, err := json.Marshal(keptForm{account, values})
	if err != nil || len(values) == 0 || account == "" {
		return ""
	}
	text := base64.RawURLEncoding.EncodeToString(b)
	page := v.s.pageOf(v.r.URL.Path)
	if len(text) > keptMost || page == "" {
		return ""
	}
	http.SetCookie(v.w, v.keptCookie(page, text, keptAge))
	return page
}

func isSecret(name string) bool {
	for _, w := range secretWords {
		if strings.Contains(name, w) {
			return true
		}
	}
	return name == "code" || name == "url" || name == "confirm" // the setup code; a URL that may hold a password; what is typed to confirm
}

func (v *visit) keptCookie(page, text string, age int) *http.Cookie {
	return &http.Cookie{Name: keptCookie, Value: text, Path: page, MaxAge: age, HttpOnly: true, Secure: v.secure(), SameSite: http.SameSiteStrictMode}
}

// pageOf is the address of the page at a path, or of the nearest one above it.
func (s *server) pageOf(path string) string {
	for path != "/" && path != "" {
		r := &http.Request{Method: http.MethodGet, URL: &url.URL{Path: path}}
		if _, pattern := s.mux.Handler(r); pattern != "" && pattern != "GET /" {
			return path
		}
		path = path[:strings.LastIndexByte(path, '/')]
	}
	return ""
}

// accountMark stands for an account in a cookie: nobody learns its ID from it. "" is nobody.
func accountMark(userID string) string {
	if userID == "" {
		return ""
	}
	sum := sha256.Sum256([]byte("account " + userID))
	return base64.RawURLEncoding.EncodeToString(sum[:12])
}

// accountShown is whose pages the browser showed last, "" if it does not say.
func (v *visit) accountShown() string {
	for _, name := range []string{secureAccountCookie, plainAccountCookie} {
		if c, err := v.r.Cookie(name); err == nil {
			return c.Value
		}
	}
	return ""
}

// showAccount has the browser remember whose page it is about to show.
func (v *visit) showAccount() {
	mark := accountMark(v.actor.UserID)
	if mark == "" || mark == v.accountShown() {
		return
	}
	c := &http.Cookie{Name: plainAccountCookie, Value: mark, Path: "/", HttpOnly: true, SameSite: http.SameSiteStrictMode}
	if v.secure() {
		c.Name, c.Secure = secureAccountCookie, true
	}
	http.SetCookie(v.w, c)
}

// restoreKept puts what was kept into the forms of a page of the same account, once.
func (v *visit) restoreKept(p *page) {
	c, err := v.r.Cookie(keptCookie)
	if err != nil || v.r.Method != http.MethodGet || v.fragment() {
		return
	}
	http.SetCookie(v.w, v.keptCookie(v.r.URL.Path, "", -1))
	b, err := base64.RawURLEncoding.DecodeString(c.Value)
	var kept keptForm
	if err != nil || json.Unmarshal(b, &kept) != nil || kept.Account != accountMark(v.actor.UserID) {
		return
	}
	for _, f := range formsOf(p.Data) {
		for name, vs := range kept.Values {
			if !isSecret(name) {
				f.Values[name] = vs
				v.kept = true
			}
		}
	}
}

// formsOf finds the forms that a page's data has.
func formsOf(data any) (list []*form) {
	d := reflect.ValueOf(data)
	if d.Kind() != reflect.Struct {
		return nil
	}
	for i := range d.NumField() {
		if !d.Type().Field(i).IsExported() {
			continue
		}
		if f, ok := d.Field(i).Interface().(*form); ok && f != nil {
			list = append(list, f)
		}
	}
	return list
}
