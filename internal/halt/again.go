package halt

import (
	"context"
	"encoding/json"
	"time"
)

const (
	firstPause   = 50 * time.Millisecond
	longestPause = time.Second
)

// Again tries until it succeeds, until another try is of no use, or until ctx ends, with pauses that grow from 50 ms to
// 1 s. It returns the error of the last try that ctx did not end: that one says what was waited for.
func Again(ctx context.Context, try func(context.Context) (again bool, err error)) error {
	var last error
	for wait := firstPause; ; wait = min(2*wait, longestPause) {
		again, err := try(ctx)
		if err == nil {
			return nil
		}
		if last == nil || ctx.Err() == nil {
			last = err
		}
		if !again || !Pause(ctx, wait) {
			return last
		}
	}
}

// Pause waits for d, or returns false as soon as ctx ends.
func Pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// Parts is a Status.Prior that names the parts of a service that ran.
func Parts(running []string) string {
	if running == nil {
		running = []string{}
	}
	text, err := json.Marshal(running)
	if err != nil {
		panic("halt: a list of names cannot be written as JSON: " + err.Error())
	}
	return string(text)
}

// RanBefore reads what Parts wrote, whatever its names are of; known is false where nobody remembers, or where it was written by something else.
func RanBefore(prior string) (running []string, known bool) {
	if prior == "" || json.Unmarshal([]byte(prior), &running) != nil {
		return nil, false
	}
	return running, true
}
