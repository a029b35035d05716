package app

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/archive"
	"github.com/safepoint-db/safepoint/internal/encrypt"
	"github.com/safepoint-db/safepoint/internal/engine"
	"github.com/safepoint-db/safepoint/internal/halt"
)

// patience is how long a look before a restore waits for what is only good to know: each service, and the live rows.
const patience = 3 * time.Second

// Versions are what a restore works with. "" is not known.
type Versions struct {
	Backup string // of the server that the backup was made of
	Server string // of the live one
	Tool   string // that will make the safety backup
}

// ServiceAnswer is what a service said just now.
type ServiceAnswer struct {
	Service safepoint.Service
	Status  halt.Status        // Unknown if it did not answer
	Failure *safepoint.Failure // why it did not
	Meaning safepoint.Phrase   // what a restore will do about it, in a sentence
}

// PreviewRestore looks at everything a restore of a backup would do, wait for and be stopped by. It changes nothing.
// What stands in the way is a finding, not an error, so that the page can say all of it at once.
func (a *App) PreviewRestore(ctx context.Context, by safepoint.Actor, id string) (RestorePreview, error) {
	if err := a.authorize(ctx, by, admin, "restore"); err != nil {
		return RestorePreview{}, err
	}
	op, d, err := a.restorable(ctx, by.OrganizationID, id)
	if err != nil {
		return RestorePreview{}, err
	}
	p := RestorePreview{Backup: op, Database: d, Confirm: d.Label()}
	if op.Upload == nil {
		p.At = op.StartedAt
	}
	if p.Services, err = a.services(ctx, by.OrganizationID); err != nil {
		return p, err
	}
	newest, err := a.Catalog.LastMade(ctx, by.OrganizationID, d.ID)
	if err != nil {
		return p, err
	}
	p.SafetySize = safetySize(newest, op)
	looking, cancel := context.WithCancel(ctx)
	looked := make(chan error, 1)
	go func() { looked <- a.lookAround(looking, &p, newest) }()
	unread := a.readAround(ctx, &p, newest)
	if unread != nil {
		cancel() // what is found has no page
	}
	err = <-looked
	cancel()
	if unread != nil {
		return p, unread
	}
	if p.Busy != nil && p.Busy.Type == safepoint.TypeRestore { // a backup is waited for
		says, err := a.Catalog.UnderWay(ctx, *p.Busy)
		if err != nil {
			return p, err
		}
		p.block(says.WithHint("Wait until it has ended, or cancel it first."))
	}
	if err != nil {
		p.block(a.failure(ctx, "restore cannot start", err).Failed())
	}
	if err := a.previewModes(ctx, &p); err != nil {
		return p, err
	}
	p.Changes = age(a.Now(), p.At)
	p.Ready = !slices.ContainsFunc(p.Findings, func(f engine.Finding) bool { return f.Blocker })
	p.Passed = p.passed()
	return p, nil
}

// block adds what stands in the way of the restore.
func (p *RestorePreview) block(e *safepoint.Error) {
	f := engine.Found(e)
	f.Blocker = true
	p.Findings = append(p.Findings, f)
}

// readAround puts into p what the catalog and the storage know, in other fields than lookAround.
func (a *App) readAround(ctx context.Context, p *RestorePreview, newest *safepoint.Operation) (err error) {
	d := p.Database
	if p.Busy, err = a.busy(ctx, d.OrganizationID, d.ID); err != nil {
		return err
	}
	if p.Estimates, err = a.estimates(ctx, d.OrganizationID, d.ID, newest); err != nil {
		return err
	}
	if p.Space, err = a.Storage.Space(ctx); err != nil {
		a.Log.WarnContext(ctx, "free space of the storage is not known", "error", err)
	}
	return nil
}

// lookAround asks the services, and meanwhile the database, and puts what they said into p: neither is waited for longer
// than the time that is theirs. What is read from the catalog has its own.
func (a *App) lookAround(ctx context.Context, p *RestorePreview, newest *safepoint.Operation) error {
	ctx, cancel := context.WithTimeout(ctx, a.testLimit)
	defer cancel()
	answers := make(chan []ServiceAnswer, 1)
	go func() { answers <- a.askServices(ctx, p.Services) }()
	p.NeedsKey = a.locked(ctx, p.Backup)
	l, err := a.look(ctx, p.Backup, p.Database, p.NeedsKey, newest)
	p.Answers = <-answers
	p.take(l)
	return slow(ctx, a.testLimit, err, serverOf(p.Database))
}

// askServices asks all of them at once.
func (a *App) askServices(ctx context.Context, services []safepoint.Service) []ServiceAnswer {
	answers := make([]ServiceAnswer, len(services))
	var wg sync.WaitGroup
	for i, s := range services {
		wg.Go(func() { answers[i] = a.askService(ctx, s) })
	}
	wg.Wait()
	return answers
}

func (a *App) askService(ctx context.Context, s safepoint.Service) ServiceAnswer {
	ctx, cancel := context.WithTimeout(ctx, min(s.Timeout, patience))
	defer cancel()
	h, err := a.halter(ctx, s)
	var st halt.Status
	if err == nil {
		st, err = ask(ctx, h)
	}
	answer := ServiceAnswer{Service: s, Status: st}
	if err != nil {
		answer.Status = halt.Status{Condition: halt.Unknown}
		answer.Failure = a.failure(ctx, "service did not answer before a restore", err)
	}
	answer.Meaning = meaning(answer.Status.Condition)
	return answer
}

// meaning is what a restore does with a service that is in a condition.
func meaning(c halt.Condition) safepoint.Phrase {
	switch c {
	case halt.Running:
		return safepoint.NewPhrase("It answers, and will be halted and resumed.")
	case halt.Failing:
		return safepoint.NewPhrase("It runs, but not well. It will be halted and resumed.")
	case halt.Down:
		return safepoint.NewPhrase("It is down, and stays down.")
	case halt.Halted:
		return safepoint.NewPhrase("It is halted already, and stays so.")
	}
	return safepoint.NewPhrase("It does not answer. If that is still so when services are halted, the restore stops there, with nothing changed.")
}

// silent is the finding that services do not answer.
func silent(answers []ServiceAnswer) []engine.Finding {
	var names []string
	for _, s := range answers {
		if s.Status.Condition == halt.Unknown {
			names = append(names, s.Service.Name)
		}
	}
	switch len(names) {
	case 0:
		return nil
	case 1:
		return []engine.Finding{engine.Found(safepoint.Errorf(safepoint.CodeHalt, "%s does not answer now. A restore halts nothing and changes nothing while it does not.", names[0]).
			WithHint("Test it on the Services page before you begin, or remove it there if it is gone for good."))}
	}
	return []engine.Finding{engine.Found(safepoint.Errorf(safepoint.CodeHalt, "%d services do not answer now. A restore halts nothing and changes nothing while they do not.", len(names)).
		WithHint("Test them on the Services page before you begin, or remove there what is gone for good."))}
}

// compareRows compares the backup with the newest one that is kept and with what is live; nil if neither is known, and
// then why.
func (a *App) compareRows(ctx context.Context, backup, newest *content, live counted) (*Comparison, *safepoint.Error) {
	var why *safepoint.Error
	if live.err != nil {
		f := a.failure(ctx, "live rows are not known before a restore", live.err)
		why = f.Failed()
		if live.late {
			why = safepoint.Errorf(safepoint.CodeUnreachable, "The database took too long to say how many rows it has.")
		}
	}
	if c := compare(backup, newest, live.tables); c != nil {
		return c, nil
	}
	return nil, why
}

// counted is how many rows are live; tables is nil if that is not known, and err says why.
type counted struct {
	tables []engine.TableCount
	err    error
	late   bool // it was not waited for longer
}

// census asks how many rows are live, which is not worth a long wait.
func census(ctx context.Context, e engine.Engine, t engine.Target) counted {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	counter, ok := e.(engine.Counter)
	if !ok {
		return counted{err: safepoint.Errorf(safepoint.CodeTool, "Rows of %s cannot be counted.", t.Engine.Label())}
	}
	tables, err := counter.Census(ctx, t)
	if err != nil {
		return counted{err: err, late: ctx.Err() != nil}
	}
	if tables == nil {
		tables = []engine.TableCount{}
	}
	return counted{tables: tables}
}

// newerContent is what the newest backup that was made of the database holds, if it is newer than op and can be opened.
func (a *App) newerContent(ctx context.Context, op safepoint.Operation, newest *safepoint.Operation, backup *content) *content {
	if newest == nil || newest.ID == op.ID {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	r, file, err := a.openBackup(ctx, *newest, encrypt.FileKey{})
	if err != nil {
		a.Log.InfoContext(ctx, "the newest backup cannot be compared with before a restore", "operation", newest.ID, "error", err)
		return nil
	}
	defer file.Close()
	c := contentOf(newest.ID, r)
	if !c.at.After(backup.at) {
		return nil
	}
	return c
}

// take puts what was found into the preview.
func (p *RestorePreview) take(l looked) {
	p.Findings = append(slices.Clone(l.findings), silent(p.Answers)...)
	p.Versions, p.LiveSize, p.Rows, p.RowsUnknown, p.opened = l.versions, l.live.Size, l.rows, l.unknown, l.backup != nil
	if l.backup != nil && !l.backup.at.IsZero() {
		p.At = l.backup.at
	}
}

// passed are the checks in which nothing stands in the way, in sentences.
func (p *RestorePreview) passed() []safepoint.Phrase {
	family := p.Database.Engine
	has := func(c safepoint.Code) bool {
		return slices.ContainsFunc(p.Findings, func(f engine.Finding) bool { return f.Code == c })
	}
	var ok []safepoint.Phrase
	if p.opened {
		ok = append(ok, safepoint.NewPhrase("The file is where it was stored and has its size, and its table of contents is signed. It is read whole and checked before anything is loaded."))
	}
	if v := p.Versions; v.Server != "" && !has(safepoint.CodeVersion) {
		what := safepoint.NewPhrase("The server runs %s %s.", family.Label(), v.Server)
		switch {
		case v.Backup == v.Server:
			what = safepoint.NewPhrase("The backup and the server are both of %s %s.", family.Label(), v.Server)
		case v.Backup != "":
			what = safepoint.NewPhrase("The backup is of %s %s, and the server runs %s.", family.Label(), v.Backup, v.Server)
		}
		ok = append(ok, what)
	}
	if p.opened && p.Ready {
		if !has(safepoint.CodePrivilege) {
			ok = append(ok, safepoint.NewPhrase("The user has the rights that a restore needs."))
		}
		ok = append(ok, safepoint.NewPhrase("There is room for the safety backup."))
	}
	if len(p.Answers) > 0 && !has(safepoint.CodeHalt) {
		ok = append(ok, safepoint.NewPhrase("Every service answers."))
	}
	return ok
}

// look opens the backup, asks the engine what stands in the way, and compares what is live with the backup. A backup
// whose key is not here is not opened: then it is asked whether the database answers, and the rest is seen once the key
// was given.
func (a *App) look(ctx context.Context, op safepoint.Operation, d safepoint.Database, locked bool, newest *safepoint.Operation) (l looked, err error) {
	var r *archive.Reader
	l.unknown = safepoint.Errorf(safepoint.CodeUnreachable, "The database could not be asked.")
	if locked {
		l.unknown = safepoint.Errorf(safepoint.CodeKey, "The backup is encrypted, and its key is not here.")
	} else {
		opened, file, err := a.openBackup(ctx, op, encrypt.FileKey{})
		if err != nil {
			l.unknown = safepoint.Errorf(safepoint.CodeArchive, "The backup could not be opened.")
			return l, err
		}
		defer file.Close()
		r, l.backup = opened, contentOf(op.ID, opened)
		l.versions.Backup = r.Header().ServerVersion
		if f, is := foreignFinding(r.Header()); is {
			l.findings = append(l.findings, f)
		}
	}
	e, t, err := a.reach(ctx, d)
	if err != nil {
		return l, err
	}
	if err := a.askDatabase(ctx, e, t, r, op, newest, &l); err != nil {
		return l, err
	}
	return l, a.roomForSafety(ctx, safetySize(newest, op))
}

// askDatabase asks the database what it is and what stands in the way of r, and meanwhile how many rows it has. Without r only
// the first.
func (a *App) askDatabase(ctx context.Context, e engine.Engine, t engine.Target, r *archive.Reader, op safepoint.Operation, newest *safepoint.Operation, l *looked) (err error) {
	rows := make(chan counted, 1)
	if r != nil {
		counting, cancel := context.WithCancel(ctx)
		var ended sync.WaitGroup
		defer ended.Wait()
		defer cancel()
		ended.Go(func() { rows <- census(counting, e, t) })
	}
	if l.live, err = e.Inspect(ctx, t); err != nil {
		return err
	}
	l.versions.Server, l.versions.Tool = l.live.ServerVersion, l.live.Tool
	if r == nil {
		return nil
	}
	found, err := e.CanRestore(ctx, t, r)
	l.findings = append(l.findings, found...)
	if err != nil {
		return err
	}
	l.rows, l.unknown = a.compareRows(ctx, l.backup, a.newerContent(ctx, op, newest, l.backup), <-rows)
	return nil
}

// looked is what a look at a backup and at its database found.
type looked struct {
	findings []engine.Finding
	backup   *content // nil: the backup could not be opened
	versions Versions
	live     engine.Info
	rows     *Comparison
	unknown  *safepoint.Error // why rows is nil
}

// busy is what must end before a restore of a database may start, nil if nothing.
func (a *App) busy(ctx context.Context, orgID, databaseID string) (*safepoint.Operation, error) {
	running, err := a.Catalog.Running(ctx, orgID)
	var first *safepoint.Operation
	for _, op := range running {
		if op.Type == safepoint.TypeRestore {
			return &op, err // which no other waits for
		}
		if first == nil && op.DatabaseID == databaseID {
			first = &op
		}
	}
	return first, err
}

// locked says whether a backup can only be opened with a key that Safepoint does not keep. A file that cannot be read
// at all is found by whoever opens it.
func (a *App) locked(ctx context.Context, op safepoint.Operation) bool {
	if len(op.Recipients) == 0 {
		return false
	}
	file, err := a.openStored(ctx, op)
	if err != nil {
		return false
	}
	defer file.Close()
	_, err = a.unlock(ctx, file, op, "")
	return safepoint.ErrorCode(err) == safepoint.CodeKey
}
