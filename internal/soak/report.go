package soak

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// Report is what one kind of test has counted.
type Report struct {
	Command string // that anyone can run again, such as "make soak ROUNDS=5 KIND=kill"
	Took    time.Duration
	Head    []string   // of the table's columns
	Rows    [][]string // as people read them
	Notes   []string   // a sentence each, below the table
}

// Write puts a report between the markers of a section of a Markdown page, "<!-- figures: NAME -->" and "<!-- end -->",
// with the date, the commit and the machine. The rest of the page stays as it is. A page without the section gets it at
// its end.
func (r Report) Write(path, section string) error {
	page, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	begin, end := "<!-- figures: "+section+" -->\n", "<!-- end -->\n"
	body := begin + r.markdown(filepath.Dir(path)) + end
	before, rest, found := strings.Cut(string(page), begin)
	if !found {
		if before != "" && !strings.HasSuffix(before, "\n\n") {
			before = strings.TrimRight(before, "\n") + "\n\n"
		}
		return os.WriteFile(path, []byte(before+body), 0o644)
	}
	_, after, closed := strings.Cut(rest, end)
	if !closed {
		return fmt.Errorf("%s: the section %q has no end", path, section)
	}
	return os.WriteFile(path, []byte(before+body+after), 0o644)
}

func (r Report) markdown(repository string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s, commit %s, on %s: `%s`", time.Now().UTC().Format("2006-01-02 15:04 UTC"), commit(repository), Machine(), r.Command)
	if r.Took > 0 {
		fmt.Fprintf(&b, ", in %s", r.Took.Round(time.Second))
	}
	b.WriteString(".\n\n")
	row := func(cells []string) { b.WriteString("| " + strings.Join(cells, " | ") + " |\n") }
	row(r.Head)
	line := make([]string, len(r.Head))
	for i := range line {
		line[i] = "---"
	}
	row(line)
	for _, cells := range r.Rows {
		row(cells)
	}
	for _, note := range r.Notes {
		b.WriteString("\n" + note + "\n")
	}
	return b.String()
}

func commit(folder string) string {
	out, err := exec.Command("git", "-c", "safe.directory=*", "-C", folder, "describe", "--always", "--dirty", "--exclude=*").Output()
	if err != nil {
		return "unknown"
	}
	return string(bytes.TrimSpace(out))
}

// Machine is the machine as a reader of figures wants to know it: "2 cores of Intel(R) Xeon(R) @ 2.80GHz, 23 GiB, Linux 6.1".
func Machine() string {
	model := runtime.GOARCH
	if info, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		if _, rest, ok := strings.Cut(string(info), "model name"); ok {
			line, _, _ := strings.Cut(rest, "\n")
			model = strings.TrimSpace(strings.TrimLeft(line, "\t :"))
		}
	}
	text := fmt.Sprintf("%d cores of %s", runtime.NumCPU(), model)
	var kib int64
	if info, err := os.ReadFile("/proc/meminfo"); err == nil {
		if _, err := fmt.Sscanf(string(info), "MemTotal: %d kB", &kib); err == nil {
			text += fmt.Sprintf(", %d GiB", (kib+512<<10)>>20)
		}
	}
	if release, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		version, _, _ := strings.Cut(strings.TrimSpace(string(release)), "-")
		text += ", Linux " + version
	}
	return text
}
