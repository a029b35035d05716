package cli

import (
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// giveWay has no thread of this process, nor of those it starts, interrupt another when it is woken: it takes its turn
// (SCHED_BATCH). A dump is woken for every few kilobytes that the server sends; where both share processors the server then
// goes on until what the kernel holds for us is full, and there is more to read at once: docs/decisions/0023-batch.md.
// Where the system refuses it, or somebody chose another policy, everything stays as it is.
func giveWay() {
	const rounds = 10 // a thread may start another one before its own turn comes
	for again, round := true, 0; again && round < rounds; round++ {
		again = false
		threads, err := os.ReadDir("/proc/self/task")
		if err != nil {
			return
		}
		for _, thread := range threads {
			id, err := strconv.Atoi(thread.Name())
			if err != nil {
				return
			}
			again = setBatch(id) || again
		}
	}
}

// setBatch says whether it changed the policy of a thread.
func setBatch(thread int) bool {
	attr, err := unix.SchedGetAttr(thread, 0)
	if err != nil || attr.Policy != unix.SCHED_NORMAL {
		return false
	}
	attr.Policy = unix.SCHED_BATCH
	return unix.SchedSetAttr(thread, attr, 0) == nil
}
