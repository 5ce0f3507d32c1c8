package main

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"regexp"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"

	"tutti/privacy/plan"
)

// taskExample is a task as tutti task create reads it, with every field at its default and in words.
//
//go:embed task.example.yaml
var taskExample string

// taskSpec is a task in YAML: the same decisions that the flags of tutti server init are.
type taskSpec struct {
	Task           string     `yaml:"task"`
	Purpose        string     `yaml:"purpose"`
	Dir            string     `yaml:"dir"`
	Catalogue      string     `yaml:"catalogue"`
	Committee      []specNode `yaml:"committee"`
	Corrupt        int        `yaml:"corrupt"`
	Goal           int        `yaml:"goal"`
	Tokens         int        `yaml:"tokens"`
	Collect        string     `yaml:"collect"`
	Privacy        string     `yaml:"privacy"`
	Epsilon        float64    `yaml:"epsilon"`
	Trust          string     `yaml:"trust"`
	Participations int        `yaml:"participations"`
	Separation     int        `yaml:"separation"`
	Rounds         int        `yaml:"rounds"`
	Model          string     `yaml:"model"`
	Metrics        string     `yaml:"metrics"`
	Clip           string     `yaml:"clip"`
	Mode           string     `yaml:"mode"`
	Staleness      int        `yaml:"staleness"`
	Groups         int        `yaml:"groups"`
	Combine        string     `yaml:"combine"`
	CheckNorm      bool       `yaml:"check-norm"`
	Classical      bool       `yaml:"classical"`
	Seed           uint64     `yaml:"seed"`
}

type specNode struct {
	Address string `yaml:"address"`
	Key     string `yaml:"key"`
}

// defaultTask is what a file need not say.
func defaultTask() taskSpec {
	return taskSpec{Task: "task", Purpose: "recommendations", Dir: "server-data", Corrupt: 1, Goal: 100, Collect: "10m", Privacy: "on", Epsilon: 8,
		Trust: "distributed", Rounds: automatic, Model: sizeSmall, Metrics: string(plan.MetricsAuto), Clip: clipFixed, Mode: modeSync, Groups: 1, Seed: 1}
}

// collect is how long a round takes uploads; 0: the file says nothing sensible.
func (s taskSpec) collect() time.Duration {
	d, err := time.ParseDuration(s.Collect)
	if err != nil {
		return 0
	}
	return d
}

// maxTaskFile bounds a task file, in bytes.
const maxTaskFile = 1 << 20

// readTaskSpec reads a task file. What is wrong with it is told with its line and column.
func readTaskSpec(path string, in io.Reader) (taskSpec, []byte, error) {
	var source []byte
	var err error
	if path == "-" {
		source, err = io.ReadAll(io.LimitReader(in, maxTaskFile+1))
	} else {
		source, err = os.ReadFile(path)
	}
	if err == nil && len(source) > maxTaskFile {
		err = fmt.Errorf("%s: larger than %d KiB", path, maxTaskFile>>10)
	}
	if err != nil {
		return taskSpec{}, nil, err
	}
	spec, err := parseTaskSpec(source)
	if err != nil {
		if path == "-" {
			path = "standard input"
		}
		return spec, source, &exitError{exitUsage, fmt.Errorf("%s: %w", path, err)}
	}
	return spec, source, nil
}

func parseTaskSpec(source []byte) (taskSpec, error) {
	spec := defaultTask()
	dec := yaml.NewDecoder(bytes.NewReader(source), yaml.Strict())
	err := dec.Decode(&spec)
	if err != nil && !errors.Is(err, io.EOF) { // an empty file says nothing of the catalogue, below
		return spec, errors.New(wrongType(strings.TrimSpace(yaml.FormatError(err, false, true))))
	}
	if err := dec.Decode(new(taskSpec)); !errors.Is(err, io.EOF) {
		return spec, errors.New("more than one document: a file is one task")
	}
	if err := wholeNumbers(source); err != nil {
		return spec, err
	}
	for _, bad := range []struct {
		is        bool
		key, want string
	}{
		{spec.Goal < 2, "goal", "at least 2 devices"},
		{!(spec.Epsilon > 0), "epsilon", "a number above 0"},
		{spec.Privacy != "on" && spec.Privacy != "off", "privacy", `"on" or "off", in quotes or without`},
		{spec.collect() < time.Second, "collect", "a duration of a second at least, such as 10m or 1h30m"},
		{spec.Corrupt < 1, "corrupt", "at least 1"},
		{spec.Rounds < automatic, "rounds", "a number of rounds, 0, or -1: as the planner advises"},
		{spec.Tokens < 0, "tokens", "a number of tokens, or 0: twice the goal"},
		{spec.Participations < 0, "participations", "a number of rounds, or 0: all"},
		{spec.Separation < 0, "separation", "a number of rounds, or 0"},
		{spec.Staleness < 0, "staleness", "a number of versions, or 0: four"},
		{spec.Catalogue == "", "catalogue", "a folder with movies.csv, movies.dat or u.item"},
	} {
		if bad.is {
			return spec, at(source, bad.key, "%s: want %s", bad.key, bad.want)
		}
	}
	for i, n := range spec.Committee {
		if _, err := parseKey("key", n.Key); err != nil {
			return spec, at(source, fmt.Sprintf("committee[%d].key", i), "%v (tutti committee key prints it)", err)
		}
		if n.Address == "" {
			return spec, at(source, fmt.Sprintf("committee[%d]", i), "an address is missing")
		}
	}
	return spec, nil
}

// wholeNumbers refuses fractions where whole numbers belong, which the parser cuts off without a word.
func wholeNumbers(source []byte) error {
	for f := range reflect.TypeFor[taskSpec]().Fields() {
		if k := f.Type.Kind(); k != reflect.Int && k != reflect.Uint64 {
			continue
		}
		key := f.Tag.Get("yaml")
		path, err := yaml.PathString("$." + key)
		if err != nil {
			return err
		}
		if node, err := path.ReadNode(bytes.NewReader(source)); err == nil && node.Type() == ast.FloatType {
			return at(source, key, "want a whole number")
		}
	}
	return nil
}

// typeFault is how the parser says that a value has the wrong type.
var typeFault = regexp.MustCompile(`cannot unmarshal (\w+) into Go (?:struct field \w+\.\w+|value) of type (\S+)`)

// wrongType says it in words that are not about Go.
func wrongType(words string) string {
	m := typeFault.FindStringSubmatch(words)
	if m == nil {
		return words
	}
	wanted := map[string]string{"int": "a whole number", "uint64": "a whole number of at least 0", "float64": "a number", "bool": "true or false", "string": "text"}[m[2]]
	if wanted == "" {
		wanted = "something else"
	}
	return strings.Replace(words, m[0], "want "+wanted, 1)
}

// at points at a key of a file.
func at(source []byte, key, format string, args ...any) error {
	words := fmt.Sprintf(format, args...)
	path, err := yaml.PathString("$." + key)
	if err == nil {
		var shown []byte
		if shown, err = path.AnnotateSource(source, false); err == nil {
			return fmt.Errorf("%s%s\n%s", place(source, path), words, strings.TrimRight(string(shown), "\n"))
		}
	}
	return fmt.Errorf("%s (the file does not say %s)", words, key)
}

// place is line and column of a value, as in the parser's own errors.
func place(source []byte, path *yaml.Path) string {
	node, err := path.ReadNode(bytes.NewReader(source))
	if err != nil || node.GetToken() == nil || node.GetToken().Position == nil {
		return ""
	}
	p := node.GetToken().Position
	return fmt.Sprintf("[%d:%d] ", p.Line, p.Column)
}

// flagName finds the flag that an error of tutti server init speaks of.
var flagName = regexp.MustCompile(`--([a-z-]+)`)

// inFile makes of an error that speaks of a flag one that points at the file.
func inFile(source []byte, err error) error {
	var exit *exitError
	if !errors.As(err, &exit) || exit.code != exitUsage {
		return err
	}
	words := err.Error()
	m := flagName.FindStringSubmatch(words)
	if m == nil {
		return err
	}
	key := m[1]
	switch key {
	case "privacy-off":
		key = "privacy"
	case "node":
		key = "committee"
	}
	return &exitError{exitUsage, at(source, key, "%s", flagName.ReplaceAllString(words, "$1"))}
}

// arguments are what tutti server init would have been told.
func (s taskSpec) arguments() (f serverFlags, made setup, t taskFile, nodes []string, tokens int) {
	f = serverFlags{dir: s.Dir, catalogue: s.Catalogue}
	t = taskFile{Task: s.Task, Corrupt: s.Corrupt, NoiseOff: s.Privacy == "off", CheckNorm: s.CheckNorm, Classical: s.Classical}
	made = setup{Purpose: s.Purpose, Recipe: recipe{
		Goal: s.Goal, Epsilon: s.Epsilon, Groups: s.Groups, Combine: s.Combine, Rounds: s.Rounds, Size: s.Model, Noise: true, Trust: s.Trust,
		Most: s.Participations, Apart: s.Separation, Metrics: s.Metrics, Clip: s.Clip, Mode: s.Mode, Stale: s.Staleness, Seed: s.Seed, Collect: s.collect(),
	}}
	for _, n := range s.Committee {
		nodes = append(nodes, n.Address+"="+n.Key)
	}
	return f, made, t, nodes, s.Tokens
}
