package doctor

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/engine"
)

// lookWithin is how long one server may take to answer.
const lookWithin = 20 * time.Second

// address is where a target is, for people.
func address(t engine.Target) string {
	if t.Engine == safepoint.SQLite {
		return t.Path
	}
	return fmt.Sprintf("%s on %s:%d", t.Name, t.Host, t.Port)
}

// place looks at one database, and at what restores left around it.
func (d *doctor) place(ctx context.Context, t engine.Target) {
	where := address(t)
	if d.seen[where] {
		return
	}
	d.seen[where] = true
	e, ok := d.Engine(t.Engine)
	s, can := e.(engine.Surveyor)
	if !ok || !can {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, lookWithin)
	defer cancel()
	survey, err := s.Survey(ctx, t)
	if err != nil {
		d.failed("server.unreachable", where, "Nothing can be said of "+where, err)
		return
	}
	d.live(ctx, e, s, t, survey)
	server := survey.ServerID
	if t.Engine == safepoint.SQLite {
		server = filepath.Dir(t.Path)
	}
	first := !d.seen["server "+server]
	d.seen["server "+server] = true
	for _, l := range survey.Leftovers {
		if l.Role != engine.RoleNone && first {
			d.leftover(ctx, s, t, l, survey)
		}
	}
}

// live looks at the database under its own name.
func (d *doctor) live(ctx context.Context, e engine.Engine, s engine.Surveyor, t engine.Target, survey engine.Survey) {
	where := address(t)
	if survey.LiveID == "" {
		d.missing(ctx, s, t, survey)
		return
	}
	for _, l := range survey.Leftovers {
		switch {
		case l.ID != survey.LiveID || !l.Shut:
		case l.Interrupted:
			d.add(Finding{Severity: Problem, Code: "database.invalid", Where: where, What: fmt.Sprintf("The drop of %s was begun and interrupted: nothing else can be done with it.", l.Name),
				Next: "Drop it by hand, and restore it from its latest backup."})
			return
		case d.underWay(ctx, t):
			d.add(Finding{Severity: Info, Code: "database.gated", Where: where, What: fmt.Sprintf("%s lets nobody in: a restore of it is under way.", l.Name)})
			return
		default:
			d.add(Finding{Severity: Problem, Code: "database.shut", Where: where, Fix: Open, Subject: l.Name,
				What:    fmt.Sprintf("%s lets nobody in. A restore that was cut off leaves it so, or an operator did it.", l.Name),
				Next:    "If no restore of it is under way anywhere, open it:",
				Command: "ALTER DATABASE " + ident(l.Name) + " WITH ALLOW_CONNECTIONS true;",
				Asks:    fmt.Sprintf("Let everyone into %s again? Only if no restore of it is under way anywhere.", l.Name),
				Do:      func(ctx context.Context) error { return s.LetIn(ctx, t, l) }})
			return
		}
	}
	info, err := e.Inspect(ctx, t)
	if err != nil {
		d.failed("database.unreachable", where, "It stands there, and cannot be looked into", err)
		return
	}
	f := Finding{Severity: Info, Code: "database", Where: where, What: fmt.Sprintf("%s %s, %s, %d tables.", t.Engine.Label(), info.ServerVersion, safepoint.Bytes(info.Size), info.Tables)}
	if info.Tool != "" {
		f.What += " Backed up with " + info.Tool + "."
	}
	d.add(f)
	d.versions(t, info)
}

// underWay says whether the catalog knows of a restore of the target that runs, with a server that runs it.
func (d *doctor) underWay(ctx context.Context, t engine.Target) bool {
	if d.Catalog == nil || d.Running == 0 {
		return false
	}
	ops, err := d.Catalog.Unsettled(ctx)
	if err != nil {
		return false
	}
	for _, op := range ops {
		if op.Type != safepoint.TypeRestore || op.Status != safepoint.StatusRunning {
			continue
		}
		if d.restores(ctx, op, t) {
			return true
		}
	}
	return false
}

// restores says whether an operation is one of the target.
func (d *doctor) restores(ctx context.Context, op safepoint.Operation, t engine.Target) bool {
	db, err := d.Catalog.Database(ctx, op.OrganizationID, op.DatabaseID)
	return err == nil && db.DBName == t.Name && db.Host == t.Host && db.Port == t.Port && db.Path == t.Path
}

// candidate says whether a leftover may be what is missing under the target's name. The mark is a comment, which whoever
// owns a database can write, and does not say which one it was: where the catalog knows the restore, it decides.
func (d *doctor) candidate(ctx context.Context, t engine.Target, l engine.Leftover) (op safepoint.Operation, may bool) {
	name := engine.AsideName(l.OperationID)
	if l.Role != engine.RoleAside || !l.Marked || l.Interrupted || l.Name != name && l.Path == "" {
		return op, false
	}
	if d.Catalog == nil {
		return op, true
	}
	op, known, err := d.Catalog.Known(ctx, l.OperationID)
	return op, err == nil && (!known || d.restores(ctx, op, t))
}

// missing tells that nothing holds the live name, and of what could be put back.
func (d *doctor) missing(ctx context.Context, s engine.Surveyor, t engine.Target, survey engine.Survey) {
	where := address(t)
	name := t.Name
	if t.Engine == safepoint.SQLite {
		name = filepath.Base(t.Path)
	}
	found := false
	for _, l := range survey.Leftovers {
		op, may := d.candidate(ctx, t, l)
		if !may {
			continue
		}
		found = true
		f := Finding{Severity: Problem, Code: "database.set_aside", Where: where, Fix: PutBack, Subject: l.Name,
			What:    fmt.Sprintf("Nothing is called %s, and %s is there: %s.", name, l.Name, setAside(l, op)),
			Next:    "If this is the database that is missing, give it its name back. With the server running, it may do so by itself: look at the restore's page first.",
			Command: d.again(t) + " --fix " + string(PutBack) + "=" + quoted(l.Name),
			Asks:    fmt.Sprintf("Give %s (%s%s) the name %s, which nothing holds now?", l.Name, safepoint.Bytes(l.Size), owned(l), name),
			Do:      func(ctx context.Context) error { return s.PutBack(ctx, t, l) }}
		d.add(f)
	}
	if !found {
		d.add(Finding{Severity: Problem, Code: "database.missing", Where: where, What: fmt.Sprintf("There is no database %s, and nothing that a restore set aside.", name),
			Next: "Somebody renamed or dropped it. Restore its latest backup: make an empty database of that name first."})
	}
}

// setAside says what a set-aside database is, and who vouches for that.
func setAside(l engine.Leftover, op safepoint.Operation) string {
	if op.ID != "" {
		return fmt.Sprintf("what was live before restore %s%s", op.ID, madeOn(l))
	}
	return fmt.Sprintf("what was live before restore %s%s, as its comment says%s: no restore that is known here made it, and a comment proves nothing", l.OperationID, madeOn(l), owned(l))
}

// owned is ", owned by …" where that is known.
func owned(l engine.Leftover) string {
	if l.Owner == "" {
		return ""
	}
	return ", owned by " + l.Owner
}

// madeOn is " (made …)" where that is known.
func madeOn(l engine.Leftover) string {
	if l.CreatedAt.IsZero() {
		return ""
	}
	return " (from " + stamp(l.CreatedAt) + ")"
}

// leftover tells of something that a restore made.
func (d *doctor) leftover(ctx context.Context, s engine.Surveyor, t engine.Target, l engine.Leftover, survey engine.Survey) {
	var op safepoint.Operation
	known := false
	if d.Catalog != nil {
		var err error
		if op, known, err = d.Catalog.Known(ctx, l.OperationID); err != nil {
			d.failed("catalog.unreadable", d.DataDir, "An operation cannot be read", err)
			return
		}
	}
	f := Finding{Where: address(t), Subject: l.Name, Code: "leftover." + string(l.Role)}
	what := map[engine.Role]string{engine.RoleStaging: "the copy that restore %s was building", engine.RoleAside: "what was live before restore %s", engine.RoleLogin: "the login that loaded the backup of restore %s"}[l.Role]
	f.What = fmt.Sprintf("%s is "+what+".", l.Name, l.OperationID)
	if l.Size > 0 {
		f.What = fmt.Sprintf("%s (%s%s) is "+what+".", l.Name, safepoint.Bytes(l.Size), madeOn(l), l.OperationID)
	}
	byHand := l.Role == engine.RoleLogin && strings.HasPrefix(l.OperationID, engine.ByHand)
	if byHand {
		f.What = l.Name + " is the login of a load by hand (safepoint load)."
	}
	if l.Owned > 0 {
		f.What += fmt.Sprintf(" %s that it made in %s %s still its own: that load did not get to its end.", things(l.Owned), strings.Join(l.Databases, ", "), map[bool]string{true: "is", false: "are"}[l.Owned == 1])
	}
	switch {
	case known && !op.Status.Ended():
		f.Severity, f.Next = Info, "Its restore has not ended: it is that one's."
	case l.Role == engine.RoleAside || known && !op.UndoUntil.IsZero():
		d.aside(&f, op, known)
	case !l.Marked && !l.Interrupted:
		f.Severity = Warning
		f.What = fmt.Sprintf("%s is called like something that a restore made, and does not carry its mark.", l.Name)
		f.Next = "A name alone proves nothing: it is never dropped by the program. Look at what is in it, and drop it by hand if nobody needs it."
	default:
		f.Severity = Warning
		f.Next = "No restore that is known here needs it. Make sure that no other Safepoint works on this server, then:"
		f.Command = d.again(t) + " --fix " + string(Discard) + "=" + quoted(l.Name)
		f.Fix, f.Asks = Discard, fmt.Sprintf("Drop %s for good? It carries the mark of restore %s; make sure that no Safepoint is restoring on this server.", l.Name, l.OperationID)
		if byHand {
			f.Next, f.Asks = "Nothing needs it once that load has ended. Make sure that no load by hand is under way on this server, then:", fmt.Sprintf("Drop the role %s for good?", l.Name)
		}
		if l.Owned > 0 {
			f.Asks = fmt.Sprintf("Drop %s for good, with %s that it had loaded into %s? Make sure that no Safepoint is loading on this server.", l.Name, things(l.Owned), strings.Join(l.Databases, ", "))
		}
		f.Do = func(ctx context.Context) error { return s.Discard(ctx, t, l) }
		if l.Interrupted {
			f.What += " Its drop was begun and interrupted."
		}
		if l.Sessions > 0 {
			f.What += fmt.Sprintf(" %d sessions are in it.", l.Sessions)
			f.Next, f.Command, f.Fix, f.Do = "Somebody works with it: a restore may be under way from another machine. Leave it alone.", "", "", nil
		}
	}
	d.add(f)
}

// things is how many things, for people.
func things(n int) string {
	if n == 1 {
		return "1 thing"
	}
	return strconv.Itoa(n) + " things"
}

func (d *doctor) aside(f *Finding, op safepoint.Operation, known bool) {
	switch {
	case known && op.Unguarded():
		f.Severity, f.Next = Warning, "It has no safety backup yet, and is the only copy of what was live: do not drop it. A server that runs makes the safety backup by itself."
	case known && !op.UndoUntil.IsZero():
		f.Severity, f.Next = Info, "It is kept until "+stamp(op.UndoUntil)+", so that the restore can be undone."
	case known:
		f.Severity = Warning
		f.Next = "The restore no longer needs it. It may hold the only copy of what was live then: look at it, and drop it by hand once you are sure."
	default:
		f.Severity = Warning
		f.Next = "No restore that is known here made it: it is the way back behind one. It is never dropped by the program. Look at it, and drop it by hand once nobody can need it."
	}
}

// again is the command that looks at a target as this one did. It never holds a password.
func (d *doctor) again(t engine.Target) string {
	if d.Catalog != nil && !slices.ContainsFunc(d.Targets, func(o engine.Target) bool { return address(o) == address(t) }) {
		return "safepoint doctor --data " + quoted(d.DataDir)
	}
	if t.Engine == safepoint.SQLite {
		return "safepoint doctor --database " + quoted("sqlite:"+t.Path)
	}
	u := url.URL{Scheme: "postgres", User: url.User(t.User), Path: "/" + t.Name, RawQuery: url.Values{"sslmode": {string(t.TLS)}}.Encode()}
	if strings.HasPrefix(t.Host, "/") {
		u.RawQuery = url.Values{"host": {t.Host}, "port": {strconv.Itoa(t.Port)}}.Encode()
	} else {
		u.Host = net.JoinHostPort(t.Host, strconv.Itoa(t.Port))
	}
	return "safepoint doctor --database " + quoted(u.String())
}

// ident is a name as PostgreSQL reads it.
func ident(name string) string {
	out := `"`
	for _, r := range name {
		if r == '"' {
			out += `"`
		}
		out += string(r)
	}
	return out + `"`
}

var errNothing = errors.New("nothing can be done about it")

// Apply does what a finding offers.
func (f Finding) Apply(ctx context.Context) error {
	if f.Do == nil {
		return errNothing
	}
	return f.Do(ctx)
}
