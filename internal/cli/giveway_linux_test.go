package cli

import (
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestGiveWay asks, in a process of its own, for the policy of every thread and of a program it starts.
func TestGiveWay(t *testing.T) {
	if os.Getenv("SAFEPOINT_GIVE_WAY") == "" {
		cmd := exec.Command(os.Args[0], "-test.run=^TestGiveWay$", "-test.v")
		cmd.Env = append(os.Environ(), "SAFEPOINT_GIVE_WAY=1")
		out, err := cmd.CombinedOutput()
		if err != nil || !strings.Contains(string(out), "threads give way") {
			t.Errorf("%v\n%s", err, out)
		}
		return
	}
	const niceness = 3
	if err := unix.Setpriority(unix.PRIO_PROCESS, os.Getpid(), niceness); err != nil { // of the first thread
		t.Fatal(err)
	}
	giveWay()
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Fatal(err)
	}
	for _, thread := range threads {
		id, err := strconv.Atoi(thread.Name())
		if err != nil {
			t.Fatal(err)
		}
		attr, err := unix.SchedGetAttr(id, 0)
		if err != nil {
			t.Fatal(err)
		}
		if attr.Policy != unix.SCHED_BATCH {
			t.Errorf("thread %d has policy %d", id, attr.Policy)
		}
		if id == os.Getpid() && attr.Nice != niceness {
			t.Errorf("its niceness became %d", attr.Nice)
		}
	}
	stat, err := exec.Command("cat", "/proc/self/stat").Output()
	if err != nil {
		t.Fatal(err)
	}
	_, fields, _ := strings.Cut(string(stat), ") ") // after the name, which is the second
	if policy := strings.Fields(fields)[41-3]; policy != strconv.Itoa(unix.SCHED_BATCH) {
		t.Errorf("a program started has policy %s", policy)
	}
	t.Logf("%d threads give way", len(threads))
}
