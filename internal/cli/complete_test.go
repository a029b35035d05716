package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"
)

// TestExamples holds each command's help to its promise: an example at least, and none that cannot be parsed.
func TestExamples(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, file := range []string{"cert.pem", "key.pem", "ca.pem", "password", "signing.key", "signing.pub", "shop.sql.zst", "recovery.key"} {
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	app := newParser(t)
	paths := map[string]bool{}
	var walk func(n *kong.Node)
	walk = func(n *kong.Node) {
		paths[path(n)] = true
		if !strings.Contains(n.Detail, "\n\n  safepoint ") && !strings.Contains(n.Detail, "(safepoint ") {
			t.Errorf("safepoint %s --help shows no example", path(n))
		}
		for _, example := range helps[path(n)].examples {
			if args := safepointIn(example); args == nil {
				t.Errorf("%s: no safepoint in %q", path(n), example)
			} else if _, err := newParser(t).Parse(args); err != nil {
				t.Errorf("%s: %v", example, err)
			}
		}
		for _, child := range n.Children {
			walk(child)
		}
	}
	for _, n := range app.Model.Children {
		walk(n)
	}
	for p := range helps {
		if !paths[p] {
			t.Errorf("there is help for %q, which is no command", p)
		}
	}
	if len(paths) < 50 {
		t.Errorf("only %d commands were looked at", len(paths))
	}
}

func newParser(t *testing.T) *kong.Kong {
	t.Helper()
	k, err := newCommandLine(&commands{}, &Env{Out: io.Discard, Err: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// safepointIn are the arguments of the safepoint in a line for a shell, without what the shell keeps to itself.
func safepointIn(line string) (args []string) {
	_, line, ok := strings.Cut(strings.NewReplacer("<(", "", ")", "").Replace(line), "safepoint ")
	if !ok && !strings.HasSuffix(line, "safepoint") {
		if line == "safepoint" {
			return []string{}
		}
		return nil
	}
	args = []string{}
	quoted := strings.Split(line, "'")
	for i, part := range quoted {
		if i%2 == 1 {
			args = append(args, part)
			continue
		}
		for _, word := range strings.Fields(part) {
			if word == "<" || word == ">" || word == "|" {
				return args
			}
			args = append(args, word)
		}
	}
	return args
}

// completed are the candidates for the last of words, without what says what they are.
func completed(t *testing.T, words ...string) (all []string) {
	t.Helper()
	for line := range strings.Lines(do(t, append([]string{completeWord}, words...)...)) {
		text, _, _ := strings.Cut(strings.TrimRight(line, "\n"), "\t")
		all = append(all, text)
	}
	return all
}

// TestComplete asks what may come next, of the commands and of a server.
func TestComplete(t *testing.T) {
	s := startRestartable(t)
	token := firstAdmin(t, s.Server)
	t.Setenv("SAFEPOINT_URL", s.URL())
	t.Setenv("SAFEPOINT_TOKEN", token)
	shop := filepath.Join(t.TempDir(), "shop.db")
	if err := runSQL(shop, "CREATE TABLE orders (id INTEGER PRIMARY KEY)"); err != nil {
		t.Fatal(err)
	}
	do(t, "database", "add", "the shop", "sqlite://"+shop)
	do(t, "schedule", "create", "Nightly", "--database", "the shop", "--interval", "24h", "--first-run", time.Now().AddDate(0, 1, 0).Format(time.RFC3339))
	var o, r struct{ ID, Name string }
	from := func(into any, args ...string) {
		t.Helper()
		if err := json.Unmarshal([]byte(do(t, append([]string{"--json"}, args...)...)), into); err != nil {
			t.Fatal(err)
		}
	}
	from(&o, "backup", "the shop", "--wait")
	from(&r, "restore", o.ID, "--confirm", "the shop", "--wait")

	for _, c := range []struct {
		words []string
		want  []string
	}{
		{[]string{"lo"}, []string{"login", "logout", "logs", "load"}},
		{[]string{"logs", "d"}, []string{"download", "delete"}},
		{[]string{"-q", "logs", "view", "--wa"}, []string{"--wait"}},
		{[]string{"logs", "--fol"}, []string{"--follow"}},
		{[]string{"logs", "--follow", "--fol"}, nil},
		{[]string{"logs", "--type", ""}, []string{"backup", "restore"}},
		{[]string{"logs", "--type=r"}, []string{"--type=restore"}},
		{[]string{"schedule", "create", "x", "--interval", "1"}, []string{"12h"}},
		{[]string{"logs", "--", "--fol"}, nil},
		{[]string{"verify", ""}, []string{":files"}},
		{[]string{"serve", "--data", ""}, []string{":dirs"}},
		{[]string{"doctor", "--data="}, []string{":dirs"}},
		{[]string{"completion", ""}, []string{"bash", "zsh", "fish"}},
		{[]string{"nothing", "of", "this"}, nil},
		{nil, []string{"serve", "watchdog", "demo", "login", "logout", "backup", "upload", "schedule", "logs", "restore", "undo", "database", "storage", "service",
			"state", "encryption", "notices", "health", "audit", "dump", "load", "verify", "extract", "inspect", "convert", "doctor", "recover", "key", "reset-password", "completion"}},

		{[]string{"backup", ""}, []string{"the shop"}},
		{[]string{"backup", "x"}, nil},
		{[]string{"logs", "--database=the"}, []string{"--database=the shop"}},
		{[]string{"schedule", "disable", "N"}, []string{"Nightly"}},
		{[]string{"restore", o.ID[:5]}, []string{o.ID}},
		{[]string{"logs", "download", o.Name[:6]}, []string{o.Name}},
		{[]string{"undo", "op_"}, []string{r.ID}},
		{[]string{"logs", "cancel", ""}, nil},
		{[]string{"state", "--organization", "H"}, []string{"Harbor"}},
		{[]string{"backup", "--token", "sp_wrong", ""}, nil},
		{[]string{"backup", "--url=http://127.0.0.1:1", ""}, nil},
	} {
		got := completed(t, c.words...)
		if c.words != nil && c.words[0] == "restore" { // the restore's safety backup can be restored too
			got = slices.DeleteFunc(got, func(id string) bool { return id != o.ID })
		}
		if c.words != nil && c.words[0] == "logs" && c.words[1] == "download" {
			got = slices.DeleteFunc(got, func(name string) bool { return name != o.Name })
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%q: %q, want %q", c.words, got, c.want)
		}
	}
}

// hostile is what somebody may call a database: it is a name in every shell, and never run.
const hostile = "$(touch pwned); `touch pwned`"

// TestCompletionInShells presses the tab key in real shells.
func TestCompletionInShells(t *testing.T) {
	s := startRestartable(t)
	token := firstAdmin(t, s.Server)
	shop := filepath.Join(t.TempDir(), "shop.db")
	if err := runSQL(shop, "CREATE TABLE orders (id INTEGER PRIMARY KEY)"); err != nil {
		t.Fatal(err)
	}
	do(t, "database", "add", "the shop", "sqlite://"+shop, "--url", s.URL(), "--token", token)
	do(t, "database", "add", hostile, "sqlite://"+shop, "--url", s.URL(), "--token", token)

	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.Symlink(self, filepath.Join(dir, "safepoint")); err != nil { // testscript.Main makes it the program
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "only.sql.zst"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	shells := map[string]string{
		// As readline does it: the words taken apart at = and :, and the place of the cursor.
		"bash": `source <(safepoint completion bash)
tab() { COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); compopt() { :; }; _safepoint safepoint; printf '%s\n' "${COMPREPLY[@]}"; }
tab safepoint logs vi
tab safepoint backup t
tab safepoint logs --type = r
tab safepoint logs --database=the
tab safepoint verify onl
line=$(tab safepoint backup '$'); eval "printf '%s\n' $line"`,
		// In a terminal of its own: the line that zsh has made of it is printed.
		"zsh": `zmodload zsh/zpty
zpty z zsh -f -i
zpty -w z "PROMPT= RPROMPT= ; unset zle_bracketed_paste; unsetopt beep; autoload -U compinit; compinit -u -d $PWD/.zcompdump; source <(safepoint completion zsh); show() { print -r -- \"=\$BUFFER=\"; BUFFER=; zle redisplay }; zle -N show; bindkey '^X' show; print \$((6 * 7))begin"
zpty -r z seen '*42begin*'
for line in 'safepoint logs vi' 'safepoint backup t' 'safepoint logs --type=r' 'safepoint logs --database=the' 'safepoint verify onl' 'safepoint backup \$'; do
	zpty -w -n z "$line"$'\t\x18'
	zpty -r z seen '*=safepoint*=*'$'\n'
	print -r -- "$seen"
done
seen=${${seen##*=safepoint backup }%=*}; eval "print -r -- $seen"
zpty -d z`,
		"fish": `safepoint completion fish | source
complete -C 'safepoint logs vi'
complete -C 'safepoint backup t'
complete -C 'safepoint logs --type=r'
complete -C 'safepoint logs --database=the'
complete -C 'safepoint verify onl'
complete -C 'safepoint backup '`,
	}
	for shell, script := range shells {
		t.Run(shell, func(t *testing.T) {
			if shell == "zsh" && !hasTerminals() {
				t.Skip("zsh completes in a terminal, and this machine gives out none")
			}
			program, err := exec.LookPath(shell)
			if err != nil {
				t.Fatalf("%v: make tools installs it", err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
			defer cancel()
			c := exec.CommandContext(ctx, program, map[string][]string{"bash": {"--norc"}, "zsh": {"-f"}, "fish": {"-N"}}[shell]...)
			c.Stdin, c.Dir = strings.NewReader(script), dir
			c.Env = append(os.Environ(), "PATH="+dir+":"+os.Getenv("PATH"), "HOME="+dir, "TERM=dumb", "SAFEPOINT_URL="+s.URL(), "SAFEPOINT_TOKEN="+token)
			var said bytes.Buffer
			c.Stderr = &said
			out, err := c.Output()
			if err != nil {
				t.Fatalf("%v: %s", err, said.String())
			}
			t.Logf("%s%s", out, said.String())
			rest := string(out)
			for _, want := range []string{"view", "the", "restore", "the", "only.sql.zst", hostile} {
				_, after, ok := strings.Cut(rest, want)
				if !ok {
					t.Fatalf("no %q in %q (%s)", want, rest, said.String())
				}
				_, rest, _ = strings.Cut(after, "\n")
			}
			if _, err := os.Stat(filepath.Join(dir, "pwned")); err == nil {
				t.Errorf("a database's name was run: %q", out)
			}
		})
	}
}
