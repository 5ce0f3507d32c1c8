package silo

import (
	"bytes"
	"errors"
	"slices"
	"testing"
)

// A round in which every organisation is killed after every step, both before and after its records are durable.
func TestKilledAtEveryStep(t *testing.T) {
	for name, m := range map[string]Model{
		"3 of 4": small(),
		"3 of 3": {Organisations: 3, Corrupt: 1, Minimum: 3, Length: 40, Bound: 1000, Hiding: 40},
	} {
		t.Run(name, func(t *testing.T) { killAtEveryStep(t, newWorld(t, m)) })
	}
}

func killAtEveryStep(t *testing.T, w *world) {
	n := len(w.parties)
	// step runs f three times: killed before its records are durable, after, and once more from memory.
	step := func(i int, f func() ([]byte, []Record, error)) []byte {
		t.Helper()
		if _, _, err := f(); err != nil {
			t.Fatal(err)
		}
		w.restart(i) // nothing left the organisation, nothing was kept
		b, rs, err := f()
		w.must(i, b, rs, err)
		for range 2 {
			w.restart(i)
			again, rs, err := f()
			if err != nil || len(rs) != 0 || !bytes.Equal(again, b) {
				t.Fatalf("after a restart: %v, %d records, same bytes %v", err, len(rs), bytes.Equal(again, b))
			}
		}
		return b
	}
	for i := range n {
		w.announcements = append(w.announcements, step(i, func() ([]byte, []Record, error) { return w.parties[i].Announce(chacha(uint64(i))) }))
	}
	for i := range n {
		w.shares = append(w.shares, step(i, func() ([]byte, []Record, error) { return w.parties[i].KeyShare(w.announcements) }))
	}
	for i := range n {
		step(i, func() ([]byte, []Record, error) { rs, err := w.parties[i].Join(w.shares); return nil, rs, err })
	}
	want := make([]int64, 40)
	for i := range n {
		x := make([]int64, 40)
		x[i], want[i] = int64(-i-1), int64(-i-1)
		w.contributions = append(w.contributions, step(i, func() ([]byte, []Record, error) { return w.parties[i].Contribute(x) }))
	}
	tally := w.tally()
	active := upTo(w.cfg.params.literal.Present)
	proposal := w.propose(tally, active...)
	o, err := NewOpening(tally, proposal)
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range active {
		b := step(i, func() ([]byte, []Record, error) { return w.parties[i].Decrypt(chacha(uint64(i)), proposal, w.tally()) })
		if err := o.Add(b); err != nil {
			t.Fatal(err)
		}
		if _, there := w.stores[i][w.parties[i].recordKey(recordSeed)]; there {
			t.Error("the seed outlives the round")
		}
		if _, there := w.stores[i][w.parties[i].recordKey(recordShamir)]; there {
			t.Error("the share outlives the round")
		}
	}
	got, err := o.Combine()
	if err != nil || !slices.Equal(got, want) {
		t.Fatalf("sum %v, %v", got, err)
	}
}

// Decrypt and Close wipe the secrets in memory; with t < N, Join wipes the own secret key.
func TestSecretsAreErased(t *testing.T) {
	for _, decrypt := range []bool{true, false} {
		w := newWorld(t, small())
		if _, _, err := w.parties[0].Announce(chacha(0)); err != nil {
			t.Fatal(err)
		}
		seed := w.parties[0].seed
		w.makeKeys()
		p := w.parties[0]
		if p.seed != nil || !bytes.Equal(seed, make([]byte, 32)) {
			t.Error("the seed outlives the key generation")
		}
		words := p.shamir.Q.Coeffs
		w.contribute(1, 0, 1, 2)
		if decrypt {
			tally := w.tally()
			b, rs, err := p.Decrypt(chacha(1), w.propose(tally, 0, 1, 2), tally)
			w.must(0, b, rs, err)
		} else {
			w.keep(0, p.Close())
		}
		for _, c := range words {
			if slices.ContainsFunc(c, func(v uint64) bool { return v != 0 }) {
				t.Fatal("the share is still in memory")
			}
		}
		if p.shamir != nil || !p.closed {
			t.Fatal("the round is not over")
		}
		if _, there := w.stores[0][p.recordKey(recordShamir)]; there {
			t.Error("the share's record outlives the round")
		}
	}
	// t = N keeps the seed up to the end, and wipes it then
	w := newWorld(t, Model{Organisations: 3, Corrupt: 1, Minimum: 3, Length: 40, Bound: 1000, Hiding: 40})
	w.makeKeys()
	seed := w.parties[0].seed
	if bytes.Equal(seed, make([]byte, 32)) {
		t.Fatal("no seed")
	}
	w.keep(0, w.parties[0].Close())
	if !bytes.Equal(seed, make([]byte, 32)) || w.parties[0].seed != nil {
		t.Fatal("the seed is still in memory")
	}
}

// A store that lost, mixed up or damaged records is noticed; one that kept a secret beside the answer does not bring it back.
func TestRecordsDamaged(t *testing.T) {
	w := newWorld(t, small())
	w.makeKeys()
	w.contribute(1, 0, 1, 2)
	full := w.records(0)
	if _, err := RestoreParty(w.cfg, 0, w.signers[0], full); err != nil {
		t.Fatal(err)
	}
	for i, r := range full {
		bad := slices.Clone(full)
		bad[i].Value = bytes.Clone(r.Value)
		bad[i].Value[len(r.Value)/2] ^= 1
		if _, err := RestoreParty(w.cfg, 0, w.signers[0], bad); !errors.Is(err, ErrRecord) {
			t.Errorf("%s damaged: %v", r.Key, err)
		}
		bad[i].Value = r.Value[:len(r.Value)-1]
		if _, err := RestoreParty(w.cfg, 0, w.signers[0], bad); !errors.Is(err, ErrRecord) {
			t.Errorf("%s cut: %v", r.Key, err)
		}
		if name := w.parties[0].recordKey(recordContribution); r.Key != name { // that one an organisation may not have
			if _, err := RestoreParty(w.cfg, 0, w.signers[0], slices.Delete(slices.Clone(full), i, i+1)); !errors.Is(err, ErrRecord) {
				t.Errorf("%s lost: %v", r.Key, err)
			}
		}
		bad = slices.Clone(full)
		bad[i].Value = full[(i+1)%len(full)].Value
		if _, err := RestoreParty(w.cfg, 0, w.signers[0], bad); !errors.Is(err, ErrRecord) {
			t.Errorf("%s with another's value: %v", r.Key, err)
		}
	}
	// another configuration of the same round, or another organisation's records
	other, err := NewConfig(func() ConfigLiteral { l := w.cfg.literal; l.Seed[0]++; return l }())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := RestoreParty(other, 0, w.signers[0], full); !errors.Is(err, RefuseOtherConfig) {
		t.Errorf("another configuration of the round: %v", err)
	}
	if _, err := RestoreParty(w.cfg, 1, w.signers[1], full); !errors.Is(err, ErrRecord) {
		t.Errorf("another organisation's records: %v", err)
	}
	tally := w.tally()
	b, rs, err := w.parties[0].Decrypt(chacha(1), w.propose(tally, 0, 1, 2), tally)
	w.must(0, b, rs, err)
	for _, r := range full {
		w.keep(0, []Record{r}) // a store that did not delete
	}
	delete(w.stores[0], w.parties[0].recordKey(recordClosed))
	w.restart(0)
	if p := w.parties[0]; p.shamir != nil || p.seed != nil || !p.closed {
		t.Error("the secrets came back")
	}
}
