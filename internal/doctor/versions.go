package doctor

import (
	"fmt"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/engine"
)

// firstGood is, for each major version of PostgreSQL, the first minor one whose psql keeps to its restricted mode
// (CVE-2026-18408): with an older one, a backup file of unknown origin that is restored by hand can run programs.
// Safepoint itself executes no file with psql.
var firstGood = map[int]int{14: 24, 15: 19, 16: 15, 17: 11, 18: 6}

// fixedSQLite is the first SQLite without the WAL-reset corruption (3.7.0 to 3.51.2).
const fixedSQLite = 3051003

// versions tells of programs with known faults, where they matter.
func (d *doctor) versions(t engine.Target, info engine.Info) {
	key := fmt.Sprintf("version %s %d", t.Engine, info.ServerVersionNum)
	if d.seen[key] {
		return
	}
	d.seen[key] = true
	switch t.Engine {
	case safepoint.PostgreSQL:
		major, minor := info.ServerVersionNum/10000, info.ServerVersionNum%10000
		good, known := firstGood[major]
		switch {
		case major < 14:
			d.add(Finding{Severity: Warning, Code: "version.unsupported", Where: address(t), What: fmt.Sprintf("PostgreSQL %s gets no security fixes any more.", info.ServerVersion), Next: "Move to a newer major version: a backup of this one restores there."})
		case known && minor < good:
			d.add(Finding{Severity: Info, Code: "version.known_bad", Where: address(t),
				What: fmt.Sprintf("PostgreSQL %s is older than %d.%d. A psql of that version can be made to run programs by a file of unknown origin (CVE-2026-18408).", info.ServerVersion, major, good),
				Next: "Safepoint does not use psql. Update before anybody restores files by hand with it."})
		}
	case safepoint.SQLite:
		if info.ServerVersionNum < fixedSQLite {
			d.add(Finding{Severity: Warning, Code: "version.known_bad", Where: "safepoint", What: fmt.Sprintf("The SQLite in this program, %s, can damage files in WAL mode.", info.ServerVersion), Next: "Use a newer Safepoint."})
		}
	}
}
