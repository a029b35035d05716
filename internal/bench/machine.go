package bench

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
)

// Machine is where the figures come from.
type Machine struct {
	Commit     string   `json:"commit"`
	CPU        string   `json:"cpu"`
	Cores      int      `json:"cores"`
	Memory     int64    `json:"memory_bytes"`
	Kernel     string   `json:"kernel"`
	Disk       string   `json:"disk"`
	PostgreSQL string   `json:"postgresql"`
	Settings   []string `json:"settings"`
	Zstd       string   `json:"zstd"`
	Go         string   `json:"go"`
	Libzstd    bool     `json:"libzstd"` // whether the build with cgo took part
	Database   int64    `json:"database_bytes"`
	Rows       string   `json:"content,omitempty"` // what the database holds, in short
}

func (b *bench) machine(ctx context.Context, folder string, set map[string]string) (m Machine, err error) {
	m = Machine{CPU: cpuModel(), Cores: runtime.NumCPU(), Memory: memoryTotal(), Disk: disk(folder), Go: runtime.Version(), Libzstd: b.cgo,
		Kernel: output(ctx, "", "uname", "-sr"), Zstd: output(ctx, "", "zstd", "--version"), Commit: output(ctx, b.Module, "git", "describe", "--always", "--dirty", "--abbrev=10", "--exclude=*")}
	for k, v := range set {
		m.Settings = append(m.Settings, k+"="+v)
	}
	slices.Sort(m.Settings)
	conn, err := b.cluster.Connect(ctx, "postgres")
	if err != nil {
		return m, err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	err = conn.QueryRow(ctx, "SELECT current_setting('server_version'), (SELECT coalesce(sum(pg_database_size(datname)), 0)::bigint FROM pg_database WHERE datname = $1)", source).Scan(&m.PostgreSQL, &m.Database)
	if b.phases[Dump] || b.phases[Load] {
		n := countsAt(b.Size)
		m.Rows = fmt.Sprintf("pgbench at scale %d; %d customers, %d documents, %d events with jsonb, %d blobs, %d ledger rows, %d partitions of %d rows, %d large objects, %d tiny tables",
			n.pgbench, n.customers, n.documents, n.events, n.blobs, n.ledger, n.partitions, n.perPartition, n.largeObjs, n.tinyTables)
	}
	return m, err
}

// output is what a program prints, "unknown" if it fails.
func output(ctx context.Context, dir, program string, args ...string) string {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir = dir
	out, err := cmd.Output()
	if err != nil {
		return "unknown"
	}
	return strings.Trim(string(out), "* \n")
}

func cpuModel() string {
	text, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(text)) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return runtime.GOARCH
}

// memoryTotal is the machine's, in bytes.
func memoryTotal() int64 {
	text, _ := os.ReadFile("/proc/meminfo")
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) > 1 && f[0] == "MemTotal:" {
			kb, _ := strconv.ParseInt(f[1], 10, 64)
			return kb << 10
		}
	}
	return 8 << 30
}

// disk says on what kind of device and file system a folder lies.
func disk(folder string) string {
	out, err := exec.Command("df", "--output=source,fstype", folder).Output()
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	if err != nil || len(lines) < 2 {
		return "unknown"
	}
	f := strings.Fields(lines[1])
	kind := ""
	name := strings.TrimRight(filepath.Base(f[0]), "0123456789")
	switch rotational, _ := os.ReadFile("/sys/block/" + name + "/queue/rotational"); strings.TrimSpace(string(rotational)) {
	case "0":
		kind = ", not rotating"
	case "1":
		kind = ", rotating, or a virtual one that says so"
	}
	return f[0] + ", " + f[1] + kind
}
