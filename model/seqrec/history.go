package seqrec

import "fmt"

// History is what one user did, oldest first, with what else is known of it.
// What is not nil has as many entries as there are items; User has as many numbers
// as the model wants.
type History struct {
	Items    []int32
	Times    []int64    // unix seconds of the items, or nil: unknown
	User     []float32  // numbers that describe the user, or nil
	Feedback []Feedback // what the user said of each item, or nil
}

// Histories are those of which nothing but the items is known.
func Histories(items [][]int32) []History {
	out := make([]History, len(items))
	for i := range out {
		out[i].Items = items[i]
	}
	return out
}

// check refuses a history whose parts are not of one length.
func (h History) check() error {
	n := len(h.Items)
	if h.Times != nil && len(h.Times) != n {
		return fmt.Errorf("%d times for %d items", len(h.Times), n)
	}
	if h.Feedback != nil && len(h.Feedback) != n {
		return fmt.Errorf("feedback on %d events of %d", len(h.Feedback), n)
	}
	return nil
}

// part is the events from lo up to hi.
func (h History) part(lo, hi int) History {
	h.Items = h.Items[lo:hi]
	if h.Times != nil {
		h.Times = h.Times[lo:hi]
	}
	if h.Feedback != nil {
		h.Feedback = h.Feedback[lo:hi]
	}
	return h
}

// Predictions is FromHistory with all that is known: the sequence that predicts
// every item, and what the user said of it, from the events before, over the last
// maxLen predictions. The slices are parts of h.
func (h History) Predictions(maxLen int) Sequence {
	h = h.part(max(0, len(h.Items)-maxLen-1), len(h.Items))
	s := FromHistory(h.Items, maxLen)
	if len(s.Items) == 0 {
		return s
	}
	s.Times, s.User = h.Times, h.User
	if h.Feedback != nil {
		s.Feedback = h.Feedback[1:]
	}
	return s
}

// masked hides the items for which hide returns true and asks for them, and for
// what the user said of them; mask is the id of MASK.
func (h History) masked(mask int32, hide func(i int) bool) Sequence {
	n := len(h.Items)
	s := Sequence{Items: make([]int32, n), Targets: make([]int32, n), Times: h.Times, User: h.User}
	if h.Feedback != nil {
		s.Feedback = make([]Feedback, n)
	}
	for i, item := range h.Items {
		s.Items[i], s.Targets[i] = item, NoTarget
		hidden := hide(i)
		if hidden {
			s.Items[i], s.Targets[i] = mask, item
		}
		if h.Feedback != nil {
			if s.Feedback[i] = NoFeedback(); hidden {
				s.Feedback[i] = h.Feedback[i]
			}
		}
	}
	return s
}
