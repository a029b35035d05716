package api

import (
	"bufio"
	"context"
	"mime"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/api/wire"
	"github.com/safepoint-db/safepoint/internal/app"
)

// tableRoutes are those of the tables inside a backup.
func (a *API) tableRoutes(tag, one string) {
	handle(a, change(http.MethodGet, one+"/tables", "list-tables", "The tables in a backup, by name", tag),
		func(ctx context.Context, by safepoint.Actor, in *InOperation) (*body[wire.List[wire.Table]], error) {
			_, tables, err := a.cfg.App.BackupTables(ctx, by, in.Operation)
			return list(tables, err, func(t app.BackupTable) wire.Table {
				return wire.Table{Name: t.Name, Rows: t.Rows, Size: t.Size, RawSize: t.RawSize}
			})
		})

	type extractRequest struct {
		InOperation
		Body wire.TableChoice
	}
	extract := with(http.StatusOK, change(http.MethodPost, one+"/extract", "extract-tables", "Download chosen tables of a backup as SQL", tag))
	extract.Description += " Only these tables' part of the file is read. The download is written to the audit log. A connection that is cut means that the SQL is not whole."
	extract.Responses = map[string]*huma.Response{"200": {Description: "The script", Content: map[string]*huma.MediaType{
		"application/sql": {Schema: &huma.Schema{Type: huma.TypeString, Format: "binary"}},
	}}}
	handle(a, extract, func(ctx context.Context, by safepoint.Actor, in *extractRequest) (*huma.StreamResponse, error) {
		d, err := a.cfg.App.OpenTables(ctx, by, in.Operation, app.TableChoice{
			Tables: in.Body.Tables, SchemaOnly: in.Body.SchemaOnly, DataOnly: in.Body.DataOnly,
			NoOwner: in.Body.NoOwner, NoPrivileges: in.Body.NoPrivileges, Triggers: in.Body.Triggers,
		})
		if err != nil {
			return nil, err
		}
		return &huma.StreamResponse{Body: func(c huma.Context) {
			defer d.Close()
			a.serveTables(c, d)
		}}, nil
	})
}

// serveTables sends the script. Where it cannot go on it cuts the connection: half a script must not look whole.
func (a *API) serveTables(c huma.Context, d app.TableDownload) {
	r, w := humago.Unwrap(c)
	h := w.Header()
	h.Set("Content-Type", "application/sql")
	h.Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": d.Name}))
	room := maxNotes
	for _, note := range d.Notes {
		text := mime.QEncoding.Encode("utf-8", note)
		if room -= len(text) + len("Safepoint-Note: \r\n"); room < 0 {
			break
		}
		h.Add("Safepoint-Note", text)
	}
	out := bufio.NewWriterSize(&patient{ResponseWriter: w, rc: http.NewResponseController(w)}, 64<<10)
	err := d.Write(r.Context(), out)
	if err == nil {
		err = out.Flush()
	}
	if err != nil {
		a.cfg.Log.WarnContext(r.Context(), "the download of chosen tables broke off", "error", err)
		panic(http.ErrAbortHandler)
	}
}

// maxNotes bounds the notes in an answer's head, in bytes: a proxy that is met on the way takes no more than 4 KiB of
// head. All of them are at the script's top.
const maxNotes = 2 << 10
