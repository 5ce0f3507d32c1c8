package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"tutti/model/run"
)

// tiny is a configuration that trains in a blink.
func tiny(t *testing.T, recipe run.Recipe) string {
	t.Helper()
	dir := t.TempDir()
	write(t, dir, "run.yaml", "recipe: "+string(recipe)+"\nmodel:\n  dim: 8\n  hidden: 8\n  blocks: 1\n  length: 12\nbatch:\n  size: 8\nfit:\n  steps: 24\n  rate: 0.01\nvalidate:\n  every: 6\n")
	return filepath.Join(dir, "run.yaml")
}

// TestTrainToRecommend goes the way of a person: train, evaluate, generate, recommend, each with --json and without.
func TestTrainToRecommend(t *testing.T) {
	data := people(t, 40)
	for _, recipe := range run.Recipes() {
		t.Run(string(recipe.Recipe), func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "run1")
			var trained trainResult
			said := wants(t, exitDone, "", "train", "--json", "--data", data, "--config", tiny(t, recipe.Recipe), "--out", dir, "--engine", "fused", "--seed", "5")
			if err := json.Unmarshal([]byte(said), &trained); err != nil {
				t.Fatal(err)
			}
			m := trained.Manifest
			if m.Status != run.Finished || m.Recipe != recipe.Recipe || m.Seed != 5 || m.Progress.Step != 24 || m.Progress.Best == 0 ||
				m.Data.Users != 40 || m.Data.Items != 60 || m.Result == nil || m.Result.Users != 40 || len(m.Result.Rows) != 3 || len(m.Examples) == 0 {
				t.Errorf("%+v", m)
			}
			for _, name := range []string{run.ManifestName, run.ConfigName, run.LogName, run.CheckpointName, run.BestName, run.PageName} {
				if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Size() == 0 {
					t.Errorf("%s: %v", name, err)
				}
			}
			graph := filepath.Join(t.TempDir(), "graph")
			wants(t, exitDone, "", "train", "--data", data, "--config", tiny(t, recipe.Recipe), "--out", graph, "--seed", "5")
			weightsAgree(t, dir, graph)
			evaluates(t, dir, m)
			generates(t, dir, recipe.Recipe)
			recommends(t, dir)
			wants(t, exitUsage, "holds a run already", "train", "--data", data, "--out", dir)
			wants(t, exitDone, "best weights at step", "train", "--resume", "--out", dir) // finished: shows the table
		})
	}
}

// weightsAgree: two engines end with the same weights.
func weightsAgree(t *testing.T, a, b string) {
	t.Helper()
	x, at, err := runDir(a).Best()
	if err != nil {
		t.Fatal(err)
	}
	if y, when, err := runDir(b).Best(); err != nil || x.Digest() != y.Digest() || at.Step != when.Step {
		t.Errorf("the engines do not agree: best at steps %d and %d (%v)", at.Step, when.Step, err)
	}
}

// TestTrainWithEverything: times, attributes of people, ratings, features, a sampled loss, another split, another optimiser.
func TestTrainWithEverything(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run1")
	args := []string{"train", "--json", "--data", people(t, 40), "--config", tiny(t, run.Causal), "--out", dir}
	for _, set := range []string{
		"model.time_buckets=16", "model.user=true", "model.items=hybrid", "model.norm=post", "model.positions=rotary", "model.heads=1", "model.activation=swiglu",
		"loss.kind=gbce", "loss.negatives=9", "loss.rating_weight=0.5", "fit.optimiser=rmsprop", "fit.momentum=0.5", "fit.rate=0.003", "fit.schedule=exponential", "fit.clip=1",
		"fit.accumulate=2", "split.kind=time", "split.quantile=0.8", "workers=3",
	} {
		args = append(args, "--set", set)
	}
	var trained trainResult
	if err := json.Unmarshal([]byte(wants(t, exitDone, "", args...)), &trained); err != nil {
		t.Fatal(err)
	}
	r := trained.Manifest.Result
	if r == nil || r.Ratings == nil || r.Ratings.Events != r.Users || !(r.Ratings.RMSE.Low < r.Ratings.RMSE.Value) || !(r.Ratings.Mean.Value < 3) || trained.Manifest.Workers != 3 {
		t.Fatalf("%+v", r)
	}
	wants(t, exitDone, "ratings of what came next", "evaluate", "--run", dir)
	wants(t, exitDone, "because of", "recommend", "--run", dir, "--user", "7")
	wants(t, exitDone, "", "generate", "--run", dir, "--user", "7", "--length", "4")
}

// TestTrainForColdItems: nobody met in training what the test asks for, so that counting cannot find it, and features can
// be read for it.
func TestTrainForColdItems(t *testing.T) {
	data, dir := people(t, 40), filepath.Join(t.TempDir(), "run1")
	var trained trainResult
	if err := json.Unmarshal([]byte(wants(t, exitDone, "", "train", "--json", "--data", data, "--config", tiny(t, run.Causal), "--out", dir,
		"--set", "split.kind=cold", "--set", "split.cold=0.2", "--set", "model.items=features", "--set", "model.time_buckets=8", "--set", "loss.rating_weight=0.5")), &trained); err != nil {
		t.Fatal(err)
	}
	r := trained.Manifest.Result
	if r == nil || r.Users == 0 || r.Users > 40 || r.Rows[2].Values[1].Value != 0 || !(r.Rows[0].Values[1].Value > 0) {
		t.Errorf("popularity finds what nobody met, or features do not: %+v", r)
	}
	for _, e := range r.Exposure {
		if e.Label == "0" && e.Items < 24 { // twice a fifth of 60
			t.Errorf("%d items that nobody met", e.Items)
		}
	}
	opened, err := openTrained(dir, "")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range opened.split.Test {
		u, q := opened.data.Users[c.User], opened.caseQuery(c.User, c.History)
		for i, item := range q.Items {
			if at := slices.Index(u.History, item); u.Times[at] != q.Times[i] {
				t.Errorf("person %d had item %d at %d, the model reads %d", u.ID, item, u.Times[at], q.Times[i])
			}
		}
		if q.Now != 0 || len(q.Times) != len(q.Items) {
			t.Errorf("person %d: the model knows that it is %d", u.ID, q.Now)
		}
	}
	wants(t, exitUsage, "split.cold", "train", "--data", data, "--out", filepath.Join(t.TempDir(), "none"), "--set", "split.kind=cold", "--set", "split.cold=0.5")
}

func TestTrainWrongUse(t *testing.T) {
	data, dir := people(t, 40), t.TempDir()
	write(t, dir, "bad.yaml", "model:\n  dim: wide\n")
	for _, c := range []struct{ said, args string }{
		{"bad.yaml:2:8: model.dim", "--config " + filepath.Join(dir, "bad.yaml")},
		{"no such file", "--config " + filepath.Join(dir, "none.yaml")},
		{`recipe: "tasty"`, "--recipe tasty"},
		{`engine: "steam"`, "--engine steam"},
		{"want NAME=VALUE", "--set model.dim"},
		{"unknown setting", "--set model.depth=3"},
		{"exclude each other", "--steps 3 --epochs 3"},
		{"how long should it train", "--epochs 0"},
		{"multiple of Heads", "--set model.dim=7"},
		{"no room for an item beside MASK", "--recipe bidirectional --set model.length=1"},
		{"there is no run in", "--resume"},
		{"no clicks", "--set loss.click_weight=1"},
	} {
		out := filepath.Join(t.TempDir(), "run")
		_, errs, code := tutti(t, append([]string{"train", "--data", data, "--out", out}, strings.Fields(c.args)...)...)
		if code != exitUsage || !strings.Contains(errs, c.said) {
			t.Errorf("tutti train %s: exit code %d, %q", c.args, code, errs)
		}
		if _, err := os.Stat(out); err == nil {
			t.Errorf("tutti train %s left a folder behind", c.args)
		}
	}
	wants(t, exitUsage, "--run is needed", "evaluate")
	wants(t, exitFailed, "no run in", "evaluate", "--run", dir)
	wants(t, exitUsage, "want test or valid", "evaluate", "--run", dir, "--split", "train")
	wants(t, exitUsage, "belongs to --run", "recommend", "--user", "3")
	wants(t, exitUsage, "--run is needed", "recommend", "--run", "", "--user", "3")
	write(t, dir, run.PageName, "somebody's own")
	wants(t, exitUsage, "would be overwritten", "train", "--data", data, "--steps", "1", "--out", dir)
	if page, err := os.ReadFile(filepath.Join(dir, run.PageName)); err != nil || string(page) != "somebody's own" {
		t.Errorf("%q, %v", page, err)
	}
	wants(t, exitFailed, "no data at", "train", "--data", filepath.Join(dir, "nowhere"), "--out", filepath.Join(dir, "r"))

	// What --print-config prints is a configuration.
	printed := wants(t, exitDone, "recipe: encdec", "train", "--print-config", "--recipe", "encdec", "--set", "model.dim=32", "--steps", "7")
	if c, err := run.ParseConfig([]byte(printed), ""); err != nil || c.Model.Dim != 32 || c.Fit.Steps != 7 || c.Recipe != run.EncDec {
		t.Errorf("%+v, %v", c, err)
	}
}

// TestHelperProcess is the command line in a process of its own, for tests that kill it.
func TestHelperProcess(t *testing.T) {
	args := os.Getenv("TUTTI_TEST_ARGS")
	if args == "" {
		t.Skip("only where another test asks for it")
	}
	os.Exit(execute(t.Context(), strings.Split(args, "\n"), os.Stdout, os.Stderr))
}

// stopper cancels when it is told of a step.
type stopper struct {
	bytes.Buffer
	at   string
	stop func()
}

func (s *stopper) Write(p []byte) (int, error) {
	if strings.Contains(string(p), s.at) {
		s.stop()
	}
	return s.Buffer.Write(p)
}

// TestResume: a run that is stopped, and one that is killed, end with the weights, the optimiser and the log of one that
// was left alone, bit for bit.
func TestResume(t *testing.T) {
	data, place := people(t, 40), t.TempDir()
	args := func(out string) []string {
		return []string{"train", "--data", data, "--out", filepath.Join(place, out), "--engine", "fused", "--steps", "300", "--set", "save.steps=7",
			"--set", "model.dim=16", "--set", "model.hidden=16", "--set", "model.length=16", "--set", "batch.size=8", "--set", "validate.every=20", "--set", "validate.patience=0"}
	}
	wants(t, exitDone, "", args("whole")...)

	ctx, cancel := context.WithCancel(t.Context())
	out := &stopper{at: "step 100 of", stop: cancel}
	if code := execute(ctx, args("stopped"), out, out); code != exitFailed || !strings.Contains(out.String(), "go on with: tutti train --resume --out") {
		t.Fatalf("exit code %d\n%s", code, out)
	}
	stopped := filepath.Join(place, "stopped")
	if m := manifestOf(t, stopped); m.Status != run.Stopped || m.Progress.Step < 100 || m.Progress.Step == 300 {
		t.Errorf("%+v", m)
	}
	for _, flag := range []string{"--seed=3", "--steps=9", "--recipe=causal", "--set=model.dim=8", "--engine=graph"} {
		wants(t, exitUsage, "leave out --", "train", "--resume", "--out", stopped, flag)
	}
	wants(t, exitUsage, "not what stopped was trained on", "train", "--resume", "--out", stopped, "--data", otherPeople(t))

	killed := filepath.Join(place, "killed")
	kill(t, args("killed"), filepath.Join(killed, run.LogName), 60)
	if m := manifestOf(t, killed); m.Status != run.Running {
		t.Errorf("%+v", m)
	}
	for _, dir := range []string{stopped, killed} {
		wants(t, exitDone, "Goes on after step", "train", "--resume", "--out", dir)
		same(t, filepath.Join(place, "whole"), dir)
		if m := manifestOf(t, dir); m.Progress.Resumed != 1 || m.Status != run.Finished {
			t.Errorf("%+v", m.Progress)
		}
	}
}

// otherPeople have the same items as people.
func otherPeople(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "data")
	wants(t, exitDone, "", "data", "generate", "--out", dir, "--users", "41", "--items", "60", "--seed", "3")
	return dir
}

func manifestOf(t *testing.T, dir string) run.Manifest {
	t.Helper()
	m, _, err := runDir(dir).Load()
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// kill runs a command line in a process and kills it when a file has so many lines.
func kill(t *testing.T, args []string, file string, lines int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestHelperProcess$")
	cmd.Env = append(os.Environ(), "TUTTI_TEST_ARGS="+strings.Join(args, "\n"))
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for {
		if data, _ := os.ReadFile(file); bytes.Count(data, []byte{'\n'}) >= lines {
			break
		}
		select {
		case err := <-ended:
			t.Fatalf("it ended by itself: %v\n%s", err, &said)
		case <-time.After(time.Millisecond):
		}
	}
	cmd.Process.Kill()
	<-ended
}

// same compares what two runs left behind, but for times.
func same(t *testing.T, a, b string) {
	t.Helper()
	for _, name := range []string{run.BestName, run.CheckpointName} {
		x, err := os.ReadFile(filepath.Join(a, name))
		if err != nil {
			t.Fatal(err)
		}
		if y, err := os.ReadFile(filepath.Join(b, name)); err != nil || !bytes.Equal(x, y) {
			t.Errorf("%s differs in %s and %s (%v)", name, a, b, err)
		}
	}
	x, err := runDir(a).Log(run.WholeLog)
	if err != nil {
		t.Fatal(err)
	}
	y, err := runDir(b).Log(run.WholeLog)
	if err != nil || len(x) != len(y) {
		t.Fatalf("%d and %d lines (%v)", len(x), len(y), err)
	}
	for _, log := range [][]run.Record{x, y} {
		for i := range log {
			log[i].Seconds = 0
			if log[i].Validation != nil {
				log[i].Validation.Seconds = 0
			}
		}
	}
	if diff := cmp.Diff(x, y); diff != "" {
		t.Error(diff)
	}
}
