package history

import (
	"slices"
	"time"
)

// Retention says how much is kept. The zero value keeps everything.
type Retention struct {
	MaxEvents int           // newest events kept; 0 for no limit
	MaxAge    time.Duration // events older than this are dropped; 0 for no limit
}

// Keep returns the events that are kept at time now (seconds since 1970), in
// their order; the result shares memory with events.
func (r Retention) Keep(events []Event, now int64) []Event {
	if r.MaxAge > 0 {
		oldest := now - int64(r.MaxAge/time.Second)
		if slices.ContainsFunc(events, func(e Event) bool { return e.Time < oldest }) {
			events = slices.DeleteFunc(slices.Clone(events), func(e Event) bool { return e.Time < oldest })
		}
	}
	if r.MaxEvents > 0 && len(events) > r.MaxEvents {
		events = events[len(events)-r.MaxEvents:]
	}
	return events
}

// Sequence is the history as the recommender reads it: item indices in time
// order, oldest first; events of equal times keep their order. Left out are
// events of no weight (skips) and items that index does not know. Acts of
// different kinds that follow each other on the same item (seen, opened,
// bought) are one interest and count once; the same act again is a repetition
// and counts again.
func Sequence(events []Event, index func(item int64) (int32, bool)) []int32 {
	byTime := func(a, b Event) int {
		switch {
		case a.Time < b.Time:
			return -1
		case a.Time > b.Time:
			return 1
		}
		return 0
	}
	if !slices.IsSortedFunc(events, byTime) {
		events = slices.Clone(events)
		slices.SortStableFunc(events, byTime)
	}
	sequence := make([]int32, 0, len(events))
	var last Event
	for _, e := range events {
		if e.Weight() <= 0 {
			continue
		}
		i, known := index(e.Item)
		if !known {
			continue
		}
		if last.Kind != 0 && last.Item == e.Item && last.Kind != e.Kind {
			last.Kind = e.Kind
			continue
		}
		sequence = append(sequence, i)
		last = e
	}
	return sequence
}

// Seen is the set of item indices that the user met in any way, skips included.
func Seen(events []Event, index func(item int64) (int32, bool)) map[int32]bool {
	seen := make(map[int32]bool, len(events))
	for _, e := range events {
		if i, known := index(e.Item); known {
			seen[i] = true
		}
	}
	return seen
}
