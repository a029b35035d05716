package server

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/catalog"
	"github.com/safepoint-db/safepoint/internal/encrypt"
	"github.com/safepoint-db/safepoint/internal/kinds"
	"github.com/safepoint-db/safepoint/internal/rebuild"
)

// Rebuilding is what it takes to make the log of backups of a data directory anew from backup files.
type Rebuilding struct {
	From         string // the folder with the backup files; it is only read
	DataDir      string // "" only looks
	Organization string // see rebuild.Into
	Admin        string // email of the user who becomes admin of organizations that are added; "" is the first one to be made
	Signing      ed25519.PrivateKey
	Keys         []ed25519.PublicKey // signers to trust, from key files
	Trust        []string            // signers to trust, named by the beginning of their keys
	Identities   []encrypt.Identity
	Quick        bool
	Report       func(path string, done, total int64)
	Log          *slog.Logger
}

// Rebuilt is what was found and what was added.
type Rebuilt struct {
	Files   []rebuild.File   `json:"files"`
	Signers []rebuild.Signer `json:"signers"`
	Added   rebuild.Added    `json:"added"`
	Signer  string           `json:"signer,omitempty"` // of the data directory from now on, hex
	Setup   bool             `json:"setup"`            // no account exists yet: the server prints a code when it is started
}

// Rebuild reads the backup files of a folder and lists them in the log of a data directory, which is made if it is not
// there. No server may use it meanwhile. Doing it again adds nothing twice.
func Rebuild(ctx context.Context, r Rebuilding) (out Rebuilt, err error) {
	if r.DataDir == "" {
		err = r.scan(ctx, &out, r.Keys)
		return out, err
	}
	if err := asOwner(r.DataDir); err != nil {
		return out, err
	}
	if err := makeData(r.DataDir); err != nil {
		return out, err
	}
	unlock, err := lockData(ctx, r.DataDir, cmp.Or(r.Log, slog.Default()))
	if err != nil {
		return out, unusable(r.DataDir, err)
	}
	defer unlock()
	path := filepath.Join(r.DataDir, catalogFile)
	if err := private(path); err != nil {
		return out, err
	}
	c, err := catalog.Open(ctx, path)
	if err != nil {
		return out, unreadableCatalog(r.DataDir, err)
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	if r.Signing != nil {
		if _, err := catalog.PlaceSigningKey(r.DataDir, r.Signing); err != nil {
			return out, err
		}
		r.Keys = append(r.Keys, r.Signing.Public().(ed25519.PublicKey))
	}
	keys, err := c.OpenKeys(ctx, r.DataDir)
	if err != nil {
		return out, err
	}
	out.Signer = fmt.Sprintf("%x", []byte(keys.Public()))
	if err := r.scan(ctx, &out, append(append(r.Keys, keys.Public()), keys.Trusted()...)); err != nil {
		return out, err
	}
	return out, r.add(ctx, c, keys, &out)
}

// scan looks at the files, a second time where a signer is trusted that only the files name: what is believed is decided
// before anything is added.
func (r Rebuilding) scan(ctx context.Context, out *Rebuilt, trusted []ed25519.PublicKey) (err error) {
	opt := rebuild.Options{Identities: r.Identities, Trusted: trusted, Quick: r.Quick, Report: r.Report}
	if out.Files, err = rebuild.Scan(ctx, r.From, opt); err != nil {
		return err
	}
	for _, text := range r.Trust {
		key, err := rebuild.FindSigner(out.Files, text)
		if err != nil {
			return err
		}
		trusted = append(trusted, key)
	}
	rebuild.Believe(out.Files, trusted)
	out.Signers = rebuild.Signers(out.Files)
	return nil
}

func (r Rebuilding) add(ctx context.Context, c *catalog.Catalog, keys *catalog.Keys, out *Rebuilt) error {
	any, err := c.AnyUser(ctx)
	if err != nil {
		return err
	}
	out.Setup = !any
	into := rebuild.Into{Catalog: c, Organization: r.Organization, Now: time.Now, Here: sameFolder(r.From, filepath.Join(r.DataDir, backupsFolder))}
	if r.Admin != "" {
		u, _, err := c.UserByEmail(ctx, r.Admin)
		if err != nil {
			return err
		}
		into.AdminID = u.ID
	}
	if err := r.mayAdd(ctx, c, any, out.Files); err != nil {
		return err
	}
	var trust []ed25519.PublicKey
	for _, s := range out.Signers {
		if s.Trusted {
			key, err := rebuild.ParseSigner(s.Key)
			if err != nil {
				return err
			}
			trust = append(trust, key)
		}
	}
	if err := keys.Trust(r.DataDir, trust...); err != nil {
		return err
	}
	store, err := kinds.LocalStorage(filepath.Join(r.DataDir, backupsFolder))
	if err != nil {
		return err
	}
	into.Storage = store
	out.Added, err = into.Add(ctx, r.From, out.Files)
	if out.Added.Backups > 0 { // also where one of many could not be added
		err = errors.Join(err, r.audit(ctx, c, out))
	}
	return errors.Join(err, store.Close())
}

// mayAdd refuses to add an organization that nobody could see.
func (r Rebuilding) mayAdd(ctx context.Context, c *catalog.Catalog, any bool, files []rebuild.File) error {
	if !any || r.Admin != "" {
		return nil
	}
	for _, f := range files {
		if f.Kind != rebuild.Restorable {
			continue
		}
		if _, err := c.Organization(ctx, f.Operation.OrganizationID); safepoint.ErrorCode(err) == safepoint.CodeNotFound {
			return safepoint.Invalid("admin", "The backups belong to an organization that is not in this data directory, and nobody would see it.").
				WithHint("Say who becomes its admin: --admin EMAIL, of a user who has an account.")
		} else if err != nil {
			return err
		}
	}
	return nil
}

func (r Rebuilding) audit(ctx context.Context, c *catalog.Catalog, out *Rebuilt) error {
	seen := map[string]int{}
	for _, f := range out.Files {
		if f.Added {
			seen[f.Operation.OrganizationID]++
		}
	}
	for id, n := range seen {
		_, err := c.AddAudit(ctx, safepoint.AuditEntry{OrganizationID: id, ActorName: "Operator", Via: "cli", Action: "log.recover",
			ObjectType: "organization", ObjectID: id, Outcome: "succeeded", Detail: fmt.Sprintf("%d backups from their files", n)})
		if err != nil {
			return err
		}
	}
	return nil
}

func sameFolder(a, b string) bool {
	x, err := os.Stat(a)
	if err != nil {
		return false
	}
	y, err := os.Stat(b)
	return err == nil && os.SameFile(x, y)
}
