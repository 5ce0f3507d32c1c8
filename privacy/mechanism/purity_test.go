package mechanism

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// A float Gaussian tells its input from one output, and a statistical
// generator tells its state: neither may be noise anywhere in privacy/.
// Besides, the pure packages keep away from the world and from our own code.
func TestNoStatisticalRandomnessInPrivacy(t *testing.T) {
	files := 0
	err := filepath.WalkDir("..", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		files++
		parsed, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			return err
		}
		for _, finding := range findings(parsed, pureFolder(path)) {
			t.Errorf("%s: %s", path, finding)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if files < 10 {
		t.Fatalf("only %d files were read", files)
	}
}

func pureFolder(path string) bool {
	return !strings.HasPrefix(path, "../") || strings.HasPrefix(path, "../accounting/")
}

// findings lists what a non-test file of privacy/ may not contain.
func findings(file *ast.File, pure bool) []string {
	var found []string
	for _, spec := range file.Imports {
		path, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return []string{err.Error()}
		}
		first, _, _ := strings.Cut(path, "/")
		switch {
		case path == "math/rand" || path == "math/rand/v2":
			found = append(found, "imports "+path)
		case pure && slices.Contains([]string{"os", "net", "log", "time", "tutti", "syscall", "unsafe"}, first):
			found = append(found, "imports "+path)
		case pure && strings.Contains(first, ".") && path != "gonum.org/v1/gonum/dsp/fourier" && path != "gonum.org/v1/gonum/mathext":
			found = append(found, "imports the module "+path)
		case pure && path == "crypto/rand":
			found = append(found, "reads global randomness from "+path)
		}
	}
	ast.Inspect(file, func(n ast.Node) bool {
		if s, ok := n.(*ast.SelectorExpr); ok {
			if x, ok := s.X.(*ast.Ident); ok && x.Name == "rand" && (s.Sel.Name == "Normal" || s.Sel.Name == "NormFloat64") {
				found = append(found, "calls rand."+s.Sel.Name)
			}
		}
		return true
	})
	return found
}

// The lint must see what it is there for.
func TestLintSeesItsControls(t *testing.T) {
	for source, pure := range map[string]bool{
		`package p; import "math/rand"`:                             false,
		`package p; import r "math/rand/v2"`:                        false,
		`package p; var x = rand.Normal()`:                          false,
		`package p; func f() float64 { return rand.NormFloat64() }`: false,
		`package p; import "os"`:                                    true,
		`package p; import "log/slog"`:                              true,
		`package p; import "tutti/aggregation"`:                     true,
		`package p; import "crypto/rand"`:                           true,
		`package p; import "gonum.org/v1/gonum/stat"`:               true,
	} {
		file, err := parser.ParseFile(token.NewFileSet(), "p.go", source, 0)
		if err != nil {
			t.Fatal(err)
		}
		if len(findings(file, pure)) == 0 {
			t.Errorf("not seen: %s", source)
		}
	}
}

// What draws the noise in constant time has no loop, no index that is not a
// constant, no short-circuit, and only the two branches that are documented
// as rare.
func TestTrialsHaveNoBranchOnADrawnValue(t *testing.T) {
	parsed, err := parser.ParseFile(token.NewFileSet(), "gauss.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	branches := map[string]int{"trial": 2, "expFixed": 0, "high": 0}
	seen := 0
	for _, decl := range parsed.Decls {
		f, ok := decl.(*ast.FuncDecl)
		if !ok {
			continue
		}
		allowed, ours := branches[f.Name.Name]
		if !ours {
			continue
		}
		seen++
		found := 0
		ast.Inspect(f.Body, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.IfStmt:
				found++
			case *ast.ForStmt, *ast.RangeStmt, *ast.SwitchStmt:
				t.Errorf("%s has a loop or a switch", f.Name.Name)
			case *ast.BinaryExpr:
				if n.Op == token.LAND || n.Op == token.LOR || n.Op == token.QUO || n.Op == token.REM {
					t.Errorf("%s has the operator %v", f.Name.Name, n.Op)
				}
			case *ast.IndexExpr:
				if _, constant := n.Index.(*ast.BasicLit); !constant {
					t.Errorf("%s has an address that depends on a value", f.Name.Name)
				}
			}
			return true
		})
		if found != allowed {
			t.Errorf("%s has %d branches, want %d", f.Name.Name, found, allowed)
		}
	}
	if seen != len(branches) {
		t.Errorf("%d of %d functions were found", seen, len(branches))
	}
}
