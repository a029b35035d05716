package soak

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// fingerprint is every file of a folder, with what is in it.
func fingerprint(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		fmt.Fprintf(&b, "%s %x\n", path, sha256.Sum256(data))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// difference are the lines that only one of two texts has.
func difference(a, b string) string {
	var out []string
	for line := range strings.SplitSeq(a, "\n") {
		if !strings.Contains(b, line) {
			out = append(out, "-"+line)
		}
	}
	for line := range strings.SplitSeq(b, "\n") {
		if !strings.Contains(a, line) {
			out = append(out, "+"+line)
		}
	}
	return strings.Join(out, "\n")
}
