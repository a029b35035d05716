package cli

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"syscall"
	"text/tabwriter"

	"github.com/safepoint-db/safepoint"
)

func writeJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

// print writes a result: v with --json, otherwise what text writes.
func (env *Env) print(v any, text func(w io.Writer)) error {
	if env.JSON {
		return writeJSON(env.Out, v)
	}
	text(env.Out)
	return nil
}

// facts writes pairs of name and value, one a line, without those that have no value.
func facts(w io.Writer, pairs ...string) {
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			fmt.Fprintf(t, "%s:\t%s\n", pairs[i], oneLine(pairs[i+1]))
		}
	}
	t.Flush()
}

// confirm asks question on a terminal; elsewhere it wants --yes. yes is that flag.
func (env *Env) confirm(yes bool, question string) error {
	if yes {
		return nil
	}
	if !env.terminal() {
		return confirmation("--yes")
	}
	fmt.Fprintf(env.Err, "%s [y/N] ", question)
	answer, err := readLine(env.In)
	if err != nil {
		return err
	}
	if a := strings.ToLower(strings.TrimSpace(answer)); a != "y" && a != "yes" {
		return safepoint.Errorf(safepoint.CodeCancelled, "Nothing was changed.")
	}
	return nil
}

// confirmName asks for the exact name on a terminal; elsewhere it wants --confirm NAME, whose value is given.
func (env *Env) confirmName(given, name, question string) (string, error) {
	switch {
	case given != "":
		return given, nil
	case !env.terminal():
		return "", confirmation(fmt.Sprintf("--confirm %q", name))
	}
	fmt.Fprintf(env.Err, "%s\nTo confirm, type %s: ", question, name)
	answer, err := readLine(env.In)
	return strings.TrimSpace(answer), err
}

func readLine(r io.Reader) (string, error) {
	line, err := bufio.NewReader(r).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", fmt.Errorf("read answer: %w", err)
	}
	return strings.TrimRight(line, "\r\n"), nil
}

// fileError says in words what is wrong with a file of this machine.
func fileError(err error, path string) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, fs.ErrNotExist):
		return safepoint.Errorf(safepoint.CodeNotFound, "There is no file or folder %s.", path).WithHint("Check the path; it counts from the folder you are in.").WithCause(err)
	case errors.Is(err, fs.ErrPermission):
		return safepoint.Errorf(safepoint.CodePrivilege, "You may not use %s.", path).WithHint("Run this as the user it belongs to, or choose another place.").WithCause(err)
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return safepoint.Errorf(safepoint.CodeSpace, "The disk of %s is full.", path).WithHint("Make room there, or choose another place.").WithCause(err)
	}
	return err
}
