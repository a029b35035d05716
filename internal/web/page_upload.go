package web

import (
	"errors"
	"io"
	"maps"
	"mime/multipart"
	"net/http"
	"strconv"
	"time"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/app"
)

const uploadPath = "/logs/upload"

type uploadView struct {
	F         *form
	Databases []safepoint.Database
	Free      string
}

func showUpload(v *visit) (reply, error) {
	return v.upload(newForm("database", v.r.URL.Query().Get("database")))
}

func (v *visit) upload(f *form) (*page, error) {
	d := uploadView{F: f}
	var err error
	if d.Databases, err = v.app.Databases(v.ctx, v.actor); err != nil {
		return nil, err
	}
	over, err := v.app.Overview(v.ctx, v.actor)
	if err != nil {
		return nil, err
	}
	if over.Space.Total > 0 {
		d.Free = v.t.Size(over.Space.Free)
	}
	return &page{Name: "upload", Title: v.t.Say("Upload backup"), Tab: "logs", Data: d}, nil
}

// doUpload takes the file as it comes: the form sends its other fields first.
func doUpload(v *visit) (reply, error) {
	f := v.posted()
	op, err := v.receive(f)
	if err == nil {
		return redirect("/logs/" + op.ID), nil
	}
	return v.refuseUpload(f, err)
}

// doUploadCheck is asked by a script before it sends gigabytes: would the file with this size and beginning be taken?
func doUploadCheck(v *visit) (reply, error) {
	if err := v.r.ParseMultipartForm(1 << 20); err != nil {
		return nil, safepoint.Errorf(safepoint.CodeInvalid, "The form could not be read.").WithCause(err)
	}
	f := v.posted()
	maps.Copy(f.Values, v.r.MultipartForm.Value)
	file, header, err := v.r.FormFile("file")
	if err != nil {
		return v.refuseUpload(f, safepoint.Invalid("file", "Choose a file."))
	}
	defer file.Close()
	size, err := strconv.ParseInt(f.Get("size"), 10, 64)
	if err != nil || size < 0 {
		return nil, safepoint.Errorf(safepoint.CodeInvalid, "The form could not be read.").WithCause(err)
	}
	head, err := io.ReadAll(io.LimitReader(file, app.UploadHead))
	if err != nil {
		return nil, err
	}
	in := app.UploadInput{DatabaseID: f.Get("database"), FileName: header.Filename, NoOwner: f.Get("no_owner") != "", Size: size}
	if err := v.app.CheckUpload(v.ctx, v.actor, in, head); err != nil {
		return v.refuseUpload(f, err)
	}
	v.w.WriteHeader(http.StatusNoContent)
	return nil, nil
}

// refuseUpload shows the form again, with why.
func (v *visit) refuseUpload(f *form, err error) (reply, error) {
	p, perr := v.upload(f)
	if perr != nil {
		return nil, perr
	}
	if safepoint.ErrorCode(err) == safepoint.CodeForbidden && v.admin() { // the operator's, not the role's: the form says so
		f.Problem = safepoint.UserError(err)
		p.Status = http.StatusForbidden
		return p, nil
	}
	return f.refused(p, err)
}

// receive reads the form's fields into f and hands the file on.
func (v *visit) receive(f *form) (safepoint.Operation, error) {
	parts, err := v.r.MultipartReader()
	if err != nil {
		return safepoint.Operation{}, safepoint.Errorf(safepoint.CodeInvalid, "The form could not be read.").WithCause(err)
	}
	for {
		part, err := parts.NextPart()
		switch {
		case err == io.EOF:
			return safepoint.Operation{}, safepoint.Invalid("file", "Choose a file.")
		case err != nil:
			return safepoint.Operation{}, broken(err)
		case part.FormName() != "file":
			if name := part.FormName(); name != "database" && name != "no_owner" || f.Values.Has(name) { // the body has no limit
				return safepoint.Operation{}, safepoint.Errorf(safepoint.CodeInvalid, "The form could not be read.")
			}
			value, err := io.ReadAll(io.LimitReader(part, 1000))
			if err != nil {
				return safepoint.Operation{}, broken(err)
			}
			f.Values.Set(part.FormName(), string(value))
			continue
		case part.FileName() == "":
			return safepoint.Operation{}, safepoint.Invalid("file", "Choose a file.")
		}
		in := app.UploadInput{DatabaseID: f.Get("database"), FileName: part.FileName(), NoOwner: f.Get("no_owner") != "", Size: max(0, v.r.ContentLength)}
		return v.app.Upload(v.ctx, v.actor, in, &patientPart{part: part, rc: http.NewResponseController(v.w)})
	}
}

func broken(err error) error {
	return safepoint.Errorf(safepoint.CodeInvalid, "The upload broke off before the file had come.").WithHint("Try again.").WithCause(err)
}

// partPatience is how long a sender may pause.
const partPatience = 2 * time.Minute

// patientPart gives a slow sender time as long as it goes on sending.
type patientPart struct {
	part *multipart.Part
	rc   *http.ResponseController
}

func (p *patientPart) Read(b []byte) (int, error) {
	p.rc.SetReadDeadline(time.Now().Add(partPatience))
	p.rc.SetWriteDeadline(time.Now().Add(2 * partPatience))
	n, err := p.part.Read(b)
	if err != nil && !errors.Is(err, io.EOF) {
		err = broken(err)
	}
	return n, err
}
