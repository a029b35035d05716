package app

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/safepoint-db/safepoint/internal/archive"
	"github.com/safepoint-db/safepoint/internal/engine"
)

// Comparison is what a backup holds, table by table, against what is live, as far as that is known without a long look.
type Comparison struct {
	Changes []TableChange // what the restore would change: at most shownChanges, the greatest first
	More    int           // how many further ones there are

	Vanishing, Returning, Differing int // tables by what becomes of them; Differing in rows or content
	Same                            int // as far as known: an estimate may be 2 percent off
	Unknown                         int // tables of which nobody could say how many rows are live

	BackupRows int64 // in all
	LiveRows   int64 // in all tables of which it is known
	Exact      bool  // every live count is exact

	LiveKnown bool      // the database was asked just now
	NewestID  string    // a newer backup that was compared with, too: "" for none
	NewestAt  time.Time // of its snapshot
}

// Fate is what a restore makes of a table.
type Fate string

const (
	Vanishes   Fate = "vanishes"   // it is live, and the backup does not have it
	ComesBack  Fate = "comes_back" // it is in the backup, and not live
	RowsDiffer Fate = "rows"       // another number of rows
	Differs    Fate = "content"    // as many rows, and not the same
	NotKnown   Fate = "unknown"    // nobody could say how many rows are live
	stays      Fate = ""
)

// TableChange is what becomes of one table. Counts are -1 where the table is not there or they are not known.
type TableChange struct {
	Name   string // as BackupTable has it
	Fate   Fate
	Backup int64 // rows in the backup
	Newest int64 // in the newer backup
	Live   int64 // now
	Exact  bool  // of Live: it was counted, not estimated
}

// Difference is how many rows more (less) the table has with the restore, measured from the best that is known.
func (c TableChange) Difference() int64 {
	present := c.Live
	if present < 0 || !c.Exact && c.Newest >= 0 && present == 0 {
		present = c.Newest
	}
	return max(c.Backup, 0) - max(present, 0)
}

// shownChanges is how many tables a comparison names.
const shownChanges = 20

// content is what the table of contents of a backup says.
type content struct {
	id     string // of the operation
	at     time.Time
	tables map[string]archive.Table // by quoted name
	print  archive.Fingerprint
}

func contentOf(id string, r *archive.Reader) *content {
	c := &content{id: id, at: snapshotAt(r.Header()), tables: map[string]archive.Table{}, print: r.Fingerprint()}
	for _, t := range r.Tables() {
		c.tables[t.Name] = t
	}
	return c
}

// rows of a table, -1 if it is not there. c may be nil.
func (c *content) rows(name string) int64 {
	if c == nil {
		return -1
	}
	t, ok := c.tables[name]
	if !ok {
		return -1
	}
	return t.Rows
}

// compare is the backup against a newer one, which may be nil, and against the live tables, nil if they are not known. It is nil if
// both are.
func compare(backup, newest *content, live []engine.TableCount) *Comparison {
	if backup == nil || newest == nil && live == nil {
		return nil
	}
	now := map[string]engine.TableCount{}
	for _, t := range live {
		now[t.Name] = t
	}
	if live == nil {
		for name := range newest.tables {
			now[name] = engine.TableCount{Name: name}
		}
	}
	c := &Comparison{LiveKnown: live != nil, Exact: live != nil}
	if newest != nil {
		c.NewestID, c.NewestAt = newest.id, newest.at
	}
	names := slices.Collect(maps.Keys(backup.tables))
	for name := range now {
		if backup.rows(name) < 0 {
			names = append(names, name)
		}
	}
	for _, name := range names {
		present, there := now[name]
		change := TableChange{Name: archive.Table{Name: name}.Plain(), Backup: backup.rows(name), Newest: newest.rows(name), Live: -1}
		if there && present.Known {
			change.Live, change.Exact = present.Rows, present.Exact
			c.LiveRows += present.Rows
		}
		if there && !change.Exact {
			c.Exact = false
		}
		c.BackupRows += max(change.Backup, 0)
		change.Fate = fate(change, there, contentDiffers(backup, newest, name))
		c.add(change)
	}
	slices.SortFunc(c.Changes, greaterChange)
	c.More = max(len(c.Changes)-shownChanges, 0)
	c.Changes = c.Changes[:len(c.Changes)-c.More]
	return c
}

// contentDiffers says whether a table's rows were others in the newer backup.
func contentDiffers(backup, newest *content, name string) bool {
	if newest == nil {
		return false
	}
	was, known := backup.print[name]
	later, also := newest.print[name]
	return known && also && was != later
}

// fate decides from exact counts first, then from the newer backup, then from an estimate.
func fate(c TableChange, there, differs bool) Fate {
	switch {
	case c.Backup < 0:
		return Vanishes
	case !there:
		return ComesBack
	case c.Exact && c.Live != c.Backup, c.Newest >= 0 && c.Newest != c.Backup && !c.Exact:
		return RowsDiffer
	case c.Live >= 0 && !c.Exact && !near(c.Live, c.Backup):
		return RowsDiffer
	case differs:
		return Differs
	case c.Live < 0 && c.Newest < 0:
		return NotKnown
	}
	return stays
}

// near says that an estimate may well be the number.
func near(estimate, n int64) bool { return 50*max(estimate-n, n-estimate) <= max(estimate, n) }

func (c *Comparison) add(change TableChange) {
	switch change.Fate {
	case Vanishes:
		c.Vanishing++
	case ComesBack:
		c.Returning++
	case RowsDiffer, Differs:
		c.Differing++
	case NotKnown:
		c.Unknown++
	case stays:
		c.Same++
		return
	}
	c.Changes = append(c.Changes, change)
}

// greaterChange puts tables that vanish first, then those that come back, then the greatest differences.
func greaterChange(a, b TableChange) int {
	rank := []Fate{Vanishes, ComesBack, RowsDiffer, Differs, NotKnown}
	size := func(c TableChange) int64 { d := c.Difference(); return max(d, -d) }
	return cmp.Or(cmp.Compare(slices.Index(rank, a.Fate), slices.Index(rank, b.Fate)), cmp.Compare(size(b), size(a)), cmp.Compare(a.Name, b.Name))
}
