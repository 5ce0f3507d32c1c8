package main

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"

	"tutti/model/run"
)

// curve is one run: how it went and how it ended.
type curve struct {
	Name     string
	Seed     int
	Steps    int
	Points   []point
	Seconds  float64 // of training, on the clock, without measuring
	HR, NDCG float64 // on the test items, with the weights that were best on the validation items
}

// point is a measurement on the validation items after some seconds of training.
type point struct{ Seconds, NDCG float64 }

var errUnfinished = errors.New("the run has not finished")

// reached is when the validation curve first meets a goal, between two points along a straight line.
func (c curve) reached(goal float64) (seconds float64, ok bool) {
	i := slices.IndexFunc(c.Points, func(p point) bool { return p.NDCG >= goal })
	if i < 0 {
		return 0, false
	}
	if i == 0 {
		return c.Points[0].Seconds, true
	}
	a, b := c.Points[i-1], c.Points[i]
	return a.Seconds + (b.Seconds-a.Seconds)*(goal-a.NDCG)/(b.NDCG-a.NDCG), true
}

// readOurs reads the folder of a finished run of tutti train.
func readOurs(folder, recipe string, seed int) (curve, error) {
	text, err := os.ReadFile(filepath.Join(folder, "run.json"))
	if err != nil {
		return curve{}, err
	}
	m, err := run.ParseManifest(text)
	if err != nil {
		return curve{}, err
	}
	if m.Status != run.Finished || m.Result == nil || len(m.Result.Rows) == 0 {
		return curve{}, errUnfinished
	}
	c := curve{Name: "tutti " + recipe, Seed: seed, Steps: m.Progress.Steps, Seconds: m.Progress.Seconds}
	for i, metric := range m.Result.Metrics {
		switch metric.Name {
		case "NDCG@10":
			c.NDCG = m.Result.Rows[0].Values[i].Value
		case "HR@10":
			c.HR = m.Result.Rows[0].Values[i].Value
		}
	}
	log, err := os.ReadFile(filepath.Join(folder, "metrics.jsonl"))
	if err != nil {
		return curve{}, err
	}
	records, err := run.ParseLog(log, m.Progress.Step)
	if err != nil {
		return curve{}, err
	}
	measuring := 0.0 // is in the seconds of the log, and not in those of the peer
	for _, r := range records {
		if r.Validation != nil {
			measuring += r.Validation.Seconds
			c.Points = append(c.Points, point{r.Seconds - measuring, r.Validation.NDCG})
		}
	}
	c.Seconds -= measuring
	return c, nil
}

// readTorch reads what peer.py wrote.
func readTorch(path string, seed int) (curve, error) {
	file, err := os.Open(path)
	if err != nil {
		return curve{}, err
	}
	defer file.Close()
	type measured struct {
		NDCG float64 `json:"ndcg"`
		HR   float64 `json:"hr"`
	}
	var c curve
	best := -1.0
	for lines := json.NewDecoder(file); ; {
		var l struct {
			Torch            string
			Steps            int
			Wall             float64
			Validation, Test *measured
			Final            bool
		}
		if err := lines.Decode(&l); err != nil {
			return curve{}, errors.Join(errUnfinished, err)
		}
		switch {
		case l.Torch != "":
			c = curve{Name: "PyTorch " + l.Torch, Seed: seed, Steps: l.Steps}
		case l.Final:
			c.Seconds = l.Wall
			return c, nil
		case l.Validation != nil && l.Test != nil:
			c.Points = append(c.Points, point{l.Wall, l.Validation.NDCG})
			if l.Validation.NDCG > best {
				best, c.NDCG, c.HR = l.Validation.NDCG, l.Test.NDCG, l.Test.HR
			}
		}
	}
}
