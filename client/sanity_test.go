package client

import (
	"errors"
	"math"
	"testing"

	"tutti/model/blend"
	"tutti/model/seqrec"
)

// scored ranks by fixed scores.
type scored struct {
	scores []float32
	err    error
}

func (s scored) Scores(_ []int32, out []float32) error { copy(out, s.scores); return s.err }

func (s scored) Rank([]int32, int, func(int32) bool) ([]blend.Recommendation, error) {
	return nil, nil
}

func TestRankLoss(t *testing.T) {
	down := scored{scores: []float32{5, 4, 3, 2, 1, 0}}
	broken := errors.New("broken")
	for name, c := range map[string]struct {
		r       ranker
		history []int32
		loss    float64
		asked   int
		err     error
	}{
		"each next item first":    {down, []int32{0, 1, 2, 3}, 0, 3, nil},
		"no more than four":       {scored{scores: []float32{6, 5, 4, 3, 2, 1}}, []int32{1, 0, 2, 3, 4}, 0, 4, nil},
		"each last of the unseen": {down, []int32{0, 5, 4}, 1, 2, nil},
		"in the middle":           {scored{scores: make([]float32, 6)}, []int32{1, 2, 3}, 0.5, 2, nil},
		"met before":              {down, []int32{0, 0, 0, 1, 0}, 0, 1, nil},
		"the whole catalogue":     {down, []int32{0, 1, 2, 3, 4, 5, 0}, 0, 2, nil},
		"one event":               {down, []int32{2}, 0, 0, nil},
		"none":                    {down, nil, 0, 0, nil},
		"none, and no popularity": {scored{err: seqrec.ErrEmptyHistory}, nil, 0, 0, nil},
		"NaN":                     {scored{scores: []float32{0, 0, 0, 0, float32(math.NaN()), 0}}, nil, 0, 0, errScores},
		"infinite":                {scored{scores: []float32{float32(math.Inf(1)), 0, 0, 0, 0, 0}}, []int32{1, 2}, 0, 0, errScores},
		"broken":                  {scored{err: broken}, []int32{1, 2}, 0, 0, broken},
	} {
		loss, asked, err := rankLoss(c.r, c.history, 6)
		if math.Abs(loss-c.loss) > 1e-9 || asked != c.asked || !errors.Is(err, c.err) {
			t.Errorf("%s: %g of %d, %v; want %g of %d, %v", name, loss, asked, err, c.loss, c.asked, c.err)
		}
	}
}
