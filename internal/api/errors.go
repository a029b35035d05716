package api

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"sync"

	"github.com/danielgtaylor/huma/v2"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/api/wire"
)

// Codes is every code of an error, with the HTTP status it is answered with: the only such table. What concerns the
// request is 4xx; what another machine or program did, or lacks, is 502; what this one lacks is 5xx.
var Codes = map[safepoint.Code]int{
	safepoint.CodeInvalid:       http.StatusUnprocessableEntity,
	safepoint.CodeUnauthorized:  http.StatusUnauthorized,
	safepoint.CodeForbidden:     http.StatusForbidden,
	safepoint.CodeNotFound:      http.StatusNotFound,
	safepoint.CodeConflict:      http.StatusConflict,
	safepoint.CodeStepUp:        http.StatusForbidden,
	safepoint.CodeTooMany:       http.StatusTooManyRequests,
	safepoint.CodeUnreachable:   http.StatusBadGateway,
	safepoint.CodeName:          http.StatusBadGateway,
	safepoint.CodeRefused:       http.StatusBadGateway,
	safepoint.CodePassword:      http.StatusBadGateway,
	safepoint.CodeTLS:           http.StatusBadGateway,
	safepoint.CodePrivilege:     http.StatusBadGateway,
	safepoint.CodeVersion:       http.StatusBadGateway,
	safepoint.CodeTool:          http.StatusServiceUnavailable,
	safepoint.CodeSpace:         http.StatusInsufficientStorage,
	safepoint.CodeArchive:       http.StatusUnprocessableEntity,
	safepoint.CodeKey:           http.StatusUnprocessableEntity,
	safepoint.CodeBlocked:       http.StatusConflict,
	safepoint.CodeMismatch:      http.StatusConflict,
	safepoint.CodeHalt:          http.StatusBadGateway,
	safepoint.CodeCancelled:     http.StatusConflict,
	safepoint.CodeInterrupted:   http.StatusServiceUnavailable,
	safepoint.CodeNeedsOperator: http.StatusConflict,
	safepoint.CodeInternal:      http.StatusInternalServerError,
}

// Status is the HTTP status of err. A code that is missing from the table is ours to mend: 500.
func Status(err error) int {
	if s, ok := Codes[safepoint.ErrorCode(err)]; ok {
		return s
	}
	return http.StatusInternalServerError
}

// problem is a wire.Problem as huma wants errors to be. Its schema in the OpenAPI document is wire.Problem's.
type problem struct{ wire.Problem }

func (p *problem) Error() string             { return p.Title }
func (p *problem) GetStatus() int            { return p.Status }
func (p *problem) ContentType(string) string { return "application/problem+json" }

// problemOf is what a person may see of err.
func problemOf(err error) *problem {
	e := safepoint.UserError(err)
	return &problem{wire.Problem{
		Type: "urn:safepoint:error:" + string(e.Code), Code: string(e.Code), Title: e.Message,
		Status: Status(e), Hint: e.Hint, Field: e.Field,
	}}
}

// fail turns what a handler returned into the answer, and logs what only the operator may see.
func (a *API) fail(ctx context.Context, err error) error {
	if errors.Is(err, context.Canceled) && ctx.Err() != nil {
		err = safepoint.Errorf(safepoint.CodeCancelled, "The request was ended before its answer was ready.").WithCause(err)
	}
	p := problemOf(err)
	level := slog.LevelDebug
	switch code := safepoint.Code(p.Code); {
	case code == safepoint.CodeInternal:
		level = slog.LevelError
	case code.ForOperator():
		level = slog.LevelWarn
	}
	a.cfg.Log.Log(ctx, level, "api: request failed", "code", p.Code, "error", err.Error())
	return p
}

// claimErrors makes huma's own refusals (validation, unreadable bodies, sizes) speak as everything else here does.
// huma keeps the maker of errors in a package variable; this program serves one API, so it is set once.
var claimErrors = sync.OnceFunc(func() {
	huma.NewError = newProblem
	huma.NewErrorWithContext = func(_ huma.Context, status int, msg string, errs ...error) huma.StatusError {
		return newProblem(status, msg, errs...)
	}
})

// newProblem drops the values huma would repeat: a rejected value may be a password.
func newProblem(status int, msg string, errs ...error) huma.StatusError {
	for _, err := range errs {
		var p *problem
		if errors.As(err, &p) {
			return p
		}
	}
	code := safepoint.CodeInvalid
	if status >= 500 {
		code = safepoint.CodeInternal
	}
	p := &problem{wire.Problem{
		Type: "urn:safepoint:error:" + string(code), Code: string(code), Status: status, Title: titleOf(status),
	}}
	for _, err := range errs {
		var d huma.ErrorDetailer
		if !errors.As(err, &d) || code == safepoint.CodeInternal {
			continue
		}
		detail := d.ErrorDetail()
		p.Errors = append(p.Errors, wire.Wrong{Field: fieldOf(detail.Location), Detail: detail.Message})
	}
	if len(p.Errors) > 0 {
		p.Field, p.Detail = p.Errors[0].Field, p.Errors[0].Detail
	} else if code == safepoint.CodeInvalid {
		p.Detail = msg
	}
	if len(p.Errors) == 1 {
		p.Errors = nil
	}
	return p
}

func titleOf(status int) string {
	switch {
	case status >= 500:
		return safepoint.UserError(errors.New("internal")).Message
	case status == http.StatusRequestEntityTooLarge:
		return "The request is too large."
	case status == http.StatusRequestTimeout:
		return "The request took too long to arrive."
	}
	return "The request is not valid."
}

// fieldOf is "name" for "body.name", and "limit" for "query.limit".
func fieldOf(location string) string {
	_, field, _ := strings.Cut(location, ".")
	return field
}
