package attack

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"tutti/aggregation"
	"tutti/privacy/accounting"
	"tutti/privacy/audit"
)

// Dropout lets so many devices drop that fewer than n_min are left, and has the server try to open their sum in a real
// round of the secure sum. The unprotected arm is the same round with an n_min of 2 and noise shares sized for everybody
// who was planned (z*c/sqrt(planned)): it opens, with too little noise.
func Dropout(ctx context.Context, o Options) (audit.Section, error) {
	const planned, nMin, left = 10, 8, 5
	s := audit.Section{
		Kind:        "dropout",
		ThreatModel: "The server loses, or withholds, devices after the noise was sized, and opens what is left.",
		Setup:       fmt.Sprintf("%d devices planned, n_min %d, %d left; five committee members of which one may collude; epsilon at delta 1e-6 for z = 1.", planned, nMin, left),
		Power:       "The refusal is the committee's: no quorum signs a set below n_min, whatever the server says.",
	}
	work := o.steps(3)
	naive, err := o.drop(ctx, 2, 2, planned, left)
	if err != nil {
		return s, err
	}
	work.add(1)
	full, err := o.drop(ctx, nMin, nMin, planned, nMin)
	if err != nil {
		return s, err
	}
	work.add(1)
	short, err := o.drop(ctx, nMin, nMin, planned, left)
	if err != nil {
		return s, err
	}
	work.add(1)
	lowered, err := o.lowered(nMin)
	if err != nil {
		return s, err
	}
	s.Values = []audit.Value{
		{Name: "coordinates unmasked below n_min", Value: fmt.Sprint(len(short.sum))},
		{Name: "members that signed a set below n_min", Value: fmt.Sprint(short.signed)},
		{Name: "refused with", Value: short.why},
		{Name: "members that begin a round whose n_min was lowered", Value: fmt.Sprint(lowered)},
		{Name: "exact sum at n_min", Value: fmt.Sprint(full.exact)},
	}
	s.Bound = "0"
	eps := func(z float64) float64 {
		e, epsErr := accounting.GaussianEpsilon(1/z, 1e-6)
		err = errors.Join(err, epsErr)
		return e
	}
	target, less := eps(1), eps(math.Sqrt(float64(left)/planned))
	for _, survivors := range []int{70, 50} {
		s.Values = append(s.Values, audit.Value{Name: fmt.Sprintf("epsilon of naive shares, %d of 100 left (claimed %.2f)", survivors, target), Value: fixed(eps(math.Sqrt(float64(survivors) / 100)))})
	}
	if err != nil {
		return s, err
	}
	s.PositiveControl = &audit.Control{
		Setup: fmt.Sprintf("n_min 2, shares sized for all: the sum of %d of %d opens, epsilon %.2f instead of %.2f", left, planned, less, target),
		Value: fixed(less), Detected: naive.exact && less > target,
	}
	passes := short.sum == nil && short.signed == 0 && short.why != "" && lowered == 0 && full.exact
	judge(&s, passes, "Below n_min no member signs and nothing is unmasked; at n_min the sum is exact.", "A sum below n_min was opened, or the sum at n_min was not.")
	return s, nil
}

// dropped is what came of a round.
type dropped struct {
	sum    []int64
	signed int
	why    string
	exact  bool // the sum is that of those who stayed
}

// drop runs a round in which only so many devices of those planned upload.
func (o Options) drop(ctx context.Context, nMin, floor, planned, stay int) (dropped, error) {
	const dim = 64
	if err := ctx.Err(); err != nil {
		return dropped{}, err
	}
	r, err := newSecureRound(newStream(o.Seed, "dropout", nMin*100+stay), secureParams(dim, 1000, nMin, planned, 0), planned, floor)
	if err != nil {
		return dropped{}, err
	}
	want := make([]int64, dim)
	var ups []*aggregation.Upload
	for i := range stay {
		x := make([]int32, dim)
		for j := range x {
			x[j] = int32(i*dim + j)
			want[j] += int64(x[j])
		}
		up, err := r.seal(i, x)
		if err != nil {
			return dropped{}, err
		}
		if err := r.accept(up); err != nil {
			return dropped{}, err
		}
		ups = append(ups, up)
	}
	var d dropped
	d.sum, d.signed, err = r.open(ups)
	if err != nil {
		d.why = reasonOf(err)
	}
	d.exact = slices.Equal(d.sum, want)
	return d, nil
}

// reasonOf is the first line of an error.
func reasonOf(err error) string {
	var joined interface{ Unwrap() []error }
	if errors.As(err, &joined) {
		return joined.Unwrap()[0].Error()
	}
	return err.Error()
}

// lowered counts the members of a round with n_min 2 that begin it although they accept none below floor.
func (o Options) lowered(floor int) (int, error) {
	_, err := newSecureRound(newStream(o.Seed, "dropout lowered", 0), secureParams(64, 1000, 2, 10, 0), 10, floor)
	switch {
	case err == nil:
		return committee, nil
	case errors.Is(err, aggregation.RefuseFloor):
		return 0, nil
	}
	return 0, err
}
