//go:build !linux

package writeback

import "os"

// begin leaves it to the system.
func begin(*os.File, int64, int64) {}
