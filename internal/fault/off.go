//go:build !faultpoints

package fault

// Point does nothing in a normal build.
func Point(string) error { return nil }

// Named is a point's name for a function that passes it on; nothing in a normal build.
func Named(string) string { return "" }

// Call does nothing in a normal build.
func Call(string) (before, after error) { return nil, nil }
