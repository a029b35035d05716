// Command go is an example of a service that Safepoint can halt and resume (docs/services.md). It uses the standard
// library only; take what you need.
//
//	SAFEPOINT_SECRET=whsec_… go run ./docs/examples/go -listen 127.0.0.1:9100
package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

// service is an application that works on a database.
type service struct {
	key []byte

	// Every piece of work holds gate for reading while it uses the database; halting takes it for writing, so it
	// waits until all of them have ended.
	gate   sync.RWMutex
	halted bool
	reason string
}

// work is one request of a user.
func (s *service) work(w http.ResponseWriter, r *http.Request) {
	s.gate.RLock()
	defer s.gate.RUnlock()
	if s.halted {
		w.Header().Set("Retry-After", "10")
		http.Error(w, "Back in a moment: "+s.reason, http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, "done") // here the database is used
}

// halt answers when nothing uses the database any more. A second call finds nothing left to do.
func (s *service) halt(reason string) {
	s.gate.Lock()
	defer s.gate.Unlock()
	s.halted, s.reason = true, reason // and close idle connections to the database
}

func (s *service) resume() {
	s.gate.Lock()
	defer s.gate.Unlock()
	s.halted, s.reason = false, ""
}

// health says what the service is doing: 2xx is running, 503 is halted.
func (s *service) health(w http.ResponseWriter, r *http.Request) {
	s.gate.RLock()
	defer s.gate.RUnlock()
	if s.halted {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
}

// message is the body of a call.
type message struct {
	Type string `json:"type"` // "safepoint.halt" or "safepoint.resume"
	Data struct {
		OperationID string `json:"operation_id"`
		Reason      string `json:"reason"`
	} `json:"data"`
}

// hook receives both calls.
func (s *service) hook(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 64<<10))
	if err == nil {
		err = verify(s.key, r.Header, body, time.Now())
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusUnauthorized)
		return
	}
	var m message
	if err := json.Unmarshal(body, &m); err != nil {
		http.Error(w, "not JSON", http.StatusBadRequest)
		return
	}
	switch m.Type {
	case "safepoint.halt":
		s.halt(m.Data.Reason)
	case "safepoint.resume":
		s.resume()
	default:
		http.Error(w, "unknown type", http.StatusBadRequest)
	}
}

// verify checks a call's signature by the Standard Webhooks scheme: HMAC-SHA256 over "ID.TIMESTAMP.BODY". A call that is
// more than five minutes old may be a recorded one.
func verify(key []byte, h http.Header, body []byte, now time.Time) error {
	id, stamp := h.Get("webhook-id"), h.Get("webhook-timestamp")
	seconds, err := strconv.ParseInt(stamp, 10, 64)
	if err != nil || now.Sub(time.Unix(seconds, 0)).Abs() > 5*time.Minute {
		return errors.New("the call's time is missing or too far from ours")
	}
	mac := hmac.New(sha256.New, key)
	fmt.Fprintf(mac, "%s.%s.%s", id, stamp, body)
	for _, signature := range strings.Fields(h.Get("webhook-signature")) {
		version, text, _ := strings.Cut(signature, ",")
		sum, err := base64.StdEncoding.DecodeString(text)
		if version == "v1" && err == nil && hmac.Equal(sum, mac.Sum(nil)) {
			return nil
		}
	}
	return errors.New("the call is not signed with our secret")
}

func main() {
	listen := flag.String("listen", "127.0.0.1:9100", "address")
	flag.Parse()
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(os.Getenv("SAFEPOINT_SECRET"), "whsec_"))
	if err != nil || len(key) == 0 {
		log.Fatal("SAFEPOINT_SECRET is missing or not a secret")
	}
	s := &service{key: key}
	http.HandleFunc("GET /{$}", s.work)
	http.HandleFunc("POST /safepoint", s.hook)
	http.HandleFunc("GET /health", s.health)
	listener, err := net.Listen("tcp", *listen)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("listening on http://%s\n", listener.Addr())
	log.Fatal(http.Serve(listener, nil))
}
