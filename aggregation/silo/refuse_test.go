package silo

import (
	"bytes"
	"errors"
	"slices"
	"testing"
)

// small is a model whose tests are quick: 3 of 4 decrypt.
func small() Model {
	return Model{Organisations: 4, Corrupt: 1, Present: 3, Minimum: 3, Length: 40, Bound: 1000, Hiding: 40}
}

// T3.23, first: an organisation decrypts one ciphertext, once. The identical request gets identical bytes, also after a restart.
func TestT323SecondPartialDecryption(t *testing.T) {
	w := newWorld(t, small())
	w.makeKeys()
	w.contribute(1, 0, 1, 2)
	three := w.tally()
	first := w.propose(three, 0, 1, 2)
	answer, rs, err := w.parties[0].Decrypt(chacha(1), first, three)
	w.must(0, answer, rs, err)
	w.contribute(2, 3)
	four := w.tally()
	second := w.propose(four, 0, 1, 2)
	for _, restarted := range []bool{false, true} {
		if restarted {
			w.restart(0)
		}
		if _, _, err := w.parties[0].Decrypt(chacha(2), second, four); !errors.Is(err, RefuseSecondDecryption) {
			t.Fatalf("second ciphertext: %v", err)
		}
		again, rs, err := w.parties[0].Decrypt(chacha(3), first, three)
		if err != nil || len(rs) != 0 || !bytes.Equal(again, answer) {
			t.Fatalf("the identical request: %v, %d records, same bytes %v", err, len(rs), bytes.Equal(again, answer))
		}
	}
}

// T3.23, second: the set of decrypting organisations is fixed by the first answer.
func TestT323ChangedActiveSet(t *testing.T) {
	w := newWorld(t, small())
	w.makeKeys()
	w.contribute(1, 0, 1, 2, 3)
	tally := w.tally()
	b, rs, err := w.parties[0].Decrypt(chacha(1), w.propose(tally, 0, 1, 2), tally)
	w.must(0, b, rs, err)
	for range 2 {
		if _, _, err := w.parties[0].Decrypt(chacha(2), w.propose(tally, 0, 1, 3), tally); !errors.Is(err, RefuseActiveSet) {
			t.Fatalf("changed active set: %v", err)
		}
		w.restart(0)
	}
	// and the answers of one set do not serve another
	o, err := NewOpening(tally, w.propose(tally, 0, 1, 3))
	if err != nil {
		t.Fatal(err)
	}
	if err := o.Add(b); !errors.Is(err, RefuseActiveSet) {
		t.Fatalf("answer for another set: %v", err)
	}
}

func TestRefusedProposals(t *testing.T) {
	w := newWorld(t, small())
	w.makeKeys()
	w.contribute(1, 0, 1, 2, 3)
	good := w.tally()
	other := newWorld(t, small())
	other.makeKeys() // same configuration, other keys
	less := NewTally(w.cfg, w.parties[0].Keys())
	for _, c := range w.contributions[:3] {
		if err := less.Add(c); err != nil {
			t.Fatal(err)
		}
	}
	// change encodes the good proposal with one thing changed.
	change := func(f func(*Proposal)) []byte {
		p, err := w.cfg.ParseProposal(w.propose(good, 0, 1, 2))
		if err != nil {
			t.Fatal(err)
		}
		f(p)
		return p.encode(w.cfg.digest)
	}
	for name, c := range map[string]struct {
		proposal []byte
		tally    *Tally
		want     error
	}{
		"other sum":               {change(func(p *Proposal) { p.Sum[0] ^= 1 }), good, RefuseSum},
		"other digest in list":    {change(func(p *Proposal) { p.Contributions[3].Digest[0] ^= 1 }), good, RefuseContributions},
		"own contribution forged": {change(func(p *Proposal) { p.Contributions[0].Digest[0] ^= 1 }), good, RefuseOwnContribution},
		"one contribution less":   {change(func(p *Proposal) { p.Contributions = p.Contributions[:3] }), good, RefuseContributions},
		"tally lacks one":         {change(func(*Proposal) {}), less, RefuseContributions},
		"below minimum":           {change(func(p *Proposal) { p.Contributions = p.Contributions[:2] }), good, RefuseMinimum},
		"too few decrypt":         {change(func(p *Proposal) { p.Active = p.Active[:2] }), good, RefuseMinimum},
		"too many decrypt":        {change(func(p *Proposal) { p.Active = []int{0, 1, 2, 3} }), good, RefuseMinimum},
		"not asked":               {change(func(p *Proposal) { p.Active = []int{1, 2, 3} }), good, RefuseNotActive},
		"other keys":              {change(func(p *Proposal) { p.Keys[0] ^= 1 }), good, RefuseOtherKeys},
		"tally of other keys":     {change(func(*Proposal) {}), NewTally(w.cfg, other.parties[0].Keys()), RefuseOtherKeys},
		"no tally":                {change(func(*Proposal) {}), nil, RefuseOtherConfig},
		"duplicate contribution":  {change(func(p *Proposal) { p.Contributions[1] = p.Contributions[0] }), good, ErrEncoding},
		"duplicate active":        {change(func(p *Proposal) { p.Active = []int{0, 0, 1} }), good, ErrEncoding},
		"unknown contributor":     {change(func(p *Proposal) { p.Contributions[3].From = 4 }), good, ErrEncoding},
		"unknown active":          {change(func(p *Proposal) { p.Active[2] = 4 }), good, ErrEncoding},
	} {
		t.Run(name, func(t *testing.T) {
			_, rs, err := w.parties[0].Decrypt(chacha(1), c.proposal, c.tally)
			if !errors.Is(err, c.want) || len(rs) != 0 {
				t.Fatalf("%v and %d records, want %v", err, len(rs), c.want)
			}
		})
	}
	// nothing of that used the one decryption up
	if got := w.open(good, w.propose(good, 0, 1, 2), 0, 1, 2); len(got) != 40 {
		t.Fatal("no sum")
	}
	if _, err := less.Propose([]int{0, 1}); !errors.Is(err, RefuseMinimum) {
		t.Fatalf("proposal to two: %v", err)
	}
	if _, err := NewTally(w.cfg, w.parties[0].Keys()).Propose([]int{0, 1, 2}); !errors.Is(err, RefuseMinimum) {
		t.Fatalf("proposal of an empty sum: %v", err)
	}
}

func TestOrderAndRepetition(t *testing.T) {
	w, other := newWorld(t, small()), newWorld(t, small())
	p := w.parties[0]
	x := make([]int64, 40)
	b, rs, err := w.parties[1].Announce(chacha(1))
	w.must(1, b, rs, err)
	if _, _, err := p.Contribute(x); !errors.Is(err, RefuseOrder) {
		t.Fatalf("contribution without key: %v", err)
	}
	w = newWorld(t, small())
	w.makeKeys()
	for i, q := range other.parties {
		b, rs, err := q.Announce(chacha(uint64(50 + i)))
		other.announcements = append(other.announcements, other.must(i, b, rs, err))
	}
	if _, err := other.parties[0].Join(w.shares); !errors.Is(err, RefuseOrder) {
		t.Fatalf("join without key share: %v", err)
	}
	if _, _, err := newWorld(t, small()).parties[0].KeyShare(w.announcements); !errors.Is(err, RefuseOrder) {
		t.Fatalf("key share without announcement: %v", err)
	}
	if _, _, err := other.parties[0].KeyShare(w.announcements); !errors.Is(err, RefuseOtherView) {
		t.Fatalf("announcements without the own one: %v", err)
	}
	mixed := append(slices.Clone(w.announcements[:3]), other.announcements[3])
	if _, _, err := w.parties[0].KeyShare(mixed); !errors.Is(err, RefuseOtherView) {
		t.Fatalf("second view: %v", err)
	}
	share, _, err := other.parties[3].KeyShare(other.announcements)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.parties[0].Join(append(slices.Clone(w.shares[:3]), share)); !errors.Is(err, RefuseOtherView) {
		t.Fatalf("key share under another view: %v", err)
	}
	if _, _, err := w.parties[0].Contribute(x); err != nil {
		t.Fatal(err)
	}
	x[7] = 1
	if _, _, err := w.parties[0].Contribute(x); !errors.Is(err, RefuseOtherVector) {
		t.Fatalf("second vector: %v", err)
	}
	x[7] = 1001
	for _, bad := range [][]int64{x, x[:39], append(slices.Clone(x[:7]), make([]int64, 34)...)} {
		if _, _, err := w.parties[1].Contribute(bad); !errors.Is(err, ErrVector) {
			t.Fatalf("vector outside the model: %v", err)
		}
	}
	x[7] = -1001
	if _, _, err := w.parties[1].Contribute(x); !errors.Is(err, ErrVector) {
		t.Fatalf("vector below the bound: %v", err)
	}
}

// A tally takes one contribution of an organisation.
func TestTallyTakesOneContribution(t *testing.T) {
	w, twin := newWorld(t, small()), newWorld(t, small())
	w.makeKeys()
	w.contribute(1, 0, 1, 2)
	tally := NewTally(w.cfg, w.parties[0].Keys())
	names := map[Digest]bool{tally.sumDigest(): true}
	for _, c := range w.contributions {
		if err := tally.Add(c); err != nil {
			t.Fatal(err)
		}
		if names[tally.sumDigest()] {
			t.Fatal("the sum changed, its name did not")
		}
		names[tally.sumDigest()] = true
	}
	before := tally.sumDigest()
	slices.Reverse(w.contributions)
	if w.tally().sumDigest() != before {
		t.Fatal("the sum depends on the order")
	}
	slices.Reverse(w.contributions)
	if err := tally.Add(w.contributions[1]); err != nil || tally.sumDigest() != before || len(tally.Entries()) != 3 {
		t.Fatalf("the same contribution again: %v", err)
	}
	// organisation 1 loses its records and seals again under the same keys
	twin.announcements, twin.shares, twin.parties = w.announcements, w.shares, w.parties
	w.parties[1].contribution = nil
	twin.contribute(9, 1)
	if err := tally.Add(twin.contributions[0]); !errors.Is(err, RefuseSecondContributions) {
		t.Fatalf("another contribution: %v", err)
	}
	if tally.sumDigest() != before {
		t.Fatal("a refused contribution changed the sum")
	}
	twin = newWorld(t, small())
	twin.makeKeys()
	twin.contribute(1, 3)
	if err := tally.Add(twin.contributions[0]); !errors.Is(err, RefuseOtherKeys) {
		t.Fatalf("contribution under other keys: %v", err)
	}
}

func TestClosedPartyDoesNothing(t *testing.T) {
	w := newWorld(t, small())
	w.makeKeys()
	w.contribute(1, 0, 1, 2)
	tally := w.tally()
	for _, i := range []int{0, 3} {
		w.keep(i, w.parties[i].Close())
		for range 2 {
			if _, _, err := w.parties[i].Decrypt(chacha(1), w.propose(tally, 0, 1, 3), tally); !errors.Is(err, RefuseClosed) {
				t.Fatalf("closed organisation decrypts: %v", err)
			}
			w.restart(i)
		}
	}
	if _, _, err := w.parties[3].Contribute(make([]int64, 40)); !errors.Is(err, RefuseClosed) {
		t.Fatalf("closed organisation contributes: %v", err)
	}
	p := newWorld(t, small()).parties[0]
	p.Close()
	if _, _, err := p.Announce(chacha(1)); !errors.Is(err, RefuseClosed) {
		t.Fatalf("closed organisation announces: %v", err)
	}
}
