package plan

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"testing"
)

// stale makes the plan one of a model round whose updates may be up to s versions behind.
func stale(p *Plan, s int) {
	p.Kind, p.Block, p.Window = Model, Digest{}, Window{}
	p.Training = Training{Steps: 4, MaxLen: 64, LearningRate: "0.1", Optimizer: "sgd"}
	p.BaseNumber = 9
	p.Base = sha256.Sum256([]byte("v9"))
	p.Older = nil
	for i := range s {
		p.Older = append(p.Older, sha256.Sum256(fmt.Appendf(nil, "v%d", 8-i)))
	}
}

// TestBasesVector pins both versions of the canonical form: without older bases it is version 3 byte for byte, with some
// they stand behind its fields.
func TestBasesVector(t *testing.T) {
	p := sample(t)
	stale(&p, 0)
	v3, err := p.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if sum := hex.EncodeToString(sum256(v3)); sum != vectorV3 {
		t.Errorf("version 3 is %s", sum)
	}
	stale(&p, 2)
	v4, err := p.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if sum := hex.EncodeToString(sum256(v4)); sum != vectorV4 {
		t.Errorf("version 4 is %s", sum)
	}
	want := append([]byte("\x00\x00\x00\x0dtutti/plan/v4"), v3[17:]...)
	want = append(want, 0, 0, 0, 2)
	for _, name := range []string{"v8", "v7"} {
		want = append(want, sum256([]byte(name))...)
	}
	if !bytes.Equal(v4, want) {
		t.Error("version 4 is not version 3 with the older bases behind it")
	}
	back, err := Parse(v4)
	if err != nil || !samePlan(p, back) {
		t.Errorf("read back: %v", err)
	}
}

const (
	vectorV3 = "b9ea779822d066467f1b6362e1d7d10f34db348a51e2a4d90e5814d62b4ea98d"
	vectorV4 = "9cef9bbd2406f6719c62fcc76820fdcd91af454dacd66e9adf5a978eb7ce6225"
)

func sum256(b []byte) []byte { s := sha256.Sum256(b); return s[:] }

func TestBasesRefused(t *testing.T) {
	good := sample(t)
	stale(&good, 3)
	data, err := good.Encode()
	if err != nil {
		t.Fatal(err)
	}
	for cut := len(data) - 3*32 - 8; cut < len(data); cut++ {
		if _, err := Parse(data[:cut]); !errors.Is(err, ErrPlan) {
			t.Fatalf("%d of %d bytes: %v", cut, len(data), err)
		}
	}
	for name, change := range map[string]func(*Plan){
		"the base among the older":     func(p *Plan) { p.Older[1] = p.Base },
		"one twice":                    func(p *Plan) { p.Older[1] = p.Older[0] },
		"none":                         func(p *Plan) { p.Older[2] = Digest{} },
		"before the first version":     func(p *Plan) { p.BaseNumber = 3 },
		"too many":                     func(p *Plan) { stale(p, 1); p.BaseNumber = 99; p.Older = many(MaxStale + 1) },
		"statistics that are behind":   func(p *Plan) { older := p.Older; *p = sample(t); p.BaseNumber, p.Older = 9, older },
		"no newest version, but older": func(p *Plan) { p.BaseNumber, p.Base = 0, Digest{} },
	} {
		p := good
		p.Older = append([]Digest(nil), good.Older...)
		change(&p)
		if _, err := p.Encode(); !errors.Is(err, ErrPlan) {
			t.Errorf("%s: encoded (%v)", name, err)
		}
	}
	p := good
	p.BaseNumber, p.Older = 99, many(MaxStale)
	if _, err := p.Encode(); err != nil {
		t.Errorf("the largest bound: %v", err)
	}
	empty := append([]byte("\x00\x00\x00\x0dtutti/plan/v4"), data[17:len(data)-3*32-4]...)
	if _, err := Parse(append(empty, 0, 0, 0, 0)); !errors.Is(err, ErrPlan) {
		t.Errorf("version 4 without older bases has two forms: %v", err)
	}
}

func many(n int) []Digest {
	out := make([]Digest, n)
	for i := range out {
		out[i] = Digest{1, byte(i)}
	}
	return out
}

// TestStaleness: what is allowed, how far behind it is, and what it weighs.
func TestStaleness(t *testing.T) {
	p := sample(t)
	stale(&p, 3)
	for i, d := range p.Bases() {
		if s, ok := p.Staleness(d); !ok || int(s) != i {
			t.Errorf("base %d is %d behind (%v)", i, s, ok)
		}
		if at, ok := p.BaseAt(9 - uint64(i)); !ok || at != d {
			t.Errorf("version %d is not the base %d", 9-i, i)
		}
	}
	for _, number := range []uint64{0, 5, 10, math.MaxUint64} {
		if _, ok := p.BaseAt(number); ok {
			t.Errorf("version %d is allowed", number)
		}
	}
	if _, ok := p.Staleness(Digest{9}); ok {
		t.Error("an unknown version is allowed")
	}
	for s, want := range map[uint32]float64{0: 1, 1: 1 / math.Sqrt2, 3: 0.5, 63: 0.125} {
		if got := StaleWeight(s); math.Abs(got-want) > 1e-15 || got > 1 {
			t.Errorf("an update %d behind weighs %g, want %g", s, got, want)
		}
	}
}

// TestKnownBases: a device that knows the versions follows the plan; a version that it does not know it cannot judge.
func TestKnownBases(t *testing.T) {
	p, st := sample(t), sampleState()
	stale(&p, 3)
	st.BaseNumber, st.Base = p.BaseNumber, p.Base
	st.Known = []Known{{9, p.Base}, {8, p.Older[0]}, {7, p.Older[1]}, {2, Digest{7}}}
	if err := samplePolicy().Check(p, st); err != nil {
		t.Errorf("refused: %v", err)
	}
	st.Known[2].Digest[31] ^= 1
	var r *Refusal
	if err := samplePolicy().Check(p, st); !errors.As(err, &r) || r.Reason != ReasonBases || r.Retry() != RetryAlarm {
		t.Errorf("another version 7: %v", err)
	}
}
