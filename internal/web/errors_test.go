package web

import (
	"bytes"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/safepoint-db/safepoint"
)

// TestCauseIsLogged: what the operator can mend is logged with its cause, which the person does not see.
func TestCauseIsLogged(t *testing.T) {
	f := sample()
	f.broken = safepoint.Errorf(safepoint.CodePrivilege, "Safepoint may not use the folder of backups, or not all that is in it.").
		WithCause(errors.New("read in backup storage /srv/backups: permission denied"))
	var log bytes.Buffer
	h, err := New(Config{App: f, Log: slog.New(slog.NewTextHandler(&log, nil)), Now: func() time.Time { return testNow }})
	if err != nil {
		t.Fatal(err)
	}
	w := ask(h, "s-admin", http.MethodGet, "/logs", nil)
	if page := w.Body.String(); !strings.Contains(page, "may not use the folder of backups") || strings.Contains(page, "/srv/backups") {
		t.Errorf("%d: %s", w.Code, page)
	}
	if !strings.Contains(log.String(), "/srv/backups: permission denied") || !strings.Contains(log.String(), "path=/logs") {
		t.Errorf("the log says %q", log.String())
	}
}
