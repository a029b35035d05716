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
	"time"

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

// table writes rows under a header, in columns.
func table(w io.Writer, header []string, rows [][]string) {
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	fmt.Fprintln(t, strings.ToUpper(strings.Join(header, "\t")))
	for _, r := range rows {
		for i := range r {
			r[i] = oneLine(r[i])
		}
		fmt.Fprintln(t, strings.Join(r, "\t"))
	}
	t.Flush()
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

// oneLine keeps what a server or a file said from moving the cursor or starting a line of its own.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 {
			return ' '
		}
		return r
	}, s)
}

// when is a time in the terminal's zone, "" for the zero time.
func when(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Local().Format("2006-01-02 15:04:05 MST")
}

// bytesText is a size with a binary unit.
func bytesText(n int64) string {
	const units = "KMGTPE"
	if n < 1024 {
		return fmt.Sprintf("%d B", n)
	}
	v, u := float64(n)/1024, 0
	for v >= 1024 && u < len(units)-1 {
		v, u = v/1024, u+1
	}
	return fmt.Sprintf("%.1f %ciB", v, units[u])
}

// sizeText is bytesText, "" for nothing.
func sizeText(n int64) string {
	if n == 0 {
		return ""
	}
	return bytesText(n)
}

func seconds(s float64) string {
	if s == 0 {
		return ""
	}
	return durationText(time.Duration(s * float64(time.Second)))
}

// durationText is a duration as people say it: "350 ms", "12 s", "6 min 12 s", "17 h 14 min".
func durationText(d time.Duration) string {
	switch {
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d < time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%d min %d s", int(d.Minutes()), int(d.Seconds())%60)
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h %d min", int(d.Hours()), int(d.Minutes())%60)
	}
	return fmt.Sprintf("%d days %d h", int(d.Hours())/24, int(d.Hours())%24)
}

func number(n int64) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprint(n)
}

// count is "1 table", "3 tables".
func count[N int | int64](n N, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
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
		return safepoint.Errorf(safepoint.CodeNotFound, "There is no file or folder %s.", path).WithCause(err)
	case errors.Is(err, fs.ErrPermission):
		return safepoint.Errorf(safepoint.CodePrivilege, "You may not use %s.", path).WithCause(err)
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return safepoint.Errorf(safepoint.CodeSpace, "The disk of %s is full.", path).WithCause(err)
	}
	return err
}
