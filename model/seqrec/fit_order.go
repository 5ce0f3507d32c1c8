package seqrec

import "math/rand/v2"

// order walks 0..n-1 in a new random order each epoch, and finds any place of the
// walk directly: a Source that asks it for the positions step*batch + i gives the
// same batch for the same step, whether the steps before were made or not. Two
// positions of one epoch cost nothing, a change of epoch one shuffle.
type order struct {
	seed    uint64
	epoch   int // of permuted; -1 at the start
	permute []int32
}

// newOrder wants n >= 1.
func newOrder(n int, seed uint64) *order {
	return &order{seed: seed, epoch: -1, permute: make([]int32, n)}
}

// at is the walk's place position, counted from 0 over all epochs.
func (o *order) at(position int) int {
	n := len(o.permute)
	if epoch := position / n; epoch != o.epoch {
		o.epoch = epoch
		for i := range o.permute {
			o.permute[i] = int32(i)
		}
		rng := rand.New(rand.NewPCG(seedAt(o.seed, epoch, 0), 0x6f72646572)) // "order"
		rng.Shuffle(n, func(i, j int) { o.permute[i], o.permute[j] = o.permute[j], o.permute[i] })
	}
	return int(o.permute[position%n])
}

// seedAt derives the seed of sequence index of step from the seed of a source:
// three rounds of SplitMix64 (Steele, Lea & Flood 2014), one per number. With
// step 0 and the position in the walk as index, k batches of b get the same seeds
// as the batch of k*b.
func seedAt(seed uint64, step, index int) uint64 {
	return mix(mix(mix(seed)^uint64(step)) ^ uint64(index))
}

func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
