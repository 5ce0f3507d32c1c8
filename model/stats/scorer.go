package stats

// popularityWeight is popularity's part in a score next to transitions
// (section 5.3).
const popularityWeight = 0.3

// Scorer recommends from both releases: transitions where the history says
// something, popularity everywhere. Without transitions it is popularity alone.
type Scorer struct {
	popularity  *Popularity
	transitions *Transitions // may be nil
}

// NewScorer joins two releases of one catalogue; transitions may be nil.
func NewScorer(popularity *Popularity, transitions *Transitions) (*Scorer, error) {
	if popularity == nil {
		return nil, errNoPopularity
	}
	if transitions != nil && transitions.block.Catalogue() != popularity.Catalogue() {
		return nil, errCatalogue
	}
	return &Scorer{popularity, transitions}, nil
}

// Scores writes the score of every item: transitions + .3 x popularity, both in
// the unit of a probability. len(out) must be the size of the catalogue.
func (s *Scorer) Scores(history []int32, out []float32) {
	if s.transitions == nil {
		s.popularity.Scores(history, out)
		return
	}
	s.transitions.Scores(history, out)
	for i, share := range s.popularity.shares {
		out[i] += popularityWeight * share
	}
}

// Distribution turns the scores into the probabilities of the next item: seen
// items get 0, the rest sums to 1. When every item has been seen all are 0.
func (s *Scorer) Distribution(history []int32, out []float32) {
	s.Scores(history, out)
	for _, i := range history {
		if i >= 0 && int(i) < len(out) {
			out[i] = 0
		}
	}
	normalise(out)
}

// normalise scales values to sum 1, or leaves them all 0.
func normalise(values []float32) {
	total := 0.0
	for _, v := range values {
		total += float64(v)
	}
	if total <= 0 {
		return
	}
	for i, v := range values {
		values[i] = float32(float64(v) / total)
	}
}

// Reason says why an item is recommended.
type Reason struct {
	Because int32   // the item of the history that speaks loudest for it; -1 when none does
	Part    float64 // its part of the whole score, in [0, 1]
	Popular float64 // popularity's part, in [0, 1]
}

// Explain gives the reason for an item: "because you watched Because".
func (s *Scorer) Explain(history []int32, item int32) Reason {
	if item < 0 || int(item) >= s.popularity.Catalogue() {
		return Reason{Because: -1}
	}
	popular := float64(s.popularity.shares[item]) * popularityWeight
	if s.transitions == nil {
		return Reason{Because: -1, Popular: 1}
	}
	because, part, ok := s.transitions.Explain(history, item)
	if !ok {
		return Reason{Because: -1, Popular: 1}
	}
	said := s.transitions.score(history, item)
	return Reason{Because: because, Part: part * said / (said + popular), Popular: popular / (said + popular)}
}
