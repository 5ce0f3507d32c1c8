package seqrec

import (
	"fmt"
	"math"

	"tutti/model/layer"
)

// Batch is checked sequences laid one after another, as the layers want them:
// all engines work on it. The zero value is ready for Pack, which reuses the
// memory of the call before. N tokens are read and M positions judged, which are
// the same ones but for an EncoderDecoder, whose decoder has positions of its
// own.
type Batch struct {
	IDs     []int32   // N: items; Items stands for MASK
	Offsets []int32   // sequences + 1, over N
	Gaps    []int32   // N: bucket of the time since the event before; with TimeBuckets
	Until   []int32   // N: bucket of the time until what is predicted; with TimeBuckets, not Bidirectional
	Users   []float32 // sequences x UserDim
	Seeds   []uint64  // of the sequences
	Seed    uint64    // of the first: for what the sequences of a batch share

	Reads      []int32     // M: what the decoder reads, first of each sequence its last input; EncoderDecoder
	Positions  []int32     // sequences + 1, over M
	Targets    []int32     // M: an item or NoTarget
	Soft       [][]float32 // M: the soft row of a position or nil; nil where no sequence has any
	FeedbackAt []int32     // K: the positions, in M, that have feedback
	Rated      []int32     // K: its item
	Ratings    []float32   // K: NaN for none
	Clicks     []float32   // K: 1, 0, or NaN for none

	Tokens      int // positions with an item to predict
	RatingCount int // ratings to predict
	ClickCount  int // clicks to predict

	rows [][]float32
}

// Pack overwrites b with the sequences, checked against cfg. It keeps hold of
// their Soft rows only. Without anything to learn it returns ErrNothingToLearn.
func (b *Batch) Pack(cfg Config, sequences []Sequence) error {
	if err := b.pack(cfg, sequences, 0); err != nil {
		return err
	}
	if b.Tokens+b.RatingCount+b.ClickCount == 0 {
		return ErrNothingToLearn
	}
	return nil
}

// pack is Pack of a part of a batch, which may have nothing to learn; first is
// the number of its first sequence, for errors.
func (b *Batch) pack(cfg Config, sequences []Sequence, first int) error {
	b.reset()
	for i := range sequences {
		s := &sequences[i]
		if err := s.check(cfg); err != nil {
			return fmt.Errorf("sequence %d: %w", first+i, err)
		}
		b.addInput(cfg, s)
		b.addOutput(cfg, s)
		b.addFeedback(cfg, s)
	}
	if len(sequences) > 0 {
		b.Seed = sequences[0].Seed
	}
	return nil
}

func (b *Batch) reset() {
	b.IDs, b.Offsets = b.IDs[:0], append(b.Offsets[:0], 0)
	b.Gaps, b.Until, b.Users, b.Seeds, b.Seed = b.Gaps[:0], b.Until[:0], b.Users[:0], b.Seeds[:0], 0
	b.Reads, b.Positions = b.Reads[:0], append(b.Positions[:0], 0)
	clear(b.rows)
	b.Targets, b.rows, b.Soft = b.Targets[:0], b.rows[:0], nil
	b.FeedbackAt, b.Rated, b.Ratings, b.Clicks = b.FeedbackAt[:0], b.Rated[:0], b.Ratings[:0], b.Clicks[:0]
	b.Tokens, b.RatingCount, b.ClickCount = 0, 0, 0
}

// addInput lays down what the encoder reads.
func (b *Batch) addInput(cfg Config, s *Sequence) {
	b.IDs = append(b.IDs, s.Items...)
	b.Offsets = append(b.Offsets, int32(len(b.IDs)))
	b.Seeds = append(b.Seeds, s.Seed)
	if cfg.TimeBuckets > 0 {
		b.Gaps = appendGaps(b.Gaps, s.Times, 0, len(s.Items), cfg.TimeBuckets)
	}
	if cfg.hasUntil() {
		b.Until = appendGaps(b.Until, s.Times, 1, len(s.Items), cfg.TimeBuckets)
	}
	b.Users = append(b.Users, s.User...)
	for s.User == nil && len(b.Users) < len(b.Seeds)*cfg.UserDim {
		b.Users = append(b.Users, 0)
	}
}

// appendGaps appends the buckets of times[i+shift] - times[i+shift-1] for n
// tokens i, 0 where one of them is unknown.
func appendGaps(gaps []int32, times []int64, shift, n, buckets int) []int32 {
	for i := shift; i < n+shift; i++ {
		bucket := int32(0)
		if i > 0 && i < len(times) {
			bucket = TimeBucket(times[i]-times[i-1], buckets)
		}
		gaps = append(gaps, bucket)
	}
	return gaps
}

// addOutput lays down what is to be predicted.
func (b *Batch) addOutput(cfg Config, s *Sequence) {
	n, v, hard := s.outputs(cfg), cfg.Items, s.Targets
	if cfg.Arch == EncoderDecoder {
		b.Reads = append(append(b.Reads, s.Items[len(s.Items)-1]), s.Next[:n-1]...)
		hard = s.Next
	}
	for p := range n {
		var row []float32
		target := NoTarget
		if s.Soft != nil {
			row = s.Soft[p*v : (p+1)*v]
		} else {
			target = hard[p]
		}
		if target >= 0 || row != nil && !allZero(row) {
			b.Tokens++
		}
		b.Targets, b.rows = append(b.Targets, target), append(b.rows, row)
	}
	b.Positions = append(b.Positions, int32(len(b.Targets)))
	if s.Soft != nil || b.Soft != nil {
		b.Soft = b.rows
	}
}

// addFeedback collects what the heads of the model can learn from.
func (b *Batch) addFeedback(cfg Config, s *Sequence) {
	first := b.Positions[len(b.Positions)-2]
	nan := float32(math.NaN())
	for i, f := range s.Feedback {
		rating, click := nan, nan
		if cfg.RatingWeight > 0 && f.Rating == f.Rating {
			rating = f.Rating
			b.RatingCount++
		}
		if cfg.ClickWeight > 0 && f.Click >= 0 {
			click = float32(f.Click)
			b.ClickCount++
		}
		if rating != rating && click != click {
			continue
		}
		b.FeedbackAt, b.Rated = append(b.FeedbackAt, first+int32(i)), append(b.Rated, f.Item)
		b.Ratings, b.Clicks = append(b.Ratings, rating), append(b.Clicks, click)
	}
}

func allZero(row []float32) bool {
	for _, q := range row {
		if q != 0 {
			return false
		}
	}
	return true
}

// Each reports whether every position has negatives of its own; else the batch
// shares them.
func (l Loss) Each() bool { return l.Kind == GBCE || l.Kind == BPR }

// Draw overwrites n with what a sampled loss compares the batch with: negatives
// for each position, from the seed of its sequence, or for all of them from the
// seed of the first.
func (b *Batch) Draw(n *layer.Negatives, m *Model) {
	l := m.cfg.Loss
	if !l.Each() {
		m.proposal.Draw(n, l.Negatives, b.Seed)
		return
	}
	n.IDs, n.LogCount = n.IDs[:0], n.LogCount[:0]
	for i, seed := range b.Seeds {
		m.proposal.AppendEach(n, b.Targets[b.Positions[i]:b.Positions[i+1]], l.Negatives, seed)
	}
}
