package sentences

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strings"

	"github.com/safepoint-db/safepoint"
)

// Outside the console's own packages, sentences are also passed on before they are said: a package's own function takes
// a format and makes an error of it, and hints are kept in names that begin with "hint". Nouns are []safepoint.Noun, amounts safepoint.Amount.

// arguments are where a function that words errors takes its format and its hint, -1 for none.
type arguments struct{ format, hint int }

// wording finds the functions of a package that word errors: they have a parameter called format, which they pass on to
// safepoint.Errorf or Invalid.
func (c *collection) wording(dir string) map[string]arguments {
	if found, ok := c.packages[dir]; ok {
		return found
	}
	found := map[string]arguments{}
	paths, _ := filepath.Glob(filepath.Join(dir, "*.go"))
	for _, path := range paths {
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil || strings.HasSuffix(path, "_test.go") {
			continue // source says what is wrong with it
		}
		ast.Inspect(f, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.FuncDecl:
				addWording(found, n.Name.Name, n.Type, n.Body)
			case *ast.AssignStmt:
				for i, e := range n.Rhs {
					if lit, ok := e.(*ast.FuncLit); ok && i < len(n.Lhs) {
						if name, ok := n.Lhs[i].(*ast.Ident); ok {
							addWording(found, name.Name, lit.Type, lit.Body)
						}
					}
				}
			}
			return true
		})
	}
	if c.packages == nil {
		c.packages = map[string]map[string]arguments{}
	}
	c.packages[dir] = found
	return found
}

func addWording(found map[string]arguments, name string, of *ast.FuncType, body *ast.BlockStmt) {
	at, n := arguments{-1, -1}, 0
	for _, field := range of.Params.List {
		for _, p := range field.Names {
			switch p.Name {
			case "format":
				at.format = n
			case "hint":
				at.hint = n
			}
			n++
		}
	}
	if at.format >= 0 && body != nil && passesFormat(body) {
		found[name] = at
	}
}

func passesFormat(body *ast.BlockStmt) (passes bool) {
	ast.Inspect(body, func(n ast.Node) bool {
		if call, ok := n.(*ast.CallExpr); ok && len(call.Args) > 1 {
			name, of := called(call.Fun)
			arg, isName := call.Args[1].(*ast.Ident)
			passes = passes || of == "safepoint" && (name == "Errorf" || name == "Invalid") && isName && arg.Name == "format"
		}
		return true
	})
	return passes
}

// amount is the words of a safepoint.Amount.
func amount(list *ast.CompositeLit) (one, many string) {
	for _, e := range list.Elts {
		pair, ok := e.(*ast.KeyValueExpr)
		if !ok {
			continue
		}
		text, _ := constant(pair.Value)
		switch name, _ := called(pair.Key); name {
		case "One":
			one = text
		case "Many":
			many = text
		}
	}
	return one, many
}

// passedOn adds the formats and hints that a file gives to the wording functions of its package, its hints and nouns.
func (c *collection) passedOn(files *token.FileSet, f *ast.File, wording map[string]arguments) {
	add := func(e ast.Expr, format bool) {
		if text, ok := constant(e); ok {
			if format {
				text = safepoint.Sentence(text)
			}
			c.add(files.Position(e.Pos()).String(), "", text, "")
		}
	}
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.CallExpr:
			name, _ := called(n.Fun)
			if at, ok := wording[name]; ok && len(n.Args) > at.format {
				add(n.Args[at.format], true)
				if at.hint >= 0 {
					add(n.Args[at.hint], false)
				}
			}
		case *ast.AssignStmt:
			for i, e := range n.Lhs {
				if name, ok := e.(*ast.Ident); ok && strings.HasPrefix(name.Name, "hint") && i < len(n.Rhs) {
					add(n.Rhs[i], false)
				}
			}
		case *ast.ValueSpec:
			for i, name := range n.Names {
				if strings.HasPrefix(name.Name, "hint") && i < len(n.Values) {
					add(n.Values[i], false)
				}
			}
		case *ast.CompositeLit:
			if name, of := called(n.Type); name == "Amount" && of == "safepoint" {
				one, many := amount(n)
				c.add(files.Position(n.Pos()).String(), "", one, many)
			}
			if list, ok := n.Type.(*ast.ArrayType); ok {
				if name, of := called(list.Elt); name == "Noun" && of == "safepoint" {
					for _, e := range n.Elts {
						add(e, false)
					}
				}
			}
		}
		return true
	})
}
