//go:build faultpoints

package fault

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// chosen is the fault that is wanted, and how often its place was passed.
var chosen struct {
	sync.Mutex
	spec   string
	passed int
	calls  map[string]int // of each kind, where they are only counted
}

// Point does what is wanted at the named place. It returns an error only where one was asked for.
func Point(name string) error {
	if act(name) != "" {
		return fmt.Errorf("fault: %s failed on purpose", name)
	}
	return nil
}

// Named is a point's name for a function that passes it on.
func Named(name string) string { return name }

// Call says whether a call of that kind is to fail: before it has done anything, or after.
func Call(kind string) (before, after error) {
	if spec := wanted(); strings.HasPrefix(spec, "calls=count") {
		count(spec, kind)
		return nil, nil
	}
	err := fmt.Errorf("fault: a call of the %s failed on purpose", kind)
	switch act("call:" + kind) {
	case "error":
		return err, nil
	case "lost":
		return nil, err
	}
	return nil, nil
}

// act counts a passage, and if it is the one that was chosen kills, stops, or returns what else is to be done.
func act(name string) string {
	spec := wanted()
	at, action, ok := strings.Cut(spec, "=")
	if !ok || at != name {
		return ""
	}
	action, _, _ = strings.Cut(action, "#")
	action, nth, counted := strings.Cut(action, "@")
	nth, onward := strings.CutSuffix(nth, "+")
	if n, _ := strconv.Atoi(nth); counted {
		passed := pass(spec)
		if passed != n && !(onward && passed > n) {
			return ""
		}
	}
	met(spec)
	switch action {
	case "kill":
		syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	case "stop":
		stop()
		return ""
	}
	return action
}

func wanted() string {
	if file := os.Getenv("SAFEPOINT_FAULT_FILE"); file != "" {
		spec, _ := os.ReadFile(file)
		return strings.TrimSpace(string(spec))
	}
	return os.Getenv("SAFEPOINT_FAULT")
}

// count counts a call, and writes a line for each kind into the file: "engine 12".
func count(spec, kind string) {
	chosen.Lock()
	defer chosen.Unlock()
	if chosen.spec != spec {
		chosen.spec, chosen.calls = spec, map[string]int{}
	}
	chosen.calls[kind]++
	var b strings.Builder
	for kind, n := range chosen.calls {
		fmt.Fprintf(&b, "%s %d\n", kind, n)
	}
	met(b.String())
}

func pass(spec string) int {
	chosen.Lock()
	defer chosen.Unlock()
	if chosen.spec != spec {
		chosen.spec, chosen.passed = spec, 0
	}
	chosen.passed++
	return chosen.passed
}

func met(spec string) {
	if file := os.Getenv("SAFEPOINT_FAULT_FILE"); file != "" {
		os.WriteFile(file+".met", []byte(spec), 0o600)
	}
}

// stop stops the process before this goroutine goes on: a signal to the process as a whole may reach another thread,
// and this one would run on for a moment.
func stop() {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	syscall.RawSyscall(syscall.SYS_TGKILL, uintptr(os.Getpid()), uintptr(syscall.Gettid()), uintptr(syscall.SIGSTOP))
}

// Lease is how long a silent process keeps its operations, where a test cannot wait for the usual time.
func Lease() time.Duration {
	d, _ := time.ParseDuration(os.Getenv("SAFEPOINT_FAULT_LEASE"))
	return d
}
