package seqrec

import "math/rand/v2"

// Continuations returns a source that teaches an EncoderDecoder to go on: of
// every history it draws a split, the encoder reads up to maxLen items before it
// and the decoder learns up to horizon items after it. Histories are drawn
// without replacement, reshuffled each epoch; those of fewer than two items are
// left out, and if none is left the source returns ErrNothingToLearn. The batch
// of a step depends on the arguments and the step alone.
//
// One split in two falls anywhere; the others fall among the last horizon items
// of a history, so that half of the batches are about what users do now, and the
// newest item is often among the first to be said: the question that is asked
// when the model ranks. The loss is over the whole continuation.
//
// How to choose the horizon: it is at least as long as the lists that will be
// written. What a sequence costs is what its encoder reads, whatever is learned
// from it; a longer continuation learns more from that, but ever more of it about
// items that the encoder knows little of. For rankings, a third of maxLen was best
// on ml-1m among 8 to 64 for a maxLen of 64, after half a minute of training.
func Continuations(histories [][]int32, maxLen, horizon, batch int, seed uint64) Source {
	return ContinueHistories(Histories(histories), maxLen, horizon, batch, seed)
}

// ContinueHistories is Continuations of all that is known of the users.
func ContinueHistories(histories []History, maxLen, horizon, batch int, seed uint64) Source {
	if maxLen < 1 || horizon < 1 {
		histories = nil
	}
	return drawHistories(histories, batch, seed, func(h History, own uint64) Sequence {
		return h.Continuation(splitOf(len(h.Items), horizon, own), maxLen, horizon)
	})
}

// splitOf draws a split of a history of n >= 2 items, in [1, n-1].
func splitOf(n, horizon int, seed uint64) int {
	rng := rand.New(rand.NewPCG(seed, 0x73706c6974)) // "split"
	first := 1
	if rng.Uint64()&1 == 1 {
		first = max(1, n-horizon)
	}
	return first + rng.IntN(n-first)
}

// Continuation makes the sequence in which an EncoderDecoder reads up to maxLen
// items before the split and learns up to horizon items after it. A split
// without an item on either side gives an empty sequence. The slices are parts
// of history.
func Continuation(history []int32, split, maxLen, horizon int) Sequence {
	if split < 1 || split >= len(history) || maxLen < 1 || horizon < 1 {
		return Sequence{}
	}
	end := min(len(history), split+horizon)
	return Sequence{Items: history[max(0, split-maxLen):split], Next: history[split:end]}
}
