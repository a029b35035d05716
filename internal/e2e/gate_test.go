package e2e

import (
	"context"
	"database/sql"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/gate"
	"github.com/safepoint-db/safepoint/internal/api/wire"
	"github.com/safepoint-db/safepoint/internal/app"
	"github.com/safepoint-db/safepoint/internal/engine"
	"github.com/safepoint-db/safepoint/internal/server"
)

// admin is the first admin, signed in to the console.
func (b *bench) admin() safepoint.Actor {
	b.t.Helper()
	session := must(b.App.SignIn(b.t.Context(), email, password, "127.0.0.1", "e2e"))(b.t)
	return must(b.App.Session(b.t.Context(), session, "127.0.0.1"))(b.t)
}

// viewerToken is that of a member who may change nothing.
func (b *bench) viewerToken() string {
	b.t.Helper()
	ctx := b.t.Context()
	_, link, err := b.App.InviteMember(ctx, b.admin(), app.MemberInput{Email: "vera@harbor.example", Name: "Vera", Role: safepoint.RoleViewer})
	b.must(err)
	session := must(b.App.AcceptInvite(ctx, link, "Vera", "eight gulls on a mast", "127.0.0.1", "e2e"))(b.t)
	viewer := must(b.App.Session(ctx, session, "127.0.0.1"))(b.t)
	_, token, err := b.App.CreateToken(ctx, viewer, "gate", 0)
	b.must(err)
	return token
}

// TestGate restores, and undoes, under an application behind a gate that its users call without pause: no request fails,
// and every order that was acknowledged is in the live database or in the safety backup. Beside it one that only listens,
// with a viewer's token, says that it is halted while it is.
func TestGate(t *testing.T) {
	t.Parallel()
	b := start(t, server.Config{}, "")
	s := b.addSQLite("shop", ordersSQLite("200"))
	token := b.viewerToken()

	// The application that writes: told by webhook, and patient with its users.
	db := openSQLite(t, s.target.Path)
	defer db.Close()
	writer := must(gate.New(gate.Config{URL: "http://" + b.Addr(), Token: token, Hold: time.Minute}))(t)
	t.Cleanup(func() { writer.Close() })
	const secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo="
	mux := http.NewServeMux()
	mux.Handle("/safepoint", must(writer.WebhookHandler(secret))(t))
	mux.Handle("POST /orders", writer.Middleware(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := db.ExecContext(r.Context(), `INSERT INTO orders (note) VALUES (?)`, r.URL.Query().Get("note")); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
	})))
	application := httptest.NewServer(mux)
	t.Cleanup(application.Close)
	hook, signed := application.URL+"/safepoint", secret
	must(b.api.CreateService(t.Context(), wire.ServiceInput{Name: "orders", Kind: "webhook", HaltURL: hook, ResumeURL: hook, HealthURL: hook, Secret: &signed}))(t)

	// The application that only listens, at once.
	halts, resumes := make(chan gate.State, 10), make(chan struct{}, 10)
	var refused atomic.Int64
	var listener *gate.Gate
	answer := func() *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		listener.Middleware(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
		return w
	}
	listener = must(gate.New(gate.Config{URL: "http://" + b.Addr(), Token: token,
		OnHalt: func(_ context.Context, st gate.State) error {
			if w := answer(); w.Code == http.StatusServiceUnavailable && w.Header().Get("Retry-After") != "" {
				refused.Add(1)
			}
			halts <- st
			return nil
		},
		OnResume: func(context.Context) error { resumes <- struct{}{}; return nil }}))(t)
	t.Cleanup(func() { listener.Close() })
	b.must(writer.Wait(t.Context()))
	b.must(listener.Wait(t.Context()))

	users := callers(t, application.URL)
	older := s.backup()
	users.more(50)
	restored := s.restore(older)
	users.more(50)
	undo := b.wait(must(b.api.StartUndo(t.Context(), restored.ID))(t).ID)
	if undo.Status != "succeeded" {
		t.Fatalf("the undo ended %s: %+v", undo.Status, undo.Failure)
	}
	users.more(20)
	acknowledged := users.stop()

	for _, op := range []string{restored.ID, undo.ID} {
		if st := <-halts; st.OperationID != op || st.Reason == "" {
			t.Errorf("the listener was halted by %+v, want %s", st, op)
		}
		<-resumes
	}
	if n := refused.Load(); n != 2 || answer().Code != http.StatusOK {
		t.Errorf("the listener refused %d times during two halts, and answers %d after", n, answer().Code)
	}
	aside := must(filepath.Glob(filepath.Join(filepath.Dir(s.target.Path), engine.StagingName(restored.ID)+".sqlite")))(t)
	if len(aside) != 1 {
		t.Fatalf("what the undo took back lies in %q", aside)
	}
	live, undone, safety := notes(t, s.target.Path), notes(t, aside[0]), notes(t, s.scratch(restored.SafetyID).Path)
	onlyUndone := 0
	for _, n := range acknowledged {
		switch {
		case !live[n] && !undone[n]:
			t.Errorf("order %s is lost", n)
		case safety[n] && !live[n]:
			t.Errorf("order %s, written before the restore, is not back", n)
		case !live[n]:
			onlyUndone++
		}
	}
	t.Logf("%d orders, none refused; %d were taken back by the undo, %d in the safety backup", len(acknowledged), onlyUndone, len(safety))
	if len(safety) < 250 || onlyUndone < 50 {
		t.Error("these are too few: the restore did not put the older state in place")
	}
}

// orderers are users who order one after the other, and note what was acknowledged.
type orderers struct {
	t    *testing.T
	end  context.CancelFunc
	done sync.WaitGroup
	mu   sync.Mutex
	got  []string
}

func callers(t *testing.T, url string) *orderers {
	ctx, cancel := context.WithCancel(context.Background())
	o := &orderers{t: t, end: cancel}
	t.Cleanup(func() { o.stop() })
	for user := range 4 {
		o.done.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				note := fmt.Sprintf("%d-%d", user, n)
				resp, err := http.Post(url+"/orders?note="+note, "", nil)
				if err != nil {
					t.Errorf("order %s: %v", note, err)
					return
				}
				resp.Body.Close()
				if resp.StatusCode != http.StatusOK {
					t.Errorf("order %s was answered with %s", note, resp.Status)
				}
				o.mu.Lock()
				o.got = append(o.got, note)
				o.mu.Unlock()
			}
		})
	}
	return o
}

// more waits for n more acknowledged orders.
func (o *orderers) more(n int) {
	o.t.Helper()
	count := func() int {
		o.mu.Lock()
		defer o.mu.Unlock()
		return len(o.got)
	}
	want := count() + n
	eventually(o.t, "more orders", func() bool { return count() >= want })
}

func (o *orderers) stop() []string {
	o.end()
	o.done.Wait()
	return o.got
}

func notes(t *testing.T, path string) map[string]bool {
	t.Helper()
	db := openSQLite(t, path)
	defer db.Close()
	rows := must(db.Query(`SELECT note FROM orders`))(t)
	defer rows.Close()
	found := map[string]bool{}
	for rows.Next() {
		var n sql.NullString
		if err := rows.Scan(&n); err != nil {
			t.Fatal(err)
		}
		found[n.String] = true
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return found
}
