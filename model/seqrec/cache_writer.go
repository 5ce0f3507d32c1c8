package seqrec

import "tutti/model/kernel"

// writer is what one call of a Generator works on: the speaker of a search.
type writer struct {
	scorer  *Scorer
	scratch *scratch
	cache   *cache

	last, now int64     // unix seconds of the newest item and of the question
	dated     bool      // last is known; of now, 0 says that it is not
	outputs   []float32 // lists x d
	spoken    []float32 // V: the logits of a list
}

func newWriter(s *Scorer) *writer {
	return &writer{
		scorer: s, scratch: s.newScratch(), cache: newCache(s.model, &s.params),
		spoken: make([]float32, s.model.cfg.Items),
	}
}

// begin reads a history, so that the empty list, 0, can be asked.
func (w *writer) begin(q Query, length, lists int) error {
	h, err := w.scorer.encodeFor(w.scratch, q, length)
	if err != nil {
		return err
	}
	w.outputs = kernel.Grow(w.outputs, lists*len(h))
	copy(w.outputs, h)
	w.cache.reset(lists, length)
	if w.scratch.dec != nil {
		w.cache.continueDecoder(w.scratch.dec)
	} else {
		w.cache.continueEncoder(w.scratch.enc)
	}
	w.now, w.dated = q.Now, q.Times != nil
	if w.dated {
		w.last = q.Times[len(q.Times)-1]
	}
	return nil
}

// place adds the learned vector of the place of the newest token.
func (c *cache) place(x, position []float32) {
	if position == nil {
		return
	}
	at := (c.shared + c.written) * c.cfg.Dim
	kernel.Add(x, position[at:at+c.cfg.Dim])
}

// logits implements speaker.
func (w *writer) logits(list int) []float32 {
	d := w.scorer.model.cfg.Dim
	copy(w.spoken, w.scorer.bias)
	kernel.MatVec(w.spoken, w.scorer.items, d, w.outputs[list*d:(list+1)*d])
	return w.spoken
}

// grow implements speaker.
func (w *writer) grow(parents []int, items []int32) {
	d := w.scorer.model.cfg.Dim
	w.cache.reorder(parents)
	for list, item := range items {
		x := w.outputs[list*d : (list+1)*d]
		w.embed(x, item)
		w.cache.step(list, x)
	}
	w.cache.advance()
}

// embed writes the input vector of an item that was just said: as part of the
// continuation, or, in a Causal model, as part of a history in which all that is
// said happens when the question is asked.
func (w *writer) embed(x []float32, item int32) {
	p, d := &w.scorer.params, len(x)
	copy(x, w.scorer.items[int(item)*d:(int(item)+1)*d])
	if w.scorer.model.cfg.Arch == EncoderDecoder {
		w.cache.place(x, p.decoder.position)
		return
	}
	w.cache.place(x, p.position)
	buckets := w.scorer.model.cfg.TimeBuckets
	if buckets > 0 {
		gap, until := int32(0), int32(0)
		if w.now != 0 {
			until = TimeBucket(0, buckets)
			switch {
			case w.cache.written > 0:
				gap = until
			case w.dated:
				gap = TimeBucket(w.now-w.last, buckets)
			}
		}
		kernel.Add(x, p.time[int(gap)*d:int(gap+1)*d])
		kernel.Add(x, p.until[int(until)*d:int(until+1)*d])
	}
	if p.user != nil {
		kernel.Add(x, w.scratch.enc.users[:d])
	}
}
