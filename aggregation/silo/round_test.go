package silo

import (
	"slices"
	"testing"

	"github.com/tuneinsight/lattigo/v5/schemes/bgv"
)

func TestExactSums(t *testing.T) {
	for name, c := range map[string]struct {
		model        Model
		from, active []int
	}{
		"3 of 3":                       {Model{Organisations: 3, Corrupt: 1, Minimum: 3, Length: 9000, Bound: 1 << 15}, upTo(3), upTo(3)},
		"4 of 5, one missing":          {Model{Organisations: 5, Corrupt: 1, Present: 4, Minimum: 4, Length: 100, Bound: 1 << 20}, []int{0, 2, 3, 4}, []int{0, 2, 3, 4}},
		"5 of 5, two did not give":     {Model{Organisations: 5, Corrupt: 1, Minimum: 3, Length: 100, Bound: 1}, []int{1, 2, 4}, upTo(5)},
		"13 of 20, seven missing":      {Model{Organisations: 20, Corrupt: 5, Present: 13, Minimum: 10, Length: 50, Bound: 1 << 15}, upTo(13), []int{19, 18, 17, 12, 11, 10, 9, 8, 7, 6, 5, 4, 0}},
		"20 of 20, largest bound":      {Model{Organisations: 20, Corrupt: 18, Minimum: 20, Length: 50, Bound: 1 << 32}, upTo(20), upTo(20)},
		"4 of 4, largest bound":        {Model{Organisations: 4, Corrupt: 2, Minimum: 4, Length: 50, Bound: 1 << 32, Hiding: 40}, upTo(4), upTo(4)},
		"3 of 3, ring's edge":          {Model{Organisations: 3, Corrupt: 1, Minimum: 3, Length: 8192, Bound: 7}, upTo(3), upTo(3)},
		"3 of 3, one past ring's edge": {Model{Organisations: 3, Corrupt: 1, Minimum: 3, Length: 8193, Bound: 7}, upTo(3), upTo(3)},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, c.model)
			w.makeKeys()
			want := w.contribute(5, c.from...)
			tally := w.tally()
			got := w.open(tally, w.propose(tally, c.active...), c.active...)
			if !slices.Equal(got, want) {
				t.Fatal("not the exact sum")
			}
		})
	}
}

// Every coordinate at its bound, up and down: the ends of the plaintext range, decoded as lattigo's own encoder decodes them.
func TestExtremes(t *testing.T) {
	w := newWorld(t, Model{Organisations: 4, Corrupt: 2, Minimum: 4, Length: 2, Bound: 1 << 32, Hiding: 40})
	w.makeKeys()
	for i := range 4 {
		b, rs, err := w.parties[i].Contribute([]int64{1 << 32, -1 << 32})
		w.contributions = append(w.contributions, w.must(i, b, rs, err))
	}
	tally := w.tally()
	proposal := w.propose(tally, upTo(4)...)
	o, err := NewOpening(tally, proposal)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range w.parties {
		b, _, err := p.Decrypt(chacha(1), proposal, tally)
		if err != nil {
			t.Fatal(err)
		}
		if err := o.Add(b); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := o.Combine(); err != nil || !slices.Equal(got, []int64{1 << 34, -1 << 34}) {
		t.Fatalf("%v, %v", got, err)
	}
	params := w.cfg.params
	opened, plain := bgv.NewCiphertext(params.bgv, 1, params.bgv.MaxLevel()), bgv.NewPlaintext(params.bgv, params.bgv.MaxLevel())
	o.cks.KeySwitch(tally.ciphertext(0), o.shares[0], opened)
	plain.Value, plain.IsBatched = opened.Value[0], false
	theirs := make([]int64, params.degree())
	if err := bgv.NewEncoder(params.bgv).Decode(plain, theirs); err != nil {
		t.Fatal(err)
	}
	if theirs[0] != 1<<34 || theirs[1] != -1<<34 {
		t.Errorf("the library decodes %v", theirs[:2])
	}
}
