package safepoint

import "testing"

func TestBytes(t *testing.T) {
	for n, want := range map[Bytes]string{
		0: "0 B", 1: "1 B", 1023: "1023 B", 1024: "1 KiB", 1100: "1.1 KiB", 1 << 20: "1 MiB", 1468007: "1.4 MiB", 18 << 20: "18 MiB",
		1 << 30: "1.0 GiB", 19756849152: "18.4 GiB", 1 << 40: "1.0 TiB", -1468007: "-1.4 MiB", 1 << 60: "1024.0 PiB",
	} {
		if got := n.String(); got != want {
			t.Errorf("%d: %q, want %q", int64(n), got, want)
		}
	}
}
