package many

import (
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	webhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/safepoint-db/safepoint/internal/api/wire"
	"github.com/safepoint-db/safepoint/internal/client"
)

// till is a service that can be halted, and that a test may keep from saying that it has.
type till struct {
	http   *httptest.Server
	mu     sync.Mutex
	secret string
	halted bool
	gate   chan struct{} // halts wait until it is closed
}

// startTill starts a service and tells the server of it.
func startTill(t *testing.T, api *client.Client) *till {
	t.Helper()
	s := &till{gate: make(chan struct{})}
	close(s.gate)
	mux := http.NewServeMux()
	mux.HandleFunc("POST /halt", s.signed(func(r *http.Request) {
		s.mu.Lock()
		gate := s.gate
		s.mu.Unlock()
		select {
		case <-gate:
		case <-r.Context().Done():
		}
		s.set(true)
	}))
	mux.HandleFunc("POST /resume", s.signed(func(*http.Request) { s.set(false) }))
	mux.HandleFunc("GET /health", func(w http.ResponseWriter, _ *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.halted {
			w.WriteHeader(http.StatusServiceUnavailable)
			io.WriteString(w, `{"condition":"halted"}`)
		}
	})
	s.http = httptest.NewServer(mux)
	t.Cleanup(s.http.Close)
	url := s.http.URL
	svc := must(api.CreateService(t.Context(), wire.ServiceInput{Name: "till", Kind: "webhook",
		HaltURL: url + "/halt", ResumeURL: url + "/resume", HealthURL: url + "/health"}))(t)
	s.mu.Lock()
	s.secret = svc.Secret
	s.mu.Unlock()
	return s
}

func (s *till) signed(do func(*http.Request)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		s.mu.Lock()
		secret := s.secret
		s.mu.Unlock()
		wh, werr := webhooks.NewWebhook(secret)
		if err != nil || werr != nil || wh.Verify(body, r.Header) != nil {
			http.Error(w, "not signed", http.StatusUnauthorized)
			return
		}
		do(r)
	}
}

func (s *till) set(halted bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.halted = halted
}

func (s *till) isHalted() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.halted
}

// hold keeps halts waiting until letGo.
func (s *till) hold() (letGo func()) {
	gate := make(chan struct{})
	s.mu.Lock()
	s.gate = gate
	s.mu.Unlock()
	return sync.OnceFunc(func() { close(gate) })
}
