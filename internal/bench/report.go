package bench

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// WriteReport writes <date>-<commit>.md with its plot (.svg) and all rows (.jsonl) into a folder, and returns the
// path of the first. A run of some phases or contenders only says so in its names.
func WriteReport(folder string, r *Result) (string, error) {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return "", err
	}
	name := r.At.Format("2006-01-02") + "-" + r.Machine.Commit
	if r.Config.Only != "dump,load,tables" {
		name += "-" + strings.ReplaceAll(r.Config.Only, ",", "-")
	}
	if r.Config.Match != "" {
		name += "-part"
	}
	if r.Unfinished != "" {
		name += "-unfinished"
	}
	rows, err := os.Create(filepath.Join(folder, name+".jsonl"))
	if err != nil {
		return "", err
	}
	defer rows.Close()
	if err := writeRows(rows, r); err != nil {
		return "", err
	}
	if err := rows.Close(); err != nil {
		return "", err
	}
	if err := os.WriteFile(filepath.Join(folder, name+".svg"), []byte(plot(r)), 0o644); err != nil {
		return "", err
	}
	path := filepath.Join(folder, name+".md")
	return path, os.WriteFile(path, []byte(report(r, name)), 0o644)
}

var titles = map[Phase]string{Dump: "Dump", Load: "Load", Tables: "Dump of many tiny tables"}

// report is the page: what came of each goal, the figures, and all that is needed to judge and repeat them.
func report(r *Result, name string) string {
	var b strings.Builder
	m := r.Machine
	fmt.Fprintf(&b, "# Benchmark of %s, commit %s\n\n", r.At.Format("2 January 2006, 15:04 UTC"), m.Commit)
	b.WriteString("Written by `make bench`; [README.md](README.md) says how to read it and how to repeat it. ")
	fmt.Fprintf(&b, "Every run is a line of [%[1]s.jsonl](%[1]s.jsonl).\n\n![Wall time of each contender](%[1]s.svg)\n\n", name)
	if r.Unfinished != "" {
		fmt.Fprintf(&b, "**This run did not come to its end**, so contenders have run unequally often:\n\n```\n%s\n```\n\n", r.Unfinished)
	}
	if v := r.verdicts(); len(v) > 0 {
		b.WriteString("## Goals\n\n")
		goalTable(&b, r, v)
	}
	for _, phase := range []Phase{Dump, Load, Tables} {
		figures(&b, r, phase)
	}
	equal := "nothing, because no load of ours ran"
	if len(r.Equal) > 0 {
		equal = strings.Join(r.Equal, "; ")
	}
	fmt.Fprintf(&b, "## Checked\n\nCompared with the source after the first repetition, by `pg_dump --schema-only` and by counts and hashes of all rows, sequences and large objects that the server computed, and found the same: %s.\n\n", equal)
	b.WriteString("## Machine\n\n| | |\n| --- | --- |\n")
	for _, row := range [][2]string{
		{"processor", fmt.Sprintf("%s, %d cores", m.CPU, m.Cores)}, {"memory", fmt.Sprintf("%.0f GiB", float64(m.Memory)/(1<<30))},
		{"disk", m.Disk}, {"kernel", m.Kernel}, {"PostgreSQL", m.PostgreSQL + ", over a Unix socket; fsync on; otherwise default but for: " + strings.Join(m.Settings, ", ")},
		{"zstd", m.Zstd}, {"Go", m.Go}, {"our builds", builds(m)},
		{"database", fmt.Sprintf("%.2f GB on disk (size %g): %s", float64(m.Database)/1e9, r.Config.Size, cmp.Or(m.Rows, "not used"))},
		{"the whole run", r.Took.Round(1e9).String()},
	} {
		fmt.Fprintf(&b, "| %s | %s |\n", row[0], row[1])
	}
	b.WriteString("\n## Commands\n\nRun with `bash -o pipefail -c` in one folder, with `PGHOST`, `PGPORT` and `PGUSER` set. ")
	b.WriteString("`bench zip` is Go's `archive/zip` with its default compression, as pgBackWeb uses it; `bench limit` runs `COPY … TO '/dev/null'` for every table, large ones in slices. ")
	b.WriteString("Loads go into a database just made from `template0`.\n\n```sh\n")
	for _, c := range r.Contenders {
		fmt.Fprintf(&b, "# %s: %s\n%s\n", c.Phase, c.Name, c.Command)
	}
	b.WriteString("```\n")
	return b.String()
}

func builds(m Machine) string {
	if m.Libzstd {
		return "pure Go (CGO_ENABLED=0), and libzstd (CGO_ENABLED=1)"
	}
	return "pure Go (CGO_ENABLED=0) only: no C compiler, or no libzstd in this commit"
}

func goalTable(b *strings.Builder, r *Result, all []Verdict) {
	b.WriteString("| What | ours | beside | | ratio | goal | |\n| --- | --- | --- | ---: | ---: | ---: | --- |\n")
	for _, v := range all {
		met := "**missed**"
		if v.Met {
			met = "met"
		}
		ours := r.name(v.Phase, v.Goal.Ours) + ": " + v.text(v.Measure, v.Ours)
		if v.Goal.Peer == "" {
			fmt.Fprintf(b, "| %s | %s | | | | ≤ %d MiB | %s |\n", v.What, escape(ours), int64(v.AtMost)>>20, met)
			continue
		}
		fmt.Fprintf(b, "| %s | %s | %s | %s | %.2f | ≤ %.2f | %s |\n", v.What, escape(ours), escape(r.name(v.Phase, v.Goal.Peer)), v.text(v.Measure, v.Peer), v.Ratio, v.AtMost, met)
	}
	b.WriteString("\nRatios are of medians; of peak memory, the worst run counts.\n\n")
}

func figures(b *strings.Builder, r *Result, phase Phase) {
	head := false
	for _, c := range r.Contenders {
		wall := r.of(phase, c.Key, "wall")
		if c.Phase != phase || wall.N == 0 {
			continue
		}
		if !head {
			fmt.Fprintf(b, "## %s\n\n", titles[phase])
			if phase == Tables {
				fmt.Fprintf(b, "%d tables of three rows.\n\n", r.Config.Tables)
			}
			b.WriteString("| Contender | n | wall s (min–max) | client CPU s | server CPU s | peak MiB | all its processes MiB | size MB | others' CPU |\n")
			b.WriteString("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n")
			head = true
		}
		others := r.of(phase, c.Key, "others")
		size := "–"
		if s := r.of(phase, c.Key, "size"); s.Max > 0 {
			size = fmt.Sprintf("%.1f", s.Median/1e6)
		}
		name := escape(c.Name)
		if c.Ours {
			name = "**" + name + "**"
		}
		fmt.Fprintf(b, "| %s | %d | %.2f (%.2f–%.2f) | %.1f | %.1f | %.0f | %.0f | %s | %.0f–%.0f %% |\n", name, wall.N, wall.Median, wall.Min, wall.Max,
			r.of(phase, c.Key, "client").Median, r.of(phase, c.Key, "server").Median, r.of(phase, c.Key, "peak").Max/(1<<20),
			r.of(phase, c.Key, "tree").Max/(1<<20), size, others.Min*100, others.Max*100)
	}
	if head {
		b.WriteString("\n")
	}
}

// escape keeps a pipe from ending a table's cell.
func escape(s string) string { return strings.ReplaceAll(s, "|", `\|`) }
