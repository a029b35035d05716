package client

import (
	"context"
	"net/http"
	"net/url"
	"strconv"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/api/wire"
)

// Login makes a token. The client needs none for it, and does not begin to use it.
func (c *Client) Login(ctx context.Context, in wire.LoginInput) (wire.Login, error) {
	return call[wire.Login](ctx, c, http.MethodPost, "/api/v1/login", nil, in)
}

func (c *Client) Me(ctx context.Context) (wire.Me, error) {
	return call[wire.Me](ctx, c, http.MethodGet, "/api/v1/me", nil, nil)
}

func (c *Client) Organizations(ctx context.Context) ([]wire.Organization, error) {
	return items(call[wire.List[wire.Organization]](ctx, c, http.MethodGet, "/api/v1/organizations", nil, nil))
}

func (c *Client) RevokeToken(ctx context.Context, id string) error {
	return remove(ctx, c, nil, "tokens", id)
}

func (c *Client) Tokens(ctx context.Context) ([]wire.Token, error) {
	return items(get[wire.List[wire.Token]](ctx, c, nil, "tokens"))
}

func (c *Client) State(ctx context.Context) (wire.State, error) {
	return get[wire.State](ctx, c, nil, "state")
}

// Health returns how databases and storage have fared; days is 30, 90 or 365.
func (c *Client) Health(ctx context.Context, days int) (wire.Health, error) {
	return get[wire.Health](ctx, c, values("days", number(days)), "health")
}

// Notices returns what wants a person.
func (c *Client) Notices(ctx context.Context) (wire.Notices, error) {
	return get[wire.Notices](ctx, c, nil, "notices")
}

// DismissNotice takes a notice of missed runs away, for everybody.
func (c *Client) DismissNotice(ctx context.Context, id string) error {
	_, err := post[struct{}](ctx, c, nil, "notices", id, "dismiss")
	return err
}

// Audit returns a page of the audit log. who and what select by part; limit 0 means 50.
func (c *Client) Audit(ctx context.Context, who, what, cursor string, limit int) (wire.AuditPage, error) {
	return get[wire.AuditPage](ctx, c, values("who", who, "what", what, "cursor", cursor, "limit", number(limit)), "audit")
}

// Storages returns where backups are kept.
func (c *Client) Storages(ctx context.Context) ([]wire.Storage, error) {
	return items(get[wire.List[wire.Storage]](ctx, c, nil, "storage"))
}

// Storage returns one storage, and what fills it.
func (c *Client) Storage(ctx context.Context, id string) (wire.Storage, error) {
	return get[wire.Storage](ctx, c, nil, "storage", id)
}

// TestStorage writes a small object, reads it back and removes it.
func (c *Client) TestStorage(ctx context.Context, id string) (wire.StorageTest, error) {
	return post[wire.StorageTest](ctx, c, nil, "storage", id, "test")
}

func (c *Client) Databases(ctx context.Context) ([]wire.Database, error) {
	return items(get[wire.List[wire.Database]](ctx, c, nil, "databases"))
}

// Database returns one database, with what is known of its connection.
func (c *Client) Database(ctx context.Context, id string) (wire.Database, error) {
	return get[wire.Database](ctx, c, nil, "databases", id)
}

func (c *Client) CreateDatabase(ctx context.Context, in wire.DatabaseInput) (wire.Database, error) {
	return post[wire.Database](ctx, c, in, "databases")
}

func (c *Client) UpdateDatabase(ctx context.Context, id string, in wire.DatabaseInput) (wire.Database, error) {
	return put[wire.Database](ctx, c, in, "databases", id)
}

// RemoveLostDatabase removes one whose server is gone for good; name, the database's, confirms it.
func (c *Client) RemoveLostDatabase(ctx context.Context, id, name string) error {
	return remove(ctx, c, values("gone", name), "databases", id)
}

func (c *Client) RemoveDatabase(ctx context.Context, id string) error {
	return remove(ctx, c, nil, "databases", id)
}

func (c *Client) TestDatabase(ctx context.Context, id string) (wire.DatabaseTest, error) {
	return post[wire.DatabaseTest](ctx, c, nil, "databases", id, "test")
}

// TryDatabase tests a database before it is added.
func (c *Client) TryDatabase(ctx context.Context, in wire.DatabaseInput) (wire.DatabaseTest, error) {
	return post[wire.DatabaseTest](ctx, c, in, "databases", "test")
}

func (c *Client) StartBackup(ctx context.Context, databaseID string) (wire.Operation, error) {
	return post[wire.Operation](ctx, c, nil, "databases", databaseID, "backup")
}

func (c *Client) Services(ctx context.Context) ([]wire.Service, error) {
	return items(get[wire.List[wire.Service]](ctx, c, nil, "services"))
}

func (c *Client) CreateService(ctx context.Context, in wire.ServiceInput) (wire.Service, error) {
	return post[wire.Service](ctx, c, in, "services")
}

func (c *Client) RemoveService(ctx context.Context, id string) error {
	return remove(ctx, c, nil, "services", id)
}

// OrderServices sets the order; ids are all services, first to be halted first.
func (c *Client) OrderServices(ctx context.Context, ids []string) error {
	_, err := put[struct{}](ctx, c, wire.ServiceOrder{IDs: ids}, "services", "order")
	return err
}

func (c *Client) ServiceStatus(ctx context.Context, id string) (wire.ServiceStatus, error) {
	return get[wire.ServiceStatus](ctx, c, nil, "services", id, "status")
}

func (c *Client) TestService(ctx context.Context, id string) (wire.ServiceTest, error) {
	return post[wire.ServiceTest](ctx, c, nil, "services", id, "test")
}

func (c *Client) ResumeService(ctx context.Context, id string) error {
	_, err := post[struct{}](ctx, c, nil, "services", id, "resume")
	return err
}

// Schedules returns all of them, however many pages that takes.
func (c *Client) Schedules(ctx context.Context) (all []wire.Schedule, err error) {
	var page wire.SchedulePage
	all = []wire.Schedule{}
	for {
		page, err = get[wire.SchedulePage](ctx, c, values("cursor", page.Next, "limit", "200"), "schedules")
		if all = append(all, page.Items...); err != nil || page.Next == "" {
			return all, err
		}
	}
}

func (c *Client) CreateSchedule(ctx context.Context, in wire.ScheduleInput) (wire.Schedule, error) {
	return post[wire.Schedule](ctx, c, in, "schedules")
}

func (c *Client) UpdateSchedule(ctx context.Context, id string, in wire.ScheduleInput) (wire.Schedule, error) {
	return put[wire.Schedule](ctx, c, in, "schedules", id)
}

func (c *Client) DisableSchedule(ctx context.Context, id string) (wire.Schedule, error) {
	return post[wire.Schedule](ctx, c, nil, "schedules", id, "disable")
}

func (c *Client) EnableSchedule(ctx context.Context, id string) (wire.Schedule, error) {
	return post[wire.Schedule](ctx, c, nil, "schedules", id, "enable")
}

// Operations returns a page of DB Logs. The filter's times are not used.
func (c *Client) Operations(ctx context.Context, f safepoint.OperationFilter) (wire.OperationPage, error) {
	return get[wire.OperationPage](ctx, c, values("type", string(f.Type), "status", string(f.Status), "database", f.DatabaseID,
		"schedule", f.ScheduleID, "text", f.Text, "cursor", f.Cursor, "limit", number(f.Limit)), "operations")
}

func (c *Client) Operation(ctx context.Context, id string) (wire.Operation, error) {
	return get[wire.Operation](ctx, c, nil, "operations", id)
}

func (c *Client) Journal(ctx context.Context, id string) ([]wire.JournalEntry, error) {
	return items(get[wire.List[wire.JournalEntry]](ctx, c, nil, "operations", id, "journal"))
}

func (c *Client) Cancel(ctx context.Context, id string) (wire.Operation, error) {
	return post[wire.Operation](ctx, c, nil, "operations", id, "cancel")
}

// DeleteBackup deletes a backup's file for good. confirm is the database's name where this is its last backup.
func (c *Client) DeleteBackup(ctx context.Context, id, confirm string) error {
	return remove(ctx, c, values("confirm", confirm), "operations", id)
}

func (c *Client) PreviewRestore(ctx context.Context, id string) (wire.RestorePreview, error) {
	return get[wire.RestorePreview](ctx, c, nil, "operations", id, "restore-preview")
}

// StartRestoreInto restores a backup, or chosen tables of it, into a new database.
func (c *Client) StartRestoreInto(ctx context.Context, id string, in wire.NewDatabase) (wire.Operation, error) {
	return post[wire.Operation](ctx, c, in, "operations", id, "restore-into")
}

// StartRestore restores the database to a backup.
func (c *Client) StartRestore(ctx context.Context, id string, in wire.RestoreInput) (wire.Operation, error) {
	return post[wire.Operation](ctx, c, in, "operations", id, "restore")
}

func (c *Client) Encryption(ctx context.Context) (wire.Encryption, error) {
	return get[wire.Encryption](ctx, c, nil, "encryption")
}

func (c *Client) SetEncryption(ctx context.Context, in wire.EncryptionInput) (wire.Encryption, error) {
	return put[wire.Encryption](ctx, c, in, "encryption")
}

// AddRecipient adds a recipient, which is used once ProveRecipient has shown that its key is there.
func (c *Client) AddRecipient(ctx context.Context, in wire.RecipientInput) (wire.NewRecipient, error) {
	return post[wire.NewRecipient](ctx, c, in, "encryption", "recipients")
}

// Challenge is the age file, as text, that the recipient's key must open.
func (c *Client) Challenge(ctx context.Context, id string) (string, error) {
	ch, err := get[wire.Challenge](ctx, c, nil, "encryption", "recipients", id, "challenge")
	return ch.Challenge, err
}

func (c *Client) ProveRecipient(ctx context.Context, id string, in wire.ProofInput) (wire.Encryption, error) {
	return post[wire.Encryption](ctx, c, in, "encryption", "recipients", id, "proof")
}

func (c *Client) RemoveRecipient(ctx context.Context, id string) error {
	return remove(ctx, c, nil, "encryption", "recipients", id)
}

// ForgetKey makes the server forget its copy of a recipient's key.
func (c *Client) ForgetKey(ctx context.Context, id string) error {
	return remove(ctx, c, nil, "encryption", "recipients", id, "key")
}

func (c *Client) StartUndo(ctx context.Context, restoreID string) (wire.Operation, error) {
	return post[wire.Operation](ctx, c, nil, "operations", restoreID, "undo")
}

// ResumeRestore opens the database and resumes the services of a restore that needs a person.
func (c *Client) ResumeRestore(ctx context.Context, restoreID string) error {
	_, err := post[struct{}](ctx, c, nil, "operations", restoreID, "resume")
	return err
}

// values are pairs of name and value, without those that are empty.
func values(pairs ...string) url.Values {
	v := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			v.Set(pairs[i], pairs[i+1])
		}
	}
	return v
}

func number(n int) string {
	if n == 0 {
		return ""
	}
	return strconv.Itoa(n)
}
