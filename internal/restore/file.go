package restore

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/safepoint-db/safepoint"
)

// FileLedger is the Ledger of a restore that runs without a server: one JSON object a line, each synced to disk
// before the next effect. It has no organization, so there is no state to keep.
type FileLedger struct {
	f       *os.File
	entries []safepoint.JournalEntry
	op      safepoint.Operation
}

type fileLine struct {
	Entry     *safepoint.JournalEntry `json:"entry,omitempty"`
	Operation *safepoint.Operation    `json:"operation,omitempty"`
}

// OpenFileLedger opens or creates the journal at path, mode 0600. Operation is what the last process saved, if any.
func OpenFileLedger(path string) (*FileLedger, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open journal: %w", err)
	}
	l := &FileLedger{f: f}
	if err := errors.Join(l.load(), syncDir(filepath.Dir(path))); err != nil {
		f.Close()
		return nil, fmt.Errorf("open journal: %w", err)
	}
	return l, nil
}

// load reads what is there. A last line without its end was being written when the process died: its effect had not
// begun, so it is cut off.
func (l *FileLedger) load() error {
	r := bufio.NewReader(l.f)
	var whole int64
	for {
		line, err := r.ReadBytes('\n')
		if err != nil {
			break
		}
		var v fileLine
		if err := json.Unmarshal(line, &v); err != nil {
			return fmt.Errorf("line at byte %d: %w", whole, err)
		}
		if v.Entry != nil {
			l.entries = append(l.entries, *v.Entry)
		}
		if v.Operation != nil {
			l.op = *v.Operation
		}
		whole += int64(len(line))
	}
	return l.f.Truncate(whole)
}

// Operation is the row as last saved.
func (l *FileLedger) Operation() safepoint.Operation { return l.op }

// Append implements Ledger.
func (l *FileLedger) Append(_ context.Context, entries ...safepoint.JournalEntry) error {
	for _, e := range entries {
		e.Seq = len(l.entries) + 1
		if err := l.write(fileLine{Entry: &e}); err != nil {
			return err
		}
		l.entries = append(l.entries, e)
	}
	return nil
}

// Entries implements Ledger.
func (l *FileLedger) Entries(context.Context) ([]safepoint.JournalEntry, error) {
	return l.entries, nil
}

// Save implements Ledger.
func (l *FileLedger) Save(_ context.Context, op safepoint.Operation) error {
	l.op = op
	return l.write(fileLine{Operation: &op})
}

// CancelAsked implements Ledger: without a server a cancel only ends the context.
func (l *FileLedger) CancelAsked(context.Context) (bool, error) { return false, nil }

// SetHalted implements Ledger.
func (l *FileLedger) SetHalted(context.Context, safepoint.Operation, time.Time) error { return nil }

// ClearHalted implements Ledger.
func (l *FileLedger) ClearHalted(context.Context, safepoint.Operation) error { return nil }

func (l *FileLedger) write(v fileLine) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	if _, err := l.f.Write(append(b, '\n')); err != nil {
		return err
	}
	return l.f.Sync()
}

// Close closes the file and leaves it where it is.
func (l *FileLedger) Close() error { return l.f.Close() }

// Remove closes the file and deletes it: its restore has ended.
func (l *FileLedger) Remove() error {
	l.f.Close()
	if err := os.Remove(l.f.Name()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove journal: %w", err)
	}
	return nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
