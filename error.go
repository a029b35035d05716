package safepoint

import (
	"errors"
	"fmt"
)

// Code is the stable, machine-readable name of a kind of error. The API, the CLI and the console each have
// exactly one table that turns a Code into their own terms (an HTTP status, an exit code, a page).
type Code string

const (
	CodeInvalid       Code = "invalid"        // the request itself is wrong; Field may name where
	CodeUnauthorized  Code = "unauthorized"   // nobody is signed in, or the sign-in ran out
	CodeForbidden     Code = "forbidden"      // signed in, but the role may not do this
	CodeNotFound      Code = "not_found"      // not there, or of another organization: the same answer on purpose
	CodeConflict      Code = "conflict"       // something else is under way, or the state moved on
	CodeStepUp        Code = "step_up"        // the password must be entered again first
	CodeTooMany       Code = "too_many"       // slow down; the message says for how long
	CodeUnreachable   Code = "unreachable"    // a database, storage or service did not answer
	CodeName          Code = "name_not_found" // a host name did not resolve, or no such database
	CodeRefused       Code = "refused"        // the host answered, but nothing listens there
	CodePassword      Code = "password"       // the server refused the password
	CodeTLS           Code = "tls"            // encryption was asked for and failed
	CodePrivilege     Code = "privilege"      // the database role may not do what is needed
	CodeVersion       Code = "version"        // a server, program or archive version that does not fit
	CodeTool          Code = "tool_missing"   // a program on this machine (pg_dump) is missing or too old
	CodeSpace         Code = "no_space"       // a disk is full, or would be
	CodeArchive       Code = "bad_archive"    // truncated, altered, extended, foreign or of another engine
	CodeKey           Code = "key"            // a file is encrypted, and its key is missing or another
	CodeBlocked       Code = "blocked"        // something on the server stands in the way of a restore
	CodeMismatch      Code = "mismatch"       // what was restored is not what was backed up
	CodeHalt          Code = "halt_failed"    // a service did not halt
	CodeCancelled     Code = "cancelled"      // a person stopped it
	CodeInterrupted   Code = "interrupted"    // the server stopped in the middle of it
	CodeNeedsOperator Code = "needs_operator" // no safe next step can be chosen by the program
	CodeInternal      Code = "internal"       // ours; the log has the detail
)

// ForOperator says that the operator of the machine can mend a failure of that kind, and needs its cause for that: the person
// who meets it is not told which folder or address it is.
func (c Code) ForOperator() bool {
	switch c {
	case CodeUnreachable, CodeRefused, CodeTLS, CodePrivilege, CodeTool, CodeSpace:
		return true
	}
	return false
}

// Error is what a person gets to see. Message says what happened in one sentence, Hint says what to do next.
// Err is the cause for the operator's log: it is never shown to a user, and never holds a secret.
type Error struct {
	Code    Code
	Message string
	Hint    string
	Field   string // the input field that is wrong, with CodeInvalid; with CodeConflict the one that would confirm it
	Err     error

	Said, Advised Phrase // how Message and Hint were made, where that is known
}

// Error is for logs: the message and its cause.
func (e *Error) Error() string {
	if e.Err == nil {
		return e.Message
	}
	return e.Message + ": " + e.Err.Error()
}

func (e *Error) Unwrap() error { return e.Err }

// Errorf makes an *Error with a formatted message. The cause, where there is one, is added by WithCause.
func Errorf(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...), Said: NewPhrase(format, args...)}
}

// Invalid makes an *Error about one input field.
func Invalid(field, format string, args ...any) *Error {
	return &Error{Code: CodeInvalid, Field: field, Message: fmt.Sprintf(format, args...), Said: NewPhrase(format, args...)}
}

// WithHint returns a copy of e that also says what to do next.
func (e *Error) WithHint(format string, args ...any) *Error {
	c := *e
	c.Hint, c.Advised = fmt.Sprintf(format, args...), NewPhrase(format, args...)
	return &c
}

// Hinted is WithHint for a hint that stands as it is, such as one that was chosen before.
func (e *Error) Hinted(hint string) *Error {
	c := *e
	c.Hint, c.Advised = hint, Phrase{Sentence: hint}
	return &c
}

// HintedAs is WithHint with the hint of another error.
func (e *Error) HintedAs(other *Error) *Error {
	c := *e
	c.Hint, c.Advised = other.Hint, other.Advised
	return &c
}

// WithCause returns a copy of e that carries err for the log.
func (e *Error) WithCause(err error) *Error {
	c := *e
	c.Err = err
	return &c
}

// ErrorCode is the Code of the first *Error in err's chain, CodeInternal for any other error, "" for nil.
func ErrorCode(err error) Code {
	var e *Error
	switch {
	case err == nil:
		return ""
	case errors.As(err, &e):
		return e.Code
	}
	return CodeInternal
}

// UserError is what a person may see of err: its *Error without the cause, or a plain "internal" one.
func UserError(err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		c := *e
		c.Err = nil
		return &c
	}
	return Errorf(CodeInternal, "Something broke on our side.").WithHint("The server's log has the details. Backups go on as planned.")
}

// Failure is what a record keeps of e.
func (e *Error) Failure() *Failure {
	return &Failure{Code: e.Code, Message: e.Message, Hint: e.Hint, Said: e.Said, Advised: e.Advised}
}

// Failed is the error of which f is the record.
func (f *Failure) Failed() *Error {
	return &Error{Code: f.Code, Message: f.Message, Hint: f.Hint, Said: f.Said, Advised: f.Advised}
}
