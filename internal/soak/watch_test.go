package soak

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

// runOnThread starts a child and waits for it on one thread: the kernel counts the end of the thread that started a child
// as the parent's death.
func runOnThread(cmd *exec.Cmd, started chan<- error, dead chan<- struct{}) {
	runtime.LockOSThread()
	err := cmd.Start()
	started <- err
	if err == nil {
		cmd.Wait()
		close(dead)
	}
}

// watch looks for secrets where none may be: in the arguments of the server and of what it starts, all the time, and in
// logs and files when it is asked.
type watch struct {
	mu      sync.Mutex
	secrets map[string]string // by what they are
	found   []string
	done    chan struct{}
	quiet   chan struct{}
	scanned map[string]int64 // files that do not change once they are there, by size
}

// startWatch looks at the arguments of every process that is p's or p's child's, every few milliseconds.
func startWatch(t *testing.T, pid func() int) *watch {
	w := &watch{secrets: map[string]string{}, done: make(chan struct{}), quiet: make(chan struct{}), scanned: map[string]int64{}}
	go func() {
		defer close(w.quiet)
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-w.done:
				return
			case <-tick.C:
				w.arguments(pid())
			}
		}
	}()
	t.Cleanup(func() { close(w.done); <-w.quiet })
	return w
}

func (w *watch) arguments(pid int) {
	if args, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid)); err == nil {
		w.look(fmt.Sprintf("the arguments of process %d", pid), args)
	}
	children, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, path := range children {
		list, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		for _, child := range strings.Fields(string(list)) {
			if args, err := os.ReadFile("/proc/" + child + "/cmdline"); err == nil {
				w.look("the arguments of a child", args)
			}
		}
	}
}

func (w *watch) keep(what, secret string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if secret != "" {
		w.secrets[what] = secret
	}
}

func (w *watch) look(where string, text []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for what, secret := range w.secrets {
		if bytes.Contains(text, []byte(secret)) {
			w.found = append(w.found, fmt.Sprintf("%s holds %s", where, what))
		}
	}
}

// folder looks at every file below dir. Backups, which never change, are looked at once.
func (w *watch) folder(dir string) {
	filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return nil
		}
		info, err := d.Info()
		if err != nil {
			return nil
		}
		if w.scanned[path] == info.Size() && strings.Contains(path, ".sql") {
			return nil
		}
		if data, err := os.ReadFile(path); err == nil {
			w.look(path, data)
			w.scanned[path] = info.Size()
		}
		return nil
	})
}

// take returns what was found since it was asked last.
func (w *watch) take() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	found := w.found
	w.found = nil
	return found
}
