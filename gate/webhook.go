package gate

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

const (
	maxMessage = 64 << 10
	maxAge     = 5 * time.Minute // of a call: an older one may be a recorded one
)

// WebhookHandler serves the three addresses of a webhook service at one: POST, signed with secret ("whsec_…", which
// Safepoint shows when the service is added), halts and resumes; GET is its health. A halt is answered when nothing that
// the gate counts is under way any more and OnHalt succeeded, a resume when the gate is open. The scheme of the
// signatures is that of https://www.standardwebhooks.com.
func (g *Gate) WebhookHandler(secret string) (http.Handler, error) {
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
	if err != nil || len(key) < 24 {
		return nil, errors.New("gate: the secret is not \"whsec_\" and at least 24 bytes in base64")
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.Method {
		case http.MethodGet, http.MethodHead:
			g.health(w)
		case http.MethodPost:
			g.told(w, r, key)
		default:
			w.Header().Set("Allow", "GET, HEAD, POST")
			http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
		}
	}), nil
}

// told carries out one call.
func (g *Gate) told(w http.ResponseWriter, r *http.Request, key []byte) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxMessage))
	if err == nil {
		err = verify(key, r.Header, body, g.cfg.Now())
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusUnauthorized)
		return
	}
	call := sha256.Sum256(body)
	var m struct {
		Type      string    `json:"type"`
		Timestamp time.Time `json:"timestamp"`
		Data      struct {
			OperationID string    `json:"operation_id"`
			Reason      string    `json:"reason"`
			Until       time.Time `json:"until"`
		} `json:"data"`
	}
	if err := json.Unmarshal(body, &m); err != nil {
		http.Error(w, "not a message", http.StatusBadRequest)
		return
	}
	halts := m.Type == "safepoint.halt"
	if !halts && m.Type != "safepoint.resume" {
		http.Error(w, "unknown type", http.StatusBadRequest)
		return
	}
	old := false
	g.change(func() {
		if old = !g.isNew(call, halts); old {
			return
		}
		if halts {
			g.resumed = ""
			g.hook = State{Halted: true, Since: m.Timestamp, Until: m.Data.Until, Reason: m.Data.Reason, OperationID: m.Data.OperationID}
		} else {
			g.resumed, g.hook = m.Data.OperationID, State{}
		}
	})
	if old {
		http.Error(w, "the call was carried out before, and another one after it", http.StatusConflict)
		return
	}
	overtaken := false
	err = g.await(r.Context(), func() bool {
		overtaken = g.hook.Halted != halts
		return overtaken || g.settled && g.closed == g.said().Halted
	})
	if err != nil || overtaken {
		http.Error(w, "not yet", http.StatusServiceUnavailable) // it is asked again
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// isNew says whether a call is not one that was carried out and then overtaken by its opposite: who has recorded it
// could halt or resume the application with it for as long as its time is not too far from ours. The same call again
// is no other one: the server repeats what it got no answer to. The caller holds g.mu.
func (g *Gate) isNew(call [sha256.Size]byte, halts bool) bool {
	now := g.cfg.Now()
	for c, at := range g.overtaken {
		if now.Sub(at).Abs() > 2*maxAge { // its time is too far from ours by now
			delete(g.overtaken, c)
		}
	}
	if _, was := g.overtaken[call]; was {
		return false
	}
	if halts != g.lastHalts {
		for c := range g.carried {
			g.overtaken[c] = now
		}
		clear(g.carried)
	}
	g.lastHalts, g.carried[call] = halts, true
	return true
}

// health says what the application is doing: halted only when nothing is under way any more.
func (g *Gate) health(w http.ResponseWriter) {
	g.mu.Lock()
	condition, detail, status := "running", "", http.StatusOK
	switch {
	case g.closed && g.settled:
		condition, status = "halted", http.StatusServiceUnavailable
	case g.closed:
		condition, detail = "failing", fmt.Sprintf("Changing over; %d still under way.", g.inFlight)
	}
	g.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(map[string]string{"condition": condition, "detail": detail})
}

// verify checks a call's signature: HMAC-SHA256 over "ID.TIMESTAMP.BODY".
func verify(key []byte, h http.Header, body []byte, now time.Time) error {
	id, stamp := h.Get("webhook-id"), h.Get("webhook-timestamp")
	seconds, err := strconv.ParseInt(stamp, 10, 64)
	if err != nil || now.Sub(time.Unix(seconds, 0)).Abs() > maxAge {
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
