package app

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/safepoint-db/safepoint"
)

func TestTables(t *testing.T) {
	w := newWorld(t)
	b := w.backup(w.shop("shop"))
	_, by := w.session("Ines Marlow", "192.0.2.1")
	_, tables, err := w.BackupTables(w.ctx, by, b.ID)
	w.ok(err)
	if len(tables) == 0 || tables[0].Name == "" {
		t.Fatalf("the backup has the tables %+v", tables)
	}
	name := tables[0].Name
	get := func() string {
		t.Helper()
		d, err := w.OpenTables(w.ctx, by, b.ID, TableChoice{Tables: []string{name}})
		w.ok(err)
		defer d.Close()
		var sql bytes.Buffer
		w.ok(d.Write(w.ctx, &sql))
		if !strings.HasSuffix(d.Name, "_tables.sql") || len(d.Tables) != 1 {
			t.Errorf("got %+v", d)
		}
		return sql.String()
	}
	if sql := get(); !strings.Contains(sql, "CREATE TABLE") || !strings.Contains(sql, "INSERT INTO") {
		t.Errorf("the script is\n%s", sql)
	}
	w.audited(w.admin, "Ines Marlow|backup.download|"+b.Name+"|succeeded")
	_, err = w.OpenTables(w.ctx, by, b.ID, TableChoice{Tables: []string{"not_there"}})
	w.refused(err, safepoint.CodeNotFound, `fits "not_there"`)
	_, err = w.OpenTables(w.ctx, by, b.ID, TableChoice{})
	w.refused(err, safepoint.CodeInvalid, "No table was chosen")
	_, err = w.OpenTables(w.ctx, by, b.ID, TableChoice{Tables: []string{"*"}, SchemaOnly: true, DataOnly: true})
	w.refused(err, safepoint.CodeInvalid, "cannot both")
	w.pass(stepUpLife + time.Second)
	_, err = w.OpenTables(w.ctx, by, b.ID, TableChoice{Tables: []string{name}})
	w.refused(err, safepoint.CodeStepUp, "password again")
	w.audited(w.admin, "Ines Marlow|backup.download|"+b.Name+"|denied")
}
