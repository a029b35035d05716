package cli

import (
	"os"
	"runtime"
	"runtime/debug"
)

const (
	// workingMemory is what commands that work on files aim to stay under, in bytes of Go's memory: the collector runs more
	// often near it. A process of 128 MiB has room for libzstd and the program's own pages besides.
	workingMemory = 96 << 20
	// garbage is how much of it may wait to be collected, in percent of what is in use. Rows pass through without leaving any,
	// so there is little to collect, except where tables are many.
	garbage = 50
)

// mindMemory sets both, unless the environment asks for something else.
func mindMemory() {
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(workingMemory)
	}
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(garbage)
	}
}

// collectSeldom has the collector of a server run after another 32 MB of garbage, until done is called, unless the
// environment says when: a server keeps some 10 MB, a long page leaves one, and to go through what is kept after every tenth
// of these was a quarter of what pages took. A larger GOGC would multiply what a backup keeps, too.
//
// What it holds is never touched, so it takes addresses and no memory: the collector takes it for something that is kept, and
// lets as much pile up.
func collectSeldom() (done func()) {
	if os.Getenv("GOGC") != "" || os.Getenv("GOMEMLIMIT") != "" {
		return func() {}
	}
	ballast := make([]byte, 32<<20)
	return func() { runtime.KeepAlive(ballast) }
}
