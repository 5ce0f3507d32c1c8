package seqrec

import (
	"errors"
	"fmt"
	"math"
	"math/bits"
)

// NoTarget marks a position that takes no part in the loss.
const NoTarget int32 = -1

// Sequence is one run of items to learn from: after reading Items[0..i] the
// model should predict Targets[i], or the distribution Soft[i*V:(i+1)*V].
//
// A Bidirectional model reads the item id V as MASK, and positions have a target
// only there. An EncoderDecoder reads all of Items and learns to say Next; its
// positions, for Soft and Feedback, are those of Next.
type Sequence struct {
	Items   []int32 // inputs, oldest first, each in [0, V); 1 to MaxLen of them
	Targets []int32 // as many; an item or NoTarget. Ignored where Soft or Next is set
	// Soft, if not nil, holds one probability distribution over the V items per
	// position, row-major: finite, not negative, summing to 1 within 1e-3. A row
	// of zeros takes no part in the loss. Only FullSoftmax learns from it.
	Soft []float32
	// Next is the continuation that an EncoderDecoder learns, 1 to Horizon items;
	// nil for the others.
	Next []int32

	// Times are the unix seconds of Items, or nil: unknown. One more may follow,
	// that of the last target (not for Bidirectional, whose MASKs have their own).
	// Read where the model has TimeBuckets.
	Times []int64
	User  []float32 // UserDim finite numbers, or nil: nothing is known
	// Feedback has one entry per position, or is nil: what the user said of an
	// item, to be predicted from what the position knows. Read where the model has
	// a RatingWeight or a ClickWeight.
	Feedback []Feedback
	// Seed decides everything random about this sequence in training: what is
	// dropped and which negatives are drawn. Sources set it.
	Seed uint64
}

// Feedback is what a user said of an item; NoFeedback says nothing.
type Feedback struct {
	Item   int32   // in [0, V)
	Rating float32 // NaN: none
	Click  int8    // 1: clicked, 0: seen and not clicked, -1: unknown
}

// NoFeedback is the entry of a position without any.
func NoFeedback() Feedback { return Feedback{Rating: float32(math.NaN()), Click: -1} }

// ErrNothingToLearn says that no position of a batch has a target: a device
// with fewer than two items skips the round.
var ErrNothingToLearn = errors.New("no position has a target")

// Query is what a recommendation is asked for.
type Query struct {
	Items []int32   // the history, oldest first
	Times []int64   // their unix seconds, or nil: unknown
	Now   int64     // unix seconds of the question; 0: unknown
	User  []float32 // UserDim numbers, or nil
}

// TimeBucket is the index of the learned vector of a time gap in seconds:
// 1 + the length of the gap in bits, so that bucket 1 is the same second, 2 one
// second, 3 two or three, and so on, at most buckets-1. A negative gap counts as
// 0. Bucket 0 stands for an unknown gap.
func TimeBucket(gap int64, buckets int) int32 {
	return int32(min(1+bits.Len64(uint64(max(gap, 0))), buckets-1))
}

// FromHistory makes the sequence that predicts every item of a history from
// the ones before it, over the last maxLen predictions. A history of fewer than
// two items gives an empty sequence. The slices are parts of history.
func FromHistory(history []int32, maxLen int) Sequence {
	if len(history) > maxLen+1 {
		history = history[len(history)-maxLen-1:]
	}
	if len(history) < 2 || maxLen < 1 {
		return Sequence{}
	}
	return Sequence{Items: history[:len(history)-1], Targets: history[1:]}
}

// Windows cuts a history of any length into sequences of at most maxLen, newest
// first, so that every item but the first is the target of exactly one.
func Windows(history []int32, maxLen int) []Sequence {
	var out []Sequence
	for maxLen > 0 && len(history) >= 2 {
		s := FromHistory(history, maxLen)
		out = append(out, s)
		history = history[:len(history)-len(s.Items)]
	}
	return out
}

// outputs is how many positions the sequence is judged at.
func (s Sequence) outputs(cfg Config) int {
	if cfg.Arch == EncoderDecoder {
		return len(s.Next)
	}
	return len(s.Items)
}

// check refuses a sequence that does not fit the model; it does not look into
// Soft, whose rows the loss checks as it reads them.
func (s Sequence) check(cfg Config) error {
	n := len(s.Items)
	if n == 0 || n > cfg.MaxLen {
		return fmt.Errorf("%d items, want 1 to %d", n, cfg.MaxLen)
	}
	if err := checkItems(s.Items, cfg.vocabulary()); err != nil {
		return err
	}
	for _, check := range []func(Config) error{s.checkTargets, s.checkContext, s.checkFeedback} {
		if err := check(cfg); err != nil {
			return err
		}
	}
	return nil
}

// vocabulary is how many ids the input knows: the items, and MASK.
func (c Config) vocabulary() int {
	if c.Arch == Bidirectional {
		return c.Items + 1
	}
	return c.Items
}

func (s Sequence) checkTargets(cfg Config) error {
	if err := s.checkNext(cfg); err != nil {
		return err
	}
	n, v := s.outputs(cfg), cfg.Items
	if s.Soft != nil {
		switch {
		case cfg.Loss.Kind != FullSoftmax:
			return fmt.Errorf("soft targets, but the loss is %v", cfg.Loss.Kind)
		case len(s.Soft) != n*v:
			return fmt.Errorf("%d soft values for %d positions of %d items", len(s.Soft), n, v)
		}
	} else if cfg.Arch != EncoderDecoder {
		if len(s.Targets) != n {
			return fmt.Errorf("%d targets for %d items", len(s.Targets), n)
		}
		for i, t := range s.Targets {
			if t != NoTarget && (t < 0 || int(t) >= v) {
				return fmt.Errorf("target %d is %d, outside the catalogue of %d", i, t, v)
			}
		}
	}
	if cfg.Arch == Bidirectional {
		return s.checkMasked(v)
	}
	return nil
}

func (s Sequence) checkNext(cfg Config) error {
	n := len(s.Next)
	if cfg.Arch != EncoderDecoder {
		if n != 0 {
			return fmt.Errorf("a continuation of %d items, but the architecture is %v", n, cfg.Arch)
		}
		return nil
	}
	if n == 0 || n > cfg.Horizon {
		return fmt.Errorf("a continuation of %d items, want 1 to %d", n, cfg.Horizon)
	}
	return checkItems(s.Next, cfg.Items)
}

// checkMasked refuses targets that the model could read off its input.
func (s Sequence) checkMasked(v int) error {
	for i, id := range s.Items {
		if int(id) != v && s.hasTarget(i, v) {
			return fmt.Errorf("position %d has a target, but shows item %d instead of MASK", i, id)
		}
	}
	return nil
}

// hasTarget reports whether position i of a sequence without Next has a target.
func (s Sequence) hasTarget(i, v int) bool {
	if s.Soft != nil {
		return !allZero(s.Soft[i*v : (i+1)*v])
	}
	return s.Targets[i] != NoTarget
}

func (s Sequence) checkContext(cfg Config) error {
	n := len(s.Items)
	most := n
	if cfg.Arch != Bidirectional {
		most++
	}
	if s.Times != nil && (len(s.Times) < n || len(s.Times) > most) {
		return fmt.Errorf("%d times for %d items", len(s.Times), n)
	}
	return checkUser(s.User, cfg)
}

func checkUser(user []float32, cfg Config) error {
	if user == nil {
		return nil
	}
	if len(user) != cfg.UserDim {
		return fmt.Errorf("%d numbers describe the user, want %d", len(user), cfg.UserDim)
	}
	for i, x := range user {
		if x-x != 0 {
			return fmt.Errorf("number %d of the user is %v", i, x)
		}
	}
	return nil
}

func (s Sequence) checkFeedback(cfg Config) error {
	if n := s.outputs(cfg); s.Feedback != nil && len(s.Feedback) != n {
		return fmt.Errorf("feedback on %d positions of %d", len(s.Feedback), n)
	}
	for i, f := range s.Feedback {
		switch r := float64(f.Rating); {
		case f.Item < 0 || int(f.Item) >= cfg.Items:
			return fmt.Errorf("feedback %d is on item %d, outside the catalogue of %d", i, f.Item, cfg.Items)
		case math.IsInf(r, 0):
			return fmt.Errorf("feedback %d has rating %v", i, r)
		case f.Click < -1 || f.Click > 1:
			return fmt.Errorf("feedback %d has click %d", i, f.Click)
		}
	}
	return nil
}

func checkItems(items []int32, v int) error {
	for i, id := range items {
		if id < 0 || int(id) >= v {
			return fmt.Errorf("item %d is %d, outside the catalogue of %d", i, id, v)
		}
	}
	return nil
}
