// Command rename gives the module another path: in go.mod, in every import and in the option of the .proto file.
//
//	cd tools && go run ./rename -root .. example.org/you/tutti
package main

import (
	"flag"
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

func main() {
	root := flag.String("root", "..", "root of the repository")
	flag.Parse()
	if flag.NArg() != 1 {
		fmt.Fprintln(os.Stderr, "usage: rename -root DIR NEW/MODULE/PATH")
		os.Exit(2)
	}
	n, err := rename(*root, flag.Arg(0))
	if err != nil {
		fmt.Fprintln(os.Stderr, "rename:", err)
		os.Exit(1)
	}
	fmt.Printf("%d files changed; now run: cd tools && go run ./apigen -root .. && cd .. && go build ./...\n", n)
}

// modulePath matches the module line of go.mod and its own name, whatever it is now.
var modulePath = regexp.MustCompile(`(?m)^module (\S+)$`)

// rename rewrites every file below root that names the module and returns how many it changed.
func rename(root, to string) (int, error) {
	mod, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		return 0, err
	}
	found := modulePath.FindSubmatch(mod)
	if found == nil {
		return 0, fmt.Errorf("no module line in %s", filepath.Join(root, "go.mod"))
	}
	from := string(found[1])
	changed := 0
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if d.Name() == ".git" || d.Name() == "tools" {
				return filepath.SkipDir
			}
			return nil
		}
		edit := editor(filepath.Base(path), from, to)
		if edit == nil {
			return nil
		}
		old, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		new := edit(string(old))
		if new == string(old) {
			return nil
		}
		changed++
		return os.WriteFile(path, []byte(new), 0o644)
	})
	return changed, err
}

// editor returns how a file of this name is rewritten, or nil where it is left alone.
func editor(name, from, to string) func(string) string {
	switch {
	case name == "go.mod":
		return func(s string) string { return strings.Replace(s, "module "+from+"\n", "module "+to+"\n", 1) }
	case strings.HasSuffix(name, ".go"):
		return func(s string) string { return imports(s, from, to) }
	case strings.HasSuffix(name, ".proto"):
		return func(s string) string {
			return strings.Replace(s, `go_package = "`+from+`/`, `go_package = "`+to+`/`, 1)
		}
	}
	return nil
}

// imports rewrites import paths only: other strings, such as the domains of the protocol, keep their bytes.
func imports(source, from, to string) string {
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, "", source, parser.ImportsOnly)
	if err != nil {
		return source
	}
	for i := len(file.Imports) - 1; i >= 0; i-- { // from the end, so that offsets stay right
		path := file.Imports[i].Path
		name := strings.Trim(path.Value, `"`)
		if name != from && !strings.HasPrefix(name, from+"/") {
			continue
		}
		start, end := fset.Position(path.Pos()).Offset, fset.Position(path.End()).Offset
		source = source[:start] + `"` + to + name[len(from):] + `"` + source[end:]
	}
	return source
}
