package doctor

import (
	"strings"
	"testing"
)

// TestRoom judges disks by what is still to be stored on them.
func TestRoom(t *testing.T) {
	t.Parallel()
	const gib = 1 << 30
	for _, c := range []struct {
		name                 string
		free, total, largest int64
		want                 Severity
		says                 string
	}{
		{"a large disk, nearly full, small backups", 12 * gib, 252 * gib, 1 << 20, Info, "12.0 GiB of 252.0 GiB"},
		{"a large disk, half empty, a huge backup", 300 * gib, 600 * gib, 150 * gib, Warning, "The largest backup has 150.0 GiB"},
		{"just enough for three more", 450 * gib, 600 * gib, 150 * gib, Info, "450.0 GiB"},
		{"little, and no backups", 900 << 20, 10 * gib, 0, Warning, "900 MiB"},
		{"hardly anything", 10 << 20, 10 * gib, 0, Problem, "10 MiB"},
	} {
		f := room("/data", c.free, c.total, c.largest)
		if f.Severity != c.want || !strings.Contains(f.What, c.says) || (f.Next == "") != (c.want == Info) {
			t.Errorf("%s: %+v, want %s saying %q", c.name, f, c.want, c.says)
		}
	}
}
