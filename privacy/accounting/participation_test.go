package accounting

import (
	"fmt"
	"math/big"
	"testing"

	"pgregory.net/rapid"
)

// everyChoice tries all subsets of the rounds.
func everyChoice(rounds []uint64, costs []*big.Rat, k, b uint64) *big.Rat {
	best := new(big.Rat)
	for choice := range 1 << len(costs) {
		sum, taken, last, fits := new(big.Rat), uint64(0), -1, true
		for i := range costs {
			if choice>>i&1 == 0 {
				continue
			}
			if taken++; last >= 0 && rounds[i]-rounds[last] < max(b, 1) || k > 0 && taken > k {
				fits = false
				break
			}
			last = i
			sum.Add(sum, costs[i])
		}
		if fits && sum.Cmp(best) > 0 {
			best = sum
		}
	}
	return best
}

// TestExposureAgainstBruteForce goes through lists of operations: rounds with gaps, costs that change later, questions
// that must leave nothing behind.
func TestExposureAgainstBruteForce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		k, b := rapid.Uint64Range(0, 6).Draw(t, "k"), rapid.Uint64Range(0, 5).Draw(t, "b")
		e := NewExposure(k, b)
		var rounds []uint64
		var costs []*big.Rat
		next := uint64(0)
		draw := func() *big.Rat {
			return big.NewRat(rapid.Int64Range(0, 9).Draw(t, "cost"), rapid.Int64Range(1, 7).Draw(t, "of"))
		}
		for range rapid.IntRange(0, 14).Draw(t, "operations") {
			next += rapid.Uint64Range(1, 4).Draw(t, "gap")
			c := draw()
			switch what := rapid.IntRange(0, 3).Draw(t, "what"); {
			case what == 0 && len(costs) > 0:
				i := rapid.IntRange(0, len(costs)-1).Draw(t, "which")
				costs[i] = c
				if err := e.Set(rounds[i], c); err != nil {
					t.Fatal(err)
				}
			case what == 1:
				want := everyChoice(append(rounds[:len(rounds):len(rounds)], next), append(costs[:len(costs):len(costs)], c), k, b)
				if got := e.With(next, c); got.Cmp(want) != 0 {
					t.Fatalf("with one more round %v, want %v", got, want)
				}
			case len(costs) < 10:
				rounds, costs = append(rounds, next), append(costs, c)
				if err := e.Add(next, c); err != nil {
					t.Fatal(err)
				}
			}
			if got, want := e.Worst(), everyChoice(rounds, costs, k, b); got.Cmp(want) != 0 {
				t.Fatalf("k %d, b %d, rounds %v, costs %v: %v, want %v", k, b, rounds, costs, got, want)
			}
		}
	})
}

func TestExposureRefuses(t *testing.T) {
	e := NewExposure(1, 1)
	if e.Add(3, big.NewRat(1, 2)) != nil || e.Add(3, nil) == nil || e.Add(4, big.NewRat(-1, 2)) == nil || e.Set(2, nil) == nil {
		t.Error("a round out of order, a negative cost or an unknown round is taken")
	}
	if err := e.Set(3, big.NewRat(-1, 2)); err == nil {
		t.Error("a cost is set below zero")
	}
	// a question about a round that was there already is answered upwards
	if got := e.With(3, big.NewRat(1, 3)); got.Cmp(big.NewRat(5, 6)) != 0 {
		t.Errorf("with a round that is not newer: %v", got)
	}
	cost := big.NewRat(1, 5)
	if err := e.Add(4, cost); err != nil {
		t.Fatal(err)
	}
	if cost.SetInt64(0); e.Set(3, nil) != nil || e.Worst().Cmp(big.NewRat(1, 5)) != 0 {
		t.Errorf("a cost that the caller reuses becomes %v", e.Worst())
	}
	if got := NewExposure(MaxParticipations+1, 1); got.k != 0 {
		t.Error("a limit beyond the bound limits")
	}
}

// BenchmarkExposure: 10,000 rounds at k = 5, b = 50.
func BenchmarkExposure(b *testing.B) {
	for b.Loop() {
		e := NewExposure(5, 50)
		for r := range uint64(10_000) {
			_ = e.Add(r, big.NewRat(1, int64(r%7+1)))
		}
	}
}

// A device may be in two rounds, three apart: the two dearest of those lose it 1/2 + 1/3.
func ExampleWorstParticipation() {
	costs := []*big.Rat{big.NewRat(1, 2), big.NewRat(1, 4), big.NewRat(1, 4), big.NewRat(1, 3)}
	fmt.Println(WorstParticipation(costs, 2, 3), WorstParticipation(costs, 0, 1))
	// Output: 5/6 4/3
}
