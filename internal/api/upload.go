package api

import (
	"context"
	"io"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/api/wire"
	"github.com/safepoint-db/safepoint/internal/app"
)

// UploadRequest is the input of an upload. Its body is read by the handler as it comes, never held whole.
type UploadRequest struct {
	InOrg
	Database string `path:"database" example:"db_k3jq7w2mfz5xv4na"`
	FileName string `query:"file_name" maxLength:"500" doc:"What the file is called where it comes from" example:"shop.dump"`
	NoOwner  bool   `query:"no_owner" doc:"Leave out who owns what and who may do what, of a dump that Safepoint did not make"`

	body io.Reader
	size int64
}

// Resolve implements huma.Resolver: it takes the body as a stream.
func (u *UploadRequest) Resolve(c huma.Context) []error {
	r, w := humago.Unwrap(c)
	u.body, u.size = &patientReader{r: r.Body, rc: http.NewResponseController(w)}, max(0, r.ContentLength)
	return nil
}

// patientReader gives a slow sender time as long as it goes on sending, whatever the size of the file.
type patientReader struct {
	r  io.Reader
	rc *http.ResponseController
}

func (p *patientReader) Read(b []byte) (int, error) {
	p.rc.SetReadDeadline(time.Now().Add(streamPatience))
	p.rc.SetWriteDeadline(time.Now().Add(streamPatience + time.Minute))
	return p.r.Read(b)
}

func (a *API) uploadRoute(tag string) {
	upload := with(http.StatusAccepted, change(http.MethodPost, orgPrefix+"/databases/{database}/upload", "upload-backup", "Upload a backup's file", tag))
	upload.Description += " The body is the file itself: a backup of Safepoint or, where the operator allows it, a dump of pg_dump in any of its formats, also in gzip, zstd, bzip2, xz or zip. It is checked whole before it can be restored; the answer is the operation that does so."
	upload.RequestBody = &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{
		"application/octet-stream": {Schema: &huma.Schema{Type: huma.TypeString, Format: "binary"}},
	}}
	handle(a, upload, func(ctx context.Context, by safepoint.Actor, in *UploadRequest) (*body[wire.Operation], error) {
		o, err := a.cfg.App.Upload(ctx, by, app.UploadInput{DatabaseID: in.Database, FileName: in.FileName, NoOwner: in.NoOwner, Size: in.size}, in.body)
		return reply(wire.FromOperation(o), err)
	})
}
