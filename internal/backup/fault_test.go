//go:build faultpoints

package backup

import (
	"strings"
	"testing"
)

// A failure at any place leaves no file.
func TestFaults(t *testing.T) {
	for _, point := range []string{"backup.create", "backup.dump", "backup.commit.before", "backup.commit.after", "backup.verify"} {
		t.Run(point, func(t *testing.T) {
			t.Setenv("SAFEPOINT_FAULT", point+"=error")
			j, dir := bench(t)
			_, err := Run(t.Context(), j, nil)
			if err == nil || !strings.Contains(err.Error(), point) {
				t.Errorf("got %v", err)
			}
			if left := files(t, dir); len(left) != 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}
