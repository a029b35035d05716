package postgres

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// stallLimit is how long a program may keep a processor busy without reading or writing anything. pg_restore reads and writes
// a few kilobytes at a time; damaged files in tar format make it turn in a circle for ever.
var stallLimit = 10 * time.Second

// stallTick is how often it is looked at.
const stallTick = 200 * time.Millisecond

// watchStall calls stop when the program has stalled, and returns when it did, when ctx ends, or where the system does not say
// what its processes do. How busy the machine is, and how long somebody takes to read what the program writes, have no say.
func watchStall(ctx context.Context, pid int, stop func()) {
	tick := time.NewTicker(stallTick)
	defer tick.Stop()
	moved, since := int64(-1), time.Duration(0)
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		bytes, busy, ok := activity(pid)
		switch {
		case !ok:
			return
		case bytes != moved:
			moved, since = bytes, busy
		case busy-since > stallLimit:
			stop()
			return
		}
	}
}

// activity is how many bytes a process has read and written, and how long it has kept a processor busy. ok is false where
// there is no /proc, or no such process.
func activity(pid int) (bytes int64, busy time.Duration, ok bool) {
	io, err := os.ReadFile(fmt.Sprintf("/proc/%d/io", pid))
	if err != nil {
		return 0, 0, false
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, 0, false
	}
	for line := range strings.Lines(string(io)) {
		if key, value, _ := strings.Cut(strings.TrimSpace(line), ": "); key == "rchar" || key == "wchar" {
			n, _ := strconv.ParseInt(value, 10, 64)
			bytes += n
		}
	}
	_, rest, _ := strings.Cut(string(stat), ") ") // the name before it may hold anything but this
	fields := strings.Fields(rest)
	const user, system, tick = 11, 12, 10 * time.Millisecond // of what stands behind the name; USER_HZ is 100 on every Linux
	if len(fields) <= system {
		return 0, 0, false
	}
	for _, f := range fields[user : system+1] {
		n, _ := strconv.ParseInt(f, 10, 64)
		busy += time.Duration(n) * tick
	}
	return bytes, busy, true
}
