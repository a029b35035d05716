//go:build unix && !linux

package postgres

import "time"

func sleepInKernel(d time.Duration) { time.Sleep(d) }
