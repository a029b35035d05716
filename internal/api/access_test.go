package api_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/api/wire"
)

// access says, for each route, what a valid request is and what a viewer gets. A route that is missing here fails
// TestAccess: whoever adds one says who may use it.
var access = map[string]struct {
	body   any
	viewer int
}{
	"get-me":              {nil, 200},
	"list-organizations":  {nil, 200},
	"get-organization":    {nil, 200},
	"update-organization": {wire.OrganizationInput{Name: "Taken"}, 403},
	"get-encryption":      {nil, 200},
	"set-encryption":      {wire.EncryptionInput{On: true}, 403},
	"add-recipient":       {wire.RecipientInput{Name: "taken"}, 403},
	"get-challenge":       {nil, 403},
	"prove-recipient":     {wire.ProofInput{Word: "x"}, 403},
	"remove-recipient":    {nil, 403},
	"forget-key":          {nil, 403},
	"list-members":        {nil, 200},
	"invite-member":       {wire.MemberInput{Email: "new@harbor.example", Role: "viewer"}, 403},
	"set-role":            {wire.RoleInput{Role: "viewer"}, 403},
	"remove-member":       {nil, 403},
	"list-audit":          {nil, 200},
	"list-tokens":         {nil, 200},
	"revoke-token":        {nil, 404}, // it is the admin's
	"get-state":           {nil, 200},
	"watch-state":         {nil, 200},
	"list-databases":      {nil, 200},
	"create-database":     {wire.DatabaseInput{Name: "new", URL: "sqlite:///srv/new.db"}, 403},
	"try-database":        {wire.DatabaseInput{URL: "sqlite:///srv/new.db"}, 403},
	"get-database":        {nil, 200},
	"update-database":     {wire.DatabaseInput{Name: "taken", URL: "sqlite:///srv/new.db"}, 403},
	"remove-database":     {nil, 403},
	"test-database":       {nil, 403},
	"start-backup":        {nil, 403},
	"list-storage":        {nil, 200},
	"get-storage":         {nil, 200},
	"test-storage":        {nil, 403},
	"list-services":       {nil, 200},
	"create-service":      {wire.ServiceInput{Name: "new", Kind: "webhook", HaltURL: "http://127.0.0.1:1/h", ResumeURL: "http://127.0.0.1:1/r"}, 403},
	"order-services":      {wire.ServiceOrder{IDs: []string{"svc_x"}}, 403},
	"get-service":         {nil, 200},
	"update-service":      {wire.ServiceInput{Name: "taken", Kind: "webhook"}, 403},
	"remove-service":      {nil, 403},
	"get-service-status":  {nil, 200},
	"test-service":        {nil, 403},
	"resume-service":      {nil, 403},
	"list-schedules":      {nil, 200},
	"create-schedule":     {wire.ScheduleInput{Name: "new", Interval: "8h", DatabaseID: "db_x"}, 403},
	"get-schedule":        {nil, 200},
	"update-schedule":     {wire.ScheduleInput{Name: "taken", Interval: "8h"}, 403},
	"disable-schedule":    {nil, 403},
	"enable-schedule":     {nil, 403},
	"get-health":          {nil, 200},
	"get-database-health": {nil, 200},
	"list-notices":        {nil, 200},
	"dismiss-notice":      {nil, 403},
	"list-operations":     {nil, 200},
	"get-operation":       {nil, 200},
	"get-journal":         {nil, 200},
	"cancel-operation":    {nil, 403},
	"delete-backup":       {nil, 403},
	"download-backup":     {nil, 403},
	"upload-backup":       {nil, 403},
	"list-tables":         {nil, 403},
	"extract-tables":      {wire.TableChoice{Tables: []string{"*"}}, 403},
	"preview-restore":     {nil, 403},
	"start-restore":       {wire.RestoreInput{Confirm: "shop"}, 403},
	"restore-into":        {wire.NewDatabase{Name: "copy"}, 403},
	"undo-restore":        {nil, 403},
	"resume-restore":      {nil, 403},
}

// TestAccess walks every route as nobody, with a wrong token, as a viewer, as another organization's admin, and as
// that admin with his own organization in the path. Nothing of the organization may change.
func TestAccess(t *testing.T) {
	b := newBench(t)
	ids := b.oneOfEach(t)
	before := b.snapshot(t)
	for _, route := range b.api.Routes() {
		if route.Public {
			if route.ID != "login" {
				t.Errorf("%s needs no token: is that meant?", route.ID)
			}
			continue
		}
		want, ok := access[route.ID]
		if !ok {
			t.Errorf("%s %s (%s) is not in the table of this test: say who may use it", route.Method, route.Path, route.ID)
			continue
		}
		t.Run(route.ID, func(t *testing.T) {
			path := fill(route.Path, ids)
			problem(t, b.do(t, "", route.Method, path, want.body), 401, safepoint.CodeUnauthorized)
			problem(t, b.do(t, "sp_wrong", route.Method, path, want.body), 401, safepoint.CodeUnauthorized)
			problem(t, b.do(t, "", route.Method, path, want.body, "Cookie", "__Host-safepoint=x; safepoint_session=x"), 401, safepoint.CodeUnauthorized)
			if strings.Contains(route.Path, "{organization}") {
				problem(t, b.do(t, b.rival, route.Method, path, want.body), 404, safepoint.CodeNotFound)
			}
			if route.ID == "watch-state" {
				return // never ends: TestWatchState
			}
			if got := b.do(t, b.viewer, route.Method, path, want.body); got.StatusCode != want.viewer {
				t.Errorf("as a viewer: status %d, want %d\n%s", got.StatusCode, want.viewer, got.body)
			}
			if parts := strings.Split(route.Path, "{"); len(parts) > 2 && parts[2] != "storage}" && parts[2] != "storage}/test" { // a storage is the server's: every organization has its part
				theirs := strings.Replace(path, b.harbor.ID, b.other.ID, 1)
				problem(t, b.do(t, b.rival, route.Method, theirs, want.body), 404, safepoint.CodeNotFound)
			}
		})
	}
	if after := b.snapshot(t); after != before {
		t.Errorf("something changed:\n%s\nwas\n%s", after, before)
	}
}

// oneOfEach makes one of everything in harbor, and returns IDs by the names of path parameters.
func (b *bench) oneOfEach(t *testing.T) map[string]string {
	t.Helper()
	d := b.shop(t, "shop")
	s := decode[wire.Service](t, b.do(t, b.admin, http.MethodPost, b.in("services"), wire.ServiceInput{
		Name: "storefront", Kind: "webhook", HaltURL: "http://127.0.0.1:1/halt", ResumeURL: "http://127.0.0.1:1/resume",
	}), 201)
	if !strings.HasPrefix(s.Secret, "whsec_") {
		t.Errorf("no signing secret was made: %+v", s)
	}
	sch := decode[wire.Schedule](t, b.do(t, b.admin, http.MethodPost, b.in("schedules"), wire.ScheduleInput{
		Name: "Shop", Description: "every night", Interval: "24h", DatabaseID: d.ID,
	}), 201)
	op := decode[wire.Operation](t, b.do(t, b.admin, http.MethodPost, b.in("databases", d.ID, "backup"), nil), 202)
	n := decode[wire.NewRecipient](t, b.do(t, b.admin, http.MethodPost, b.in("encryption", "recipients"), wire.RecipientInput{KeepKey: true}), 201)
	vera := decode[wire.Me](t, b.do(t, b.viewer, http.MethodGet, "/api/v1/me", nil), 200)
	return map[string]string{
		"organization": b.harbor.ID, "database": d.ID, "service": s.ID, "schedule": sch.ID, "operation": op.ID, "notice": "missed:" + sch.ID,
		"token": b.tokens[b.admin].ID, "user": vera.UserID, "recipient": n.ID, "storage": "local",
	}
}

func fill(path string, ids map[string]string) string {
	for name, id := range ids {
		path = strings.ReplaceAll(path, "{"+name+"}", id)
	}
	return path
}

// snapshot is everything of harbor that a request could have changed.
func (b *bench) snapshot(t *testing.T) string {
	t.Helper()
	all := map[string]json.RawMessage{}
	for _, what := range []string{"", "databases", "services", "schedules", "operations", "members", "state", "encryption", "notices"} {
		all[what] = b.do(t, b.admin, http.MethodGet, strings.TrimSuffix(b.in(what), "/"), nil).body
	}
	// Whether a database is being asked how it is changes with time, whoever reads the list.
	var databases wire.List[wire.Database]
	must(t, json.Unmarshal(all["databases"], &databases))
	for i := range databases.Items {
		databases.Items[i].Connection = nil
	}
	var err error
	all["databases"], err = json.Marshal(databases)
	must(t, err)
	out, err := json.MarshalIndent(all, "", " ")
	must(t, err)
	return string(out)
}
