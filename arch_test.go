package main

import (
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
)

// The rules of who may import whom.
//
// Floors from the ground: model and aggregation know nothing of ours; privacy knows them by name only in plan; server
// stands on those three; client stands on those three and on server/api; main alone knows both client and server.
// Pure packages import no gRPC, net, os, log and no clock of their own: the outside world is an argument.

type listed struct {
	ImportPath string
	Imports    []string
	Deps       []string
	GoFiles    []string
}

func list(t *testing.T) map[string]listed {
	t.Helper()
	out, err := exec.Command("go", "list", "-deps", "-json=ImportPath,Imports,Deps,GoFiles", "./...").Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			t.Fatalf("go list: %s", exit.Stderr)
		}
		t.Fatal(err)
	}
	all := map[string]listed{}
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p listed
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all[p.ImportPath] = p
	}
}

const module = "tutti"

// under says whether a package is p or lies below it.
func under(pkg, p string) bool { return pkg == p || strings.HasPrefix(pkg, p+"/") }

func underAny(pkg string, ps []string) bool {
	return slices.ContainsFunc(ps, func(p string) bool { return under(pkg, p) })
}

// ours cuts the module path off, and says whether the package belongs to the module.
func ours(pkg string) (string, bool) {
	if pkg == module {
		return "", true
	}
	return strings.CutPrefix(pkg, module+"/")
}

func TestFloors(t *testing.T) {
	// allowed[p] lists which of our packages a package below p may import directly; the longest p wins.
	allowed := map[string][]string{
		"model":                {"model"},
		"aggregation":          {"aggregation"},
		"privacy":              {},
		"privacy/mechanism":    {},
		"privacy/accounting":   {},
		"privacy/plan":         {"privacy/mechanism", "privacy/accounting", "aggregation"},
		"privacy/ledger":       {"privacy/mechanism", "privacy/accounting"},
		"privacy/telemetry":    {"privacy/accounting", "privacy/ledger"},
		"privacy/central":      {"privacy/accounting"},
		"privacy/audit":        {"privacy/mechanism", "privacy/accounting"},
		"privacy/audit/attack": {"privacy", "aggregation"},
		"privacy/report":       {"privacy"},
		"server/api":           {},
		"server":               {"model", "privacy", "aggregation", "server"},
		"server/round":         {"model", "privacy", "aggregation"},
		"server/registry":      {"model", "privacy", "aggregation"},
		"server/dashboard":     {"server/operator"},
		"server/operator":      {"model", "privacy", "aggregation", "server/round", "server/store", "server/api", "server/keys"},
		"server/pace":          {},
		"client":               {"model", "privacy", "aggregation", "client", "server/api"},
		"examples":             {"model", "privacy", "aggregation", "client", "server"},
		"":                     {"model", "privacy", "aggregation", "client", "server"},
	}
	for path, p := range list(t) {
		name, mine := ours(path)
		if !mine {
			continue
		}
		best := ""
		for rule := range allowed {
			if rule != "" && under(name, rule) && len(rule) > len(best) {
				best = rule
			}
		}
		if best == "" && name != "" {
			t.Errorf("%s stands on no floor: give it a rule or another place", path)
			continue
		}
		for _, imp := range p.Imports {
			if to, mine := ours(imp); mine && to != best && !underAny(to, allowed[best]) {
				t.Errorf("%s imports %s: no arrow runs up", path, imp)
			}
		}
	}
}

func TestPureAndShells(t *testing.T) {
	pure := []string{"model", "aggregation", "privacy", "server/round", "server/pace", "server/registry"}
	outside := []string{"net", "os", "log", "google.golang.org/grpc", "database/sql"}
	shells := map[string][]string{
		"google.golang.org/grpc":                 {"server/grpc", "server/committee", "server/operator", "client/transport", "server/api", "server", "examples", ""},
		"google.golang.org/protobuf":             {"server/grpc", "server/committee", "client/transport", "server/api", "examples"},
		"database/sql":                           {"server/store", "server/committee"},
		"gorgonia.org/gorgonia":                  {"model/graph"},
		"gorgonia.org/tensor":                    {"model/graph"},
		"github.com/google/differential-privacy": {"privacy/telemetry", "privacy/central"},
		"github.com/tuneinsight/lattigo":         {"aggregation", "examples"},
	}
	for path, p := range list(t) {
		name, mine := ours(path)
		if !mine || slices.Contains(p.Imports, "testing") { // what only tests use
			continue
		}
		for _, imp := range p.Imports {
			if strings.HasSuffix(imp, "/hammer") {
				t.Errorf("%s imports %s, which is for tests", path, imp)
			}
			if underAny(name, pure) {
				for _, out := range outside {
					if under(imp, out) && imp != "log/slog" {
						t.Errorf("%s imports %s: pure packages take the outside world as an argument", path, imp)
					}
				}
			}
			if underAny(name, []string{"privacy", "aggregation"}) && under(imp, "math/rand") {
				t.Errorf("%s imports %s: noise, masks and keys never come from a statistical generator", path, imp)
			}
			for lib, homes := range shells {
				if strings.HasPrefix(imp, lib) && !slices.ContainsFunc(homes, func(h string) bool {
					return name == h || h != "" && h != "server" && under(name, h)
				}) {
					t.Errorf("%s imports %s, whose place is %v", path, imp, homes)
				}
			}
		}
	}
}

// TestLeanSDK holds what an app that embeds the client links.
func TestLeanSDK(t *testing.T) {
	heavy := []string{"gorgonia.org/gorgonia", "gorgonia.org/tensor", "github.com/google/differential-privacy", "modernc.org/sqlite", "database/sql", "github.com/spf13/cobra"}
	for path, p := range list(t) {
		name, mine := ours(path)
		if !mine || !under(name, "client") {
			continue
		}
		for _, dep := range p.Deps {
			for _, h := range heavy {
				if strings.HasPrefix(dep, h) {
					t.Errorf("%s links %s", path, dep)
				}
			}
			if to, mine := ours(dep); mine && under(to, "server") && to != "server/api" {
				t.Errorf("%s links server code: %s", path, dep)
			}
		}
	}
}

// T2.12: the aggregation server's own code names nothing that opens an envelope, holds a share or a key, or masks; only the
// committee node, another party's program, does.
func TestT2_12_ServerNamesNoSecret(t *testing.T) {
	secrets := []string{"Member", "NewMember", "RestoreMember", "MemberSetup", "Judge", "Opened", "Client"}
	for path, p := range list(t) {
		name, mine := ours(path)
		if !mine || !under(name, "server") || under(name, "server/committee") {
			continue
		}
		for _, imp := range p.Imports {
			if to, mine := ours(imp); mine && under(to, "aggregation") && to != "aggregation" || imp == "crypto/hpke" {
				t.Errorf("%s imports %s", path, imp)
			}
		}
		for _, file := range p.GoFiles {
			parsed, err := parser.ParseFile(token.NewFileSet(), filepath.Join(name, file), nil, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			ast.Inspect(parsed, func(n ast.Node) bool {
				if s, ok := n.(*ast.SelectorExpr); ok {
					if x, ok := s.X.(*ast.Ident); ok && x.Name == "aggregation" && slices.Contains(secrets, s.Sel.Name) {
						t.Errorf("%s/%s names aggregation.%s", name, file, s.Sel.Name)
					}
				}
				return true
			})
		}
	}
}

// TestPins guards the one version without which every program that links gorgonia panics when it starts.
func TestPins(t *testing.T) {
	const mod, want = "go4.org/unsafe/assume-no-moving-gc", "v0.0.0-20231121144256-b99613f794b6"
	info, ok := debug.ReadBuildInfo()
	if !ok {
		t.Skip("no build information in this binary")
	}
	for _, dep := range info.Deps {
		if dep.Path == mod {
			if dep.Version != want {
				t.Fatalf("%s is at %s, must be at %s (see CONTRIBUTING.md, pinned dependencies)", mod, dep.Version, want)
			}
			return
		}
	}
	t.Fatalf("%s is not linked: does main still link model/graph?", mod)
}
