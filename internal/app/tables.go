package app

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/archive"
	"github.com/safepoint-db/safepoint/internal/encrypt"
	"github.com/safepoint-db/safepoint/internal/engine"
)

// BackupTable is one table of a backup, as its table of contents has it.
type BackupTable struct {
	Name    string // as it is chosen: app.orders, app."odd.name"
	Rows    int64
	Size    int64 // bytes of the backup's file that hold its rows
	RawSize int64 // bytes of SQL
}

// TableChoice is which tables of a backup a person wants, and what of them. Tables are names as BackupTable has them,
// or patterns (engine.ParsePattern).
type TableChoice struct {
	Tables                          []string
	SchemaOnly, DataOnly            bool
	NoOwner, NoPrivileges, Triggers bool
}

// TableDownload is the SQL of chosen tables, ready to be written. The caller closes it.
type TableDownload struct {
	io.Closer
	Name   string   // for the file
	Tables []string // that were chosen
	Notes  []string // what stays behind, and why
	reader *archive.Reader
}

// Write writes the SQL. Where it fails, what was written is not the whole script.
func (d TableDownload) Write(ctx context.Context, w io.Writer) error {
	return d.reader.WriteSQL(ctx, w)
}

// BackupTables lists the tables of a backup, by name. Only its table of contents is read.
func (a *App) BackupTables(ctx context.Context, by safepoint.Actor, id string) (safepoint.Operation, []BackupTable, error) {
	if err := a.authorize(ctx, by, admin, "backup.tables"); err != nil {
		return safepoint.Operation{}, nil, err
	}
	op, err := a.keptBackup(ctx, by.OrganizationID, id)
	if err != nil {
		return op, nil, err
	}
	r, file, err := a.openBackup(ctx, op, encrypt.FileKey{})
	if err != nil {
		return op, nil, err
	}
	defer file.Close()
	list := r.Tables()
	tables := make([]BackupTable, len(list))
	for i, t := range list {
		tables[i] = BackupTable{Name: t.Plain(), Rows: t.Rows, Size: t.Length, RawSize: t.RawLength}
	}
	return op, tables, nil
}

// OpenTables opens chosen tables of a backup as SQL, for whom OpenDownloadPart would open the file. Each opening is one
// line of the audit log, with the tables.
func (a *App) OpenTables(ctx context.Context, by safepoint.Actor, id string, c TableChoice) (TableDownload, error) {
	if err := a.authorize(ctx, by, admin, "backup.download"); err != nil {
		return TableDownload{}, err
	}
	op, err := a.keptBackup(ctx, by.OrganizationID, id)
	if err != nil {
		return TableDownload{}, err
	}
	e := act{action: "backup.download", object: "operation", id: op.ID, name: op.Name, outcome: done, detail: tablesDetail(c.Tables)}
	if err := a.mayDownload(ctx, by, e); err != nil {
		return TableDownload{}, err
	}
	d, err := a.openTables(ctx, op, c)
	if err != nil {
		e.outcome, e.detail = failed, safepoint.UserError(err).Message
	}
	a.audit(ctx, by, e)
	return d, err
}

func (a *App) openTables(ctx context.Context, op safepoint.Operation, c TableChoice) (TableDownload, error) {
	if c.SchemaOnly && c.DataOnly {
		return TableDownload{}, safepoint.Invalid("data_only", "Definitions alone and rows alone cannot both be wanted.")
	}
	r, file, err := a.openBackup(ctx, op, encrypt.FileKey{})
	if err != nil {
		return TableDownload{}, err
	}
	picked, err := a.pick(ctx, r, op.Engine, c)
	if err != nil {
		file.Close()
		return TableDownload{}, err
	}
	name := strings.TrimSuffix(strings.TrimSuffix(op.Name, ".age"), ".sql.zst") + "_tables.sql"
	return TableDownload{Closer: file, Name: name, Tables: picked.Tables, Notes: picked.Notes, reader: picked.Reader}, nil
}

// pick takes the chosen tables out of an open backup.
func (a *App) pick(ctx context.Context, r *archive.Reader, family safepoint.Engine, c TableChoice) (engine.Picked, error) {
	patterns, err := engine.ParsePatterns(c.Tables)
	if err != nil {
		return engine.Picked{}, err
	}
	e, _ := a.Engine(family)
	picker, ok := e.(engine.Picker)
	if !ok {
		return engine.Picked{}, safepoint.Errorf(safepoint.CodeConflict, "Tables cannot be taken out of a backup of %s.", family.Label()).
			WithHint("Download the whole file.")
	}
	return picker.Pick(ctx, r, engine.Selection{
		Tables: patterns, SchemaOnly: c.SchemaOnly, DataOnly: c.DataOnly, NoOwner: c.NoOwner, NoPrivileges: c.NoPrivileges, Triggers: c.Triggers,
	})
}

// tablesDetail says in the audit log which tables were chosen.
func tablesDetail(tables []string) string {
	const few = 10
	if len(tables) > few {
		return fmt.Sprintf("tables %s and %d more", strings.Join(tables[:few], ", "), len(tables)-few)
	}
	return "tables " + strings.Join(tables, ", ")
}
