package sqlite

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/archive"
	"github.com/safepoint-db/safepoint/internal/engine"
	"golang.org/x/sys/unix"
)

// CanDump reads the whole schema and makes it again in memory, as Dump does.
func (e *Engine) CanDump(ctx context.Context, t engine.Target) ([]engine.Finding, error) {
	c, path, err := e.read(ctx, t)
	if err != nil {
		return nil, err
	}
	defer c.close()
	var findings []engine.Finding
	all, err := readSchema(c)
	if err == nil {
		err = rehearse(ctx, all)
	}
	if err = plainWords(err, path); err != nil {
		if safepoint.ErrorCode(err) != safepoint.CodeBlocked {
			return nil, err
		}
		return append(findings, blocker(err)), nil
	}
	p, err := readProperties(c)
	if err != nil {
		return nil, plainWords(err, path)
	}
	if p.JournalMode != "wal" {
		findings = append(findings, engine.Found(safepoint.Errorf(safepoint.CodeBlocked,
			"%s is not in WAL mode: while a backup reads it, programs that write to it have to wait.", filepath.Base(path)).
			WithHint("PRAGMA journal_mode=WAL, once, lets them go on.")))
	}
	if len(all.leftOut) > 0 {
		findings = append(findings, engine.Found(safepoint.Errorf(safepoint.CodeVersion, "Samples for the query planner (sqlite_stat4) are not part of a backup.").
			WithHint("Run ANALYZE after a restore. All else that ANALYZE wrote is kept.")))
	}
	return findings, nil
}

func blocker(err error) engine.Finding {
	f := engine.Found(safepoint.UserError(err))
	f.Blocker = true
	return f
}

// CanRestore looks at the file, at its folder, at the disk and, with a reader, at the archive.
func (e *Engine) CanRestore(ctx context.Context, t engine.Target, r *archive.Reader) ([]engine.Finding, error) {
	info, err := e.Inspect(ctx, t)
	if err != nil {
		return nil, err
	}
	path, err := e.find(t)
	if err != nil {
		return nil, err
	}
	var findings []engine.Finding
	if err := unix.Access(path, unix.W_OK); err != nil {
		findings = append(findings, blocker(noPermission(t.Path, "write", err)))
	}
	folder := filepath.Dir(path)
	if err := unix.Access(folder, unix.W_OK|unix.X_OK); err != nil {
		findings = append(findings, blocker(noPermission(folder, "make files in", err)))
	}
	restored := info.Size
	if r != nil {
		p, err := archiveProperties(r.Header())
		if err != nil {
			return append(findings, blocker(err)), nil
		}
		restored = max(p.PageSize*p.PageCount, r.Summary().RawSize/2)
		if p.Encoding != "" && p.Encoding != info.Encoding && !info.Empty {
			findings = append(findings, engine.Found(safepoint.Errorf(safepoint.CodeVersion, "The backup's text is stored as %s, the database's as %s.", p.Encoding, info.Encoding).
				WithHint("Programs that have the file open must be started again after the restore.")))
		}
	}
	return append(findings, spaceFinding(folder, info, restored, r != nil)...), nil
}

// spaceFinding compares the disk's free space with what a restore needs at its height: staging, the set-aside copy, and
// a journal or WAL of the switch that holds the larger of the two once more.
func spaceFinding(folder string, present engine.Info, restored int64, blocks bool) []engine.Finding {
	free := present.DiskFree
	need := present.Size + restored + max(present.Size, restored) + 1<<20
	if free >= need {
		return nil
	}
	f := engine.Found(safepoint.Errorf(safepoint.CodeSpace, "A restore needs about %s in %s, and %s are free.", safepoint.Bytes(need), folder, safepoint.Bytes(free)).
		WithHint("Free some space on that disk: the restored database and the earlier one are kept beside the live one for a while."))
	f.Blocker = blocks
	return []engine.Finding{f}
}

// room is how much can still be written to the disk that holds a folder, and how much it holds.
func room(folder string) (free, total int64, err error) {
	var st unix.Statfs_t
	if err := unix.Statfs(folder, &st); err != nil {
		return 0, 0, fmt.Errorf("ask for free space: %w", err)
	}
	return int64(st.Bavail) * int64(st.Bsize), int64(st.Blocks) * int64(st.Bsize), nil
}
