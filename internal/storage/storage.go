// Package storage keeps backup files: put one whole or not at all, open a range of it, list, delete.
//
// Package storagetest holds the behaviour every back end must show.
package storage

import (
	"context"
	"io"
	"time"
)

// Object is one stored file.
type Object struct {
	Key     string
	Size    int64
	ModTime time.Time
}

// Space is the room of a storage. Zero Total means it is not known (object storage).
type Space struct{ Free, Total int64 }

// Used is how full the storage is, in percent; 0 where its room is not known.
func (s Space) Used() int {
	if s.Total <= 0 {
		return 0
	}
	return int((s.Total - s.Free) * 100 / s.Total)
}

// Low says how little room is left: "warn" from 85% used on, "bad" from 95% on, else "".
func (s Space) Low() string {
	switch used := s.Used(); {
	case used >= 95:
		return "bad"
	case used >= 85:
		return "warn"
	}
	return ""
}

// File reads a stored object at any offset.
type File interface {
	io.ReaderAt
	io.Closer
	Size() int64
}

// Upload is an object being written. Exactly one of Commit and Abort ends it; Abort after Commit does nothing.
// Until Commit returns nil there is no object under the key, also after a crash.
type Upload interface {
	io.Writer
	// Commit makes the object durable and only then visible under its key. It fails if the key exists.
	Commit() error
	Abort() error
}

// Storage is one back end. Keys are made by the program: lower-case letters, digits, "/", "_", "-", ".", no "..".
// A missing object is a *safepoint.Error with CodeNotFound; a full one CodeSpace; any other failure can be tried again.
type Storage interface {
	Create(ctx context.Context, key string) (Upload, error)
	Open(ctx context.Context, key string) (File, error)
	Stat(ctx context.Context, key string) (Object, error)
	// List calls fn for every object whose key starts with prefix, in key order, from the calling goroutine.
	List(ctx context.Context, prefix string, fn func(Object) error) error
	// Delete removes an object for good. Deleting what is not there succeeds.
	Delete(ctx context.Context, key string) error
	// Sweep removes what unfinished uploads left behind, and returns how many.
	Sweep(ctx context.Context) (int, error)
	Space(ctx context.Context) (Space, error)
	// Name is what it is called, such as "local"; every organization's people see it.
	Name() string
}
