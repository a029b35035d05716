package api

import (
	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/api/wire"
	"github.com/safepoint-db/safepoint/internal/app"
)

func preflight(p app.RestorePreview) wire.Preflight {
	unknown := ""
	if p.RowsUnknown != nil {
		unknown = p.RowsUnknown.Message
	}
	return wire.Preflight{
		At:      p.At.UTC(),
		Answers: wire.Map(p.Answers, serviceAnswer), Versions: wire.Versions(p.Versions), LiveSize: p.LiveSize,
		Rows: comparison(p.Rows), RowsUnknown: unknown, Passed: wire.Map(p.Passed, safepoint.Phrase.String),
	}
}

func serviceAnswer(s app.ServiceAnswer) wire.ServiceAnswer {
	return wire.ServiceAnswer{
		ID: s.Service.ID, Name: s.Service.Name, Kind: string(s.Service.Kind), TimeoutSeconds: s.Service.Timeout.Seconds(),
		Condition: string(s.Status.Condition), Detail: s.Status.Detail, Failure: wire.FromFailure(s.Failure), Meaning: s.Meaning.String(),
	}
}

func comparison(c *app.Comparison) *wire.TableComparison {
	if c == nil {
		return nil
	}
	return &wire.TableComparison{
		Changes: wire.Map(c.Changes, tableChange), More: c.More,
		Vanishing: c.Vanishing, Returning: c.Returning, Differing: c.Differing, Same: c.Same, Unknown: c.Unknown,
		BackupRows: c.BackupRows, LiveRows: c.LiveRows, Exact: c.Exact, LiveKnown: c.LiveKnown, NewestID: c.NewestID, NewestAt: c.NewestAt,
	}
}

func tableChange(c app.TableChange) wire.TableChange {
	known := func(n int64) *int64 {
		if n < 0 {
			return nil
		}
		return &n
	}
	return wire.TableChange{
		Name: c.Name, Fate: string(c.Fate), BackupRows: known(c.Backup), NewestRows: known(c.Newest), LiveRows: known(c.Live), Exact: c.Exact,
	}
}
