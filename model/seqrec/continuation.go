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
// newest item is often the first one to be said: the question that is asked when
// the model ranks. The loss is over the whole continuation. A long one makes
// training efficient: with horizon = maxLen the decoder learns about as many
// predictions from a sequence as a causal model, at about the same price each,
// and what it learns at its later steps serves the first, since every step reads
// the item before it in the same way. A short one, of the length of the lists
// that will be generated, spends most of the work on the encoder.
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
