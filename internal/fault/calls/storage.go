//go:build faultpoints

package calls

import (
	"context"

	"github.com/safepoint-db/safepoint/internal/halt"
	"github.com/safepoint-db/safepoint/internal/storage"
)

// Storage makes the calls of s fail when they are chosen to, also those on its files.
func Storage(s storage.Storage) storage.Storage { return faultyStorage{s} }

type faultyStorage struct{ s storage.Storage }

func (f faultyStorage) Create(ctx context.Context, key string) (storage.Upload, error) {
	u, err := get(kindStorage, func() (storage.Upload, error) { return f.s.Create(ctx, key) })
	if err != nil {
		if u != nil {
			u.Abort()
		}
		return nil, err
	}
	return faultyUpload{u}, nil
}

func (f faultyStorage) Open(ctx context.Context, key string) (storage.File, error) {
	file, err := get(kindStorage, func() (storage.File, error) { return f.s.Open(ctx, key) })
	if err != nil {
		if file != nil {
			file.Close()
		}
		return nil, err
	}
	return faultyFile{file}, nil
}

func (f faultyStorage) Stat(ctx context.Context, key string) (storage.Object, error) {
	return get(kindStorage, func() (storage.Object, error) { return f.s.Stat(ctx, key) })
}

func (f faultyStorage) List(ctx context.Context, prefix string, fn func(storage.Object) error) error {
	return do(kindStorage, func() error { return f.s.List(ctx, prefix, fn) })
}

func (f faultyStorage) Delete(ctx context.Context, key string) error {
	return do(kindStorage, func() error { return f.s.Delete(ctx, key) })
}

func (f faultyStorage) Sweep(ctx context.Context) (int, error) {
	return get(kindStorage, func() (int, error) { return f.s.Sweep(ctx) })
}

func (f faultyStorage) Space(ctx context.Context) (storage.Space, error) {
	return get(kindStorage, func() (storage.Space, error) { return f.s.Space(ctx) })
}

func (f faultyStorage) Name() string { return f.s.Name() }

type faultyUpload struct{ u storage.Upload }

func (f faultyUpload) Write(p []byte) (int, error) {
	return get(kindStorage, func() (int, error) { return f.u.Write(p) })
}

func (f faultyUpload) Commit() error { return do(kindStorage, f.u.Commit) }
func (f faultyUpload) Abort() error  { return f.u.Abort() }

type faultyFile struct{ storage.File }

func (f faultyFile) ReadAt(p []byte, off int64) (int, error) {
	n := 0
	_, err := get(kindStorage, func() (_ int, err error) { n, err = f.File.ReadAt(p, off); return n, err })
	return n, err
}

// Halter makes the calls of h fail when they are chosen to.
func Halter(h halt.Halter) halt.Halter { return faultyHalter{h} }

type faultyHalter struct{ h halt.Halter }

func (f faultyHalter) Probe(ctx context.Context) (halt.Status, error) {
	return get(kindHalter, func() (halt.Status, error) { return f.h.Probe(ctx) })
}

func (f faultyHalter) Halt(ctx context.Context, r halt.Request) error {
	return do(kindHalter, func() error { return f.h.Halt(ctx, r) })
}

func (f faultyHalter) Resume(ctx context.Context, r halt.Request) error {
	return do(kindHalter, func() error { return f.h.Resume(ctx, r) })
}
