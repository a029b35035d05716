package sqlite

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/engine"
)

// suffix is what staging and set-aside files have after their names.
const suffix = ".sqlite"

// live is what a plan says of the live file.
type live struct {
	Path string `json:"path"` // with symbolic links followed
}

// places are the files of one restore: all in the live file's folder.
type places struct{ live, staging, aside, marker string }

var operationID = regexp.MustCompile(`^[A-Za-z0-9_]{1,40}$`)

func placesOf(p engine.Plan) (places, error) {
	var l live
	if err := json.Unmarshal(p.Engine, &l); err != nil || l.Path == "" || !operationID.MatchString(p.OperationID) {
		return places{}, fmt.Errorf("read the restore's plan: it names no SQLite file: %w", err)
	}
	folder := filepath.Dir(l.Path)
	return places{
		live:    l.Path,
		staging: filepath.Join(folder, engine.StagingName(p.OperationID)+suffix),
		aside:   filepath.Join(folder, engine.AsideName(p.OperationID)+suffix),
		marker:  filepath.Join(folder, ".safepoint_"+p.OperationID+".json"),
	}, nil
}

// state is how far a restore got with the live file.
type state string

const (
	staged    state = "staged"
	switching state = "switching" // staging is being copied into the live file, or was
	switched  state = "switched"
	returning state = "returning" // the set-aside file is being copied into the live one, or was
	returned  state = "returned"
)

// marker is a small file beside the live one. It says which files this restore made, by their identity, and on which
// side of the switch the live file is. It stays after the files are gone, until another restore of the same live file
// begins: only it tells later which content is live.
type marker struct {
	OperationID string   `json:"operation_id"`
	LiveID      string   `json:"live_id"`
	StagingIDs  []string `json:"staging_ids,omitempty"` // the last is the present one
	AsideID     string   `json:"aside_id,omitempty"`
	State       state    `json:"state"`
	// Cookie is the live file's schema version before it was last copied into: the copy adds one.
	Cookie int64 `json:"cookie"`
}

// readMarker reads the marker of p; nil if there is none. A marker of another operation or file is CodeNeedsOperator.
func readMarker(at places, p engine.Plan) (*marker, error) {
	raw, err := readSmall(at.marker)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the restore's marker: %w", err)
	}
	m := &marker{}
	if err := json.Unmarshal(raw, m); err != nil || m.OperationID != p.OperationID || m.LiveID != p.LiveID {
		return nil, safepoint.Errorf(safepoint.CodeNeedsOperator, "%s does not belong to this restore of %s.", filepath.Base(at.marker), filepath.Base(at.live)).
			WithHint("The file was replaced while it was being restored. Look at its folder; nothing in it was removed.").WithCause(err)
	}
	return m, nil
}

// readSmall reads a marker. What stands under its name may be anybody's who may write into the folder: no link is
// followed, no pipe waited for.
func readSmall(path string) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, errors.Join(err, fmt.Errorf("%s is no regular file", filepath.Base(path)))
	}
	return io.ReadAll(io.LimitReader(f, 1<<20))
}

// write replaces the marker, durably.
func (m *marker) write(at places) error {
	raw, err := json.MarshalIndent(m, "", "\t")
	if err != nil {
		return err
	}
	temp := at.marker + ".new"
	// Whoever may write into the folder must not choose, with a link, what is written over.
	if err := os.Remove(temp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("write the restore's marker: %w", err)
	}
	f, err := os.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err == nil {
		_, err = f.Write(append(raw, '\n'))
		if err == nil {
			err = f.Sync()
		}
		if closed := f.Close(); err == nil {
			err = closed
		}
	}
	if err == nil {
		err = os.Rename(temp, at.marker)
	}
	if err != nil {
		return fmt.Errorf("write the restore's marker: %w", err)
	}
	return syncFolder(filepath.Dir(at.marker))
}

func (m *marker) stagingID() string {
	if len(m.StagingIDs) == 0 {
		return ""
	}
	return m.StagingIDs[len(m.StagingIDs)-1]
}

// create makes an empty file at path for this restore. Its identity is in the marker before it has its name, so that no
// crash leaves a file behind that nobody knows. An earlier one must be gone.
func (m *marker) create(at places, path string, set func(id string)) error {
	temp := path + ".new"
	if err := removeFile(temp); err != nil {
		return err
	}
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		return safepoint.Errorf(safepoint.CodeBlocked, "There is a file %s already, which this restore did not make.", filepath.Base(path)).
			WithHint("Look at what it is, move it away, and start the restore again.")
	}
	if err := makeFile(temp); err != nil {
		return fmt.Errorf("make %s: %w", filepath.Base(path), err)
	}
	id, err := identity(temp)
	if err != nil {
		return err
	}
	set(id)
	if err := m.write(at); err != nil {
		removeFile(temp) // as on a full disk: nobody else would know of it
		return err
	}
	if err := os.Rename(temp, path); err != nil {
		removeFile(temp)
		return fmt.Errorf("name %s: %w", filepath.Base(path), err)
	}
	return syncFolder(filepath.Dir(path))
}

// drop removes the file at path if its identity is id. What is gone already is success.
func drop(path, id string) error {
	got, err := identity(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		removeFile(path) // what SQLite kept beside it
		return removeFile(path + ".new")
	case err != nil:
		return fmt.Errorf("look at %s: %w", filepath.Base(path), err)
	case id == "" || got != id:
		return notOurs(path)
	}
	if err := removeFile(path); err != nil {
		return fmt.Errorf("drop %s: %w", filepath.Base(path), err)
	}
	return removeFile(path + ".new")
}

func notOurs(path string) error {
	return safepoint.Errorf(safepoint.CodeNeedsOperator, "%s is not the file that this restore made. It was not removed.", filepath.Base(path)).
		WithHint("Look at what it is, and remove it by hand if nobody needs it.")
}

// pruneMarkers removes markers that earlier restores of the same live file left, once nothing else of theirs is left.
func pruneMarkers(at places, liveID string) {
	found, _ := filepath.Glob(filepath.Join(globSafe(filepath.Dir(at.live)), ".safepoint_*.json"))
	for _, path := range found {
		if path == at.marker {
			continue
		}
		raw, err := readSmall(path)
		var m marker
		if err != nil || json.Unmarshal(raw, &m) != nil || m.LiveID != liveID || !operationID.MatchString(m.OperationID) {
			continue
		}
		folder := filepath.Dir(path)
		_, stagingGone := os.Lstat(filepath.Join(folder, engine.StagingName(m.OperationID)+suffix))
		_, asideGone := os.Lstat(filepath.Join(folder, engine.AsideName(m.OperationID)+suffix))
		if errors.Is(stagingGone, fs.ErrNotExist) && errors.Is(asideGone, fs.ErrNotExist) {
			os.Remove(path)
		}
	}
}

// globSafe is a path whose own characters mean nothing to filepath.Glob.
func globSafe(path string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(path)
}
