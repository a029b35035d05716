//go:build faultpoints

package fault

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
)

var passed atomic.Int64

// Point does what SAFEPOINT_FAULT asks for at the named place: "NAME=kill", "NAME=stop" or "NAME=error", each with an
// optional "@N" for the Nth passage only.
func Point(name string) error {
	at, action, ok := strings.Cut(os.Getenv("SAFEPOINT_FAULT"), "=")
	if !ok || at != name {
		return nil
	}
	action, nth, counted := strings.Cut(action, "@")
	if n, _ := strconv.ParseInt(nth, 10, 64); counted && passed.Add(1) != n {
		return nil
	}
	switch action {
	case "kill":
		syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	case "stop":
		syscall.Kill(os.Getpid(), syscall.SIGSTOP)
	case "error":
		return fmt.Errorf("fault: %s failed on purpose", name)
	}
	return nil
}
