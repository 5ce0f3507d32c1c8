package main

import (
	"archive/zip"
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// tutti runs one command line as main would.
func tutti(t *testing.T, args ...string) (out, errs string, code int) {
	t.Helper()
	var o, e bytes.Buffer
	code = execute(t.Context(), args, &o, &e)
	return o.String(), e.String(), code
}

// wants runs a command line that must end with a code and say something.
func wants(t *testing.T, code int, said string, args ...string) string {
	t.Helper()
	out, errs, got := tutti(t, args...)
	if got != code || !strings.Contains(out+errs, said) {
		t.Fatalf("tutti %s: exit code %d, want %d with %q\n%s%s", strings.Join(args, " "), got, code, said, out, errs)
	}
	return out
}

func TestHelpOfEveryCommand(t *testing.T) {
	seen := 0
	var visit func(path []string, c *cobra.Command)
	visit = func(path []string, c *cobra.Command) {
		seen++
		if c.Example == "" || c.Short == "" {
			t.Errorf("tutti %s: no example, or no summary", strings.Join(path, " "))
		}
		out := wants(t, exitDone, "Examples:", append(slices.Clone(path), "--help")...)
		if first, _, _ := strings.Cut(strings.TrimSpace(c.Example), "\n"); !strings.Contains(out, first) || !strings.HasPrefix(first, "tutti ") {
			t.Errorf("tutti %s: the example is not a command line that --help shows: %q", strings.Join(path, " "), first)
		}
		for _, sub := range c.Commands() {
			visit(append(slices.Clone(path), sub.Name()), sub)
		}
	}
	visit(nil, (&app{}).root())
	if seen < 14 {
		t.Errorf("%d commands seen", seen)
	}
}

func TestWrongUse(t *testing.T) {
	films := t.TempDir()
	write(t, films, "movies.csv", "movieId,title,genres\n1,A (2001),Drama\n2,B (2002),Drama\n3,C (2003),Drama\n")
	key := strings.Repeat("ab", 32)
	init := func(args ...string) []string {
		return append([]string{"server", "init", "--dir", filepath.Join(films, "server"), "--catalogue", films}, args...)
	}
	for _, c := range []struct {
		said string
		args []string
	}{
		{`unknown command "fly"`, []string{"fly"}},
		{`unknown command "fly"`, []string{"data", "fly"}},
		{`unknown command "fly"`, []string{"committee", "fly"}},
		{"unknown flag: --high", []string{"demo", "--high"}},
		{"invalid argument", []string{"demo", "--devices", "many"}},
		{"--log-level", []string{"version", "--log-level", "loud"}},
		{"accepts 1 arg", []string{"verify"}},
		{"accepts 1 arg", []string{"data", "check"}},
		{"--model", []string{"demo", "--model", "huge", "--devices", "40", "--out", films}},
		{"cannot invent 0 users", []string{"data", "generate", "--users", "0"}},
		{"--operator wants 64 hex digits", []string{"verify", "report.json", "--operator", "abc"}},
		{"at least three", init()},
		{"want ADDRESS=KEY", init("--node", "here")},
		{"64 hex digits", init("--node", "a:1=zz", "--node", "a:2=zz", "--node", "a:3=zz")},
		{"cannot plan this", init("--goal", "1", "--node", "a:1="+key, "--node", "a:2="+key, "--node", "a:3="+key)},
		{"--catalogue is needed", []string{"server", "init", "--node", "a:1=" + key, "--node", "a:2=" + key, "--node", "a:3=" + key}},
	} {
		_, errs, code := tutti(t, c.args...)
		if code != exitUsage || !strings.Contains(errs, c.said) || !strings.Contains(errs, "--help") {
			t.Errorf("tutti %s: exit code %d, %q", strings.Join(c.args, " "), code, errs)
		}
	}
	if _, err := os.Stat(filepath.Join(films, "server", "setup.json")); err == nil {
		t.Error("wrong use of init left a task behind")
	}
}

func TestVersion(t *testing.T) {
	var v softwareVersion
	if err := json.Unmarshal([]byte(wants(t, exitDone, "", "version", "--json")), &v); err != nil || v.Version == "" || v.Go == "" || v.OS == "" || v.Arch == "" {
		t.Errorf("%+v, %v", v, err)
	}
	wants(t, exitDone, "tutti "+v.Version, "version")
}

func write(t *testing.T, dir, name, content string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestDataCheck(t *testing.T) {
	const movies = "movieId,title,genres\n1,A (2001),Drama\n2,B (2002),Comedy\n3,C (2003),Drama\n"
	const ratings = "userId,movieId,rating,timestamp\n1,1,4.0,10\n1,2,4.0,20\n1,3,4.0,30\n"
	var noise strings.Builder
	for i := range 4096 {
		noise.WriteByte(byte(i * 167))
	}
	for _, c := range []struct {
		name  string
		code  int
		said  string
		files map[string]string
	}{
		{"good", exitDone, "", map[string]string{"movies.csv": movies, "ratings.csv": ratings}},
		{"truncated", exitDone, "dropped 2: row has too few fields", map[string]string{"movies.csv": movies, "ratings.csv": ratings + "1,2,3.\n1,"}},
		{"malformed", exitDone, "dropped 3: a number is malformed", map[string]string{"movies.csv": movies, "ratings.csv": ratings + "x,2,3.5,40\n1,y,3.5,50\n1,2,3.5,never\n"}},
		{"latin-1", exitDone, "Latin-1", map[string]string{"movies.csv": movies + "4,Am\xe9lie (2001),Com\xe9die\n", "ratings.csv": ratings}},
		{"unknown column", exitDone, "mood", map[string]string{"movies.csv": movies, "ratings.csv": "userId,movieId,rating,timestamp,mood\n1,1,4.0,10,a\n1,2,4.0,20,b\n1,3,4.0,30,c\n"}},
		{"empty folder", exitFailed, "no known data format", nil},
		{"empty file", exitFailed, "no data", map[string]string{"movies.csv": movies, "ratings.csv": ""}},
		{"header only", exitFailed, "no data", map[string]string{"movies.csv": movies, "ratings.csv": "userId,movieId,rating,timestamp\n"}},
		{"missing column", exitFailed, "column movieId is missing", map[string]string{"movies.csv": movies, "ratings.csv": "userId,rating,timestamp\n1,4.0,10\n"}},
		{"noise", exitFailed, "ratings.csv", map[string]string{"movies.csv": movies, "ratings.csv": noise.String()}},
		{"one event", exitFailed, "no data", map[string]string{"movies.csv": movies, "ratings.csv": "userId,movieId,rating,timestamp\n1,1,4.0,10\n"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			for name, content := range c.files {
				write(t, dir, name, content)
			}
			wants(t, c.code, c.said, "data", "check", dir)
			out, _, code := tutti(t, "data", "check", dir, "--json")
			if code != c.code || code == exitDone && !json.Valid([]byte(out)) || code != exitDone && out != "" {
				t.Errorf("--json: exit code %d, %q", code, out)
			}
		})
	}
	dir := t.TempDir()
	wants(t, exitFailed, "no data at", "data", "check", filepath.Join(dir, "nowhere"))
	write(t, dir, "broken.zip", "PK\x03\x04 and then nothing")
	wants(t, exitFailed, "not a readable zip", "data", "check", filepath.Join(dir, "broken.zip"))

	var packed bytes.Buffer
	z := zip.NewWriter(&packed)
	for name, content := range map[string]string{"set/movies.csv": movies, "set/ratings.csv": ratings} {
		f, err := z.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		f.Write([]byte(content))
	}
	z.Close()
	write(t, dir, "good.zip", packed.String())
	wants(t, exitDone, "", "data", "check", filepath.Join(dir, "good.zip"))
}

// people makes a small data set by the generator.
func people(t *testing.T, users int) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "data")
	wants(t, exitDone, fmt.Sprint(users, " users, 60 items"), "data", "generate", "--out", dir, "--users", fmt.Sprint(users), "--items", "60", "--seed", "3")
	wants(t, exitDone, "", "data", "check", dir)
	return dir
}

// TestDemo runs the demo small, with and without noise, and lets everybody verify what it wrote.
func TestDemo(t *testing.T) {
	data, temp := people(t, 40), t.TempDir()
	t.Setenv("TMPDIR", temp)
	for _, c := range []struct {
		privacy string
		flag    []string
	}{{"on", nil}, {"OFF", []string{"--privacy-off"}}, {"on", []string{"--trust", "central"}}, {"on", []string{"--trust", "central-mf", "--cohort", "20", "--apart", "2"}}} {
		out := filepath.Join(t.TempDir(), "out")
		var result demoResult
		said := wants(t, exitDone, "", append([]string{"demo", "--json", "--data", data, "--rounds", "1", "--out", out}, c.flag...)...)
		if err := json.Unmarshal([]byte(said), &result); err != nil {
			t.Fatal(err)
		}
		if result.Privacy != c.privacy || result.Devices != 40 || result.Items != 60 || len(result.Recommendations) != 5 || len(result.Quality) < 8 || result.Verdict != "VERIFIED" {
			t.Errorf("%+v", result)
		}
		if noised := c.privacy == "on"; (result.Epsilon > 0) != noised || result.Epsilon > 8 || (result.RhoSpent != "0.000000") != noised {
			t.Errorf("privacy %s: epsilon %v, rho %s", c.privacy, result.Epsilon, result.RhoSpent)
		}
		page, err := os.ReadFile(filepath.Join(out, "report.html"))
		if err != nil {
			t.Fatal(err)
		}
		if off := strings.Contains(string(page), "PRIVACY OFF"); off != (c.privacy == "OFF") {
			t.Errorf("privacy %s, and the page says off: %v", c.privacy, off)
		}
		verifies(t, out)
	}
	if left, _ := os.ReadDir(temp); len(left) > 0 {
		t.Errorf("the demo left %v behind", left)
	}
}

// verifies runs tutti verify on a report, on the same with files missing, and with bytes changed.
func verifies(t *testing.T, dir string) {
	t.Helper()
	report, lines, note := filepath.Join(dir, "report.json"), filepath.Join(dir, "ledger.jsonl"), filepath.Join(dir, "checkpoint.txt")
	wants(t, exitDone, "VERIFIED", "verify", report)
	wants(t, exitDone, "VERIFIED", "verify", report, "--checkpoint", note)
	wants(t, exitFailed, "FAILED (operator-key)", "verify", report, "--operator", strings.Repeat("ab", 32))
	wants(t, exitFailed, "FAILED (checkpoint)", "verify", report, "--checkpoint", lines)
	wants(t, exitFailed, "no report to verify", "verify", filepath.Join(dir, "nowhere.json"))
	wants(t, exitIncomplete, "INCOMPLETE", "verify", report, "--ledger", filepath.Join(dir, "nowhere.jsonl"))
	for _, file := range []string{report, lines} {
		good, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for part := range 7 {
			bad := bytes.Clone(good)
			bad[len(bad)*part/7] ^= 1
			changed := filepath.Join(t.TempDir(), "changed")
			if err := os.WriteFile(changed, bad, 0o600); err != nil {
				t.Fatal(err)
			}
			args := []string{"verify", "--json", changed, "--ledger", lines}
			if file == lines {
				args = []string{"verify", "--json", report, "--ledger", changed}
			}
			out, errs, code := tutti(t, args...)
			var v struct{ Verdict, Reason string }
			if err := json.Unmarshal([]byte(out), &v); err != nil || code != exitFailed || v.Verdict != "FAILED" || v.Reason == "" || !strings.Contains(errs, v.Reason) {
				t.Errorf("%s, byte %d: %v, exit code %d, %+v, %s", filepath.Base(file), len(bad)*part/7, err, code, v, errs)
			}
		}
		cut := filepath.Join(t.TempDir(), "cut")
		if err := os.WriteFile(cut, good[:len(good)/2], 0o600); err != nil {
			t.Fatal(err)
		}
		if file == lines {
			wants(t, exitFailed, "FAILED (", "verify", report, "--ledger", cut)
		} else {
			wants(t, exitFailed, "FAILED (form)", "verify", cut, "--ledger", lines)
		}
	}
}

// TestPlacesThatCannotBeWritten: an output folder below a file, and a folder without write permission.
func TestPlacesThatCannotBeWritten(t *testing.T) {
	data, dir := people(t, 40), t.TempDir()
	write(t, dir, "file", "not a folder")
	places := []string{filepath.Join(dir, "file", "out")}
	locked := filepath.Join(dir, "locked")
	if err := os.Mkdir(locked, 0o500); err != nil {
		t.Fatal(err)
	}
	if os.WriteFile(filepath.Join(locked, "probe"), nil, 0o600) != nil { // not for root
		places = append(places, filepath.Join(locked, "out"))
	} else {
		t.Log("this user may write anywhere: the folder without permission is left out")
	}
	key := wants(t, exitDone, "", "committee", "key", "--dir", filepath.Join(dir, "node"))
	for _, place := range places {
		for _, args := range [][]string{
			{"demo", "--data", data, "--out", place},
			{"data", "generate", "--users", "5", "--items", "60", "--out", place},
			{"dev-certs", "--out", place},
			{"committee", "key", "--dir", place},
			{"server", "init", "--catalogue", data, "--dir", place, "--node", "a:1=" + strings.TrimSpace(key), "--node", "a:2=" + hex.EncodeToString(make([]byte, 32)), "--node", "a:3=" + strings.Repeat("ab", 32)},
		} {
			wants(t, exitFailed, filepath.Dir(place), args...)
		}
	}
}
