package cli

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

// completeWord is the first argument with which the scripts of "safepoint completion" ask what may come next.
const completeWord = "__complete"

// candidate is what may stand where the cursor is.
type candidate struct{ text, help string }

// In place of candidates, the shell completes names of files or folders itself.
const (
	someFile = ":files"
	someDir  = ":dirs"
)

// complete prints, one a line, what may become of the last word of a command line that is being typed, and after a tab
// what it is. A server that does not answer, or has nothing to offer, leaves it empty: nothing is ever an error here.
func complete(ctx context.Context, app *kong.Application, words []string, out io.Writer) {
	if len(words) == 0 {
		words = []string{""}
	}
	last := len(words) - 1
	l := readLineOf(app, words[:last])
	for _, c := range l.candidates(ctx, words[last]) {
		if c.help == "" {
			fmt.Fprintln(out, oneLine(c.text))
			continue
		}
		fmt.Fprintf(out, "%s\t%s\n", oneLine(c.text), oneLine(c.help))
	}
}

// typed is what the words before the cursor say.
type typed struct {
	node    *kong.Node        // the command so far
	args    int               // how many arguments it has
	waiting *kong.Flag        // the flag whose value comes next
	given   map[string]string // flags, by name
	literal bool              // after "--": no more flags
}

func readLineOf(app *kong.Application, words []string) *typed {
	l := &typed{node: app.Node, given: map[string]string{}}
	for _, w := range words {
		switch {
		case l.waiting != nil:
			l.given[l.waiting.Name] = w
			l.waiting = nil
		case w == "--":
			l.literal = true
		case strings.HasPrefix(w, "-") && len(w) > 1 && !l.literal:
			name, value, whole := strings.Cut(w, "=")
			f := l.flag(name)
			if f == nil {
				continue
			}
			l.given[f.Name] = value
			if !whole && !f.IsBool() && !f.IsCounter() {
				l.waiting = f
			}
		default:
			if child := l.child(w); child != nil {
				l.node, l.args = child, 0
			} else {
				l.args++
			}
		}
	}
	return l
}

func (l *typed) child(name string) *kong.Node {
	for _, c := range l.node.Children {
		if l.args == 0 && c.Type == kong.CommandNode && (c.Name == name || slices.Contains(c.Aliases, name)) {
			return c
		}
	}
	return nil
}

// flags are those of the command, of the commands around it, and of the one that runs if none is named.
func (l *typed) flags() (all []*kong.Flag) {
	if l.node.DefaultCmd != nil {
		all = append(all, l.node.DefaultCmd.Flags...)
	}
	for n := l.node; n != nil; n = n.Parent {
		all = append(all, n.Flags...)
	}
	return slices.DeleteFunc(all, func(f *kong.Flag) bool { return f.Hidden })
}

// flag is the one written as "--name" or "-n"; nil for none.
func (l *typed) flag(written string) *kong.Flag {
	for _, f := range l.flags() {
		if written == "--"+f.Name || strings.HasPrefix(written, "--") && slices.Contains(f.Aliases, written[2:]) || f.Short != 0 && written == "-"+string(f.Short) {
			return f
		}
	}
	return nil
}

// candidates are what cur may become.
func (l *typed) candidates(ctx context.Context, cur string) []candidate {
	if l.waiting != nil {
		return l.values(ctx, l.waiting.Value, "", cur)
	}
	if name, part, ok := strings.Cut(cur, "="); ok && strings.HasPrefix(cur, "--") && !l.literal {
		if f := l.flag(name); f != nil {
			return l.values(ctx, f.Value, name+"=", part)
		}
		return nil
	}
	if strings.HasPrefix(cur, "-") && !l.literal {
		return l.flagNames(cur)
	}
	var all []candidate
	if l.args == 0 {
		for _, c := range l.node.Children {
			if c.Type == kong.CommandNode && !c.Hidden && strings.HasPrefix(c.Name, cur) {
				all = append(all, candidate{c.Name, c.Help})
			}
		}
	}
	if v := l.positional(); v != nil {
		all = append(all, l.values(ctx, v, "", cur)...)
	}
	return all
}

// flagNames are the flags that begin with cur and can still be given.
func (l *typed) flagNames(cur string) (all []candidate) {
	for _, f := range l.flags() {
		_, given := l.given[f.Name]
		if name := "--" + f.Name; strings.HasPrefix(name, cur) && (!given || f.IsCumulative()) {
			all = append(all, candidate{name, f.Help})
		}
	}
	slices.SortStableFunc(all, func(a, b candidate) int { return strings.Compare(a.text, b.text) })
	return slices.CompactFunc(all, func(a, b candidate) bool { return a.text == b.text })
}

// positional is the argument that comes next, nil for none.
func (l *typed) positional() *kong.Value {
	all := l.node.Positional
	switch {
	case l.args < len(all):
		return all[l.args]
	case len(all) > 0 && all[len(all)-1].IsCumulative():
		return all[len(all)-1]
	}
	return nil
}

// values are what a flag or an argument may be, each after prefix.
func (l *typed) values(ctx context.Context, v *kong.Value, prefix, cur string) []candidate {
	kind := kindOf(v)
	if kind == someFile || kind == someDir {
		return []candidate{{text: kind}}
	}
	var all []candidate
	if v.Enum != "" {
		for _, e := range v.EnumSlice() {
			if e != "" {
				all = append(all, candidate{text: e})
			}
		}
	} else if list := lists[kind]; list != nil {
		all = l.ask(ctx, list, cur)
	}
	var fit []candidate
	for _, c := range all {
		if strings.HasPrefix(c.text, cur) {
			fit = append(fit, candidate{prefix + c.text, c.help})
		}
	}
	return fit
}

// kindOf is what a value names: the complete tag says it where it is something of the server, a placeholder or type
// where it is a file.
func kindOf(v *kong.Value) string {
	placeholder := v.Tag.PlaceHolder
	switch {
	case v.Tag.Has("complete"):
		return v.Tag.Get("complete")
	case v.Tag.Type == "existingdir", placeholder == "DIR":
		return someDir
	case v.Tag.Type == "existingfile", v.Tag.Type == "path", placeholder == "FILE", v.Name == "file", v.Name == "output":
		return someFile
	}
	return ""
}
