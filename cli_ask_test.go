package main

import (
	"encoding/json"
	"math"
	"strings"
	"testing"

	"tutti/model/metric"
	"tutti/model/run"
)

// evaluates: the test split gives what train said, to the digit; the validation split what the best weights were chosen by.
func evaluates(t *testing.T, dir string, m run.Manifest) {
	t.Helper()
	var e evaluateResult
	if err := json.Unmarshal([]byte(wants(t, exitDone, "", "evaluate", "--json", "--run", dir)), &e); err != nil {
		t.Fatal(err)
	}
	if e.Split != "test" || e.Users != 40 || len(e.Metrics) < 10 || e.Metrics[0].Name != "NDCG@10" {
		t.Errorf("%+v", e)
	}
	for i, row := range e.Rows {
		if len(row.Values) != len(e.Metrics) {
			t.Errorf("%s: %d values of %d metrics", row.Name, len(row.Values), len(e.Metrics))
		}
		for k, v := range row.Values {
			if v != m.Result.Rows[i].Values[k] {
				t.Errorf("%s of %s: %+v, train said %+v", e.Metrics[k].Name, row.Name, v, m.Result.Rows[i].Values[k])
			}
		}
	}
	people := 0
	for _, r := range e.Groups[0].Rows {
		people += r.Users
	}
	if people != 40 {
		t.Errorf("%d people in the groups: %+v", people, e.Groups[0])
	}
	var had, shown float64
	for _, g := range e.Exposure {
		had, shown = had+g.Had, shown+g.Shown
	}
	if math.Abs(had-1) > 1e-9 || math.Abs(shown-1) > 1e-9 {
		t.Errorf("the groups of items hold %v of what people had and %v of the lists, want all: %+v", had, shown, e.Exposure)
	}
	gaps := gapsOf(t, e.Groups)
	if err := json.Unmarshal([]byte(wants(t, exitDone, "", "evaluate", "--json", "--run", dir, "--split", "valid")), &e); err != nil {
		t.Fatal(err)
	}
	if got := e.Rows[0].Values[0].Value; got != m.Progress.BestNDCG || e.Split != "validation" {
		t.Errorf("%s NDCG@10 %v, the best weights have %v", e.Split, got, m.Progress.BestNDCG)
	}
	table := wants(t, exitDone, "item transitions", "evaluate", "--run", dir)
	if strings.Count(table, "Gap in NDCG@10 between") != gaps || !strings.Contains(table, "of the lists of ten") {
		t.Errorf("want %d gaps and what the lists show:\n%s", gaps, table)
	}
}

// gapsOf counts the gaps, each of which must be between the extremes of the large groups.
func gapsOf(t *testing.T, groups []run.Breakdown) (n int) {
	t.Helper()
	for _, b := range groups {
		low, high, large := math.Inf(1), math.Inf(-1), 0
		for _, r := range b.Rows {
			if r.Users >= leastInGap {
				low, high, large = min(low, r.NDCG.Value), max(high, r.NDCG.Value), large+1
			}
		}
		switch {
		case large < 2 != (b.Gap == nil):
			t.Errorf("%s: %d large groups, gap %v", b.Name, large, b.Gap)
		case b.Gap != nil:
			n++
			if math.Abs(b.Gap.NDCG.Value-(high-low)) > 1e-12 || b.Gap.NDCG.Low > b.Gap.NDCG.Value || b.Gap.NDCG.High < b.Gap.NDCG.Value {
				t.Errorf("%s: a gap of %+v, the groups are %v apart", b.Name, b.Gap, high-low)
			}
		}
	}
	return n
}

func generates(t *testing.T, dir string, recipe run.Recipe) {
	t.Helper()
	if recipe == run.Bidirectional {
		wants(t, exitUsage, "does not write lists", "generate", "--run", dir, "--user", "3")
		return
	}
	var g generateResult
	said := wants(t, exitDone, "", "generate", "--json", "--run", dir, "--user", "3", "--length", "6", "--beams", "3", "--lists", "2", "--per-category", "2")
	if err := json.Unmarshal([]byte(said), &g); err != nil {
		t.Fatal(err)
	}
	if len(g.Lists) != 2 || g.For.Person != 3 || len(g.For.Recent) != 3 || g.Lists[0].LogProbability < g.Lists[1].LogProbability {
		t.Fatalf("%+v", g)
	}
	for _, l := range g.Lists {
		seen, first := map[int64]bool{}, map[string]int{}
		for _, item := range l.Items {
			if item.Title == "" || item.Probability <= 0 || item.Probability > 1 || seen[item.Item] {
				t.Errorf("%+v", item)
			}
			seen[item.Item] = true
			if len(item.Categories) > 0 {
				first[item.Categories[0]]++
			}
		}
		for genre, n := range first {
			if n > 2 {
				t.Errorf("%d of %s", n, genre)
			}
		}
		if len(l.Items) != 6 {
			t.Errorf("%d items", len(l.Items))
		}
	}
	wants(t, exitDone, "A history of your own, 2 events", "generate", "--run", dir, "--items", "1,2", "--length", "3")
	wants(t, exitUsage, "want --length of 1 or more", "generate", "--run", dir, "--user", "3", "--length", "0")
	wants(t, exitUsage, "lists of 999 items", "generate", "--run", dir, "--user", "3", "--length", "999")
}

func recommends(t *testing.T, dir string) {
	t.Helper()
	var list []recommendation
	if err := json.Unmarshal([]byte(wants(t, exitDone, "", "recommend", "--json", "--run", dir, "--items", "1, 2", "-n", "4")), &list); err != nil {
		t.Fatal(err)
	}
	for i, r := range list {
		if r.Item == 1 || r.Item == 2 || r.Title == "" || !strings.HasPrefix(r.Reason, "because of ") && !strings.HasPrefix(r.Reason, "fits") || i > 0 && r.Score > list[i-1].Score {
			t.Errorf("%+v", list)
		}
	}
	if len(list) != 4 {
		t.Errorf("%+v", list)
	}
	wants(t, exitDone, "Person 3, ", "recommend", "--run", dir, "--user", "3")
	var usual, diverse []recommendation
	for list, diversity := range map[*[]recommendation]string{&usual: "0", &diverse: "1"} {
		if err := json.Unmarshal([]byte(wants(t, exitDone, "", "recommend", "--json", "--run", dir, "--user", "3", "-n", "5", "--diversity", diversity)), list); err != nil {
			t.Fatal(err)
		}
	}
	if len(diverse) != 5 || diverse[0] != usual[0] || alike(t, dir, diverse) >= alike(t, dir, usual) {
		t.Errorf("%+v\nis not more diverse than\n%+v", diverse, usual)
	}
	for _, c := range []struct{ said, args string }{
		{"one of --user and --items", ""}, {"one of --user and --items", "--user 3 --items 1"}, {"nobody with number 999", "--user 999"},
		{"no item 999", "--items 1,999"}, {"is no number", "--items 1,x"}, {"give one of them", "--user 3 --dir phone"}, {"-n 0", "--user 3 -n 0"},
		{"want 0 to 1", "--user 3 --diversity 1.5"},
	} {
		wants(t, exitUsage, c.said, append([]string{"recommend", "--run", dir}, strings.Fields(c.args)...)...)
	}
}

// alike is how much the items of a list have in common by their genres, in the mean over pairs.
func alike(t *testing.T, dir string, list []recommendation) float64 {
	t.Helper()
	run, err := openTrained(dir, "")
	if err != nil {
		t.Fatal(err)
	}
	var items []int32
	for _, r := range list {
		i, _ := run.data.Catalogue.Index(r.Item)
		items = append(items, i)
	}
	return 1 - metric.Diversity([][]int32{items}, run.facts().Similarity)[0]
}
