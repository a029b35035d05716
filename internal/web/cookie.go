package web

import "net/http"

// The session cookie's names. The first only exists over HTTPS, where the browser guards it against other hosts of
// the domain; the second is for a console on loopback without TLS.
const (
	secureCookie = "__Host-safepoint"
	plainCookie  = "safepoint"
)

func sessionOf(r *http.Request) string {
	for _, name := range []string{secureCookie, plainCookie} {
		if c, err := r.Cookie(name); err == nil {
			return c.Value
		}
	}
	return ""
}

// keepSession hands the session to the browser; "" takes it back.
func (v *visit) keepSession(session string) {
	c := &http.Cookie{Name: plainCookie, Value: session, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode}
	if v.secure() {
		c.Name, c.Secure = secureCookie, true
	}
	if session == "" {
		c.MaxAge = -1
	}
	http.SetCookie(v.w, c)
}
