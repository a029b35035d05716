//go:build faultpoints

package calls

import (
	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/fault"
)

// Kinds of calls, as they stand in a fault's spec behind "call:".
const (
	kindEngine  = "engine"
	kindStorage = "storage"
	kindHalter  = "halter"
)

// get makes a call that returns a value, unless it is to fail. Whoever made it cannot tell it from one that failed by
// itself, nor, where only the answer is lost, whether it took place.
func get[T any](kind string, call func() (T, error)) (T, error) {
	before, after := fault.Call(kind)
	if before != nil {
		var none T
		return none, unreachable(before)
	}
	v, err := call()
	if err == nil && after != nil {
		err = unreachable(after)
	}
	return v, err
}

// do makes a call that returns an error alone.
func do(kind string, call func() error) error {
	_, err := get(kind, func() (struct{}, error) { return struct{}{}, call() })
	return err
}

func unreachable(err error) error {
	return safepoint.Errorf(safepoint.CodeUnreachable, "No answer, on purpose.").WithHint("This is a test.").WithCause(err)
}
