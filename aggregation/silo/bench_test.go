package silo

import (
	"fmt"
	"testing"
)

// Figures in doc.go: go test -run '^$' -bench . -benchtime 3x ./aggregation/silo
func BenchmarkRound(b *testing.B) {
	for _, log := range []int{17, 20} {
		w := newWorld(b, Model{Organisations: 3, Corrupt: 1, Minimum: 3, Length: 1 << log, Bound: 1 << 15})
		w.makeKeys()
		w.contribute(1, 0, 1, 2)
		x := make([]int64, 1<<log)
		tally := w.tally()
		proposal := w.propose(tally, 0, 1, 2)
		name := func(step string) string { return fmt.Sprintf("d=2^%d/%s", log, step) }
		p := w.parties[0]
		b.Run(name("contribute"), func(b *testing.B) {
			b.ReportMetric(float64(w.cfg.params.ContributionLen()), "bytes")
			for b.Loop() {
				p.contribution = nil
				if _, _, err := p.Contribute(x); err != nil {
					b.Fatal(err)
				}
			}
			p.contribution = w.contributions[0]
		})
		b.Run(name("add"), func(b *testing.B) {
			t := NewTally(w.cfg, p.Keys())
			for b.Loop() {
				t.entries = nil
				if err := t.Add(w.contributions[1]); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(name("sum-digest"), func(b *testing.B) {
			for b.Loop() {
				tally.named = Digest{}
				tally.sumDigest()
			}
		})
		asked, err := w.cfg.ParseProposal(proposal)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(name("decrypt"), func(b *testing.B) {
			b.ReportMetric(float64(w.cfg.params.PartialLen()), "bytes")
			for b.Loop() {
				if _, err := p.decrypt(chacha(1), asked, tally); err != nil {
					b.Fatal(err)
				}
			}
		})
		o, err := NewOpening(tally, proposal)
		if err != nil {
			b.Fatal(err)
		}
		for _, party := range w.parties {
			partial, _, err := party.Decrypt(chacha(1), proposal, tally)
			if err != nil {
				b.Fatal(err)
			}
			if err := o.Add(partial); err != nil {
				b.Fatal(err)
			}
		}
		b.Run(name("combine"), func(b *testing.B) {
			for b.Loop() {
				if _, err := o.Combine(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// Key generation of one organisation of 20 of which 13 decrypt.
func BenchmarkKeyShare(b *testing.B) {
	w := newWorld(b, Model{Organisations: 20, Corrupt: 5, Present: 13, Minimum: 13, Length: 1 << 20, Bound: 1 << 15})
	for i, p := range w.parties {
		m, rs, err := p.Announce(chacha(uint64(i)))
		w.announcements = append(w.announcements, w.must(i, m, rs, err))
	}
	b.ReportMetric(float64(w.cfg.params.KeyShareLen()), "bytes")
	for b.Loop() {
		w.parties[0].keyShare = nil
		if _, _, err := w.parties[0].KeyShare(w.announcements); err != nil {
			b.Fatal(err)
		}
	}
}
