// Package writeback has the disk write a file that is still growing, so that the wait for the whole of it to be on the
// disk is short in the end.
package writeback

import "os"

// every is how many bytes are given to the disk at once.
const every = 8 << 20

// File is a file that only grows at its end. What is durable when is told by Sync alone.
type File struct {
	*os.File
	size, begun int64
}

// Write adds p, and lets the disk begin with what has come together.
func (f *File) Write(p []byte) (int, error) {
	n, err := f.File.Write(p)
	if f.size += int64(n); err == nil && f.size-f.begun >= every {
		begin(f.File, f.begun, f.size-f.begun)
		f.begun = f.size
	}
	return n, err
}
