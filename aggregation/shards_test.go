package aggregation

import (
	"errors"
	"testing"
)

// splitWorld is a round of three shards over devices that the lot lets in with probability 3/4, begun at every node.
func splitWorld(t testing.TB, devices int) (*world, []*Config) {
	t.Helper()
	w := newCast(t, testParams(64, 2, 40), devices, SuiteX25519, 3, EveryDevice/4*3)
	var shards []*Config
	for k := range uint32(3) {
		shards = append(shards, w.shard(k))
		w.begin(shards[k])
	}
	return w, shards
}

// in turns the world to another shard's configuration.
func (w *world) in(cfg *Config) *world {
	turned := *w
	turned.cfg, turned.literal = cfg, cfg.literal
	return &turned
}

// Rule 11: an id is in the one shard that the beacon gives it; device, server and members refuse it elsewhere, and three shards
// of one round open three sums that together are the indicator of the eligible devices.
func TestRule11_AnIDIsInOneShard(t *testing.T) {
	w, shards := splitWorld(t, 40)
	counted := map[int]bool{}
	total := make([]int64, 64)
	for k, cfg := range shards {
		s := w.in(cfg)
		for i, d := range w.devices {
			id := IDOf(publicOf(d.Key))
			if !cfg.Eligible(id) || cfg.ShardOf(id) == uint32(k) {
				continue
			}
			if _, err := d.Seal(w.random, cfg, Digest{2}, w.unit(i), 1000); !errors.Is(err, ErrShard) {
				t.Errorf("device %d seals for shard %d: %v", i, k, err)
			}
			h := w.force(i, cfg)
			if err := s.verify(h); !errors.Is(err, ReasonShard) {
				t.Errorf("server, device %d in shard %d: %v", i, k, err)
			}
			if v := s.show(0, h)[0]; v.Reason != ReasonShard {
				t.Errorf("member, device %d in shard %d: %v", i, k, v.Reason)
			}
			break
		}
		sum, err := s.open(s.sealShard(), all(5), all(5), all(5))
		if err != nil {
			t.Fatal(err)
		}
		for i, v := range sum {
			total[i] += v
		}
	}
	for i, d := range w.devices {
		counted[i] = w.cfg.Eligible(IDOf(publicOf(d.Key)))
	}
	checkIndicator(t, total, counted)

	fresh, shards := splitWorld(t, 40)
	n := fresh.nodes[1]
	for what, from := range map[string]struct {
		node *node
		cfg  *Config
	}{"opened for another shard": {n, shards[1]}, "opened by another member": {fresh.nodes[0], shards[0]}} {
		in := fresh.in(from.cfg)
		judge, err := from.node.member.Judge(from.cfg.Round())
		if err != nil {
			t.Fatal(err)
		}
		opened := judge.Open([]*MemberHeader{in.cut(in.sealShard()[0].Header, int(from.node.setup.Index)-1)})
		_, records, err := n.member.Accept(shards[0].Round(), opened)
		wantRefusal(t, what, err, RefuseOtherConfig)
		if records != nil {
			t.Errorf("%s: records", what)
		}
	}
	other := fresh.shard(1).Literal()
	other.Groups = 2
	renamed := n.member.rounds[fresh.cfg.Round()]
	delete(renamed.shards, 1)
	_, err := n.member.Begin(fresh.config(other))
	wantRefusal(t, "a shard of a round split otherwise", err, RefuseOtherConfig)
}
