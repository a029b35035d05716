package postgres

import (
	"io"
	"testing"
	"time"

	"github.com/safepoint-db/safepoint"
)

// TestUnpackEndsWhatTurnsInACircle has pg_restore read a damaged dump in tar format on which pg_restore 15 never ends.
func TestUnpackEndsWhatTurnsInACircle(t *testing.T) {
	before := stallLimit
	stallLimit = 300 * time.Millisecond
	t.Cleanup(func() { stallLimit = before })
	r, err := Engine{}.Unpack(t.Context(), "testdata/endless.tar")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err = io.Copy(io.Discard, r); safepoint.ErrorCode(err) != safepoint.CodeArchive {
		t.Errorf("got %v", err)
	}
	t.Log(err)
}
