package main

import (
	"testing"

	"tutti/privacy/mechanism"
)

// small is the statistics of few invented people.
func small(t *testing.T, noise bool) *statistics {
	t.Helper()
	ds, err := invent(400, 100, 3)
	if err != nil {
		t.Fatal(err)
	}
	s, err := newStatistics(newWorld(ds, 3), 8, noise)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func learnt(t *testing.T, s *statistics, set setting) measured {
	t.Helper()
	m, err := s.learn(set)
	if err != nil || m.Infeasible != "" {
		t.Fatalf("%v: %v %s", set, err, m.Infeasible)
	}
	return m
}

// TestWhatDefencesStop holds the facts that the program's text states.
func TestWhatDefencesStop(t *testing.T) {
	s := small(t, false)
	none, check := defence{groups: 1}, defence{check: true, groups: 1}
	clean := learnt(t, s, setting{Attack: honest, Defence: none})
	if clean.NDCG <= 0 || clean.Excluded != 0 {
		t.Fatalf("without attack: %+v", clean)
	}
	if broken := learnt(t, s, setting{boost, 0.2, none}); broken.NDCG > clean.NDCG/2 {
		t.Errorf("a fifth of the devices at 100 times the clip: NDCG %.4f of %.4f", broken.NDCG, clean.NDCG)
	}
	if saved := learnt(t, s, setting{boost, 0.2, check}); saved.NDCG < clean.NDCG*0.7 || saved.Excluded == 0 {
		t.Errorf("with the norm check: NDCG %.4f of %.4f, %.1f left out", saved.NDCG, clean.NDCG, saved.Excluded)
	}
	if most, flipped := learnt(t, s, setting{boostMax, 0.05, check}), learnt(t, s, setting{flip, 0.05, check}); most.Excluded != 0 || most.NDCG < flipped.NDCG-0.01 {
		t.Errorf("the longest that passes does more than a flip: %+v, %+v", most, flipped)
	}
	for _, d := range []defence{none, check} {
		if door := learnt(t, s, setting{backdoor, 0.2, d}); door.Target < 0.5 {
			t.Errorf("%s: a backdoor of a fifth reaches %.2f of the people", d, door.Target)
		}
	}
}

// TestNobodyHonestIsExcluded: with noise the bound leaves room for an attacker, and none of the honest is left out.
func TestNobodyHonestIsExcluded(t *testing.T) {
	s, check := small(t, true), defence{check: true, groups: 1}
	if m := learnt(t, s, setting{Attack: honest, Defence: check}); m.Excluded != 0 || m.Noise != 1 {
		t.Errorf("%+v", m)
	}
	m, _, err := check.design(400, release{100, 1, s.split.Popularity})
	if err != nil || check.longest(m) < 5 {
		t.Errorf("the bound under noise is %.1f clips, %v", check.longest(m), err)
	}
	if got, err := s.learn(setting{Attack: honest, Defence: defence{groups: 20, rule: median}}); err != nil || got.Infeasible == "" {
		t.Errorf("20 groups of 20 people under noise: %+v, %v", got, err)
	}
}

// TestOpen: one group sums all, a long group is left out, and all sent vectors are counted once.
func TestOpen(t *testing.T) {
	sent, bad := make([][]float32, 40), make([]bool, 40)
	for i := range sent {
		sent[i] = []float32{1, 0}
	}
	sent[7], bad[7] = []float32{0, 4000}, true
	m := mechanism.Params{Clip: 1, Dim: 2, ClipGrid: 100, L2Bound: 100}
	o, err := defence{groups: 1}.open(sent, bad, m, 1)
	if err != nil || o.devices != 40 || o.mean[1] != 100 {
		t.Errorf("%+v, %v", o, err)
	}
	if o, err = (defence{groups: 4, rule: short}).open(sent, bad, m, 1); err != nil || o.leftOut != 1 || o.mean[1] != 0 || o.devices != 40 {
		t.Errorf("%+v, %v", o, err)
	}
	if o, err = (defence{check: true, groups: 1}).open(sent, bad, m, 1); err != nil || o.excluded != 1 || o.mean[0] != 1 {
		t.Errorf("%+v, %v", o, err)
	}
	if e := (defence{groups: 5, rule: median}).efficiency(); e < 1.17 || e > 1.22 { // exactly 1.198; 20,000 draws: within .02 but for 1e-4
		t.Errorf("the median of five is %.3f times as noisy", e)
	}
}
