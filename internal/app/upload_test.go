package app

import (
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/safepoint-db/safepoint"
)

// meanwhile starts a backup when its text has been read.
type meanwhile struct {
	io.Reader
	do func()
}

func (m *meanwhile) Read(p []byte) (int, error) {
	n, err := m.Reader.Read(p)
	if err == io.EOF && m.do != nil {
		m.do()
		m.do = nil
	}
	return n, err
}

// An upload that is refused once all of it has come leaves nothing behind.
func TestUploadRefusedLate(t *testing.T) {
	w := newWorld(t)
	w.Uploads.Dir = filepath.Join(w.dir, "uploads")
	d := w.shop("shop")
	b := w.backup(d)
	file, err := w.Storage.Open(w.ctx, b.StorageKey)
	w.ok(err)
	defer file.Close()
	_, err = w.Upload(w.ctx, w.admin, UploadInput{DatabaseID: d.ID, FileName: "shop.sql.zst"}, &meanwhile{
		Reader: io.NewSectionReader(file, 0, file.Size()),
		do: func() {
			_, err := w.StartBackup(w.ctx, w.admin, d.ID)
			w.ok(err)
		},
	})
	w.refused(err, safepoint.CodeConflict, "asked for a backup")
	left, err := os.ReadDir(w.Uploads.Dir)
	if err != nil || len(left) > 0 {
		t.Errorf("left in the folder of uploads: %v, %v", left, err)
	}
}
