package dataset

import (
	"cmp"
	"fmt"
	"slices"
)

// clean turns what was read into a data set: events by user and time, repeats
// and short histories dropped, items and users in the order of their numbers.
// Events at equal times keep the order of the file.
func clean(r *raw, format Format, options Options) (*Dataset, *Report, error) {
	slices.SortStableFunc(r.events, func(a, b event) int {
		return cmp.Or(cmp.Compare(a.User, b.User), cmp.Compare(a.Time, b.Time))
	})
	if !options.KeepRepeats {
		r.dropRepeats()
	}
	r.dropShort(options.MinEvents)
	r.settleItems(options.SeenOnly)
	catalogue := NewCatalogue(r.items)
	data := &Dataset{Catalogue: catalogue, Users: r.users(catalogue)}
	report := &Report{
		Format: format, Files: r.files, Rows: r.rows, Users: len(data.Users), Items: catalogue.Len(),
		Events: data.Events(), Latin1: r.latin1, Dropped: r.dropped(), Notes: r.notes,
	}
	if len(data.Users) == 0 {
		return nil, report, fmt.Errorf("dataset: %s: %w left after cleaning: no user has %d events or more\n%s", format, ErrEmpty, options.MinEvents, report)
	}
	return data, report, nil
}

// dropRepeats keeps the earliest event of each user with each item.
func (r *raw) dropRepeats() {
	kept := r.events[:0]
	seen := map[int64]bool{}
	for i, e := range r.events {
		if i > 0 && e.User != r.events[i-1].User {
			clear(seen)
		}
		if seen[e.Item] {
			r.drop(RepeatedEvent, r.eventFile, e.line, fmt.Sprintf("user %d, item %d", e.User, e.Item))
			continue
		}
		seen[e.Item] = true
		kept = append(kept, e)
	}
	r.events = kept
}

func (r *raw) dropShort(least int) {
	kept := r.events[:0]
	for _, own := range runs(r.events) {
		if len(own) < least {
			r.dropMany(ShortHistory, len(own), r.eventFile, 0, fmt.Sprintf("user %d has %d", own[0].User, len(own)))
			continue
		}
		kept = append(kept, own...)
	}
	r.events = kept
}

// runs cuts events that are sorted by user into one slice a user.
func runs(events []event) [][]event {
	var all [][]event
	for start, i := 0, 1; i <= len(events); i++ {
		if i == len(events) || events[i].User != events[start].User {
			all = append(all, events[start:i:i])
			start = i
		}
	}
	return all
}

// settleItems sorts the items by number. Without a list of items they are
// those of the events.
func (r *raw) settleItems(seenOnly bool) {
	met := make(map[int64]bool, len(r.listed))
	for _, e := range r.events {
		if !met[e.Item] && r.listed == nil {
			r.items = append(r.items, Item{ID: e.Item, Title: fmt.Sprintf("Item %d", e.Item)})
		}
		met[e.Item] = true
	}
	if seenOnly {
		r.items = slices.DeleteFunc(r.items, func(item Item) bool {
			if !met[item.ID] {
				r.drop(UnseenItem, "catalogue", 0, fmt.Sprintf("%d %s", item.ID, item.Title))
			}
			return !met[item.ID]
		})
	}
	slices.SortFunc(r.items, func(a, b Item) int { return cmp.Compare(a.ID, b.ID) })
}

func (r *raw) users(catalogue *Catalogue) []User {
	all := runs(r.events)
	users := make([]User, len(all))
	for i, own := range all {
		u := r.people[own[0].User]
		u.ID = own[0].User
		u.History = make([]int32, len(own))
		if !r.untimed {
			u.Times = make([]int64, len(own))
		}
		if !r.unrated {
			u.Ratings = make([]float32, len(own))
		}
		for j, e := range own {
			u.History[j], _ = catalogue.Index(e.Item)
			if u.Times != nil {
				u.Times[j] = e.Time
			}
			if u.Ratings != nil {
				u.Ratings[j] = e.Rating
			}
		}
		users[i] = u
	}
	return users
}
