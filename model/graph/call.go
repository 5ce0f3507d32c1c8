package graph

import (
	"tutti/model/kernel"
	"tutti/model/layer"
	"tutti/model/seqrec"
)

// call is what the operations work on and no node holds: the integers of a
// ragged batch, and what is asked of the run.
type call struct {
	batch    *seqrec.Batch
	whole    seqrec.Terms // what the losses are means over
	training bool
	live     [axes]int // rows that count, per axis
}

// axis is what the rows of a matrix are.
type axis int

// The axes.
const (
	fixed     axis = iota // what the model says: all rows count
	tokens                // N: what the encoder reads
	positions             // M: what is judged; the tokens, but for an EncoderDecoder
	opinions              // K: positions with feedback
	axes
)

// set starts a run over b, a batch or a part of one.
func (c *call) set(b *seqrec.Batch, whole seqrec.Terms, training bool) {
	c.batch, c.whole, c.training = b, whole, training
	c.live = [axes]int{tokens: len(b.IDs), positions: len(b.Targets), opinions: len(b.FeedbackAt)}
}

// sizes are the rows that matrices have, per axis.
type sizes [axes]int

// firstSizes have room for any single sequence.
func firstSizes(cfg seqrec.Config) sizes {
	s := sizes{tokens: cfg.MaxLen, positions: cfg.MaxLen}
	if cfg.Arch == seqrec.EncoderDecoder {
		s[positions] = cfg.Horizon
	}
	s[opinions] = s[positions]
	return s
}

// fit reports whether a run has room.
func (s sizes) fit(live [axes]int) bool {
	return live[tokens] <= s[tokens] && live[positions] <= s[positions] // opinions are on positions
}

// grown has room for a run, and where it grows half more at least, so that
// batches of growing size rebuild rarely.
func (s sizes) grown(live [axes]int) sizes {
	for i, n := range live {
		if n > s[i] {
			s[i] = max(n, s[i]*3/2)
		}
	}
	s[opinions] = s[positions]
	return s
}

// stack is one of the two stacks of blocks: what its tokens are.
type stack struct {
	axis    axis
	offsets func(b *seqrec.Batch) []int32
	site    func(block int, place seqrec.Place) int // of a place of dropout
}

func offsetsOf(b *seqrec.Batch) []int32   { return b.Offsets }
func positionsOf(b *seqrec.Batch) []int32 { return b.Positions }

// fillTargets writes the distribution that each position should predict into
// rows of v values; rows without a target, and those after the last, are zero.
func (c *call) fillTargets(rows []float32, v int) {
	clear(rows)
	b := c.batch
	for i, target := range b.Targets {
		if b.Soft != nil && b.Soft[i] != nil {
			copy(rows[i*v:(i+1)*v], b.Soft[i])
		} else if target >= 0 {
			rows[i*v+int(target)] = 1
		}
	}
}

// fillMask writes a one for every position with a target.
func (c *call) fillMask(rows []float32) {
	clear(rows)
	for i := range c.batch.Targets {
		if layer.HasTarget(c.batch.Targets, c.batch.Soft, i) {
			rows[i] = 1
		}
	}
}

// shared is memory that operations use while they run and leave to the next.
type shared struct {
	transposed []float32 // one transposed weight matrix
	keys       []uint64  // of dropout, for the sequences at one site
	attention  *layer.Attention
}

func newShared(cfg seqrec.Config) *shared {
	return &shared{attention: layer.NewAttention(cfg.Dim, cfg.Heads)}
}

// transpose returns room for n values.
func (s *shared) transpose(n int) []float32 {
	s.transposed = kernel.Grow(s.transposed, n)
	return s.transposed
}

// dropoutKeys are the keys of the batch's sequences at a site.
func (s *shared) dropoutKeys(seeds []uint64, site int) []uint64 {
	s.keys = kernel.Grow(s.keys, len(seeds))
	layer.DropoutKeys(s.keys, seeds, site)
	return s.keys
}
