package api

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"io"
	"mime"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/api/wire"
	"github.com/safepoint-db/safepoint/internal/app"
)

// InOperation is the input of every route of an operation.
type InOperation struct {
	InOrg
	Operation string `path:"operation" example:"op_k3jq7w2mfz5xv4na"`
}

// InDownload names an operation, and the part of its file.
type InDownload struct {
	InOperation
	Range string `header:"Range" doc:"Which bytes" example:"bytes=1048576-"`
}

func (a *API) operationRoutes() {
	const tag = "DB Logs"
	one := orgPrefix + "/operations/{operation}"

	a.operationList(tag)

	handle(a, op(http.MethodGet, one, "get-operation", "A backup or a restore", tag),
		func(ctx context.Context, by safepoint.Actor, in *InOperation) (*body[wire.Operation], error) {
			o, err := a.cfg.App.Operation(ctx, by, in.Operation)
			return reply(wire.FromOperation(o), err)
		})

	handle(a, op(http.MethodGet, one+"/journal", "get-journal", "What a restore did, step by step", tag),
		func(ctx context.Context, by safepoint.Actor, in *InOperation) (*body[wire.List[wire.JournalEntry]], error) {
			es, err := a.cfg.App.Journal(ctx, by, in.Operation)
			return list(es, err, wire.FromJournalEntry)
		})

	handle(a, with(http.StatusAccepted, change(http.MethodPost, one+"/cancel", "cancel-operation", "Cancel what is queued or runs", tag)),
		func(ctx context.Context, by safepoint.Actor, in *InOperation) (*body[wire.Operation], error) {
			o, err := a.cfg.App.Cancel(ctx, by, in.Operation)
			return reply(wire.FromOperation(o), err)
		})

	type deleteRequest struct {
		InOperation
		Confirm string `query:"confirm" doc:"The database's name, where this is its last backup"`
	}
	handle(a, change(http.MethodDelete, one, "delete-backup", "Delete a backup and its file for good", tag),
		func(ctx context.Context, by safepoint.Actor, in *deleteRequest) (*struct{}, error) {
			return nil, a.cfg.App.DeleteBackup(ctx, by, in.Operation, in.Confirm)
		})

	a.downloadRoute(tag, one)
	a.uploadRoute(tag)
	a.tableRoutes(tag, one)
	a.restoreRoutes(tag, one)
}

func (a *API) operationList(tag string) {
	type listRequest struct {
		InOrg
		Type     string    `query:"type" enum:"backup,restore"`
		Status   string    `query:"status" enum:"queued,running,succeeded,failed,cancelled,missed"`
		Database string    `query:"database" doc:"A database's ID"`
		Schedule string    `query:"schedule" doc:"A schedule's ID"`
		Text     string    `query:"text" doc:"Part of the name"`
		From     time.Time `query:"from"`
		To       time.Time `query:"to"`
		Cursor   string    `query:"cursor" doc:"next or previous of another page"`
		Limit    int       `query:"limit" minimum:"0" maximum:"200" doc:"0 means 50"`
	}
	handle(a, op(http.MethodGet, orgPrefix+"/operations", "list-operations", "DB Logs: backups and restores, newest first", tag),
		func(ctx context.Context, by safepoint.Actor, in *listRequest) (*body[wire.OperationPage], error) {
			p, err := a.cfg.App.Operations(ctx, by, safepoint.OperationFilter{
				Type: safepoint.OperationType(in.Type), Status: safepoint.Status(in.Status), DatabaseID: in.Database,
				ScheduleID: in.Schedule, Text: in.Text, From: in.From, To: in.To, Cursor: in.Cursor, Limit: in.Limit,
			})
			return reply(wire.OperationPage{
				Items: wire.Map(p.Operations, wire.FromOperation), Next: p.Next, Previous: p.Previous, Total: p.Total, More: p.More, All: p.All,
			}, err)
		})
}

func (a *API) restoreRoutes(tag, one string) {
	handle(a, change(http.MethodGet, one+"/restore-preview", "preview-restore", "What a restore of this backup would do; nothing is changed", tag),
		func(ctx context.Context, by safepoint.Actor, in *InOperation) (*body[wire.RestorePreview], error) {
			p, err := a.cfg.App.PreviewRestore(ctx, by, in.Operation)
			return reply(restorePreview(p), err)
		})

	type restoreRequest struct {
		InOperation
		Body wire.RestoreInput
	}
	restore := with(http.StatusAccepted, change(http.MethodPost, one+"/restore", "start-restore", "Restore the database to this backup", tag))
	restore.Description += " Services are halted, a safety backup is made, and services resume by themselves. Ask for the preview first."
	handle(a, restore, func(ctx context.Context, by safepoint.Actor, in *restoreRequest) (*body[wire.Operation], error) {
		o, err := a.cfg.App.StartRestore(ctx, by, in.Operation, app.RestoreInput{
			Confirm: in.Body.Confirm, Keys: in.Body.Identity, Mode: safepoint.RestoreMode(in.Body.Mode),
		})
		return reply(wire.FromOperation(o), err)
	})

	type intoRequest struct {
		InOperation
		Body wire.NewDatabase
	}
	into := with(http.StatusAccepted, change(http.MethodPost, one+"/restore-into", "restore-into", "Restore this backup, or chosen tables of it, into a new database", tag))
	into.Description += " The live database is not touched and no service is halted."
	handle(a, into, func(ctx context.Context, by safepoint.Actor, in *intoRequest) (*body[wire.Operation], error) {
		o, err := a.cfg.App.StartRestoreInto(ctx, by, in.Operation, app.NewDatabase{Name: in.Body.Name, Tables: in.Body.Tables, Keys: in.Body.Identity})
		return reply(wire.FromOperation(o), err)
	})

	handle(a, with(http.StatusAccepted, change(http.MethodPost, one+"/undo", "undo-restore", "Undo a restore: put the database back that it replaced", tag)),
		func(ctx context.Context, by safepoint.Actor, in *InOperation) (*body[wire.Operation], error) {
			o, err := a.cfg.App.StartUndo(ctx, by, in.Operation)
			return reply(wire.FromOperation(o), err)
		})

	handle(a, with(http.StatusNoContent, change(http.MethodPost, one+"/resume", "resume-restore", "Open the database and resume the services of a restore that needs a person", tag)),
		func(ctx context.Context, by safepoint.Actor, in *InOperation) (*struct{}, error) {
			return nil, a.cfg.App.ResumeRestore(ctx, by, in.Operation)
		})
}

func restorePreview(p app.RestorePreview) wire.RestorePreview {
	w := wire.RestorePreview{
		Ready: p.Ready, Confirm: p.Confirm, Backup: wire.FromOperation(p.Backup), Database: wire.FromDatabase(p.Database),
		ChangesSeconds: p.Changes.Seconds(), Services: wire.Map(p.Services, wire.FromService), Findings: findings(p.Findings),
		Busy: wire.FromOperationOrNil(p.Busy), NeedsKey: p.NeedsKey, SpaceFree: p.Space.Free, EstimateSeconds: map[string]int64{},
		Mode: string(p.Mode), Modes: wire.Map(p.Modes, func(m safepoint.RestoreMode) string { return string(m) }), HaltSeconds: map[string]float64{},
	}
	for step, d := range p.Estimates {
		w.EstimateSeconds[step.String()] = int64(d / time.Second)
	}
	for mode, d := range p.HaltTimes {
		w.HaltSeconds[string(mode)] = d.Seconds()
	}
	w.SafetySize, w.Preflight = p.SafetySize, preflight(p)
	return w
}

func (a *API) downloadRoute(tag, one string) {
	file := change(http.MethodGet, one+"/file", "download-backup", "Download a backup's file", tag)
	file.Description += " The download is written to the audit log, once however many ranges it is fetched in. Ranges, If-Range and If-None-Match are understood; the ETag is the file's SHA-256."
	binary := func(text string) *huma.Response {
		return &huma.Response{Description: text, Content: map[string]*huma.MediaType{
			"application/zstd": {Schema: &huma.Schema{Type: huma.TypeString, Format: "binary"}},
		}}
	}
	file.Responses = map[string]*huma.Response{
		"200": binary("The file"), "206": binary("A range of the file"), "304": {Description: "You have this file already"},
		"416": {Description: "The range is outside the file"},
	}
	handle(a, file, func(ctx context.Context, by safepoint.Actor, in *InDownload) (*huma.StreamResponse, error) {
		d, err := a.cfg.App.OpenDownloadPart(ctx, by, in.Operation, app.PartOf(http.MethodGet, in.Range))
		if err != nil {
			return nil, err
		}
		return &huma.StreamResponse{Body: func(c huma.Context) {
			defer d.Close()
			serveFile(c, d)
		}}, nil
	})
}

// serveFile sends the file, or the ranges of it that were asked for.
func serveFile(c huma.Context, d app.Download) {
	r, w := humago.Unwrap(c)
	h := w.Header()
	h.Set("Content-Type", "application/zstd")
	h.Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": d.Name}))
	if sum, err := hex.DecodeString(d.SHA256); err == nil && len(sum) > 0 {
		h.Set("ETag", `"`+d.SHA256+`"`)
		h.Set("Repr-Digest", "sha-256=:"+base64.StdEncoding.EncodeToString(sum)+":")
	}
	http.ServeContent(&patient{ResponseWriter: w, rc: http.NewResponseController(w)}, r, "", d.ModTime,
		io.NewSectionReader(d, 0, d.Size()))
}

// patient gives a slow reader time as long as it goes on reading, whatever the size of the file.
type patient struct {
	http.ResponseWriter
	rc *http.ResponseController
}

func (p *patient) Write(b []byte) (int, error) {
	p.rc.SetWriteDeadline(time.Now().Add(streamPatience))
	return p.ResponseWriter.Write(b)
}
