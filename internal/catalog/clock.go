package catalog

import (
	"context"
	"database/sql"
	"errors"
	"time"
)

// leap is by how much the clock may be ahead of, or behind, what was expected of it before that is believed of nobody.
const leap = 24 * time.Hour

// KeepTime compares the clock with when it was looked at last, elapsed ago by a clock that nobody sets (0: not known). If
// it is more than a day off, the ends of all undo windows move with it, so that each window still lasts as long as it did:
// a wrong year ends none of them, and once it is put right they are where they were. moved is by how much; 0 as a rule.
//
// A machine that was switched off for days looks the same: what was set aside is then kept for those days longer.
func (c *Catalog) KeepTime(ctx context.Context, elapsed time.Duration) (moved time.Duration, err error) {
	err = c.tx(ctx, func(tx *transaction) error {
		now := c.Now()
		var seen, from, to int64
		err := tx.QueryRowContext(ctx, `SELECT seen_at, ahead_from, ahead_to FROM clock WHERE id = 1`).Scan(&seen, &from, &to)
		if errors.Is(err, sql.ErrNoRows) {
			_, err = tx.ExecContext(ctx, `INSERT INTO clock (id, seen_at) VALUES (1, $1)`, toMillis(now))
			return err
		}
		if err != nil {
			return err
		}
		expected := fromMillis(seen).Add(elapsed)
		if off := now.Sub(expected); off > leap || off < -leap {
			moved = off.Round(time.Millisecond)
			if err := moveWindows(ctx, tx, now, off, elapsed); err != nil {
				return err
			}
			// Of a leap and the days that the machine is off after it, the leap is remembered.
			if off > 0 && (off.Milliseconds() >= to-from || expected.Sub(fromMillis(to)) > 90*leap) {
				from, to = toMillis(expected), toMillis(now)
			}
		}
		_, err = tx.ExecContext(ctx, `UPDATE clock SET seen_at = $1, ahead_from = $2, ahead_to = $3 WHERE id = 1`, toMillis(now), from, to)
		return err
	})
	if err != nil {
		return 0, wrap("keep time", err)
	}
	return moved, nil
}

// moveWindows moves the undo windows of restores that ended before the clock leapt. One that ended since has its window
// by the clock as it is now, and one that runs gets it at its end.
func moveWindows(ctx context.Context, tx *transaction, now time.Time, by, elapsed time.Duration) error {
	const slack = time.Minute
	_, err := tx.ExecContext(ctx, `UPDATE operations SET undo_until = max(undo_until + $1, 1)
		WHERE undo_until > 0 AND status NOT IN ('queued','running') AND NOT (finished_at > $2 AND finished_at <= $3)`,
		by.Milliseconds(), toMillis(now.Add(-elapsed-slack)), toMillis(now))
	return err
}

// forgetAhead removes the runs of a schedule that are missed though they have not come due: the clock had run ahead, made
// them so, and was set back to now. After a step of a day at most that is certain of those after it; of a larger one only if
// the clock is known to have leapt ahead before. A clock that is set back to a wrong year takes nothing away.
func (c *Catalog) forgetAhead(ctx context.Context, tx *transaction, scheduleID string, run, done time.Time) error {
	recorded := int64(0)
	if done.Sub(run) > leap {
		// Whatever was recorded after the leap says a time behind the middle of it, also before the leap was noticed.
		err := tx.QueryRowContext(ctx, `SELECT ahead_from + (ahead_to - ahead_from) / 2 FROM clock WHERE ahead_from <= $1 AND ahead_to > $1`, toMillis(c.Now())).Scan(&recorded)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		if err != nil {
			return err
		}
	}
	_, err := tx.ExecContext(ctx, `DELETE FROM operations WHERE schedule_id = $1 AND schedule_id <> '' AND status = 'missed' AND due_at > $2 AND finished_at >= $3`,
		scheduleID, toMillis(run), recorded)
	return err
}
