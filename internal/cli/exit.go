package cli

import (
	"errors"
	"fmt"
	"strings"
	"syscall"

	"github.com/safepoint-db/safepoint"
)

// Exit codes. docs/cli.md and the help text list them.
const (
	exitOK          = 0
	exitFailed      = 1
	exitUsage       = 2
	exitNotFound    = 3
	exitDenied      = 4
	exitConflict    = 5
	exitArchive     = 6
	exitUnreachable = 7
	exitMachine     = 8
	exitOperator    = 9
	exitInterrupted = 130 // SIGINT; SIGTERM is 143, as shells have it
)

// exitMeanings are in the help text, in this order.
var exitMeanings = []struct {
	Code    int
	Meaning string
}{
	{exitOK, "done"},
	{exitFailed, "failed, or cancelled by a person"},
	{exitUsage, "the command line is wrong"},
	{exitNotFound, "not found, or a value is not valid"},
	{exitDenied, "not signed in, not allowed, or a password or key was refused"},
	{exitConflict, "something else is under way, the target is not empty, or slow down"},
	{exitArchive, "the backup file is not whole, or what was restored is not what was backed up"},
	{exitUnreachable, "a server, database or service did not answer"},
	{exitMachine, "no space left, or a program is missing or does not fit"},
	{exitOperator, "a person must look: services did not resume, or no safe next step was found"},
	{exitInterrupted, "interrupted (143: terminated)"},
}

// exitCodes is the only table from a kind of error to an exit code.
var exitCodes = map[safepoint.Code]int{
	safepoint.CodeInvalid:       exitNotFound,
	safepoint.CodeUnauthorized:  exitDenied,
	safepoint.CodeForbidden:     exitDenied,
	safepoint.CodeNotFound:      exitNotFound,
	safepoint.CodeConflict:      exitConflict,
	safepoint.CodeStepUp:        exitDenied,
	safepoint.CodeTooMany:       exitConflict,
	safepoint.CodeUnreachable:   exitUnreachable,
	safepoint.CodeName:          exitUnreachable,
	safepoint.CodeRefused:       exitUnreachable,
	safepoint.CodePassword:      exitDenied,
	safepoint.CodeTLS:           exitUnreachable,
	safepoint.CodePrivilege:     exitDenied,
	safepoint.CodeVersion:       exitMachine,
	safepoint.CodeTool:          exitMachine,
	safepoint.CodeSpace:         exitMachine,
	safepoint.CodeArchive:       exitArchive,
	safepoint.CodeKey:           exitDenied,
	safepoint.CodeBlocked:       exitConflict,
	safepoint.CodeMismatch:      exitArchive,
	safepoint.CodeHalt:          exitUnreachable,
	safepoint.CodeCancelled:     exitFailed,
	safepoint.CodeInterrupted:   exitFailed,
	safepoint.CodeNeedsOperator: exitOperator,
	safepoint.CodeInternal:      exitFailed,
}

func exitCode(err error) int {
	var u usage
	var s signalled
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &u):
		return exitUsage
	case errors.As(err, &s):
		if s.Signal == syscall.SIGTERM {
			return 128 + int(syscall.SIGTERM)
		}
		return exitInterrupted
	}
	if code, ok := exitCodes[safepoint.ErrorCode(err)]; ok {
		return code
	}
	return exitFailed
}

func description() string {
	var b strings.Builder
	b.WriteString("Back up databases, see every backup and restore in one log, and restore any of them.\n\nExit codes:\n")
	for _, m := range exitMeanings {
		fmt.Fprintf(&b, "\n    %3d  %s", m.Code, m.Meaning)
	}
	return b.String()
}
