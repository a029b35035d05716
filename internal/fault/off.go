//go:build !faultpoints

package fault

import "time"

// Point does nothing in a normal build.
func Point(string) error { return nil }

// Named is a point's name for a function that passes it on; nothing in a normal build.
func Named(string) string { return "" }

// Call does nothing in a normal build.
func Call(string) (before, after error) { return nil, nil }

// Lease is 0, the usual one, in a normal build.
func Lease() time.Duration { return 0 }
