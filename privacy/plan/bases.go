package plan

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"math"
	"slices"
)

// MaxStale is the largest staleness bound: the secure sum binds at most 64 base versions into a configuration.
const MaxStale = 63

// Bases are the versions that an update of the round may start from, newest first; the first one is Base.
func (p Plan) Bases() []Digest { return append([]Digest{p.Base}, p.Older...) }

// BaseAt is the digest of the version that the plan allows under a number; false: it allows none.
func (p Plan) BaseAt(number uint64) (Digest, bool) {
	if number > p.BaseNumber || p.BaseNumber-number > uint64(len(p.Older)) {
		return Digest{}, false
	}
	return p.Bases()[p.BaseNumber-number], true
}

// Staleness is how many versions behind the plan's base an allowed version is; false: the plan does not allow it.
func (p Plan) Staleness(base Digest) (uint32, bool) {
	i := slices.Index(p.Bases(), base)
	return uint32(max(i, 0)), i >= 0
}

// StaleWeight is what a device multiplies an update with that started so many versions behind the newest, before it is
// clipped: 1/sqrt(1+staleness) (Nguyen et al., Federated Learning with Buffered Asynchronous Aggregation, AISTATS 2022,
// arXiv 2106.06639, section 5; the polynomial weight of Xie et al., arXiv 1903.03934, with exponent 1/2). It is never above
// 1, and the clip comes after it, so that the bound of what one device adds, and with it the cost of the round, is what it
// is without staleness.
func StaleWeight(staleness uint32) float64 { return 1 / math.Sqrt(1+float64(staleness)) }

// version is the domain of the canonical form.
func (p Plan) version() string {
	if len(p.Older) > 0 {
		return domainStale
	}
	return domain
}

// checkOlder: only updates of a model can be behind, and no version stands twice.
func (p Plan) checkOlder() error {
	if len(p.Older) == 0 {
		return nil
	}
	if p.Kind != Model || len(p.Older) > MaxStale || uint64(len(p.Older)) >= p.BaseNumber {
		return fmt.Errorf("%w: %d older bases before version %d of a %v round", ErrPlan, len(p.Older), p.BaseNumber, p.Kind)
	}
	bases := p.Bases()
	for i, d := range bases {
		if d == (Digest{}) || slices.Contains(bases[:i], d) {
			return fmt.Errorf("%w: a base stands twice, or is none", ErrPlan)
		}
	}
	return nil
}

func (w *writer) older(older []Digest) {
	if len(older) == 0 {
		return
	}
	w.u32(uint32(len(older)))
	for _, d := range older {
		w.out = append(w.out, d[:]...)
	}
}

// older reads a list that is not empty: a plan without one has the other domain.
func (r *reader) older() []Digest {
	n := r.u32()
	if n == 0 || n > MaxStale || uint64(n)*sha256.Size > uint64(len(r.in)) {
		r.fail("the older bases")
		return nil
	}
	out := make([]Digest, n)
	for i := range out {
		out[i] = r.digest()
	}
	return out
}

// Known is a version of the model that a device is sure of: it has accepted it, or one that it has accepted names it as its
// parent.
type Known struct {
	Number uint64
	Digest Digest
}

// checkBases: under a number that the device knows stands the version that it knows. Versions before those it knows it
// cannot judge; it seals from none of them either, and the log's chain of versions is there for whoever reads the log.
func checkBases(pl Plan, st State) *Refusal {
	for _, k := range st.Known {
		if d, allowed := pl.BaseAt(k.Number); allowed && !bytes.Equal(d[:], k.Digest[:]) {
			return refuse(ReasonBases, "version %d", k.Number)
		}
	}
	return nil
}
