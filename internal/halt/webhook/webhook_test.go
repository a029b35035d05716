package webhook

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/halt"
	"github.com/safepoint-db/safepoint/internal/halt/halttest"
)

const secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo="

// shop is a service that can be halted: it checks signatures as any receiver does.
type shop struct {
	*httptest.Server
	verifier *standardwebhooks.Webhook

	mu     sync.Mutex
	halted bool
	stuck  bool
	calls  []message
	ids    []string
	answer func(n int, path string, w http.ResponseWriter) bool // n counts all requests; true if it answered
	n      int
}

func newShop(t *testing.T) *shop {
	t.Helper()
	v, err := standardwebhooks.NewWebhook(secret)
	if err != nil {
		t.Fatal(err)
	}
	s := &shop{verifier: v}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

func (s *shop) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.n++
	if s.answer != nil && s.answer(s.n, r.URL.Path, w) {
		return
	}
	switch r.Method + " " + r.URL.Path {
	case "POST /halt", "POST /resume":
		if err := s.verifier.Verify(body, r.Header); err != nil {
			http.Error(w, "bad signature", http.StatusUnauthorized)
			return
		}
		var m message
		if err := json.Unmarshal(body, &m); err != nil || "/"+strings.TrimPrefix(m.Type, "safepoint.") != r.URL.Path {
			http.Error(w, "bad message", http.StatusBadRequest)
			return
		}
		s.calls, s.ids = append(s.calls, m), append(s.ids, r.Header.Get("webhook-id"))
		s.halted = r.URL.Path == "/halt" && !s.stuck
	case "GET /health":
		if s.halted {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	case "GET /work":
		if s.halted {
			http.Error(w, "Back soon.", http.StatusServiceUnavailable)
		}
	default:
		http.NotFound(w, r)
	}
}

func (s *shop) service(timeout time.Duration) safepoint.Service {
	return safepoint.Service{Name: "Storefront", Kind: safepoint.ServiceWebhook, Timeout: timeout,
		HaltURL: s.URL + "/halt?token=t0ps3cret", ResumeURL: s.URL + "/resume?token=t0ps3cret", HealthURL: s.URL + "/health"}
}

func halter(t *testing.T, s safepoint.Service) *Halter {
	t.Helper()
	h, err := New(s, secret)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func TestHalter(t *testing.T) {
	halttest.Run(t, func(t *testing.T) halttest.Service {
		s := newShop(t)
		return halttest.Service{
			Name: "Storefront", Secret: "t0ps3cret",
			New: func(t *testing.T, timeout time.Duration) halt.Halter { return halter(t, s.service(timeout)) },
			Works: func(ctx context.Context) error {
				req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL+"/work", nil)
				if err != nil {
					return err
				}
				res, err := http.DefaultClient.Do(req)
				if err != nil {
					return err
				}
				defer res.Body.Close()
				if res.StatusCode != http.StatusOK {
					return fmt.Errorf("it answered %s", res.Status)
				}
				return nil
			},
			Stick: func(*testing.T) func() {
				set := func(stuck bool) {
					s.mu.Lock()
					s.stuck = stuck
					s.mu.Unlock()
				}
				set(true)
				return func() { set(false) }
			},
			Gone: func(t *testing.T, timeout time.Duration) halt.Halter {
				dead := newShop(t)
				dead.Close()
				return halter(t, dead.service(timeout))
			},
		}
	})
}

var request = halt.Request{OperationID: "op_1", OrganizationID: "org_a", OrganizationName: "Harborline", Reason: "Restoring shop", Until: "2026-11-22T15:00:00Z"}

// The service learns everything it needs to tell its users, and repeated calls carry one ID.
func TestMessage(t *testing.T) {
	s := newShop(t)
	s.answer = func(n int, path string, w http.ResponseWriter) bool {
		if n <= 3 {
			http.Error(w, "starting", []int{0, 500, 429, 503}[n])
		}
		return n <= 3
	}
	h := halter(t, s.service(20*time.Second))
	if err := h.Halt(t.Context(), request); err != nil {
		t.Fatal(err)
	}
	if err := h.Halt(t.Context(), request); err != nil {
		t.Fatal(err)
	}
	if err := h.Resume(t.Context(), request); err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(s.ids) != "[op_1_halt op_1_halt op_1_resume]" {
		t.Errorf("ids %v", s.ids)
	}
	if m := s.calls[0]; m.Data != request || time.Since(m.Timestamp) > time.Minute {
		t.Errorf("message %+v", m)
	}
}

func TestAnswers(t *testing.T) {
	status := func(code int, body string) func(int, string, http.ResponseWriter) bool {
		return func(_ int, _ string, w http.ResponseWriter) bool {
			w.Header().Set("Location", "http://169.254.169.254/latest/meta-data")
			w.WriteHeader(code)
			io.WriteString(w, body)
			return true
		}
	}
	for name, test := range map[string]struct {
		answer func(int, string, http.ResponseWriter) bool
		calls  int // 0: any number
		want   string
	}{
		"redirect":   {status(307, ""), 1, "Storefront was not told to halt: its address answers with a redirect (307), which is not followed."},
		"forbidden":  {status(403, "no"), 1, `Storefront refused to halt: it answered 403 Forbidden, "no".`},
		"not found":  {status(404, ""), 1, "Storefront did not halt: it answered 404 Not Found."},
		"broken":     {status(500, "oh\r\n\x1b[31m no"), 0, `Storefront did not halt: it answered 500 Internal Server Error, "oh [31m no".`},
		"endless":    {status(400, strings.Repeat("x", 1<<20)), 1, `Storefront did not halt: it answered 400 Bad Request, "` + strings.Repeat("x", 120) + `…".`},
		"says so":    {status(200, `{"condition":"running","detail":"3 jobs left"}`), 0, "Storefront accepted the halt, but its health check still said running (3 jobs left) after 0.5 s."},
		"wrong port": {func(int, string, http.ResponseWriter) bool { panic(http.ErrAbortHandler) }, 0, "Storefront could not be reached."},
	} {
		t.Run(name, func(t *testing.T) {
			s := newShop(t)
			s.answer = test.answer
			err := halter(t, s.service(500*time.Millisecond)).Halt(t.Context(), request)
			if err == nil || safepoint.UserError(err).Message != test.want {
				t.Errorf("got  %v\nwant %s", err, test.want)
			}
			s.Close()
			if test.calls > 0 && s.n != test.calls {
				t.Errorf("%d calls", s.n)
			}
		})
	}
}

func TestProbe(t *testing.T) {
	for _, test := range []struct {
		status int
		body   string
		want   halt.Condition
	}{
		{200, "", halt.Running},
		{204, "", halt.Running},
		{503, "", halt.Halted},
		{500, "", halt.Failing},
		{404, "", halt.Failing},
		{302, "", halt.Failing},
		{200, `{"condition":"halted"}`, halt.Halted},
		{503, `{"condition":"failing"}`, halt.Failing},
		{503, `{"condition":"down"}`, halt.Down},
		{200, `{"condition":"unknown"}`, halt.Running},
		{200, `{"condition":"sideways"}`, halt.Running},
		{200, `{"status":"ok"}`, halt.Running},
	} {
		s := newShop(t)
		s.answer = func(_ int, _ string, w http.ResponseWriter) bool {
			w.WriteHeader(test.status)
			io.WriteString(w, test.body)
			return true
		}
		if st, err := halter(t, s.service(0)).Probe(t.Context()); err != nil || st.Condition != test.want {
			t.Errorf("%d %s: %+v %v, want %s", test.status, test.body, st, err, test.want)
		}
	}
	s := newShop(t).service(0)
	s.HealthURL = ""
	if st, err := halter(t, s).Probe(t.Context()); err != nil || st.Condition != halt.Unknown {
		t.Errorf("without a health URL: %+v %v", st, err)
	}
	if err := halter(t, s).Halt(t.Context(), request); err != nil {
		t.Errorf("without a health URL: %v", err)
	}
}

// A service that answers nothing costs its timeout, and no more.
func TestSilence(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	s := safepoint.Service{Name: "Storefront", Timeout: 300 * time.Millisecond, HaltURL: "http://" + l.Addr().String(), ResumeURL: "http://" + l.Addr().String()}
	err = halter(t, s).Halt(t.Context(), request)
	if err == nil || safepoint.UserError(err).Message != "Storefront did not answer within 0.3 s." {
		t.Error(err)
	}
}

func TestForbiddenAddress(t *testing.T) {
	for _, host := range []string{"169.254.169.254", "[::ffff:169.254.169.254]", "0.0.0.0", "[fe80::1]"} {
		s := safepoint.Service{Name: "Storefront", Timeout: time.Minute, HaltURL: "http://" + host + "/", ResumeURL: "http://" + host + "/"}
		err := halter(t, s).Halt(t.Context(), request)
		if err == nil || !strings.Contains(err.Error(), "to which nothing is sent") {
			t.Errorf("%s: %v", host, err)
		}
	}
}

func TestNew(t *testing.T) {
	good := safepoint.Service{HaltURL: "https://shop.example/halt", ResumeURL: "https://shop.example/resume"}
	for field, change := range map[string]func(*safepoint.Service) string{
		"halt_url":   func(s *safepoint.Service) string { s.HaltURL = "shop.example/halt"; return secret },
		"resume_url": func(s *safepoint.Service) string { s.ResumeURL = ""; return secret },
		"health_url": func(s *safepoint.Service) string { s.HealthURL = "https://user:pw@shop.example/"; return secret },
		"secret":     func(*safepoint.Service) string { return "whsec_c2hvcnQ=" },
		"":           func(*safepoint.Service) string { return halt.NewSecret() },
	} {
		s := good
		key := change(&s)
		_, err := New(s, key)
		if field == "" && err != nil || field != "" && (safepoint.ErrorCode(err) != safepoint.CodeInvalid || safepoint.UserError(err).Field != field) {
			t.Errorf("%s: %v", field, err)
		}
	}
}
