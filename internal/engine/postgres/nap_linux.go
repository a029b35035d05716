package postgres

import (
	"time"

	"golang.org/x/sys/unix"
)

// sleepInKernel sleeps without the runtime's timers, which are too coarse for so short a time.
func sleepInKernel(d time.Duration) {
	pause := unix.NsecToTimespec(int64(d))
	unix.Nanosleep(&pause, nil)
}
