package client

import (
	"context"
	"errors"
	"math"
	"slices"

	"tutti/model"
	"tutti/model/metric"
	"tutti/privacy/mechanism"
	"tutti/privacy/plan"
)

// What a plan's metrics ask of a device. Nothing of it leaves but plan.Metrics.Values, as a second vector behind the
// round's own: clipped, noised and masked as that one is.

// heldOut splits the history of a round whose metrics ask for quality: its last event is foretold, and the device learns
// nothing from it. Without such metrics, or with fewer than two events, nothing is held out.
func heldOut(m *plan.Metrics, history []int32) (rest []int32, target int32, held bool) {
	if n := len(history); m.Asks() && n >= 2 {
		return history[:n-1], history[n-1], true
	}
	return history, 0, false
}

// popularTenth says which items are the most popular tenth by a released popularity, at least one.
func (s *Shared) popularTenth(base *model.Version, get parts) ([]bool, error) {
	return s.popular.get(base.Popularity, func() ([]bool, error) {
		popularity, _, err := s.releases(base, get)
		if err != nil || popularity == nil {
			return nil, err
		}
		is := make([]bool, s.cfg.Catalogue.Len())
		for _, item := range popularity.TopK((len(is) + 9) / 10) {
			is[item] = true
		}
		return is, nil
	})
}

// foretell fills in how well the version ranks the event that was held out. An item that the history held before is not
// recommended again, so nothing is known then; nor where the version does not rank.
func (s *Shared) foretell(f *plan.Facts, base *model.Version, history []int32, target int32, get parts) error {
	f.Events = len(history)
	if base == nil || slices.Contains(history, target) {
		return nil
	}
	r, err := s.ranker(base, get)
	if err != nil {
		return err
	}
	scores := make([]float32, s.cfg.Catalogue.Len())
	defer clear(scores)
	if err := r.Scores(history, scores); err != nil {
		return err
	}
	seen := make([]bool, len(scores))
	for _, item := range history {
		seen[item] = true
	}
	rank := metric.Rank(scores, target, seen, metric.TiesHalf)
	f.Hit10, f.NDCG10, f.MRR = metric.HitRate(rank, 10), metric.NDCG(rank, 10), metric.ReciprocalRank(rank)
	popular, err := s.popularTenth(base, get)
	if err != nil || popular == nil {
		return err
	}
	met := 0
	for _, item := range history {
		if popular[item] {
			met++
		}
	}
	f.Popular = float64(met) / float64(len(history))
	return nil
}

// measured completes the facts with what learning showed, and encodes them as the plan says. Where something cannot be
// measured the device is not counted: it takes part all the same.
func (d *Device) measured(ctx context.Context, m *plan.Metrics, f plan.Facts, foretell func(*plan.Facts) error) ([]int32, error) {
	if err := foretell(&f); err != nil {
		if ctx.Err() != nil || errors.Is(err, ErrUnavailable) {
			return nil, err
		}
		f.Hit10, f.Popular = math.NaN(), math.NaN()
	}
	values := m.Values(f)
	clipped := mechanism.Clip(values, m.Mechanism.Clip)
	defer clipped.Erase()
	clear(values)
	return d.noised(m.Mechanism, clipped)
}

// noised takes a clipped vector through its codec. Nothing but the encoded integers remains.
func (d *Device) noised(p mechanism.Params, x mechanism.Clipped) (encoded []int32, err error) {
	err = d.opts.Shared.withCodec(p, func(codec *mechanism.Codec) error {
		e, err := codec.Encode(x, d.opts.Rand)
		if err != nil {
			return err
		}
		defer e.Erase() // the codec goes back to the other devices of the process
		encoded = append([]int32(nil), e.Values()...)
		return nil
	})
	return encoded, err
}

// norm is the L2 norm of an update; NaN or infinite where it is not finite.
func norm(update []float32) float64 {
	square := 0.0
	for _, v := range update {
		square += float64(v) * float64(v)
	}
	return math.Sqrt(square)
}
