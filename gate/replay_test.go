package gate_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/safepoint-db/safepoint/gate"
)

// A call that somebody recorded on its way changes nothing any more once its opposite was carried out, while the server
// may repeat the call that holds.
func TestReplay(t *testing.T) {
	now := time.Now()
	g := open(t, gate.Config{Now: func() time.Time { return now }})
	hook, err := g.WebhookHandler(secret)
	if err != nil {
		t.Fatal(err)
	}
	call := func(verb string, at time.Time) func() int {
		body := fmt.Sprintf(`{"type":"safepoint.%s","timestamp":%q,"data":{"operation_id":"op_1"}}`, verb, at.Format(time.RFC3339Nano))
		key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
		if err != nil {
			t.Fatal(err)
		}
		mac := hmac.New(sha256.New, key)
		fmt.Fprintf(mac, "id.%d.%s", at.Unix(), body)
		return func() int {
			r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", strings.NewReader(body))
			r.Header.Set("webhook-id", "id")
			r.Header.Set("webhook-timestamp", fmt.Sprint(at.Unix()))
			r.Header.Set("webhook-signature", "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
			w := httptest.NewRecorder()
			hook.ServeHTTP(w, r)
			return w.Code
		}
	}
	halt, resume, again := call("halt", now), call("resume", now.Add(time.Second)), call("halt", now.Add(2*time.Second))
	for i, step := range []struct {
		call   func() int
		status int
		halted bool
	}{
		{halt, 204, true}, {halt, 204, true}, // the server got no answer, and repeats it
		{resume, 204, false}, {resume, 204, false},
		{halt, 409, false},  // somebody recorded it
		{again, 204, true},  // the next restore
		{resume, 409, true}, // recorded
		{halt, 409, true},
		{call("resume", now.Add(3*time.Second)), 204, false},
	} {
		if got := step.call(); got != step.status || g.State().Halted != step.halted {
			t.Fatalf("call %d was answered %d, halted is %t; want %d, %t", i, got, g.State().Halted, step.status, step.halted)
		}
	}
	now = now.Add(6 * time.Minute)
	if got := halt(); got != 401 {
		t.Errorf("an old call was answered %d", got)
	}
}
