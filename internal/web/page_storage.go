package web

import (
	"html/template"
	"time"

	"github.com/safepoint-db/safepoint/internal/app"
)

// storageUse is a storage with its name and its room in words.
type storageUse struct {
	app.StorageUse
	Called   string
	Forecast template.HTML
}

// storage is what a storage is called.
func (c locale) storage(name string) string {
	if name == app.StorageID {
		return c.Say("Local folder")
	}
	return name
}

type storagesView struct{ Rows []storageUse }

func showStorages(v *visit) (reply, error) {
	all, err := v.app.Storages(v.ctx, v.actor)
	if err != nil {
		return nil, err
	}
	var d storagesView
	for _, s := range all {
		use, err := v.storageUse(s)
		if err != nil {
			return nil, err
		}
		d.Rows = append(d.Rows, use)
	}
	return &page{Name: "storages", Title: v.t.Say("Storage"), Tab: "storage", Live: true, Data: d}, nil
}

func (v *visit) storageUse(s app.StorageUse) (storageUse, error) {
	h, err := v.app.StorageForecast(v.ctx, v.actor, s.ID)
	return storageUse{s, v.t.storage(s.Name), forecast(v.t, h)}, err
}

type storageView struct {
	Use        storageUse
	Databases  []storageLine
	More       int // databases beyond the ones that are shown
	UndoWindow string
	Test       *storageTestView
}

// storageLine is what one database keeps.
type storageLine struct {
	app.Stored
	Link    string
	Percent int // of all that is kept
}

// storageTestView is what a test found, with the time of each of its steps.
type storageTestView struct {
	app.StorageTest
	Wrote, Read, Removed string
}

// storageLines is how many databases the page shows: the largest.
const storageLines = 50

func showStorage(v *visit) (reply, error) { return v.storagePage(v.id()) }

func (v *visit) storagePage(id string) (*page, error) {
	s, err := v.app.StorageUse(v.ctx, v.actor, id)
	if err != nil {
		return nil, err
	}
	d := storageView{}
	if d.Use, err = v.storageUse(s); err != nil {
		return nil, err
	}
	if v.org.UndoWindow > 0 {
		d.UndoWindow = v.t.window(v.org.UndoWindow)
	}
	stored, err := v.app.StoredByDatabase(v.ctx, v.actor)
	if err != nil {
		return nil, err
	}
	for _, line := range stored[:min(len(stored), storageLines)] {
		l := storageLine{Stored: line, Link: "/logs?type=backup&status=succeeded&database=" + line.DatabaseID}
		if s.Bytes > 0 {
			l.Percent = int(min(line.Bytes*100/s.Bytes, 100))
		}
		d.Databases = append(d.Databases, l)
	}
	d.More = len(stored) - len(d.Databases)
	return &page{Name: "storage", Title: v.t.Say("{name} · Storage", "name", d.Use.Called), Tab: "storage", Live: true, Data: d}, nil
}

// doStorageTest shows what the test found on the storage's page itself: it leaves nothing behind.
func doStorageTest(v *visit) (reply, error) {
	test, err := v.app.TestStorage(v.ctx, v.actor, v.id())
	if err != nil {
		return nil, err
	}
	p, err := v.storagePage(v.id())
	if err != nil {
		return nil, err
	}
	took := func(t time.Duration) string {
		if t == 0 {
			return ""
		}
		return v.t.Lasted(t)
	}
	d := p.Data.(storageView)
	d.Test, p.Live = &storageTestView{test, took(test.Wrote), took(test.Read), took(test.Removed)}, false
	p.Data = d
	return p, nil
}
