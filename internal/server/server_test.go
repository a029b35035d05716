package server

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/app"
)

const password = "seven tugboats at anchor"

// bench is a running server with one admin and a token.
type bench struct {
	*Server
	t     *testing.T
	by    safepoint.Actor
	token string
	org   string
	stop  func() error // stops the server and returns what Run returned
}

func start(t *testing.T, cfg Config) *bench {
	t.Helper()
	if cfg.DataDir == "" {
		cfg.DataDir = filepath.Join(t.TempDir(), "data")
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	cfg.Addr, cfg.Version = "127.0.0.1:0", "test"
	ctx, cancel := context.WithCancel(context.Background())
	s, err := Open(ctx, cfg)
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	b := &bench{Server: s, t: t}
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	b.stop = sync.OnceValue(func() error {
		cancel()
		return errors.Join(<-ended, s.Close())
	})
	t.Cleanup(func() {
		if err := b.stop(); err != nil {
			t.Errorf("stop: %v", err)
		}
	})
	return b
}

// signIn makes the first account, or uses the one that is there.
func (b *bench) signIn() *bench {
	b.t.Helper()
	if code := b.SetupCode(); code != "" {
		_, err := b.App.Setup(b.t.Context(), app.Setup{
			Code: code, Email: "rahel@harbor.example", Name: "Rahel", Password: password, Organization: "Harbor", TimeZone: "UTC",
		}, "127.0.0.1", "test")
		b.must(err)
	}
	m, _, secret, err := b.App.Login(b.t.Context(), "rahel@harbor.example", password, "", "test", "127.0.0.1")
	b.must(err)
	b.token, b.org = secret, m.Organization.ID
	b.by, err = b.App.TokenActor(b.t.Context(), secret, "", "127.0.0.1")
	b.must(err)
	return b
}

func (b *bench) must(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) get(path string, header ...string) (*http.Response, []byte) {
	b.t.Helper()
	req, err := http.NewRequestWithContext(b.t.Context(), http.MethodGet, "http://"+b.Addr()+path, nil)
	b.must(err)
	if b.token != "" {
		req.Header.Set("Authorization", "Bearer "+b.token)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	b.must(err)
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	b.must(err)
	return resp, data
}

// addShop adds a SQLite database without a table.
func (b *bench) addShop() safepoint.Database {
	b.t.Helper()
	path := filepath.Join(b.t.TempDir(), "shop.db")
	b.must(os.WriteFile(path, nil, 0o600))
	d, err := b.App.CreateDatabase(b.t.Context(), b.by, app.DatabaseInput{Name: "shop", URL: "sqlite://" + path})
	b.must(err)
	return d
}

// settled waits until nothing is queued or runs, and returns everything in DB Logs.
func (b *bench) settled(atLeast int) []safepoint.Operation {
	b.t.Helper()
	events, end, err := b.App.Subscribe(b.by)
	b.must(err)
	defer end()
	deadline := time.After(30 * time.Second)
	for {
		p, err := b.App.Operations(b.t.Context(), b.by, safepoint.OperationFilter{})
		b.must(err)
		done := len(p.Operations) >= atLeast
		for _, o := range p.Operations {
			done = done && o.Status.Ended()
		}
		if done {
			return p.Operations
		}
		select {
		case <-events:
		case <-time.After(100 * time.Millisecond):
		case <-deadline:
			b.t.Fatalf("still not settled: %+v", p.Operations)
		}
	}
}

func TestOneProcess(t *testing.T) {
	b := start(t, Config{})
	_, err := Open(t.Context(), Config{DataDir: b.cfg.DataDir, Addr: "127.0.0.1:0"})
	if safepoint.ErrorCode(err) != safepoint.CodeConflict || !strings.Contains(err.Error(), b.cfg.DataDir) {
		t.Errorf("a second server on the same data: %v", err)
	}
	_, err = Open(t.Context(), Config{DataDir: t.TempDir(), Addr: b.Addr()})
	if safepoint.ErrorCode(err) != safepoint.CodeConflict || !strings.Contains(err.Error(), b.Addr()) {
		t.Errorf("a second server at the same address: %v", err)
	}
}

func TestDataDirectoryIsPrivate(t *testing.T) {
	b := start(t, Config{})
	info, err := os.Stat(b.cfg.DataDir)
	b.must(err)
	if info.Mode().Perm() != 0o700 {
		t.Errorf("%s has mode %v", b.cfg.DataDir, info.Mode())
	}
	entries, err := os.ReadDir(b.cfg.DataDir)
	b.must(err)
	for _, e := range entries {
		info, err := e.Info()
		b.must(err)
		if info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v", e.Name(), info.Mode())
		}
	}
}

// TestWhatIsWhere looks at what is served to somebody without an account.
func TestWhatIsWhere(t *testing.T) {
	b := start(t, Config{})
	if r, body := b.get("/healthz"); r.StatusCode != 200 || string(body) != "ok\n" {
		t.Errorf("/healthz: %d %q", r.StatusCode, body)
	}
	if r, body := b.get("/openapi.json"); r.StatusCode != 200 || !bytes.Contains(body, []byte(`"openapi": "3.1`)) {
		t.Errorf("/openapi.json: %d %.100s", r.StatusCode, body)
	}
	if r, body := b.get("/api/v1/me"); r.StatusCode != 401 || r.Header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("/api/v1/me: %d %s", r.StatusCode, body)
	}
	if r, _ := b.get("/api/v2/me"); r.StatusCode != 404 || r.Header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("/api/v2/me: %d", r.StatusCode)
	}
	if r, body := b.get("/setup"); r.StatusCode != 200 || !bytes.Contains(body, []byte("<html")) || r.Header.Get("Content-Security-Policy") == "" {
		t.Errorf("/setup: %d %v %.100s", r.StatusCode, r.Header, body)
	}
	if b.SetupCode() == "" {
		t.Error("there is no setup code")
	}
}

// TestRestart finds everything again in a second process, which asks for no setup.
func TestRestart(t *testing.T) {
	b := start(t, Config{}).signIn()
	d := b.addShop()
	_, err := b.App.StartBackup(t.Context(), b.by, d.ID)
	b.must(err)
	before := b.settled(1)
	if before[0].Status != safepoint.StatusSucceeded {
		t.Fatalf("backup: %+v", before[0].Failure)
	}
	b.must(b.stop())

	again := start(t, Config{DataDir: b.cfg.DataDir})
	if again.SetupCode() != "" {
		t.Error("a second start asks for setup again")
	}
	again.signIn()
	after := again.settled(1)
	if len(after) != 1 || after[0].SHA256 != before[0].SHA256 {
		t.Errorf("after the restart: %+v", after)
	}
}

// TestDownload reads a backup's file whole, in part, and not again where it is there already.
func TestDownload(t *testing.T) {
	b := start(t, Config{}).signIn()
	d := b.addShop()
	_, err := b.App.StartBackup(t.Context(), b.by, d.ID)
	b.must(err)
	op := b.settled(1)[0]
	path := "/api/v1/organizations/" + b.org + "/operations/" + op.ID + "/file"
	r, whole := b.get(path)
	sum := sha256.Sum256(whole)
	if r.StatusCode != 200 || hex.EncodeToString(sum[:]) != op.SHA256 || int64(len(whole)) != op.Size {
		t.Fatalf("%d: %d bytes with SHA-256 %x, want %d with %s", r.StatusCode, len(whole), sum, op.Size, op.SHA256)
	}
	if got := r.Header.Get("Content-Disposition"); got != "attachment; filename="+op.Name {
		t.Errorf("Content-Disposition %q", got)
	}
	if r.Header.Get("ETag") != `"`+op.SHA256+`"` || r.Header.Get("Content-Type") != "application/zstd" || !strings.HasPrefix(r.Header.Get("Repr-Digest"), "sha-256=:") {
		t.Errorf("headers %v", r.Header)
	}
	if r, part := b.get(path, "Range", "bytes=10-19"); r.StatusCode != 206 || !bytes.Equal(part, whole[10:20]) {
		t.Errorf("range: %d %d bytes", r.StatusCode, len(part))
	}
	if r, _ := b.get(path, "If-None-Match", `"`+op.SHA256+`"`); r.StatusCode != 304 {
		t.Errorf("If-None-Match: %d", r.StatusCode)
	}
	if r, all := b.get(path, "Range", "bytes=10-19", "If-Range", `"another"`); r.StatusCode != 200 || len(all) != len(whole) {
		t.Errorf("If-Range: %d %d bytes", r.StatusCode, len(all))
	}
	if r, _ := b.get(path, "Range", "bytes=99999999-"); r.StatusCode != 416 {
		t.Errorf("a range outside: %d", r.StatusCode)
	}
}

// TestConsoleDownload fetches a backup as a browser does that was interrupted: its head, its beginning, and the rest in
// pieces. That is one download in the audit log.
func TestConsoleDownload(t *testing.T) {
	b := start(t, Config{}).signIn()
	d := b.addShop()
	_, err := b.App.StartBackup(t.Context(), b.by, d.ID)
	b.must(err)
	op := b.settled(1)[0]
	session, err := b.App.SignIn(t.Context(), "rahel@harbor.example", password, "127.0.0.1", "test")
	b.must(err)
	ask := func(method string, header ...string) (*http.Response, []byte) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, "http://"+b.Addr()+"/logs/"+op.ID+"/file", nil)
		b.must(err)
		req.AddCookie(&http.Cookie{Name: "safepoint", Value: session})
		for i := 0; i < len(header); i += 2 {
			req.Header.Set(header[i], header[i+1])
		}
		res, err := http.DefaultTransport.RoundTrip(req)
		b.must(err)
		defer res.Body.Close()
		data, err := io.ReadAll(res.Body)
		b.must(err)
		return res, data
	}
	downloads := func() (n int) {
		t.Helper()
		page, err := b.App.Audit(t.Context(), b.by, app.AuditFilter{})
		b.must(err)
		for _, e := range page.Entries {
			if e.Action == "backup.download" {
				n++
			}
		}
		return n
	}
	tag := `"` + op.SHA256 + `"`
	if r, _ := ask("HEAD"); r.StatusCode != 200 || r.ContentLength != op.Size || r.Header.Get("ETag") != tag || r.Header.Get("Accept-Ranges") != "bytes" || downloads() != 0 {
		t.Errorf("HEAD: %d, %v, %d downloads", r.StatusCode, r.Header, downloads())
	}
	third := op.Size / 3
	var got []byte
	for i, part := range []string{fmt.Sprintf("bytes=0-%d", third-1), fmt.Sprintf("bytes=%d-%d", third, 2*third-1), fmt.Sprintf("bytes=%d-", 2*third)} {
		r, data := ask("GET", "Range", part, "If-Range", tag)
		if r.StatusCode != 206 || downloads() != 1 {
			t.Errorf("part %d: %d, %d downloads", i, r.StatusCode, downloads())
		}
		got = append(got, data...)
	}
	if sum := sha256.Sum256(got); hex.EncodeToString(sum[:]) != op.SHA256 {
		t.Errorf("the parts are %d bytes with another checksum", len(got))
	}
	if r, data := ask("GET", "Range", "bytes=5-9", "If-Range", `"another"`); r.StatusCode != 200 || int64(len(data)) != op.Size {
		t.Errorf("a part of another file: %d, %d bytes", r.StatusCode, len(data))
	}
	if _, data := ask("GET"); int64(len(data)) != op.Size || downloads() != 2 {
		t.Errorf("once more: %d bytes, %d downloads", len(data), downloads())
	}
	session = "s-nobody"
	if r, _ := ask("GET", "Range", "bytes=5-9"); r.StatusCode != 303 {
		t.Errorf("a part for nobody: %d", r.StatusCode)
	}
}

// TestUploadCheck asks, with the beginning of a file, whether all of it would be taken, and uploads it.
func TestUploadCheck(t *testing.T) {
	b := start(t, Config{Uploads: app.Uploads{MaxSize: 1 << 20}}).signIn()
	d := b.addShop()
	_, err := b.App.StartBackup(t.Context(), b.by, d.ID)
	b.must(err)
	op := b.settled(1)[0]
	_, whole := b.get("/api/v1/organizations/" + b.org + "/operations/" + op.ID + "/file")
	session, err := b.App.SignIn(t.Context(), "rahel@harbor.example", password, "127.0.0.1", "test")
	b.must(err)
	send := func(path string, size int64, file []byte) (int, string, string) {
		t.Helper()
		var body bytes.Buffer
		form := multipart.NewWriter(&body)
		form.WriteField("database", d.ID)
		if size >= 0 {
			form.WriteField("size", strconv.FormatInt(size, 10))
		}
		part, err := form.CreateFormFile("file", "shop.sql.zst")
		b.must(err)
		part.Write(file)
		b.must(form.Close())
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+b.Addr()+path, &body)
		b.must(err)
		req.Header.Set("Content-Type", form.FormDataContentType())
		req.Header.Set("X-Fragment", "dialog")
		req.AddCookie(&http.Cookie{Name: "safepoint", Value: session})
		res, err := http.DefaultTransport.RoundTrip(req)
		b.must(err)
		defer res.Body.Close()
		text, err := io.ReadAll(res.Body)
		b.must(err)
		return res.StatusCode, res.Header.Get("Location"), string(text)
	}
	const check = "/logs/upload/check"
	for _, bad := range []struct {
		size int64
		head []byte
		want string
	}{
		{int64(len(whole)), []byte("\x7fELF\x02\x01\x01\x00 a program"), "not a backup that Safepoint made"},
		{int64(len(whole)), []byte("age-encryption.org/v1\n-> X25519"), "encrypted with age"},
		{2 << 20, whole[:100], "larger than"},
		{0, nil, "The file is empty"},
	} {
		if status, _, text := send(check, bad.size, bad.head); status != 422 || !strings.Contains(text, bad.want) {
			t.Errorf("%d %s, want %q", status, text, bad.want)
		}
	}
	if status, _, text := send(check, int64(len(whole)), whole[:min(len(whole), app.UploadHead)]); status != 204 {
		t.Fatalf("%d %s", status, text)
	}
	// What the beginning tells is told at once also of a file that is sent whole.
	if status, _, text := send("/logs/upload", -1, append([]byte("\x7fELF\x00"), make([]byte, 900_000)...)); status != 422 || !strings.Contains(text, "not a backup") {
		t.Errorf("%d %s", status, text)
	}
	status, to, text := send("/logs/upload", -1, whole)
	if status != 303 || !strings.HasPrefix(to, "/logs/op_") {
		t.Fatalf("%d %s %s", status, to, text)
	}
	if up := b.settled(2)[0]; up.Trigger != safepoint.TriggerUpload || up.Status != safepoint.StatusSucceeded || up.VerifiedAt.IsZero() {
		t.Errorf("the upload became %+v", up)
	}
	session = "s-nobody"
	if status, to, _ := send(check, 1, whole); status != 303 || !strings.HasPrefix(to, "/signin") {
		t.Errorf("nobody: %d %s", status, to)
	}
}

// TestSchedule moves the clock: the run that comes due is carried out.
func TestSchedule(t *testing.T) {
	var now atomic.Int64
	now.Store(time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC).UnixMilli())
	b := start(t, Config{Now: func() time.Time { return time.UnixMilli(now.Load()) }}).signIn()
	d := b.addShop()
	s, err := b.App.CreateSchedule(t.Context(), b.by, app.ScheduleInput{Name: "Nightly", DatabaseID: d.ID, Interval: safepoint.Every8Hours})
	b.must(err)
	b.settled(1)
	now.Add((8*time.Hour + time.Minute).Milliseconds())
	b.App.Wake()
	ops := b.settled(2)
	if len(ops) != 2 || ops[0].ScheduleID != s.ID || ops[0].Trigger != safepoint.TriggerScheduled || ops[0].Status != safepoint.StatusSucceeded {
		t.Errorf("runs: %+v", ops)
	}
}

// TestStop ends streams at once, and Run without an error.
func TestStop(t *testing.T) {
	b := start(t, Config{}).signIn()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+b.Addr()+"/api/v1/organizations/"+b.org+"/state/events", nil)
	b.must(err)
	req.Header.Set("Authorization", "Bearer "+b.token)
	resp, err := http.DefaultTransport.RoundTrip(req)
	b.must(err)
	defer resp.Body.Close()
	began := time.Now()
	b.must(b.stop())
	if took := time.Since(began); took > 4*time.Second {
		t.Errorf("stopping took %v: a stream was waited for", took)
	}
	if _, err := io.ReadAll(resp.Body); err != nil {
		t.Errorf("the stream did not end by itself: %v", err)
	}
}

// syncBuffer collects a log.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// TestLog logs requests, and none of their secrets.
func TestLog(t *testing.T) {
	log := &syncBuffer{}
	b := start(t, Config{Log: slog.New(slog.NewJSONHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))}).signIn()
	in, err := json.Marshal(map[string]string{"email": "rahel@harbor.example", "password": "canary-password"})
	b.must(err)
	resp, err := http.Post("http://"+b.Addr()+"/api/v1/login", "application/json", bytes.NewReader(in))
	b.must(err)
	resp.Body.Close()
	b.get("/api/v1/me?token=canary-query")
	b.get("/signin/link/canary" + strings.Repeat("x", 40))
	b.must(b.stop())
	text := log.String()
	for _, secret := range []string{"canary", b.token, b.SetupCode(), password} {
		if strings.Contains(text, secret) {
			t.Errorf("the log holds %q:\n%s", secret, text)
		}
	}
	if !strings.Contains(text, `"path":"/api/v1/login","status":401`) {
		t.Errorf("the request is not in the log:\n%s", text)
	}
}

func TestPanic(t *testing.T) {
	log := &syncBuffer{}
	s := &Server{log: slog.New(slog.NewTextHandler(log, nil))}
	h := s.logged(s.recovered(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("canary") })))
	for path, form := range map[string]string{"/api/v1/me": "application/problem+json", "/logs": "text/plain; charset=utf-8"} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		_, reference, _ := strings.Cut(w.Body.String(), "reference ")
		if w.Code != 500 || w.Header().Get("Content-Type") != form || len(reference) < 12 || !strings.Contains(log.String(), reference[:12]) {
			t.Errorf("%s: %d %v %s", path, w.Code, w.Header(), w.Body)
		}
		if strings.Contains(w.Body.String(), "canary") {
			t.Errorf("%s shows the panic: %s", path, w.Body)
		}
	}
}

func TestClientAddress(t *testing.T) {
	s := &Server{cfg: Config{TrustedProxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}}
	for _, c := range []struct{ remote, forwarded, want string }{
		{"192.0.2.1:5", "", "192.0.2.1"},
		{"192.0.2.1:5", "198.51.100.9", "192.0.2.1"},                // not a proxy of ours: what it says is not believed
		{"10.0.0.1:5", "198.51.100.9", "198.51.100.9"},              // our proxy says who asked
		{"10.0.0.1:5", "203.0.113.7, 198.51.100.9", "198.51.100.9"}, // the first was written by the client itself
		{"10.0.0.1:5", "198.51.100.9, 10.2.2.2", "198.51.100.9"},    // two proxies of ours
		{"10.0.0.1:5", "nonsense", "10.0.0.1"},
		{"[::1]:5", "198.51.100.9", "::1"},
	} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.RemoteAddr = c.remote
		if c.forwarded != "" {
			r.Header.Set("X-Forwarded-For", c.forwarded)
		}
		if got := s.client(r); got != c.want {
			t.Errorf("%s, forwarded for %q: %s, want %s", c.remote, c.forwarded, got, c.want)
		}
	}
}

func TestLockFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	unlock, err := LockFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := LockFile(path); safepoint.ErrorCode(err) != safepoint.CodeConflict {
		t.Errorf("a second lock: %v", err)
	}
	unlock(true)
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the lock is still there: %v", err)
	}
	unlock, err = LockFile(path)
	if err != nil {
		t.Fatal(err)
	}
	unlock(false)
}
