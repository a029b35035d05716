package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/safepoint-db/safepoint/internal/pgserver"
)

// Usage is what one run cost, as the kernel counted it.
type Usage struct {
	Wall      float64 `json:"wall_s"`
	ClientCPU float64 `json:"client_cpu_s"` // user and system, of the command and all its children
	ServerCPU float64 `json:"server_cpu_s"` // of the postmaster, and its children, living or gone
	Foreign   float64 `json:"foreign"`      // share of the machine's processors that anybody else used meanwhile, the kernel's own threads and stolen time included
	// Peak is the highest resident size of a single process of the command, and PeakOf its name. It is the kernel's
	// high-water mark, read every sampleEvery, so what the last instant of a process added may be missing.
	Peak     int64  `json:"peak_bytes"`
	PeakOf   string `json:"peak_of"`
	PeakTree int64  `json:"peak_tree_bytes"` // of all processes of the command at one moment, shared pages counted in each
}

const (
	sampleEvery = 20 * time.Millisecond
	ticks       = 100 // USER_HZ: the unit of /proc, on every Linux
)

// run executes a shell command in dir and measures it. count names the process whose peak counts; "" is the largest.
func run(ctx context.Context, c *pgserver.Cluster, dir, command, count string, env []string) (u Usage, err error) {
	postmaster, err := postmasterOf(c)
	if err != nil {
		return u, err
	}
	cmd := exec.CommandContext(ctx, "bash", "-o", "pipefail", "-c", command)
	cmd.Dir, cmd.Env = dir, env
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	// A process group of its own: an interrupt ends the pipeline, not its first process alone.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }

	server, err := quiet(ctx, c, postmaster)
	if err != nil {
		return u, err
	}
	busy, own := machineCPU(), ownCPU()
	start := time.Now()
	if err := cmd.Start(); err != nil {
		return u, err
	}
	sampled, ended := make(chan memory), make(chan struct{})
	go func() { sampled <- sample(cmd.Process.Pid, ended) }()
	err = cmd.Wait()
	u.Wall = time.Since(start).Seconds()
	elapsed := u.Wall * float64(runtime.NumCPU())
	busy, own = machineCPU()-busy, ownCPU()-own
	close(ended)
	mem := <-sampled
	if err != nil {
		return u, fmt.Errorf("%s: %w\n%s", command, err, lastLines(stderr.String(), 12))
	}
	u.ClientCPU = (cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Seconds()
	after, err := quiet(ctx, c, postmaster)
	if err != nil {
		return u, err
	}
	u.ServerCPU = after - server
	u.Foreign = max(0, (busy-own-u.ClientCPU-u.ServerCPU)/elapsed)
	u.Peak, u.PeakOf, u.PeakTree = mem.of(count)
	return u, nil
}

// memory is the peaks seen, in bytes.
type memory struct {
	peaks map[string]int64 // by name of program
	tree  int64
}

func (m memory) of(count string) (peak int64, name string, tree int64) {
	for n, p := range m.peaks {
		if p > peak && (count == "" && n != "bash" || n == count) {
			peak, name = p, n
		}
	}
	return peak, name, m.tree
}

// sample looks at a process and its descendants until ended.
func sample(pid int, ended <-chan struct{}) memory {
	m := memory{peaks: map[string]int64{}}
	tick := time.NewTicker(sampleEvery)
	defer tick.Stop()
	for {
		var tree int64
		for _, p := range append([]int{pid}, descendants(pid)...) {
			name, rss, peak := statusOf(p)
			tree += rss
			m.peaks[name] = max(m.peaks[name], peak)
		}
		m.tree = max(m.tree, tree)
		select {
		case <-ended:
			return m
		case <-tick.C:
		}
	}
}

func descendants(pid int) (all []int) {
	for _, child := range children(pid) {
		all = append(append(all, child), descendants(child)...)
	}
	return all
}

func children(pid int) (pids []int) {
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, task := range tasks {
		text, _ := os.ReadFile(task)
		for _, f := range strings.Fields(string(text)) {
			n, _ := strconv.Atoi(f)
			pids = append(pids, n)
		}
	}
	return pids
}

// statusOf is a process's name, resident size and its peak, in bytes; zeros if it is gone.
func statusOf(pid int) (name string, rss, peak int64) {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	for line := range strings.Lines(string(text)) {
		key, value, _ := strings.Cut(line, ":")
		switch f := strings.Fields(value); {
		case len(f) == 0:
		case key == "Name":
			name = f[0]
		case key == "VmHWM":
			peak, _ = strconv.ParseInt(f[0], 10, 64)
		case key == "VmRSS":
			rss, _ = strconv.ParseInt(f[0], 10, 64)
		}
	}
	return name, rss << 10, peak << 10
}

func postmasterOf(c *pgserver.Cluster) (int, error) {
	text, err := os.ReadFile(filepath.Join(c.DataDir, "postmaster.pid"))
	if err != nil {
		return 0, err
	}
	first, _, _ := strings.Cut(string(text), "\n")
	return strconv.Atoi(first)
}

// quiet waits until the server serves nobody but the asker, and returns the CPU seconds it has used since its start.
// What a backend has used is the postmaster's to tell only when it has ended.
func quiet(ctx context.Context, c *pgserver.Cluster, postmaster int) (float64, error) {
	conn, err := c.Connect(ctx, "postgres")
	if err != nil {
		return 0, err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	deadline := time.Now().Add(time.Minute)
	for {
		var others int
		err := conn.QueryRow(ctx, "SELECT count(*) FROM pg_stat_activity WHERE backend_type IN ('client backend', 'parallel worker') AND pid <> pg_backend_pid()").Scan(&others)
		if err != nil {
			return 0, err
		}
		if before := fmt.Sprint(children(postmaster)); others == 0 {
			seconds := serverCPU(postmaster)
			if fmt.Sprint(children(postmaster)) == before {
				return seconds, nil
			}
		}
		if time.Now().After(deadline) {
			return 0, errors.New("the server still serves somebody a minute after a run")
		}
		time.Sleep(2 * time.Millisecond) // between two looks, for an event of another process
	}
}

func serverCPU(postmaster int) float64 {
	own, waited := cpuOf(postmaster)
	sum := own + waited
	for _, p := range children(postmaster) {
		own, waited := cpuOf(p)
		sum += own + waited
	}
	return sum
}

// cpuOf reads fields 14 to 17 of /proc/PID/stat in seconds: its own time, and that of children it has waited for.
func cpuOf(pid int) (own, waited float64) {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, rest, _ := strings.Cut(string(text), ") ") // the name before it may hold anything but this
	f := strings.Fields(rest)
	if len(f) < 15 {
		return 0, 0
	}
	n := func(field int) float64 { v, _ := strconv.ParseFloat(f[field-3], 64); return v / ticks }
	return n(14) + n(15), n(16) + n(17)
}

// machineCPU is how long all processors have worked since boot, also for other machines (steal), in seconds.
func machineCPU() (seconds float64) {
	text, _ := os.ReadFile("/proc/stat")
	first, _, _ := strings.Cut(string(text), "\n")
	for i, f := range strings.Fields(first) {
		switch i {
		case 1, 2, 3, 6, 7, 8: // user, nice, system, irq, softirq, steal; not idle, iowait, nor guests, which user holds
			v, _ := strconv.ParseFloat(f, 64)
			seconds += v / ticks
		}
	}
	return seconds
}

func ownCPU() float64 {
	var r syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &r)
	return float64(r.Utime.Nano()+r.Stime.Nano()) / 1e9
}

func lastLines(s string, n int) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
