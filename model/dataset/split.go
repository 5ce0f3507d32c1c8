package dataset

import (
	"errors"
	"fmt"
	"slices"

	"tutti/model/metric"
)

// Split divides behaviour into what a model may learn from and questions about
// what came next. Slices are shared with the data set.
type Split struct {
	Train      [][]int32     // one history for each user of the data set, possibly empty
	Validation []metric.Case // for choosing settings
	Test       []metric.Case // for the figures
}

// LeaveOneOut holds back the last item of every user for the test and the one
// before it for validation; the rest is training. The test may see the
// validation item. Users with fewer than three events only train.
//
// The split leaks the future of other users (model.md, section 2.2: it flatters
// by about a factor of two); GlobalTime does not.
func LeaveOneOut(d *Dataset) Split {
	s := Split{Train: make([][]int32, len(d.Users))}
	for i := range d.Users {
		h := d.Users[i].History
		n := len(h)
		if n < 3 {
			s.Train[i] = h
			continue
		}
		s.Train[i] = h[: n-2 : n-2]
		s.Validation = append(s.Validation, metric.Case{User: i, History: h[: n-2 : n-2], Target: h[n-2]})
		s.Test = append(s.Test, metric.Case{User: i, History: h[: n-1 : n-1], Target: h[n-1]})
	}
	return s
}

// Target says which of a user's events after the cut GlobalTime asks for.
type Target uint8

// The targets of Gusak et al., "Time to Split" (RecSys 2025).
const (
	TargetFirst      Target = iota // the first event after the cut
	TargetLast                     // the last; the history holds everything before it
	TargetSuccessive               // every one, each with everything before it as history
)

// ErrNoTimes is returned for a split by time of a data set without times.
var ErrNoTimes = errors.New("the data set has no times")

// GlobalTime cuts at one moment for everybody, so that nothing of the future is
// in the training data: the moment is the given quantile of all event times,
// in (0, 1), such as 0.9. Events before it are training, except each user's
// last one before it, which is the validation target; the test asks for events
// at or after it. Cases need a history of at least one event.
func GlobalTime(d *Dataset, quantile float64, target Target) (Split, int64, error) {
	cut, err := cutAt(d, quantile)
	if err != nil {
		return Split{}, 0, err
	}
	s := Split{Train: make([][]int32, len(d.Users))}
	for i := range d.Users {
		u := &d.Users[i]
		h := u.History
		before, _ := slices.BinarySearch(u.Times, cut)
		s.Train[i] = h[:before:before]
		if before >= 2 {
			s.Train[i] = h[: before-1 : before-1]
			s.Validation = append(s.Validation, metric.Case{User: i, History: s.Train[i], Target: h[before-1]})
		}
		first, end := max(before, 1), len(h)
		switch target {
		case TargetFirst:
			end = min(end, first+1)
		case TargetLast:
			first = max(first, end-1)
		}
		for j := first; j < end; j++ {
			s.Test = append(s.Test, metric.Case{User: i, History: h[:j:j], Target: h[j]})
		}
	}
	return s, cut, nil
}

func cutAt(d *Dataset, quantile float64) (int64, error) {
	if !(quantile > 0 && quantile < 1) {
		return 0, fmt.Errorf("dataset: quantile %v must lie between 0 and 1", quantile)
	}
	var times []int64
	for i := range d.Users {
		if d.Users[i].Times == nil {
			return 0, fmt.Errorf("dataset: a split by time is impossible: %w", ErrNoTimes)
		}
		times = append(times, d.Users[i].Times...)
	}
	if len(times) == 0 {
		return 0, fmt.Errorf("dataset: %w", ErrEmpty)
	}
	slices.Sort(times)
	return times[int(quantile*float64(len(times)))], nil
}
