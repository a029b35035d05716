package restore

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/safepoint-db/safepoint"
)

// FileLedger is the Ledger of a restore that runs without a server: one JSON object a line, each synced to disk
// before the next effect. It has no organization, so there is no state to keep.
type FileLedger struct {
	f *os.File
	fileContents
}

// fileContents is what a journal's file holds.
type fileContents struct {
	entries []safepoint.JournalEntry
	op      safepoint.Operation
	size    int64 // bytes of whole lines
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
	l.fileContents, err = readFile(f)
	if err == nil {
		err = f.Truncate(l.size)
	}
	if err := errors.Join(err, syncDir(filepath.Dir(path))); err != nil {
		f.Close()
		return nil, fmt.Errorf("open journal: %w", err)
	}
	return l, nil
}

// readFile reads what is there. A last line without its end was being written when the process died: its effect had not
// begun, so it does not count. What cannot be read is an error: nothing may be cut off because a disk failed.
func readFile(from io.Reader) (c fileContents, err error) {
	r := bufio.NewReader(from)
	for {
		line, err := r.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return c, nil
		}
		if err != nil {
			return c, fmt.Errorf("after byte %d: %w", c.size, err)
		}
		var v fileLine
		if err := json.Unmarshal(line, &v); err != nil {
			return c, fmt.Errorf("line at byte %d: %w", c.size, err)
		}
		if v.Entry != nil {
			c.entries = append(c.entries, *v.Entry)
		}
		if v.Operation != nil {
			c.op = *v.Operation
		}
		c.size += int64(len(line))
	}
}

// Operation is the row as last saved.
func (l *FileLedger) Operation() safepoint.Operation { return l.op }

// Append implements Ledger.
func (l *FileLedger) Append(_ context.Context, entries ...safepoint.JournalEntry) error {
	entries = slices.Clone(entries)
	var lines []fileLine
	for i := range entries {
		entries[i].Seq = len(l.entries) + 1 + i
		lines = append(lines, fileLine{Entry: &entries[i]})
	}
	if err := l.write(lines...); err != nil {
		return err
	}
	l.entries = append(l.entries, entries...)
	return nil
}

// Entries implements Ledger.
func (l *FileLedger) Entries(context.Context) ([]safepoint.JournalEntry, error) {
	return l.entries, nil
}

// Save implements Ledger.
func (l *FileLedger) Save(_ context.Context, op safepoint.Operation) error {
	if err := l.write(fileLine{Operation: &op}); err != nil {
		return err
	}
	l.op = op
	return nil
}

// CancelAsked implements Ledger: without a server a cancel only ends the context.
func (l *FileLedger) CancelAsked(context.Context) (bool, error) { return false, nil }

// SetHalted implements Ledger.
func (l *FileLedger) SetHalted(context.Context, safepoint.Operation, time.Time) error { return nil }

// ClearHalted implements Ledger.
func (l *FileLedger) ClearHalted(context.Context, safepoint.Operation) error { return nil }

// write adds lines, all of them or none: of a write that a full disk cut short nothing stays, for the next line would
// stand behind half of one.
func (l *FileLedger) write(lines ...fileLine) error {
	var text []byte
	for _, v := range lines {
		b, err := json.Marshal(v)
		if err != nil {
			return err
		}
		text = append(append(text, b...), '\n')
	}
	if _, err := l.f.Write(text); err != nil {
		return errors.Join(err, l.f.Truncate(l.size))
	}
	if err := l.f.Sync(); err != nil {
		return errors.Join(err, l.f.Truncate(l.size))
	}
	l.size += int64(len(text))
	return nil
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
