package attack

import (
	"context"
	"fmt"

	"tutti/privacy/accounting"
	"tutti/privacy/audit"
)

// InvertSum reads members' items out of opened sums of each size, without noise and with each noise multiplier. A sum
// shows what is liked by all, of members and of everybody else, so every figure stands beside that of the same person in
// the same sum, noise included, from which the person's own vector was taken: the difference is what taking part shows.
//
// The bound: that a held item outranks another is an event, whose probability a mu-GDP release raises from p to at most
// Phi(Phi^-1(p) + mu); that function is concave, so it bounds the mean over pairs, which is the AUC, as well.
func InvertSum(ctx context.Context, o Options, k Kind, sizes []int, zs []float64, targets int) (audit.Section, error) {
	s := audit.Section{
		Kind:        "inversion_sum",
		ThreatModel: "The server, or anybody who reads the opened sum, ranks all items to find those of one member.",
		Setup:       fmt.Sprintf("%s; up to %d members of each sum; mean area under the ROC curve, beside that of the same members with their own vector taken out of the sum.", k.Name, targets),
		Power:       "0.5 is guessing. A sound mechanism fails a figure in at most a thousandth of the runs.",
	}
	if largest := sizes[len(sizes)-1]; k.Devices < largest {
		return s, fmt.Errorf("attack: %d devices of %s, %d wanted", k.Devices, k.Name, largest)
	}
	total := 0
	for _, n := range sizes {
		total += n * (len(zs) + 1)
	}
	work := o.steps(total)
	passes := true
	for _, z := range append([]float64{0}, zs...) {
		for _, n := range sizes {
			v, err := k.inSum(ctx, o, n, z, targets, work)
			if err != nil {
				return s, err
			}
			if z == 0 {
				c := audit.Control{Setup: fmt.Sprintf("no noise, n = %d (own vector removed: %s)", n, fixed(v.without.value)), Value: fixed(v.with.value), Detected: v.more.floor > 0}
				if s.PositiveControl == nil {
					c.Detected = v.with.value >= succeeds && c.Detected
				}
				addControl(&s, c)
				continue
			}
			if s.Bound == "" {
				s.Bound = fixed(v.bound)
			}
			name := fmt.Sprintf("z = %g, n = %d", z, n)
			s.Values = append(s.Values, value(fmt.Sprintf("%s (bound %.3f)", name, v.bound), v.with), value(name+", own vector removed", v.without))
			passes = passes && v.with.floor <= v.bound
		}
	}
	judge(&s, passes, "Under noise, taking part raises the rank of a person's items by no more than the claim allows.", "The noised sum shows more of a member's items than the claim allows.")
	return s, nil
}

// inSum is what one opened sum shows of its members.
type inSum struct {
	with, without, more estimate // AUC, that with the own vector taken out, and their difference
	bound               float64
}

func (k Kind) inSum(ctx context.Context, o Options, n int, z float64, targets int, work *steps) (v inSum, err error) {
	sum, p, err := o.opened(ctx, k.Dim, k.Clip, n, z, fmt.Sprintf("inversion %g %d", z, n), k.Vector, work)
	if err != nil {
		return v, err
	}
	var with, without, more []float64
	rest := make([]float32, len(sum))
	for i := range min(n, targets) {
		own := k.Vector(i)
		scale := float32(min(1, k.Clip/norm(own)))
		for j, x := range own {
			rest[j] = sum[j] - scale*x
		}
		a, ok := k.auc(sum, k.Held(i))
		b, _ := k.auc(rest, k.Held(i))
		if ok {
			with, without, more = append(with, a), append(without, b), append(more, a-b)
		}
	}
	if len(with) == 0 {
		return v, fmt.Errorf("attack: no device has a %s vector with items in it", k.Name)
	}
	v = inSum{with: mean(with), without: mean(without), more: mean(more), bound: 1}
	if z > 0 {
		mu, err := muOf(p)
		if err != nil {
			return v, err
		}
		v.bound, err = accounting.MaxTPR(mu, min(max(v.without.value, 1e-9), 1-1e-9))
		return v, err
	}
	return v, nil
}
