package seqrec_test

import (
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"tutti/model/seqrec"
)

// counted is a history whose items, times and ratings are all its index.
func counted(n int) (h seqrec.History) {
	for i := range n {
		h.Items, h.Times = append(h.Items, int32(i)), append(h.Times, int64(i))
		h.Feedback = append(h.Feedback, seqrec.Feedback{Item: int32(i), Rating: float32(i), Click: -1})
	}
	return h
}

func TestCloze(t *testing.T) {
	const v, maxLen, batches = 60, 10, 500
	m := seqrec.Masking{Items: v, MaxLen: maxLen, Rate: 0.3, LastOnly: 0.25}
	histories := []seqrec.History{counted(50), counted(1), counted(4)}
	source := seqrec.ClozeHistories(histories, m, 2, 7)
	hidden, shown, lastOnly := 0, 0, 0
	starts, lengths := map[int32]bool{}, map[int]bool{}
	for step := range batches {
		batch, err := source(step)
		if err != nil || len(batch) != 2 {
			t.Fatalf("batch of %d, %v", len(batch), err)
		}
		for _, s := range batch {
			masks, n := 0, len(s.Items)
			for i, item := range s.Items {
				if item == v {
					masks++
					item = s.Targets[i]
				} else if s.Targets[i] != seqrec.NoTarget {
					t.Fatal("a target in plain sight")
				}
				if int64(item) != s.Times[i] {
					t.Fatalf("item %d at %d", item, s.Times[i])
				}
				if f := s.Feedback[i]; s.Items[i] == v != (f.Rating == float32(item)) {
					t.Fatalf("feedback %v on item %d", f, item)
				}
			}
			starts[int32(s.Times[0])] = true
			last := s.Items[len(s.Items)-1] == v
			if masks == 1 && last {
				lastOnly++
				lengths[n] = true
			} else if n != maxLen && n != 4 {
				t.Fatalf("a window of %d", n)
			} else {
				hidden += masks
				shown += n - masks
			}
			if masks == 0 {
				t.Fatal("nothing is hidden")
			}
		}
	}
	// 1000 draws at .25, and about 4 % of the short windows besides: 5 standard
	// deviations on either side, false rejection below 1e-5.
	if lastOnly < 180 || lastOnly > 380 {
		t.Errorf("%d of 1000 sequences hide the last item only", lastOnly)
	}
	// About 5,000 draws at .3 of which sequences with one at the end are missing.
	if rate := float64(hidden) / float64(hidden+shown); !(math.Abs(rate-0.32) <= 0.05) {
		t.Errorf("%v of the items are hidden", rate)
	}
	if !starts[40] || len(starts) < 35 {
		t.Errorf("windows start at %d places of a history", len(starts))
	}
	for n := range maxLen - 1 {
		if !lengths[n+2] {
			t.Errorf("the last of %d items is never asked for alone", n+2)
		}
	}
	again, _ := seqrec.ClozeHistories(histories, m, 2, 7)(3)
	same, _ := source(3)
	if !slices.Equal(again[0].Items, same[0].Items) || again[1].Seed != same[1].Seed || again[0].Seed == again[1].Seed {
		t.Error("the batch of a step depends on the steps before")
	}
}

func TestClozeRefuses(t *testing.T) {
	good := seqrec.DefaultMasking(seqrec.DefaultConfig(20))
	if _, err := seqrec.Cloze([][]int32{{1}}, good, 4, 1)(0); !errors.Is(err, seqrec.ErrNothingToLearn) {
		t.Errorf("without a usable history: %v", err)
	}
	for _, change := range []func(*seqrec.Masking){
		func(m *seqrec.Masking) { m.MaxLen = 1 },
		func(m *seqrec.Masking) { m.Rate = 0 },
		func(m *seqrec.Masking) { m.Rate = math.NaN() },
		func(m *seqrec.Masking) { m.LastOnly = 1.5 },
	} {
		bad := good
		change(&bad)
		if _, err := seqrec.Cloze([][]int32{{1, 2}}, bad, 4, 1)(0); err == nil {
			t.Errorf("%+v is taken", bad)
		}
	}
}

// What is known of a history is of one length, or it is refused; it is never cut
// out of whatever lies behind a slice.
func TestHistoriesOfSeveralLengths(t *testing.T) {
	good := seqrec.History{Items: []int32{1, 2, 3}}
	masking := seqrec.Masking{Items: 5, MaxLen: 4, Rate: 0.2}
	for name, bad := range map[string]seqrec.History{
		"times":    {Items: good.Items, Times: make([]int64, 2, 9)},
		"feedback": {Items: good.Items, Feedback: make([]seqrec.Feedback, 4)},
	} {
		histories := []seqrec.History{good, bad}
		for _, source := range []seqrec.Source{
			seqrec.CropHistories(histories, 4, 2, 0.5, 1), seqrec.ClozeHistories(histories, masking, 2, 1),
			seqrec.ContinueHistories(histories, 4, 2, 2, 1),
		} {
			if _, err := source(0); err == nil || !strings.Contains(err.Error(), "history 1") {
				t.Errorf("%s: error %v, want one that names the history", name, err)
			}
		}
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: taken", name)
				}
			}()
			small.Sequences(bad, 1)
		}()
	}
}

// A configuration without room for an item gives no sequences, and gives them
// soon.
func TestSequencesWithoutRoom(t *testing.T) {
	for _, cfg := range []seqrec.Config{
		{}, {Arch: seqrec.Bidirectional}, {Arch: seqrec.EncoderDecoder, MaxLen: 4}, {Arch: seqrec.EncoderDecoder, Horizon: 4},
	} {
		if s := cfg.Sequences(counted(5), 1); len(s) != 0 {
			t.Errorf("%v: %v", cfg.Arch, s)
		}
	}
}

// Every kind of model learns every item of a history but the first.
func TestSequencesOfAHistory(t *testing.T) {
	base := seqrec.Config{Items: 60, Dim: 4, Blocks: 1, Heads: 1, Hidden: 4, MaxLen: 6, TimeBuckets: 5, RatingWeight: 1}
	mask, writer := base, base
	mask.Arch = seqrec.Bidirectional
	writer.Arch, writer.DecoderBlocks, writer.Horizon = seqrec.EncoderDecoder, 1, 4
	for _, cfg := range []seqrec.Config{base, mask, writer} {
		for _, n := range []int{2, 6, 7, 8, 25} {
			sequences := cfg.Sequences(counted(n), 3)
			var b seqrec.Batch
			if err := b.Pack(cfg, sequences); err != nil {
				t.Fatalf("%v, %d items: %v", cfg.Arch, n, err)
			}
			learnt := map[int32]bool{}
			for _, target := range b.Targets {
				learnt[target] = true
			}
			delete(learnt, seqrec.NoTarget)
			if !learnt[int32(n-1)] || cfg.Arch != seqrec.Bidirectional && (len(learnt) != n-1 || b.Tokens != n-1) {
				t.Errorf("%v: of %d items %d are learnt as %d tokens", cfg.Arch, n, len(learnt), b.Tokens)
			}
			for i, at := range b.FeedbackAt {
				if b.Targets[at] != b.Rated[i] || b.Ratings[i] != float32(b.Rated[i]) {
					t.Errorf("%v: item %d is rated where %d is to come", cfg.Arch, b.Rated[i], b.Targets[at])
				}
			}
			if b.RatingCount != b.Tokens {
				t.Errorf("%v: %d ratings of %d items", cfg.Arch, b.RatingCount, b.Tokens)
			}
			if len(b.Until) > 0 && b.Until[len(b.Until)-1] == 0 {
				t.Errorf("%v: the time until the target is unknown", cfg.Arch)
			}
			if len(sequences) > 1 && sequences[0].Seed == sequences[1].Seed {
				t.Errorf("%v: two sequences have one seed", cfg.Arch)
			}
		}
		if s := cfg.Sequences(counted(1), 3); len(s) != 0 {
			t.Errorf("%v: %d sequences of one item", cfg.Arch, len(s))
		}
	}
}
