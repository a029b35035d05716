package safepoint

import (
	"strconv"
	"strings"
)

// Bytes is a number of bytes, which people read in units of 1024, with one decimal from 1 GiB on, and below ten of a
// smaller unit: "93 B", "1.4 MiB", "18 MiB", "1.0 GiB".
type Bytes int64

func (b Bytes) String() string {
	units := []string{"B", "KiB", "MiB", "GiB", "TiB", "PiB"}
	f, u := float64(b), 0
	for (f >= 1024 || f <= -1024) && u < len(units)-1 {
		f, u = f/1024, u+1
	}
	s := strconv.FormatFloat(f, 'f', 0, 64)
	if u >= 3 || u > 0 && f < 9.95 && f > -9.95 {
		s = strconv.FormatFloat(f, 'f', 1, 64)
		if u < 3 {
			s = strings.TrimSuffix(s, ".0")
		}
	}
	return s + " " + units[u]
}
