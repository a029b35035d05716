package soak

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// points are where the server is struck, by what it is doing then and, behind a space, on which engine only.
// TestPointsAreComplete keeps the list whole. "first then second" strikes the next process too, while it recovers.
var points = map[string][]string{
	"restore": {
		"queue.stored", "jobs.claimed",
		"restore.check.intent", "restore.check.verified", "restore.check.asked", "restore.check.planned",
		"restore.stage.intent", "restore.stage.created", "restore.stage.noted", "restore.stage.loaded", "restore.stage.done",
		"restore.verify.digested", "restore.verify.done",
		"restore.halt.probed", "restore.halt.written", "restore.halt.intent", "restore.halt.call", "restore.halt.each", "restore.halt.done",
		"restore.gate.intent", "restore.gate.closed",
		"restore.guard.intent", "safety.begun", "backup.named", "backup.create", "backup.dump", "backup.commit.before", "storage.synced",
		"storage.linked", "backup.commit.after", "backup.verify", "safety.listed", "restore.guard.done",
		"restore.switch.before", "restore.switch.sent", "restore.switch.confirmed",
		"restore.resume.intent", "restore.open.before", "restore.resume.opened", "restore.resume.each", "restore.resume.tried",
		"restore.resume.done", "restore.resume.cleared", "restore.clean", "restore.end", "jobs.end.before", "jobs.end.stored",
	},
	"restore sqlite": {
		"sqlite.stage.made", "sqlite.gate.locked", "sqlite.switch.create", "sqlite.switch.aside", "sqlite.switch.marked",
		"sqlite.switch.locked", "sqlite.switch.done", "sqlite.switch.copied", "sqlite.switch.written",
	},
	"restore postgres": {
		"postgres.rehearsed", "postgres.stage.created", "postgres.stage.marked", "postgres.load.entered", "postgres.load.rows", "postgres.load.post",
		"postgres.gate.inside", "postgres.gate.shut", "postgres.gate.drained", "postgres.switch.before", "postgres.switch.sent",
	},
	"instant": { // a restore whose switch comes before its safety backup
		"restore.halt.probed", "restore.poised", "restore.halt.intent", "restore.halt.each", "restore.halt.done", "restore.switch.before",
		"restore.switch.sent", "restore.switch.confirmed", "restore.resume.intent", "restore.resume.opened", "restore.resume.each",
		"restore.resume.tried", "restore.resume.done", "restore.resume.cleared", "restore.aside.intent", "safety.begun", "backup.dump",
		"backup.commit.before", "backup.commit.after", "safety.listed", "restore.aside.done", "restore.clean", "restore.end", "jobs.end.before",
	},
	"instant sqlite":   {"sqlite.switch.aside", "sqlite.switch.locked", "sqlite.switch.done", "sqlite.switch.copied"},
	"instant postgres": {"postgres.instant.before", "postgres.instant.sent"},
	"undo": {
		"queue.stored", "jobs.claimed", "restore.undo.check", "restore.halt.probed", "restore.halt.intent", "restore.halt.each", "restore.halt.done",
		"restore.undo.intent", "restore.undo.sent", "restore.undo.confirmed", "restore.resume.intent", "restore.resume.opened",
		"restore.resume.each", "restore.resume.cleared", "restore.end", "jobs.end.before", "jobs.end.stored",
	},
	"undo sqlite": {
		"sqlite.switchback.kept", "sqlite.switchback.marked", "sqlite.switch.locked", "sqlite.switch.done", "sqlite.switchback.copied",
		"sqlite.switchback.written",
	},
	"undo postgres": {"postgres.switchback.before", "postgres.switchback.sent"},
	"inplace": {
		"restore.check.asked", "restore.halt.done", "restore.inplace.intent", "restore.inplace.begun", "restore.guard.done", "restore.inplace.loaded",
		"restore.inplace.verified", "restore.inplace.before", "postgres.inplace.before", "postgres.inplace.sent", "restore.inplace.sent",
		"restore.resume.each", "restore.end", "jobs.end.before",
	},
	"found": {
		"restore.check.verified", "restore.stage.intent", "restore.stage.created", "restore.stage.loaded", "restore.verify.done",
		"restore.found.intent", "restore.found.sent", "restore.found.confirmed", "jobs.end.before",
	},
	"found sqlite":   {"sqlite.found.linked"},
	"found postgres": {"postgres.found.before", "postgres.found.sent"},
	"backup": {
		"queue.stored", "jobs.claimed", "backup.named", "backup.create", "backup.dump", "backup.commit.before", "storage.synced", "storage.linked",
		"backup.commit.after", "backup.verify", "jobs.end.before", "jobs.end.stored",
	},
	"delete":   {"delete.marked", "delete.file", "storage.deleted", "delete.gone", "delete.recorded"},
	"schedule": {"schedule.due", "schedule.missed", "schedule.queued", "schedule.recorded", "jobs.claimed", "backup.commit.after"},
	"upload":   {"upload.received", "upload.kept", "queue.stored", "upload.begun", "storage.linked", "backup.verify"},
	"clean":    {"clean.drop.before", "clean.drop.done", "clean.recorded"},
	"clean postgres": {
		"postgres.drop.before", "postgres.drop.done",
	},
	"test": {"service.test.intent", "service.test.halted", "service.test.resumed"},
	"recovery": {
		"restore.stage.loaded then jobs.orphans", "restore.stage.loaded then restore.recover.read", "restore.stage.loaded then restore.back",
		"restore.stage.loaded then restore.back.undecided", "restore.stage.loaded then restore.staging.dropped",
		"restore.halt.each then restore.recover.read", "restore.halt.each then restore.resume.each", "restore.halt.each then restore.resume.tried",
		"restore.guard.done then restore.open.before", "restore.guard.done then restore.resume.opened", "restore.guard.done then restore.resume.each",
		"restore.guard.done then restore.resume.cleared", "restore.guard.done then restore.staging.dropped", "restore.guard.done then jobs.end.before",
		"restore.switch.sent then restore.recover.read", "restore.switch.sent then restore.open.before", "restore.switch.sent then restore.probed",
		"restore.switch.sent then restore.resume.intent", "restore.switch.sent then restore.resume.each", "restore.switch.sent then restore.resume.cleared",
		"restore.switch.sent then restore.end", "restore.switch.sent then jobs.end.stored",
		"backup.dump then backup.discarded",
	},
	"recovery postgres": {
		"postgres.stage.created then postgres.drop.before", "restore.stage.loaded then postgres.drop.done", "postgres.switch.sent then restore.probed",
		"postgres.gate.shut then restore.open.before",
	},
}

// met are the points of a story on an engine.
func met(story, engine string) []string {
	return slices.Concat(points[story], points[story+" "+engine])
}

// inSource finds the points that the program has, and calls found with each.
func inSource(t *testing.T, found func(path, point string)) {
	t.Helper()
	call := regexp.MustCompile(`fault\.(Point|Named)\("([^"]+)"\)`)
	err := filepath.WalkDir("..", func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		src, err := os.ReadFile(path)
		for _, m := range call.FindAllSubmatch(src, -1) {
			name := string(m[2])
			if string(m[1]) == "Named" { // has a point on either side of sending
				found(path, name+".before")
				found(path, name+".sent")
				continue
			}
			found(path, name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestPointsAreComplete(t *testing.T) {
	listed := map[string]bool{}
	for _, names := range points {
		for _, n := range names {
			for part := range strings.SplitSeq(n, " then ") {
				listed[part] = true
			}
		}
	}
	here := map[string]bool{}
	inSource(t, func(path, point string) {
		here[point] = true
		if !listed[point] {
			t.Errorf("%s: the fault point %q is met by no test; add it to points", path, point)
		}
		listed[point] = true
	})
	for point := range listed {
		if !here[point] {
			t.Errorf("the fault point %q is listed, and nowhere in the program", point)
		}
	}
	for _, engine := range []string{"sqlite", "postgres"} {
		if n := len(met("restore", engine)); n < 40 {
			t.Errorf("a restore on %s has %d fault points; at least 40 are promised", engine, n)
		}
	}
}

// TestNothingInANormalBuild shows that fault points cost nothing: a normal build holds no name of one.
func TestNothingInANormalBuild(t *testing.T) {
	bin := filepath.Join(t.TempDir(), "safepoint")
	if out, err := exec.Command("go", "build", "-o", bin, "../../cmd/safepoint").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	program, err := os.ReadFile(bin)
	if err != nil {
		t.Fatal(err)
	}
	text := string(program)
	inSource(t, func(path, point string) {
		if strings.Contains(text, point) {
			t.Errorf("the normal program holds the name of the fault point %q (%s)", point, path)
		}
	})
	for _, name := range []string{"SAFEPOINT_FAULT", "fault.Point", "faultyEngine"} {
		if strings.Contains(text, name) {
			t.Errorf("the normal program holds %q", name)
		}
	}
}

// TestWrappersHideNothing keeps fault/calls whole: whatever else an engine may be asked to be, its wrapper must be.
func TestWrappersHideNothing(t *testing.T) {
	var src []byte
	wrappers, _ := filepath.Glob("../fault/calls/*.go")
	for _, path := range wrappers {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		src = append(src, text...)
	}
	asked := regexp.MustCompile(`\.\(engine\.([A-Z]\w*)\)`)
	for _, folder := range []string{"../app", "../restore", "../server"} {
		files, _ := filepath.Glob(folder + "/*.go")
		for _, path := range files {
			if strings.HasSuffix(path, "_test.go") {
				continue
			}
			code, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range asked.FindAllSubmatch(code, -1) {
				if !regexp.MustCompile(`\bengine\.` + string(m[1]) + `\b`).Match(src) {
					t.Errorf("%s asks whether an engine is an engine.%s; let Engine in fault/calls pass it on", path, m[1])
				}
			}
		}
	}
}
