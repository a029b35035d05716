package bench

import (
	"fmt"
	"strings"
)

// Phase is a group of contenders that do the same work.
type Phase string

const (
	Dump   Phase = "dump"
	Load   Phase = "load"
	Tables Phase = "tables" // dump of a database of many tiny tables
)

// Contender is one way to do a phase's work.
type Contender struct {
	Key       string
	Phase     Phase
	Name      string // for people
	Command   string // for bash -o pipefail, in the work folder, with PGHOST, PGPORT and PGUSER set
	Output    string // what a dump makes: a file or a folder
	Input     string // what it reads: the Key of the dump that makes it
	Process   string // whose peak memory counts; "" is the largest of the command's processes
	Ours      bool
	Arguments string // of ours, beside those that all have
	Once      bool   // in the first repetition only: it says nothing that another contender does not
	Limit     bool   // no dump at all, but what no dump can be faster than
	Checks    bool   // its result is compared with the source
}

// libzstd says that it is our program built with libzstd.
func (c Contender) libzstd() bool { return c.Ours && strings.HasSuffix(c.Key, "-cgo") }

// The databases of the cluster.
const (
	source      = "bench"
	tinySource  = "bench_tables"
	target      = "restored"
	connSource  = "host=$PGHOST port=$PGPORT user=$PGUSER dbname=" + source
	connTarget  = "host=$PGHOST port=$PGPORT user=$PGUSER dbname=" + target
	restoreArgs = "--clean --if-exists --no-owner --no-acl"
)

// contenders lists who runs, in their order. Peers are run as their own code runs them.
func contenders(jobs int, cgo bool) []Contender {
	j, more := fmt.Sprint(jobs), fmt.Sprint(jobs+jobs/2) // as many sessions as our load opens
	all := []Contender{
		{Key: "limit", Phase: Dump, Limit: true, Name: "limit: " + j + " × COPY TO '/dev/null'", Command: "./bench limit -jobs " + j + " " + source},
		{Key: "ours", Phase: Dump, Ours: true, Checks: true, Name: "safepoint dump, pure Go"},
		{Key: "ours-cgo", Phase: Dump, Ours: true, Checks: true, Name: "safepoint dump, libzstd"},
		{Key: "zstd", Phase: Dump, Name: "pg_dump | zstd -3 -T0", Command: "pg_dump -d " + source + " | zstd -3 -T0 -q -o peer.sql.zst", Output: "peer.sql.zst"},
		{Key: "databasus", Phase: Dump, Name: "Databasus: pg_dump -Fc -Z5", Command: "pg_dump -Fc -Z5 -d " + source + " > databasus.dump", Output: "databasus.dump"},
		{Key: "pgbackweb", Phase: Dump, Name: "pgBackWeb: pg_dump into a zip", Command: `pg_dump "` + connSource + `" | ./bench zip pgbackweb.zip dump.sql`, Output: "pgbackweb.zip"},
		{Key: "directory", Phase: Dump, Once: true, Name: "pg_dump -Fd -j" + j, Command: "pg_dump -Fd -j" + j + " -d " + source + " -f peer.dir", Output: "peer.dir"},
		{Key: "plain", Phase: Dump, Once: true, Name: "pg_dump, plain file", Command: "pg_dump -d " + source + " -f peer.sql", Output: "peer.sql"},
		{Key: "thorough", Phase: Dump, Ours: true, Once: true, Name: "safepoint dump --verify, pure Go", Arguments: " --verify"},
		{Key: "thorough-cgo", Phase: Dump, Ours: true, Name: "safepoint dump --verify, libzstd", Arguments: " --verify"},

		{Key: "ours", Phase: Load, Ours: true, Checks: true, Name: "safepoint load, pure Go", Input: "ours"},
		{Key: "ours-cgo", Phase: Load, Ours: true, Checks: true, Name: "safepoint load, libzstd", Input: "ours-cgo"},
		{Key: "load-only", Phase: Load, Once: true, Name: "part of ours: load without checks", Command: "./bench load -jobs " + j + " ours.sql.zst " + target, Input: "ours"},
		{Key: "pg_restore", Phase: Load, Name: "pg_restore -j" + j + " of -Fc", Command: "pg_restore -j" + j + " -d " + target + " databasus.dump", Input: "databasus"},
		{Key: "pg_restore-more", Phase: Load, Once: true, Name: "pg_restore -j" + more + " of -Fc", Command: "pg_restore -j" + more + " -d " + target + " databasus.dump", Input: "databasus"},
		{Key: "zstd-psql", Phase: Load, Name: "zstd -dc | psql", Command: "zstd -dcq peer.sql.zst | psql -X -q -v ON_ERROR_STOP=1 -d " + target + " >/dev/null", Input: "zstd"},
		{Key: "psql", Phase: Load, Name: "psql of pg_dump's plain file", Command: "psql -X -q -v ON_ERROR_STOP=1 -d " + target + " -f peer.sql >/dev/null", Input: "plain"},
		{Key: "ours-psql", Phase: Load, Checks: true, Name: "our file: zstd -dc | psql", Command: "zstd -dcq ours.sql.zst | psql -X -q -v ON_ERROR_STOP=1 -d " + target + " >/dev/null", Input: "ours"},
		{Key: "databasus", Phase: Load, Once: true, Name: "Databasus: pg_restore -j" + j + " --clean …", Command: "pg_restore -j " + j + " " + restoreArgs + " -d " + target + " databasus.dump", Input: "databasus"},
		{Key: "pgbackweb", Phase: Load, Once: true, Name: "pgBackWeb: unzip, psql -f", Command: `unzip -q -o pgbackweb.zip dump.sql && psql "` + connTarget + `" -f dump.sql >/dev/null`, Input: "pgbackweb"},

		{Key: "ours", Phase: Tables, Ours: true, Name: "safepoint dump, pure Go"},
		{Key: "ours-cgo", Phase: Tables, Ours: true, Name: "safepoint dump, libzstd"},
		{Key: "pg_dump", Phase: Tables, Name: "pg_dump, plain file", Command: "pg_dump -d " + tinySource + " -f tables.sql", Output: "tables.sql"},
		{Key: "zstd", Phase: Tables, Name: "pg_dump | zstd -3 -T0", Command: "pg_dump -d " + tinySource + " | zstd -3 -T0 -q -o tables.sql.zst", Output: "tables.sql.zst"},
	}
	kept := all[:0]
	for _, c := range all {
		if c.Ours {
			if c.Process = "safepoint"; c.libzstd() {
				c.Process = "safepoint-cgo"
			}
			c.Command, c.Output = own(c, j)
			c.Once = c.Once || c.Phase == Load && cgo && !c.libzstd() // a load compresses nothing
		}
		if cgo || !c.libzstd() {
			kept = append(kept, c)
		}
	}
	return kept
}

// own is our command line, and the file that it makes.
func own(c Contender, jobs string) (command, output string) {
	file := c.Key + ".sql.zst"
	if c.Phase == Load {
		return fmt.Sprintf(`./%s load -q --jobs %s --key %s %s --into "%s" >/dev/null`, c.Process, jobs, keyFile, file, urlOf(target)), ""
	}
	db := source
	if c.Phase == Tables {
		db, file = tinySource, "tables-"+file
	}
	return fmt.Sprintf(`./%s dump -q%s --jobs %s --sign-key %s --from "%s" -o %s >/dev/null`, c.Process, c.Arguments, jobs, keyFile, urlOf(db), file), file
}

func urlOf(database string) string {
	return "postgres://$PGUSER@/" + database + "?host=$PGHOST&port=$PGPORT"
}

// Goal is what one of our medians may be at most: times a peer's of the same run, or bytes.
type Goal struct {
	What     string
	Phase    Phase
	Measure  string // wall, cpu, size or peak
	Ours     string // Key
	Peer     string // Key; "" for an absolute limit
	AtMost   float64
	PeerName string // "" is the peer's own
}

// peakLimit is the memory that our process may take, whatever it reads.
const peakLimit = 128 << 20

// goals are those of issue 3, for each of our builds.
func goals(cgo bool) (all []Goal) {
	for _, ours := range []string{"ours-cgo", "ours"} {
		if ours == "ours-cgo" && !cgo {
			continue
		}
		all = append(all,
			Goal{"dump, wall", Dump, "wall", ours, "zstd", 0.75, ""},
			Goal{"dump, wall", Dump, "wall", ours, "databasus", 0.35, ""},
			Goal{"dump, wall", Dump, "wall", ours, "pgbackweb", 0.35, ""},
			Goal{"dump, wall", Dump, "wall", ours, "limit", 2.2, ""},
			Goal{"dump, CPU", Dump, "cpu", ours, "zstd", 1.0, ""},
			Goal{"dump, size", Dump, "size", ours, "zstd", 1.06, ""},
			Goal{"dump, peak memory", Dump, "peak", ours, "", peakLimit, ""},
			Goal{"load, wall", Load, "wall", ours, "pg_restore", 0.65, ""},
			Goal{"load, wall", Load, "wall", ours, "zstd-psql", 0.65, ""},
			Goal{"load, peak memory", Load, "peak", ours, "", peakLimit, ""},
			Goal{"tables, dump, wall", Tables, "wall", ours, "pg_dump", 1.1, ""},
			Goal{"tables, dump, peak memory", Tables, "peak", ours, "", peakLimit, ""},
		)
	}
	return append(all, Goal{"our file through psql, wall", Load, "wall", "ours-psql", "psql", 1.1, ""})
}

// phases reads a list such as "dump,load".
func phases(only string) (map[Phase]bool, error) {
	out := map[Phase]bool{}
	for _, p := range strings.Split(only, ",") {
		switch Phase(p) {
		case Dump, Load, Tables:
			out[Phase(p)] = true
		default:
			return nil, fmt.Errorf("there is no phase %q: dump, load, tables", p)
		}
	}
	return out, nil
}
