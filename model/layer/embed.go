package layer

import "tutti/model/kernel"

// GatherForward copies rows of a table: y[i] = table[ids[i]].
//
// table: V x d; ids: N indices in [0, V); y: N x d.
func GatherForward(y, table []float32, ids []int32, d int) {
	for i, id := range ids {
		copy(y[i*d:(i+1)*d], table[int(id)*d:(int(id)+1)*d])
	}
}

// GatherBackward adds dy[i] to dTable[ids[i]]. dTable: V x d; dy: N x d.
func GatherBackward(dTable, dy []float32, ids []int32, d int) {
	for i, id := range ids {
		kernel.Add(dTable[int(id)*d:(int(id)+1)*d], dy[i*d:(i+1)*d])
	}
}

// GatherAdd adds rows of a table: y[i] += table[ids[i]]. Its gradients are
// GatherBackward, and dy itself for y.
func GatherAdd(y, table []float32, ids []int32, d int) {
	for i, id := range ids {
		kernel.Add(y[i*d:(i+1)*d], table[int(id)*d:(int(id)+1)*d])
	}
}

// PositionForward adds to every token the vector of its position in its
// sequence, counted from 0 at the oldest.
//
// y: N x d; position: L x d, no sequence being longer than L.
func PositionForward(y, position []float32, offsets []int32, d int) {
	eachSequence(offsets, d, func(lo, hi int) { kernel.Add(y[lo:hi], position[:hi-lo]) })
}

// PositionBackward adds the gradients of PositionForward to dPosition (L x d);
// that of its input is dy itself.
func PositionBackward(dPosition, dy []float32, offsets []int32, d int) {
	eachSequence(offsets, d, func(lo, hi int) { kernel.Add(dPosition[:hi-lo], dy[lo:hi]) })
}

// SequenceForward adds to every token the vector of its sequence.
//
// y: N x d; vectors: sequences x d.
func SequenceForward(y, vectors []float32, offsets []int32, d int) {
	for s := 1; s < len(offsets); s++ {
		vector := vectors[(s-1)*d : s*d]
		kernel.AddRows(y[int(offsets[s-1])*d:int(offsets[s])*d], vector, int(offsets[s]-offsets[s-1]))
	}
}

// SequenceBackward adds the gradients of SequenceForward to dVectors
// (sequences x d); that of its input is dy itself.
func SequenceBackward(dVectors, dy []float32, offsets []int32, d int) {
	for s := 1; s < len(offsets); s++ {
		vector := dVectors[(s-1)*d : s*d]
		kernel.SumRows(vector, dy[int(offsets[s-1])*d:int(offsets[s])*d], int(offsets[s]-offsets[s-1]))
	}
}

// eachSequence visits the part [lo, hi) of an N x d matrix of every sequence.
func eachSequence(offsets []int32, d int, visit func(lo, hi int)) {
	for s := 1; s < len(offsets); s++ {
		visit(int(offsets[s-1])*d, int(offsets[s])*d)
	}
}
