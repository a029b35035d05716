package enginetest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestOptionalIsComplete finds every interface of package engine in the list of what an engine may be, but for the engine
// itself and what its methods return.
func TestOptionalIsComplete(t *testing.T) {
	files, err := filepath.Glob("../*.go")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	listed := []string{"Engine", "Gate", "InPlace", "Poised"}
	for _, o := range optional {
		listed = append(listed, o.name)
	}
	var declared []string
	for _, path := range files {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if s, ok := n.(*ast.TypeSpec); ok && s.Name.IsExported() {
				if _, ok := s.Type.(*ast.InterfaceType); ok {
					declared = append(declared, s.Name.Name)
				}
			}
			return true
		})
	}
	slices.Sort(declared)
	slices.Sort(listed)
	if !slices.Equal(declared, listed) {
		t.Errorf("package engine declares %v; the suite knows %v", declared, listed)
	}
}
