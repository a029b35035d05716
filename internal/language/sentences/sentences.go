// Package sentences finds what the console says in its source, and keeps gettext catalogues in step with it.
package sentences

import (
	"cmp"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"text/template/parse"

	"github.com/safepoint-db/safepoint"
)

// Sentence is one entry of a catalogue.
type Sentence struct {
	Context string   // of a word that needs one
	One     string   // the key: the English sentence, in the singular where it is counted
	Many    string   // its plural, "" for none
	Files   []string // where it is said, by path within the repository
}

type key struct{ context, one string }

// collection gathers sentences, and complains of calls it cannot read.
type collection struct {
	root     string
	found    map[key]*Sentence
	packages map[string]map[string]arguments // by folder: its functions that word errors, see wording
	problems []string
}

// Collect finds every sentence below the root of the repository, sorted. Its error names each place that says something
// which is no literal, or gives other values than its sentence has places.
func Collect(root string) ([]Sentence, error) {
	c := &collection{root: root, found: map[key]*Sentence{}}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		name := d.Name()
		switch {
		case err != nil:
			return err
		case d.IsDir() && path != root && (strings.HasPrefix(name, ".") || name == "testdata" || name == "node_modules" || name == "tmp" || name == "data" || unsaid(root, path)):
			return fs.SkipDir
		case d.IsDir():
			return nil
		case strings.HasSuffix(name, ".go") && !strings.HasSuffix(name, "_test.go"):
			return c.source(path)
		case strings.HasSuffix(name, ".html") && strings.Contains(filepath.ToSlash(path), "internal/web/templates/"):
			return c.template(path)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if len(c.problems) > 0 {
		return nil, fmt.Errorf("%d sentences cannot be read:\n%s", len(c.problems), strings.Join(c.problems, "\n"))
	}
	var all []Sentence
	for _, s := range c.found {
		all = append(all, *s)
	}
	slices.SortFunc(all, func(a, b Sentence) int {
		return cmp.Or(cmp.Compare(a.One, b.One), cmp.Compare(a.Context, b.Context))
	})
	return all, nil
}

// unsaid are the packages that a reader of the console never hears: they speak at a terminal, which is in English, or
// only in tests.
func unsaid(root, path string) bool {
	in, err := filepath.Rel(root, path)
	return err == nil && slices.Contains([]string{
		"cmd", "internal/cli", "internal/client", "internal/demo", "internal/fault", "internal/server", "internal/language/sentences",
	}, filepath.ToSlash(in))
}

func (c *collection) add(where, context, one, many string) {
	if one == "" {
		return
	}
	file, err := filepath.Rel(c.root, strings.SplitN(where, ":", 2)[0])
	if err != nil {
		file = where
	}
	file = filepath.ToSlash(file)
	s := c.found[key{context, one}]
	if s == nil {
		s = &Sentence{Context: context, One: one}
		c.found[key{context, one}] = s
	}
	if many != "" {
		if s.Many != "" && s.Many != many {
			c.problems = append(c.problems, fmt.Sprintf("%s: %q has two plurals: %q and %q", where, one, s.Many, many))
		}
		s.Many = many
	}
	if !slices.Contains(s.Files, file) {
		s.Files = append(s.Files, file)
		slices.Sort(s.Files)
	}
}

// how a function says something: at which argument its sentence stands, and its plural.
type how struct {
	context, one, many int // -1 for none
	values             int // where names and values begin, -1 for none
	format             bool
}

var goFunctions = map[string]how{
	"Say": {-1, 0, -1, 1, false}, "HTML": {-1, 0, -1, 1, false}, "Mark": {-1, 0, -1, -1, false}, "Word": {0, 1, -1, -1, false},
	"Count": {-1, 1, 2, 3, false}, "CountHTML": {-1, 1, 2, 3, false},
	"Errorf": {-1, 1, -1, -1, true}, "Invalid": {-1, 1, -1, -1, true}, "WithHint": {-1, 0, -1, -1, true}, "NewPhrase": {-1, 0, -1, -1, true},
}

func (c *collection) source(path string) error {
	files := token.NewFileSet()
	f, err := parser.ParseFile(files, path, nil, parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	slash := filepath.ToSlash(path)
	worded := strings.Contains(slash, "internal/web/") || strings.Contains(slash, "internal/language/")
	if !worded {
		c.passedOn(files, f, c.wording(filepath.Dir(path)))
	}
	ast.Inspect(f, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		name, of := called(call.Fun)
		if name == "Words" && (of == "language" || f.Name.Name == "language") {
			c.words(files.Position(call.Pos()).String(), call.Args)
			return true
		}
		h, ok := goFunctions[name]
		switch {
		case !ok, !h.format && !worded && of != "language":
			return true
		case h.format && (name != "WithHint" && of != "safepoint" && f.Name.Name != "safepoint"):
			return true
		case !h.format && of == "template", len(call.Args) <= max(h.one, h.many):
			return true
		}
		where := files.Position(call.Pos()).String()
		c.call(where, f.Name.Name, h, call.Args)
		return true
	})
	return nil
}

// call adds what one call says.
func (c *collection) call(where, pkg string, h how, args []ast.Expr) {
	literal := func(i int) (string, bool) {
		if i < 0 {
			return "", true
		}
		return constant(args[i])
	}
	one, ok1 := literal(h.one)
	many, ok2 := literal(h.many)
	context, ok3 := literal(h.context)
	if !ok1 || !ok2 || !ok3 {
		if !h.format && pkg == "web" && !isPassedOn(args[max(h.one, 0)]) {
			c.problems = append(c.problems, where+": what is said is no literal; use language.Mark where it is written")
		}
		return
	}
	if h.format {
		one = safepoint.Sentence(one)
	}
	c.add(where, context, one, many)
	if h.values >= 0 {
		var given []string
		for i := h.values; i+1 < len(args); i += 2 {
			if v, ok := constant(args[i]); ok {
				given = append(given, v)
			}
		}
		c.places(where, one, many, given)
	}
}

// words adds words that share a context.
func (c *collection) words(where string, args []ast.Expr) {
	var all []string
	for _, a := range args {
		s, ok := constant(a)
		if !ok {
			c.problems = append(c.problems, where+": a word is no literal")
			return
		}
		all = append(all, s)
	}
	for _, word := range all[min(1, len(all)):] {
		c.add(where, all[0], word, "")
	}
}

// isPassedOn: a value that was marked elsewhere, such as a field or the result of a call.
func isPassedOn(e ast.Expr) bool {
	switch e.(type) {
	case *ast.Ident, *ast.SelectorExpr, *ast.IndexExpr, *ast.CallExpr:
		return true
	}
	return false
}

// places complains of a sentence with places that are given no value, and of values without a place.
func (c *collection) places(where, one, many string, given []string) {
	sentence := one
	if many != "" {
		sentence, given = many, append(given, "n")
	}
	places := Places(sentence)
	for _, p := range places {
		if !slices.Contains(given, p) {
			c.problems = append(c.problems, fmt.Sprintf("%s: nothing is given for {%s} of %q", where, p, sentence))
		}
	}
	for _, g := range given {
		if !slices.Contains(places, g) && !slices.Contains(Places(one), g) && g != "n" {
			c.problems = append(c.problems, fmt.Sprintf("%s: %q has no place for %s", where, sentence, g))
		}
	}
}

// Places are the names in braces of a sentence, each once, sorted.
func Places(sentence string) []string {
	var out []string
	for {
		_, rest, ok := strings.Cut(sentence, "{")
		name, after, ok2 := strings.Cut(rest, "}")
		if !ok || !ok2 {
			slices.Sort(out)
			return slices.Compact(out)
		}
		out = append(out, name)
		sentence = after
	}
}

// called is the name of a called function, and of what it is taken from where that is a plain name.
func called(fun ast.Expr) (name, of string) {
	switch f := fun.(type) {
	case *ast.Ident:
		return f.Name, ""
	case *ast.SelectorExpr:
		if x, ok := f.X.(*ast.Ident); ok {
			of = x.Name
		}
		return f.Sel.Name, of
	}
	return "", ""
}

// constant is the value of a string literal, or of literals joined by +.
func constant(e ast.Expr) (string, bool) {
	switch e := e.(type) {
	case *ast.BasicLit:
		if e.Kind == token.STRING {
			s, err := strconv.Unquote(e.Value)
			return s, err == nil
		}
	case *ast.BinaryExpr:
		a, ok1 := constant(e.X)
		b, ok2 := constant(e.Y)
		return a + b, e.Op == token.ADD && ok1 && ok2
	case *ast.ParenExpr:
		return constant(e.X)
	}
	return "", false
}

var templateFunctions = map[string]how{
	"t": {-1, 1, -1, 2, false}, "say": {-1, 1, -1, 2, false}, "tn": {-1, 2, 3, 4, false},
}

func (c *collection) template(path string) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	t := parse.New(path)
	t.Mode = parse.SkipFuncCheck
	trees := map[string]*parse.Tree{}
	if _, err := t.Parse(string(b), "", "", trees); err != nil {
		return err
	}
	for _, tree := range trees {
		c.nodes(path, tree.Root)
	}
	return nil
}

// nodes walks a template.
func (c *collection) nodes(path string, n parse.Node) {
	branch := func(b *parse.BranchNode) {
		c.nodes(path, b.Pipe)
		c.nodes(path, b.List)
		if b.ElseList != nil {
			c.nodes(path, b.ElseList)
		}
	}
	switch n := n.(type) {
	case *parse.ListNode:
		for _, x := range n.Nodes {
			c.nodes(path, x)
		}
	case *parse.ActionNode:
		c.nodes(path, n.Pipe)
	case *parse.IfNode:
		branch(&n.BranchNode)
	case *parse.RangeNode:
		branch(&n.BranchNode)
	case *parse.WithNode:
		branch(&n.BranchNode)
	case *parse.TemplateNode:
		if n.Pipe != nil {
			c.nodes(path, n.Pipe)
		}
	case *parse.PipeNode:
		if n == nil {
			return
		}
		for _, cmd := range n.Cmds {
			c.command(path, cmd)
			for _, arg := range cmd.Args {
				if p, ok := arg.(*parse.PipeNode); ok {
					c.nodes(path, p)
				}
			}
		}
	}
}

func (c *collection) command(path string, cmd *parse.CommandNode) {
	name, ok := cmd.Args[0].(*parse.IdentifierNode)
	if !ok {
		return
	}
	h, ok := templateFunctions[name.Ident]
	if !ok {
		return
	}
	text := func(i int) (string, bool) {
		if i < 0 {
			return "", true
		}
		if i >= len(cmd.Args) {
			return "", false
		}
		s, ok := cmd.Args[i].(*parse.StringNode)
		if !ok {
			return "", false
		}
		return s.Text, true
	}
	one, ok1 := text(h.one)
	many, ok2 := text(h.many)
	if !ok1 || !ok2 {
		if len(cmd.Args) > h.one {
			switch cmd.Args[h.one].(type) {
			case *parse.FieldNode, *parse.VariableNode, *parse.ChainNode, *parse.PipeNode, *parse.DotNode: // marked elsewhere
				return
			}
		}
		c.problems = append(c.problems, path+": "+cmd.String()+" says no literal")
		return
	}
	c.add(path, "", one, many)
	var given []string
	for i := h.values; i+1 < len(cmd.Args); i += 2 {
		if s, ok := text(i); ok {
			given = append(given, s)
		}
	}
	c.places(path, one, many, given)
}
