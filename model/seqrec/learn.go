package seqrec

import "math/rand/v2"

// Sequences is what a model of this kind learns from one history: all of it, as
// on a device that trains on its own user.
//
// Causal: windows, so that every item but the first is predicted once.
// Bidirectional: the same windows with a fifth of the items hidden, and the last
// window once more with its last item hidden. EncoderDecoder: the history in
// continuations of Horizon items, each with what came before it, so that every
// item but the first is said once. A history of fewer than two items gives none,
// and so does a configuration that New would refuse for its lengths.
//
// seed decides what is hidden, and the Seeds of the sequences. A history whose
// parts are not of one length is a mistake of the caller's, and panics.
func (c Config) Sequences(h History, seed uint64) []Sequence {
	if err := h.check(); err != nil {
		panic("recommender: " + err.Error())
	}
	if len(h.Items) < 2 || c.MaxLen < 1 || c.Arch == EncoderDecoder && c.Horizon < 1 {
		return nil
	}
	var out []Sequence
	switch c.Arch {
	case Bidirectional:
		out = c.hidden(h, seed)
	case EncoderDecoder:
		out = c.continuations(h)
	default:
		for n := len(h.Items); n >= 2; {
			s := h.part(0, n).Predictions(c.MaxLen)
			out = append(out, s)
			n -= len(s.Items)
		}
	}
	for i := range out {
		out[i].Seed = seedAt(seed, 0, i)
	}
	return out
}

func (c Config) hidden(h History, seed uint64) []Sequence {
	rng := rand.New(rand.NewPCG(seed, 0x636c6f7a65)) // "cloze"
	masking, n := DefaultMasking(c), len(h.Items)
	last := h.part(max(0, n-c.MaxLen), n)
	out := []Sequence{last.masked(int32(c.Items), func(i int) bool { return i == len(last.Items)-1 })}
	for ; n >= 2; n -= c.MaxLen {
		out = append(out, masking.hide(h.part(max(0, n-c.MaxLen), n), rng))
	}
	return out
}

func (c Config) continuations(h History) (out []Sequence) {
	for n := len(h.Items); n >= 2; {
		split := max(1, n-c.Horizon)
		out = append(out, h.part(0, n).Continuation(split, c.MaxLen, c.Horizon))
		n = split
	}
	return out
}

// Continuation is Continuation of the items with all that is known: the decoder
// also learns what the user said of them.
func (h History) Continuation(split, maxLen, horizon int) Sequence {
	s := Continuation(h.Items, split, maxLen, horizon)
	if len(s.Items) == 0 {
		return s
	}
	s.User = h.User
	if h.Times != nil {
		s.Times = h.Times[split-len(s.Items) : split+1]
	}
	if h.Feedback != nil {
		s.Feedback = h.Feedback[split : split+len(s.Next)]
	}
	return s
}
