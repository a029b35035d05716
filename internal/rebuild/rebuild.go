package rebuild

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/backup"
	"github.com/safepoint-db/safepoint/internal/catalog"
	"github.com/safepoint-db/safepoint/internal/storage"
)

// Into is where the backups of a folder are listed and kept.
type Into struct {
	Catalog      *catalog.Catalog
	Storage      storage.Storage
	Here         bool   // the folder scanned is the storage's own: nothing has to be copied
	Organization string // the name of an organization that its backups do not name; "" makes one of its ID
	AdminID      string // becomes admin of organizations that are added; "" leaves them to the first admin of the installation
	Now          func() time.Time
}

// Added counts what Add has added.
type Added struct{ Organizations, Databases, Backups int }

// Add copies the restorable backups among files, from the folder dir, into the storage, and lists them in the log with
// the databases and organizations they belong to. What is there already stays as it is. It marks in files what was added.
func (t Into) Add(ctx context.Context, dir string, files []File) (sum Added, err error) {
	order := make([]int, 0, len(files))
	for i, f := range files {
		if f.Kind == Restorable {
			order = append(order, i)
		}
	}
	slices.SortFunc(order, func(a, b int) int {
		return files[a].Operation.StartedAt.Compare(files[b].Operation.StartedAt)
	})
	if !t.Here {
		if err := t.room(ctx, files, order); err != nil {
			return sum, err
		}
	}
	for _, i := range order {
		err := t.add(ctx, dir, &files[i], &sum)
		switch safepoint.ErrorCode(err) {
		case "":
		case safepoint.CodeConflict, safepoint.CodeArchive: // of this file alone
			files[i].Kind, files[i].Why = Damaged, safepoint.UserError(err).Message
		default:
			return sum, fmt.Errorf("%s: %w", files[i].Path, err)
		}
	}
	return sum, nil
}

// room refuses to begin what will not fit. Copies that are there already need none.
func (t Into) room(ctx context.Context, files []File, order []int) error {
	var need int64
	for _, i := range order {
		if _, err := t.Storage.Stat(ctx, keyOf(files[i])); safepoint.ErrorCode(err) == safepoint.CodeNotFound {
			need += files[i].Size
		}
	}
	return backup.Room(ctx, t.Storage, need)
}

// keyOf is where a backup is kept: where it was, if that is a place of the storage's, else where it would be put.
func keyOf(f File) string {
	if strings.HasPrefix(f.Path, f.Operation.OrganizationID+"/"+f.Operation.DatabaseID+"/") && ownName.MatchString(filepath.Base(f.Path)) {
		return f.Path
	}
	return backup.StorageKey(f.Operation)
}

func (t Into) add(ctx context.Context, dir string, f *File, sum *Added) error {
	op := f.Operation
	if home, err := t.Catalog.HomeOf(ctx, op.DatabaseID); err != nil {
		return err
	} else if home != "" && home != op.OrganizationID {
		return safepoint.Errorf(safepoint.CodeConflict, "Its database is here, and is another organization's: %s.", home)
	}
	op.StorageKey = keyOf(*f)
	here := false
	if t.Here {
		if _, err := t.Storage.Stat(ctx, f.Path); err == nil {
			op.StorageKey, here = f.Path, true
		}
	}
	proven := op.SHA256 != "" // each byte was read and is what was signed
	if !here {
		stored, err := t.copy(ctx, dir, *f, op.StorageKey)
		if err != nil {
			return err
		}
		op.SHA256 = stored // also of a file that was not read to its end: the next who reads it has something to compare
	}
	if proven {
		op.VerifiedAt = t.Now().UTC()
	}
	name := f.Organization
	if t.Organization != "" {
		name = t.Organization
	}
	if name == "" {
		name = "Recovered " + op.OrganizationID
	}
	added, err := t.Catalog.RecoverOrganization(ctx, safepoint.Organization{
		ID: op.OrganizationID, Name: name, TimeZone: "UTC", UndoWindow: 24 * time.Hour,
	}, t.AdminID)
	if err != nil {
		return err
	}
	sum.Organizations += one(added)
	own := f.Source
	if op.Engine == safepoint.SQLite {
		own = ""
	}
	added, err = t.Catalog.RecoverDatabase(ctx, safepoint.Database{
		ID: op.DatabaseID, OrganizationID: op.OrganizationID, Name: op.DatabaseName, Engine: op.Engine, DBName: own,
		ServerVersion: op.ServerVersion, CreatedByName: "safepoint recover",
	})
	if err != nil {
		return err
	}
	sum.Databases += one(added)
	if f.Added, err = t.Catalog.RecoverBackup(ctx, op); err != nil {
		return err
	}
	sum.Backups += one(f.Added)
	return nil
}

func one(b bool) int {
	if b {
		return 1
	}
	return 0
}

// copy puts the file into the storage under key, unless it is there, and returns the SHA-256 of what is there then, read
// again. It must be what was scanned.
func (t Into) copy(ctx context.Context, dir string, f File, key string) (sum string, err error) {
	want := f.Operation.SHA256
	if there, err := t.Storage.Stat(ctx, key); safepoint.ErrorCode(err) == safepoint.CodeNotFound {
		if want, err = t.put(ctx, dir, f, key); err != nil {
			return "", err
		}
	} else if err != nil {
		return "", err
	} else if there.Size != f.Size {
		return "", standsThere(key)
	} else if want == "" { // the folder's own was not read yet
		if want, err = t.put(ctx, dir, f, ""); err != nil {
			return "", err
		}
	}
	file, err := t.Storage.Open(ctx, key)
	if err != nil {
		return "", err
	}
	defer file.Close()
	if sum, err = sumOf(ctx, file, file.Size()); err == nil && sum != want {
		err = standsThere(key)
	}
	return sum, err
}

func standsThere(key string) error {
	return safepoint.Errorf(safepoint.CodeConflict, "Another file stands under its name in the storage, or a damaged copy of it.").
		WithHint("Look at %s in the storage, and move it away.", key)
}

// put reads the file and puts it into the storage under key, if that is not "". It returns its SHA-256.
func (t Into) put(ctx context.Context, dir string, f File, key string) (sum string, err error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return "", err
	}
	defer root.Close()
	from, err := root.Open(f.Path)
	if err != nil {
		return "", err
	}
	defer from.Close()
	h := sha256.New()
	var w io.Writer = h
	var to storage.Upload
	if key != "" {
		if to, err = t.Storage.Create(ctx, key); err != nil {
			return "", err
		}
		defer to.Abort()
		w = io.MultiWriter(to, h)
	}
	n, err := io.Copy(w, &reader{ctx, from})
	if err != nil {
		return "", err
	}
	sum = hex.EncodeToString(h.Sum(nil))
	if n != f.Size || f.Operation.SHA256 != "" && sum != f.Operation.SHA256 {
		return "", safepoint.Errorf(safepoint.CodeArchive, "The file changed while it was read.").WithHint("Run this again.")
	}
	if to != nil {
		err = to.Commit()
	}
	return sum, err
}
