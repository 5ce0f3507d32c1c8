package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"tutti/server/operator"
)

// TestTaskExample: the file that people begin with has every field, at its default, and makes what tutti server init makes.
func TestTaskExample(t *testing.T) {
	said := wants(t, exitDone, "", "task", "create", "--example")
	spec, err := parseTaskSpec([]byte(said))
	if err != nil {
		t.Fatal(err)
	}
	for f := range reflect.TypeFor[taskSpec]().Fields() {
		if !regexp.MustCompile(`(?m)^` + f.Tag.Get("yaml") + `:`).MatchString(said) {
			t.Errorf("%s is not in the example", f.Tag.Get("yaml"))
		}
	}
	want := defaultTask()
	want.Catalogue, want.Committee = spec.Catalogue, spec.Committee
	if !reflect.DeepEqual(spec, want) {
		t.Errorf("the example says\n%+v, the defaults are\n%+v", spec, want)
	}
	dir, data := t.TempDir(), people(t, 20)
	args := []string{"server", "init", "--dir", filepath.Join(dir, "flags"), "--catalogue", data, "--goal", "10"}
	text := fmt.Sprintf("dir: %s\ncatalogue: %s\ngoal: 10\ncommittee:\n", filepath.Join(dir, "file"), data)
	for i := range 3 {
		key := strings.Repeat(fmt.Sprint(i+1), 64)
		args = append(args, "--node", fmt.Sprintf("n%d:1=%s", i, key))
		text += fmt.Sprintf("  - address: n%d:1\n    key: \"%s\"\n", i, key)
	}
	wants(t, exitDone, "", args...)
	file := filepath.Join(dir, "task.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	wants(t, exitDone, "task.json", "task", "create", "-f", file)
	if a, b := made(t, dir, "flags", "setup.json"), made(t, dir, "file", "setup.json"); !reflect.DeepEqual(a, b) {
		t.Errorf("flags make %v, the file %v", a, b)
	}
	a, b := made(t, dir, "flags", "task.json"), made(t, dir, "file", "task.json")
	for _, own := range []string{"operator", "enroller"} { // keys are made anew
		delete(a, own)
		delete(b, own)
	}
	if !reflect.DeepEqual(a, b) {
		t.Errorf("flags make %v, the file %v", a, b)
	}
}

func made(t *testing.T, parts ...string) map[string]any {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(parts...))
	if err != nil {
		t.Fatal(err)
	}
	var out map[string]any
	if err := json.Unmarshal(b, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

// TestTaskFileErrors: what is wrong is told with its line and column, and in words that are not about Go.
func TestTaskFileErrors(t *testing.T) {
	for _, c := range []struct{ text, says string }{
		{"goal: 10\nepsilonn: 3\n", `[2:1] unknown field "epsilonn"`},
		{"task: a\ngoal: many\n", "[2:7] want a whole number"},
		{"goal: 1.5\n", "[1:7] want a whole number"},
		{"check-norm: 3\n", "[1:13] want true or false"},
		{"goal: 1\n", "[1:7] goal: want at least 2 devices"},
		{"catalogue: x\nepsilon: -1\n", "[2:10] epsilon: want a number above 0"},
		{"catalogue: x\nepsilon: .nan\n", "epsilon: want a number above 0"},
		{"catalogue: x\ncollect: 10\n", "[2:10] collect: want a duration"},
		{"catalogue: x\nprivacy: none\n", "[2:10] privacy: want"},
		{"goal: 3\ngoal: 4\n", `[2:1] mapping key "goal" already defined`},
		{"task: a\n\tgoal: 3\n", "[2:1] found character"},
		{"catalogue: x\ncommittee:\n  - address: a:1\n    key: 12\n", "[4:10] key: want an Ed25519 key of 64 hex digits"},
		{"catalogue: x\ncommittee:\n  - address: a:1\n    kee: 12\n", `[4:5] unknown field "kee"`},
		{"catalogue: x\n---\ngoal: 3\n", "more than one document"},
		{"goal: 10\n", "catalogue: want a folder"},
		{"- goal\n", "[1:"},
	} {
		_, err := parseTaskSpec([]byte(c.text))
		if err == nil || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "Go ") {
			t.Errorf("%q: %v, want %s", c.text, err, c.says)
		} else if strings.HasPrefix(c.says, "[") && !strings.Contains(err.Error(), "^") {
			t.Errorf("%q: no caret in %v", c.text, err)
		}
	}
	file := filepath.Join(t.TempDir(), "task.yaml")
	text := fmt.Sprintf("catalogue: %s\ngoal: 10\ntrust: nobody\n", people(t, 20))
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	wants(t, exitUsage, "[3:8]", "task", "create", "-f", file) // found by what reads the flags
}

func FuzzTaskFile(f *testing.F) {
	f.Add([]byte(taskExample))
	f.Add([]byte("committee: [{address: a, key: b}]\ncollect: 3h\n"))
	f.Fuzz(func(t *testing.T, source []byte) {
		if spec, err := parseTaskSpec(source); err == nil && (spec.Goal < 2 || spec.collect() < time.Second || spec.Catalogue == "") {
			t.Errorf("%+v is taken", spec)
		}
	})
}

// TestEventFile: the file is the sequence of records that TensorBoard reads: lengths and masked CRC-32C as TensorFlow writes
// them, a version first, then one message a round.
func TestEventFile(t *testing.T) {
	if got := masked([]byte("123456789")); got != 0xC78AB0E5 { // CRC-32C of it is E3069283 (RFC 3720, B.4), rotated by 15, + a282ead8
		t.Errorf("%08x", got)
	}
	at := time.Unix(1_800_000_000, 0)
	v := &operator.View{Task: "films", Opened: at, Budget: operator.Budget{History: []operator.Spending{{At: at}, {At: at, Round: 1, Spent: operator.Cost{Rho: 0.5, Epsilon: 3}}}},
		Rounds: []operator.Round{{Number: 1, Ended: at, Counted: 9, Goal: 10, Meter: &operator.Meter{Ratio: 1, Z: 0.5}, Phases: []operator.Phase{{Name: "collecting", Seconds: 3}},
			Measured: []operator.Figure{{Name: "hit10", Value: 0.4, Low: 0.3, High: 0.5}}}}}
	var b bytes.Buffer
	if err := writeEvents(&b, v); err != nil {
		t.Fatal(err)
	}
	const first = "\x1a\x00\x00\x00\x00\x00\x00\x00" // of the version's record: 26 bytes
	if !bytes.HasPrefix(b.Bytes(), []byte(first)) || !bytes.Contains(b.Bytes()[:40], []byte("\x1a\x0dbrain.Event:2")) {
		t.Errorf("%x", b.Bytes()[:40])
	}
	var tags []string
	for _, s := range scalars(oldestFirst(v)[0]) {
		tags = append(tags, s.tag)
		if s.tag == "budget/epsilon_spent" && s.value != 3 {
			t.Errorf("%v", s)
		}
	}
	for _, tag := range []string{"devices/counted", "budget/epsilon_spent", "noise/ratio", "phase/collecting", "quality/hit10", "quality/hit10/high"} {
		if !strings.Contains(strings.Join(tags, " "), tag) || !bytes.Contains(b.Bytes(), []byte(tag)) {
			t.Errorf("%s is not there", tag)
		}
	}
}
