package demo

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"database/sql"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"go.uber.org/goleak"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/archive"
	"github.com/safepoint-db/safepoint/internal/engine"
	"github.com/safepoint-db/safepoint/internal/engine/sqlite"
	"github.com/safepoint-db/safepoint/internal/halt"
	"github.com/safepoint-db/safepoint/internal/halt/webhook"
	"github.com/safepoint-db/safepoint/internal/pgtest"
)

func TestMain(m *testing.M) {
	code := pgtest.Main(m)
	if err := goleak.Find(goleak.IgnoreCurrent()); code == 0 && err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func newShop(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "shop.db")
	if err := CreateShop(t.Context(), path); err != nil {
		t.Fatal(err)
	}
	return path
}

// counted is what every shop must say of itself, in SQL that both engines understand.
var counted = map[string]string{
	"SELECT count(*) FROM customers": strconv.Itoa(shopCustomers),
	"SELECT count(*) FROM orders":    strconv.Itoa(shopOrders),
	"SELECT count(*) FROM orders o WHERE total_cents <> (SELECT sum(amount_cents) FROM order_lines WHERE order_id = o.id)": "0",
	"SELECT count(*) FROM payments p JOIN orders o ON o.id = p.order_id WHERE p.amount_cents <> o.total_cents":             "0",
	"SELECT count(*) FROM orders WHERE status <> 'cancelled' AND id NOT IN (SELECT order_id FROM payments)":                "0",
}

func TestShopSQLite(t *testing.T) {
	began := time.Now()
	path := newShop(t)
	took := time.Since(began)
	db, err := openShop(path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	sound := map[string]string{"PRAGMA journal_mode": "wal", "PRAGMA integrity_check": "ok", "SELECT count(*) FROM pragma_foreign_key_check": "0"}
	for q, want := range sound {
		if got := one(t, db, q); got != want {
			t.Errorf("%s: %s, want %s", q, got, want)
		}
	}
	for q, want := range counted {
		if got := one(t, db, q); got != want {
			t.Errorf("%s: %s, want %s", q, got, want)
		}
	}
	t.Logf("made in %v: %s order lines, sales %s", took, one(t, db, "SELECT count(*) FROM order_lines"), one(t, db, "SELECT group_concat(orders) FROM (SELECT orders FROM sales_by_day ORDER BY day DESC LIMIT 5)"))
	if err := CreateShop(t.Context(), path); err == nil {
		t.Error("made a shop where a file stood")
	}
	again := makeShop(time.Unix(1_800_000_000, 0))
	if other := makeShop(time.Unix(1_800_000_000, 0)); fmt.Sprint(again.orders[:50], again.lines[:50]) != fmt.Sprint(other.orders[:50], other.lines[:50]) {
		t.Error("two shops of one moment differ")
	}
}

func TestShopPostgres(t *testing.T) {
	target := pgtest.Create(t, pgtest.Shared(t))
	if err := CreateShopPostgres(t.Context(), target); err != nil {
		t.Fatal(err)
	}
	for q, want := range counted {
		if got := pgtest.Query(t, target, q); len(got) != 1 || got[0] != want {
			t.Errorf("%s: %q, want %s", q, got, want)
		}
	}
	pgtest.Exec(t, target, "INSERT INTO orders (number, customer_id, status, placed_at, total_cents) VALUES ('x', 1, 'paid', now(), 1)")
}

func one(t *testing.T, db *sql.DB, q string, args ...any) string {
	t.Helper()
	var v string
	if err := db.QueryRowContext(t.Context(), q, args...).Scan(&v); err != nil {
		t.Fatalf("%s: %v", q, err)
	}
	return v
}

// open is a running storefront and a halter for it.
type open struct {
	*Storefront
	halter *webhook.Halter
	end    func()
}

func openStorefront(t *testing.T, shop, secret string) open {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	s, err := StartStorefront(ctx, StorefrontOptions{Shop: shop, Secret: secret, Every: 5 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	end := func() {
		cancel()
		if err := s.Wait(); err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(end)
	h, err := webhook.New(safepoint.Service{Name: "Storefront", Kind: safepoint.ServiceWebhook, Timeout: 10 * time.Second,
		HaltURL: s.URL() + "/safepoint/halt", ResumeURL: s.URL() + "/safepoint/resume", HealthURL: s.URL() + "/healthz"}, secret)
	if err != nil {
		t.Fatal(err)
	}
	return open{s, h, end}
}

// sold waits until n more orders are saved.
func (o open) sold(t *testing.T, n int) {
	t.Helper()
	want := len(o.Saved()) + n
	for deadline := time.Now().Add(20 * time.Second); len(o.Saved()) < want; {
		if time.Now().After(deadline) {
			t.Fatalf("%d orders saved, want %d", len(o.Saved()), want)
		}
		select {
		case <-t.Context().Done():
		case <-time.After(2 * time.Millisecond):
		}
	}
}

func (o open) condition(t *testing.T) halt.Condition {
	t.Helper()
	status, err := o.halter.Probe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return status.Condition
}

func (o open) get(t *testing.T) (int, http.Header, string) {
	t.Helper()
	res, err := http.Get(o.URL() + "/")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, res.Header, string(body)
}

func TestStorefrontHaltsAndResumes(t *testing.T) {
	shop, secret := newShop(t), halt.NewSecret()
	o := openStorefront(t, shop, secret)
	o.sold(t, 5)
	if status, _, body := o.get(t); status != 200 || !strings.Contains(body, ShopName) || !strings.Contains(body, "SF-") {
		t.Errorf("page: %d %s", status, body)
	}
	why := halt.Request{OperationID: "op_1", OrganizationName: "Harborline", Reason: "A restore.", Until: time.Now().Add(4 * time.Minute).Format(time.RFC3339)}
	for range 2 {
		if err := o.halter.Halt(t.Context(), why); err != nil {
			t.Fatal(err)
		}
	}
	saved := len(o.Saved())
	if c := o.condition(t); c != halt.Halted {
		t.Errorf("condition %s", c)
	}
	status, header, body := o.get(t)
	retry, _ := strconv.Atoi(header.Get("Retry-After"))
	if status != 503 || retry < 200 || retry > 241 || !strings.Contains(body, "Back soon.") || !strings.Contains(body, "Harborline is being restored from a backup") {
		t.Errorf("page: %d, Retry-After %d, %s", status, retry, body)
	}
	if open := openByUs(t, shop); len(open) > 0 {
		t.Errorf("halted, and still holds %v", open)
	}

	// It starts again while it is halted.
	o.end()
	o = openStorefront(t, shop, secret)
	if c := o.condition(t); c != halt.Halted {
		t.Errorf("after a restart: %s", c)
	}
	for range 2 {
		if err := o.halter.Resume(t.Context(), why); err != nil {
			t.Fatal(err)
		}
	}
	o.sold(t, 3)
	if c := o.condition(t); c != halt.Running {
		t.Errorf("condition %s", c)
	}
	o.end()
	db, err := openShop(shop)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if got := one(t, db, "SELECT count(*) FROM orders WHERE number LIKE 'SF-%'"); got != strconv.Itoa(saved+len(o.Saved())) {
		t.Errorf("%s orders in the shop, %d saved", got, saved+len(o.Saved()))
	}
}

// openByUs lists this process's handles of the shop.
func openByUs(t *testing.T, path string) []string {
	t.Helper()
	var found []string
	handles, err := filepath.Glob("/proc/self/fd/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range handles {
		if to, err := os.Readlink(h); err == nil && strings.HasPrefix(to, path) && !strings.HasSuffix(to, ".halted") {
			found = append(found, to)
		}
	}
	return found
}

func TestStorefrontRefusesForgedCalls(t *testing.T) {
	secret := halt.NewSecret()
	o := openStorefront(t, newShop(t), secret)
	post := func(path, with, id, kind string, at time.Time) int {
		t.Helper()
		signer, err := standardwebhooks.NewWebhook(with)
		if err != nil {
			t.Fatal(err)
		}
		body := []byte(`{"type":"` + kind + `","data":{"operation_id":"op_2"}}`)
		signature, err := signer.Sign(id, at, body)
		if err != nil {
			t.Fatal(err)
		}
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, o.URL()+path, bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("webhook-id", id)
		req.Header.Set("webhook-timestamp", strconv.FormatInt(at.Unix(), 10))
		req.Header.Set("webhook-signature", signature)
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		return res.StatusCode
	}
	now := time.Now()
	for _, test := range []struct {
		what, path, secret, id, kind string
		at                           time.Time
		want                         int
	}{
		{"another secret", "/safepoint/halt", halt.NewSecret(), "a", "safepoint.halt", now, 401},
		{"too old", "/safepoint/halt", secret, "b", "safepoint.halt", now.Add(-10 * time.Minute), 401},
		{"too new", "/safepoint/halt", secret, "c", "safepoint.halt", now.Add(10 * time.Minute), 401},
		{"a resume sent to halt", "/safepoint/halt", secret, "d", "safepoint.resume", now, 400},
		{"a halt", "/safepoint/halt", secret, "e", "safepoint.halt", now, 204},
		{"the same again", "/safepoint/halt", secret, "e", "safepoint.halt", now, 204},
		{"its resume", "/safepoint/resume", secret, "f", "safepoint.resume", now, 204},
		{"the halt replayed", "/safepoint/halt", secret, "e", "safepoint.halt", now, 409},
		{"an older halt", "/safepoint/halt", secret, "g", "safepoint.halt", now.Add(-time.Minute), 409},
	} {
		if got := post(test.path, test.secret, test.id, test.kind, test.at); got != test.want {
			t.Errorf("%s: %d, want %d", test.what, got, test.want)
		}
	}
	if c := o.condition(t); c != halt.Running {
		t.Errorf("condition %s", c)
	}
	res, err := http.Get(o.URL() + "/safepoint/halt")
	if err != nil {
		t.Fatal(err)
	}
	if res.Body.Close(); res.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("GET of halt: %d", res.StatusCode)
	}
}

// TestEveryOrderSurvivesARestore restores an older backup under a storefront that sells until it is halted.
func TestEveryOrderSurvivesARestore(t *testing.T) {
	shop := newShop(t)
	o := openStorefront(t, shop, halt.NewSecret())
	o.sold(t, 3)
	e, live := &sqlite.Engine{}, engine.Target{Engine: safepoint.SQLite, Path: shop}
	backup := dumped(t, func(w *archive.Writer) error { return e.Dump(t.Context(), live, w, engine.DumpOptions{}) })
	o.sold(t, 20)

	plan, err := e.Prepare(t.Context(), live, "op_storefront0001")
	if err == nil {
		plan, err = e.Stage(t.Context(), live, plan, backup.Header())
	}
	if err == nil {
		err = e.Load(t.Context(), e.StagingTarget(live, plan), backup, engine.LoadOptions{})
	}
	if err != nil {
		t.Fatal(err)
	}
	why := halt.Request{OperationID: plan.OperationID, OrganizationName: "Harborline"}
	if err := o.halter.Halt(t.Context(), why); err != nil {
		t.Fatal(err)
	}
	gate, err := e.Gate(t.Context(), live, plan, func(engine.Plan) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	defer gate.Close()
	safety := dumped(t, func(w *archive.Writer) error { return gate.Dump(t.Context(), w, engine.DumpOptions{}) })
	if err := gate.Switch(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := gate.Close(); err != nil {
		t.Fatal(err)
	}
	if err := o.halter.Resume(t.Context(), why); err != nil {
		t.Fatal(err)
	}
	o.sold(t, 10)
	o.end()

	copied := engine.Target{Engine: safepoint.SQLite, Path: filepath.Join(t.TempDir(), "safety.db")}
	if err := e.Load(t.Context(), copied, safety, engine.LoadOptions{}); err != nil {
		t.Fatal(err)
	}
	var databases []*sql.DB
	for _, path := range []string{shop, copied.Path} {
		db, err := openShop(path)
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		databases = append(databases, db)
	}
	in := [3]int{}
	for _, number := range o.Saved() {
		here := one(t, databases[0], "SELECT count(*) FROM orders WHERE number = ?", number)
		there := one(t, databases[1], "SELECT count(*) FROM orders WHERE number = ?", number)
		switch {
		case here == "0" && there == "0":
			t.Errorf("order %s is lost", number)
		case here == "1":
			in[0]++
		default:
			in[1]++
		}
	}
	if in[0] < 10 || in[1] < 20 {
		t.Errorf("%d orders in the live shop, %d in the safety backup only", in[0], in[1])
	}
}

func dumped(t *testing.T, dump func(*archive.Writer) error) *archive.Reader {
	t.Helper()
	key := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	var b bytes.Buffer
	w := archive.NewWriter(&b, archive.Header{}, key)
	if err := dump(w); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Close(); err != nil {
		t.Fatal(err)
	}
	r, err := archive.Open(bytes.NewReader(b.Bytes()), int64(b.Len()), archive.Trust{Keys: []ed25519.PublicKey{key.Public().(ed25519.PublicKey)}})
	if err != nil {
		t.Fatal(err)
	}
	return r
}
