package silo

import (
	"bytes"
	"crypto/ed25519"
	"encoding/binary"
	"io"
	"math/rand/v2"
)

// tester is what tester and rapid.T have in common.
type tester interface {
	Helper()
	Fatal(...any)
	Fatalf(string, ...any)
}

// world is one round of N organisations with stores that a test can kill and restart.
type world struct {
	t       tester
	cfg     *Config
	signers []ed25519.PrivateKey
	parties []*Party
	stores  []map[string][]byte

	announcements, shares, contributions [][]byte
}

// chacha gives tests reproducible randomness.
func chacha(seed uint64) io.Reader {
	var key [32]byte
	binary.LittleEndian.PutUint64(key[:], seed)
	return rand.NewChaCha8(key)
}

func signersOf(n int) (private []ed25519.PrivateKey, public []ed25519.PublicKey) {
	for i := range n {
		k := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{byte(i + 1)}, 32))
		private, public = append(private, k), append(public, k.Public().(ed25519.PublicKey))
	}
	return private, public
}

func literalOf(t tester, m Model, round uint64) (ConfigLiteral, []ed25519.PrivateKey) {
	t.Helper()
	params, err := Choose(m)
	if err != nil {
		t.Fatal(err)
	}
	private, public := signersOf(m.Organisations)
	return ConfigLiteral{Task: "hospital", Round: round, Seed: [32]byte{7}, Params: params, Keys: public}, private
}

func newWorld(t tester, m Model) *world {
	t.Helper()
	literal, signers := literalOf(t, m, 1)
	cfg, err := NewConfig(literal)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, cfg: cfg, signers: signers}
	for i := range m.Organisations {
		p, err := NewParty(cfg, i, signers[i])
		if err != nil {
			t.Fatal(err)
		}
		w.parties, w.stores = append(w.parties, p), append(w.stores, map[string][]byte{})
	}
	return w
}

// keep makes records durable.
func (w *world) keep(i int, records []Record) {
	for _, r := range records {
		if r.Value == nil {
			delete(w.stores[i], r.Key)
		} else {
			w.stores[i][r.Key] = bytes.Clone(r.Value)
		}
	}
}

func (w *world) records(i int) []Record {
	var rs []Record
	for k, v := range w.stores[i] {
		rs = append(rs, Record{k, bytes.Clone(v)})
	}
	return rs
}

// restart kills party i and restores it from its store.
func (w *world) restart(i int) {
	w.t.Helper()
	p, err := RestoreParty(w.cfg, i, w.signers[i], w.records(i))
	if err != nil {
		w.t.Fatal(err)
	}
	w.parties[i] = p
}

func (w *world) must(i int, b []byte, rs []Record, err error) []byte {
	w.t.Helper()
	if err != nil {
		w.t.Fatalf("organisation %d: %v", i, err)
	}
	w.keep(i, rs)
	return b
}

// makeKeys runs the round up to the collective key.
func (w *world) makeKeys() {
	w.t.Helper()
	for i, p := range w.parties {
		b, rs, err := p.Announce(chacha(uint64(i)))
		w.announcements = append(w.announcements, w.must(i, b, rs, err))
	}
	for i, p := range w.parties {
		b, rs, err := p.KeyShare(w.announcements)
		w.shares = append(w.shares, w.must(i, b, rs, err))
	}
	for i, p := range w.parties {
		rs, err := p.Join(w.shares)
		w.must(i, nil, rs, err)
	}
}

// contribute lets the listed organisations contribute random vectors and returns the exact sum.
func (w *world) contribute(seed uint64, from ...int) []int64 {
	w.t.Helper()
	r := rand.New(rand.NewPCG(seed, 1))
	l := w.cfg.params.literal
	sum := make([]int64, l.Length)
	for _, i := range from {
		x := make([]int64, l.Length)
		for k := range x {
			x[k] = r.Int64N(2*l.Bound+1) - l.Bound
			sum[k] += x[k]
		}
		b, rs, err := w.parties[i].Contribute(x)
		w.contributions = append(w.contributions, w.must(i, b, rs, err))
	}
	return sum
}

// tally adds the contributions up, as every organisation and the aggregator does for itself.
func (w *world) tally() *Tally {
	w.t.Helper()
	t := NewTally(w.cfg, w.parties[0].Keys())
	for _, c := range w.contributions {
		if err := t.Add(c); err != nil {
			w.t.Fatal(err)
		}
	}
	return t
}

func (w *world) propose(t *Tally, active ...int) []byte {
	w.t.Helper()
	b, err := t.Propose(active)
	if err != nil {
		w.t.Fatal(err)
	}
	return b
}

// open lets the active organisations decrypt and combines.
func (w *world) open(tally *Tally, proposal []byte, active ...int) []int64 {
	w.t.Helper()
	o, err := NewOpening(tally, proposal)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, i := range active {
		b, rs, err := w.parties[i].Decrypt(chacha(uint64(100+i)), proposal, tally)
		if err := o.Add(w.must(i, b, rs, err)); err != nil {
			w.t.Fatal(err)
		}
	}
	sum, err := o.Combine()
	if err != nil {
		w.t.Fatal(err)
	}
	return sum
}

func upTo(n int) []int {
	var is []int
	for i := range n {
		is = append(is, i)
	}
	return is
}
