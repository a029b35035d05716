// Package process runs one program of the operator's: an argument list and never a shell, in a process group of its own
// that does not outlive its time, with no more of the server's environment than is named.
package process

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/safepoint-db/safepoint/internal/halt"
)

const (
	maxOutput = 4 << 10 // bytes that are kept; the rest is read and dropped
	minSecret = 4       // shorter values are words that hide nothing
	// lingering is how long output is still read after the program has ended, from what it left running.
	lingering = 300 * time.Millisecond
)

// Program is what to run.
type Program struct {
	Args []string // Args[0] is an absolute path
	Dir  string   // "" means /
	Env  []string // names of variables to pass on, besides PATH and LANG
	Set  []string // further NAME=value
}

// Check says what is wrong with a program before it is run, nil if nothing is.
func (p Program) Check() error {
	switch {
	case len(p.Args) == 0:
		return errors.New("a program is missing")
	case !filepath.IsAbs(p.Args[0]):
		return fmt.Errorf("the program %q is not an absolute path", halt.OneLine(p.Args[0]))
	case p.Dir != "" && !filepath.IsAbs(p.Dir):
		return fmt.Errorf("the folder %q is not an absolute path", halt.OneLine(p.Dir))
	}
	for _, name := range p.Env {
		if name == "" || strings.ContainsAny(name, "=\x00") {
			return fmt.Errorf("env holds names of variables, and %q is none", halt.OneLine(name))
		}
	}
	return nil
}

// Result is how a program ended.
type Result struct {
	Exit   int    // its code; -1 if a signal ended it
	Output string // what it wrote, as one line without the values of the variables it was given
}

// Run runs the program until it ends, or kills it and all it started when ctx ends. The error is why it did not end by
// itself; a code other than 0 is none.
func (p Program) Run(ctx context.Context) (Result, error) {
	if err := ctx.Err(); err != nil {
		return Result{Exit: -1}, err
	}
	var out tail
	cmd := exec.CommandContext(ctx, p.Args[0], p.Args[1:]...)
	cmd.Dir, cmd.Stdout, cmd.Stderr, cmd.WaitDelay = "/", &out, &out, lingering
	if p.Dir != "" {
		cmd.Dir = p.Dir
	}
	var secrets []string
	cmd.Env, secrets = p.environment()
	cmd.SysProcAttr = attributes()
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	// To Linux the program's parent is the thread that started it: it must not end before.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	err := cmd.Run()
	r := Result{Exit: -1, Output: out.line(secrets)}
	if cmd.ProcessState != nil {
		r.Exit = cmd.ProcessState.ExitCode()
	}
	var ended *exec.ExitError
	switch {
	case ctx.Err() != nil && err != nil:
		return r, ctx.Err()
	case errors.Is(err, exec.ErrWaitDelay), errors.As(err, &ended):
		return r, nil // it ended; what it left running still held its output open
	}
	return r, err
}

// environment is what the program gets, and the values in it that are nobody's business.
func (p Program) environment() (env, secrets []string) {
	for _, name := range append([]string{"PATH", "LANG"}, p.Env...) {
		value, ok := os.LookupEnv(name)
		if !ok {
			continue
		}
		env = append(env, name+"="+value)
		if name != "PATH" && name != "LANG" && len(value) >= minSecret {
			secrets = append(secrets, value)
		}
	}
	return append(env, p.Set...), secrets
}

// tail keeps the last maxOutput bytes written: what a program says last is why it failed.
type tail struct {
	mu   sync.Mutex
	text []byte
	cut  bool // something before text is lost
}

var _ io.Writer = (*tail)(nil)

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text = append(t.text, p...)
	if over := len(t.text) - maxOutput; over > 0 {
		t.text, t.cut = append(t.text[:0], t.text[over:]...), true
	}
	return len(p), nil
}

// line is the last line that says something.
func (t *tail) line(secrets []string) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	text := t.text
	// The longest first: one that begins as another one does would else leave its end behind.
	slices.SortFunc(secrets, func(a, b string) int { return len(b) - len(a) })
	for _, s := range secrets {
		for i := 1; i < len(s) && t.cut; i++ {
			if end := s[i:]; bytes.HasPrefix(text, []byte(end)) { // the beginning of it is lost
				text = text[len(end):]
				break
			}
		}
		text = bytes.ReplaceAll(text, []byte(s), []byte("…"))
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return halt.OneLine(lines[len(lines)-1])
}
