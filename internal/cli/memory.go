package cli

import (
	"os"
	"runtime/debug"
)

// workingMemory is what commands that work on files aim to stay under, in bytes of Go's memory: the collector runs more
// often near it. A process of 128 MiB has room for libzstd besides.
const workingMemory = 104 << 20

// mindMemory sets workingMemory, unless the environment asks for another limit.
func mindMemory() {
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(workingMemory)
	}
}
