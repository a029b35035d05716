//go:build !faultpoints

package fault

// Point does nothing in a normal build.
func Point(string) error { return nil }
