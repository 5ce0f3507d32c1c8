package seqrec_test

import (
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"tutti/model/seqrec"
)

func TestTimeBucket(t *testing.T) {
	for _, c := range []struct {
		gap     int64
		buckets int
		want    int32
	}{
		{0, 20, 1}, {-5, 20, 1}, {1, 20, 2}, {2, 20, 3}, {3, 20, 3}, {4, 20, 4}, {86400, 20, 18},
		{86400, 10, 9}, {1, 2, 1}, {math.MaxInt64, seqrec.MaxTimeBuckets, seqrec.MaxTimeBuckets - 1},
	} {
		if got := seqrec.TimeBucket(c.gap, c.buckets); got != c.want {
			t.Errorf("a gap of %d seconds in %d buckets is in %d, want %d", c.gap, c.buckets, got, c.want)
		}
	}
}

// rich reads everything that a causal model can read.
func rich() seqrec.Config {
	cfg := small
	cfg.TimeBuckets, cfg.UserDim, cfg.RatingWeight, cfg.ClickWeight = 8, 2, 1, 1
	return cfg
}

func TestBatchPacksEverything(t *testing.T) {
	nan := float32(math.NaN())
	sequences := []seqrec.Sequence{
		{Items: []int32{1, 2}, Targets: []int32{2, 3}, Times: []int64{100, 101, 105}, User: []float32{5, 6}, Seed: 9,
			Feedback: []seqrec.Feedback{seqrec.NoFeedback(), {Item: 3, Rating: 4, Click: -1}}},
		{Items: []int32{4}, Targets: []int32{seqrec.NoTarget}, Seed: 8,
			Feedback: []seqrec.Feedback{{Item: 7, Rating: nan, Click: 1}}},
	}
	var b seqrec.Batch
	for range 2 { // the second time over what is left of the first
		if err := b.Pack(rich(), sequences); err != nil {
			t.Fatal(err)
		}
		for name, ok := range map[string]bool{
			"IDs":      slices.Equal(b.IDs, []int32{1, 2, 4}),
			"Offsets":  slices.Equal(b.Offsets, []int32{0, 2, 3}),
			"Gaps":     slices.Equal(b.Gaps, []int32{0, 2, 0}),
			"Until":    slices.Equal(b.Until, []int32{2, 4, 0}),
			"Users":    slices.Equal(b.Users, []float32{5, 6, 0, 0}),
			"Seeds":    slices.Equal(b.Seeds, []uint64{9, 8}) && b.Seed == 9,
			"Targets":  slices.Equal(b.Targets, []int32{2, 3, -1}) && b.Soft == nil,
			"Feedback": slices.Equal(b.FeedbackAt, []int32{1, 2}) && slices.Equal(b.Rated, []int32{3, 7}),
			"Ratings":  b.Ratings[0] == 4 && b.Ratings[1] != b.Ratings[1],
			"Clicks":   b.Clicks[0] != b.Clicks[0] && b.Clicks[1] == 1,
			"counts":   b.Tokens == 2 && b.RatingCount == 1 && b.ClickCount == 1,
		} {
			if !ok {
				t.Errorf("%s: %+v", name, b)
			}
		}
	}
	if err := b.Pack(small, sequences[1:]); !errors.Is(err, seqrec.ErrNothingToLearn) {
		t.Errorf("without heads and targets: %v, want ErrNothingToLearn", err)
	}
	if err := b.Pack(rich(), sequences[1:]); err != nil {
		t.Errorf("a click alone is something to learn: %v", err)
	}
}

func TestBatchRefuses(t *testing.T) {
	mask := small
	mask.Arch = seqrec.Bidirectional
	writer := small
	writer.Arch, writer.DecoderBlocks, writer.Horizon = seqrec.EncoderDecoder, 1, 2
	few := small
	few.Loss = seqrec.Loss{Kind: seqrec.BPR, Negatives: 1}
	one, target := []int32{1}, []int32{2}
	for name, c := range map[string]struct {
		cfg  seqrec.Config
		s    seqrec.Sequence
		says string
	}{
		"MASK in a causal model": {small, seqrec.Sequence{Items: []int32{11}, Targets: target}, "outside the catalogue"},
		"target in plain sight":  {mask, seqrec.Sequence{Items: one, Targets: target}, "instead of MASK"},
		"soft in plain sight":    {mask, seqrec.Sequence{Items: one, Soft: append(make([]float32, 10), 1)}, "instead of MASK"},
		"beyond MASK":            {mask, seqrec.Sequence{Items: []int32{12}, Targets: target}, "outside the catalogue"},
		"continuation":           {small, seqrec.Sequence{Items: one, Targets: target, Next: one}, "continuation of 1"},
		"no continuation":        {writer, seqrec.Sequence{Items: one}, "continuation of 0"},
		"long continuation":      {writer, seqrec.Sequence{Items: one, Next: []int32{1, 2, 3}}, "continuation of 3"},
		"bad continuation":       {writer, seqrec.Sequence{Items: one, Next: []int32{11}}, "outside the catalogue"},
		"soft without softmax":   {few, seqrec.Sequence{Items: one, Soft: make([]float32, 11)}, "the loss is bpr"},
		"few times":              {rich(), seqrec.Sequence{Items: []int32{1, 2}, Targets: []int32{2, 3}, Times: []int64{1}}, "1 times"},
		"many times":             {rich(), seqrec.Sequence{Items: one, Targets: target, Times: []int64{1, 2, 3}}, "3 times"},
		"a time after MASK":      {mask, seqrec.Sequence{Items: []int32{11}, Targets: target, Times: []int64{1, 2}}, "2 times"},
		"user of another model":  {small, seqrec.Sequence{Items: one, Targets: target, User: []float32{1}}, "want 0"},
		"user not a number":      {rich(), seqrec.Sequence{Items: one, Targets: target, User: []float32{1, float32(math.NaN())}}, "number 1"},
		"feedback elsewhere":     {rich(), seqrec.Sequence{Items: one, Targets: target, Feedback: make([]seqrec.Feedback, 2)}, "2 positions"},
		"feedback on no item":    {rich(), seqrec.Sequence{Items: one, Targets: target, Feedback: []seqrec.Feedback{{Item: 11}}}, "item 11"},
		"endless rating":         {rich(), seqrec.Sequence{Items: one, Targets: target, Feedback: []seqrec.Feedback{{Rating: float32(math.Inf(1))}}}, "rating"},
		"click of 2":             {rich(), seqrec.Sequence{Items: one, Targets: target, Feedback: []seqrec.Feedback{{Click: 2}}}, "click 2"},
	} {
		var b seqrec.Batch
		if err := b.Pack(c.cfg, []seqrec.Sequence{c.s}); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: error %v, want one that says %q", name, err, c.says)
		}
	}
}
