package client

import (
	"context"
	"fmt"

	"tutti/client/history"
	"tutti/model/blend"
)

// Request says what is wanted.
type Request struct {
	Count   int     // how many, 1 to 1,000; 0: 10
	Exclude []int64 // items that are not wanted, besides those that the user met
}

// ReasonKind says what speaks for a recommendation.
type ReasonKind string

// The kinds of reason.
const (
	Popular ReasonKind = "popular" // many people like it
	Because ReasonKind = "because" // because of one item of the history
	Taste   ReasonKind = "taste"   // because of the history as a whole
)

// Why is the reason for a recommendation.
type Why struct {
	Kind ReasonKind
	Item int64 // with Because, and with Taste where one stands out: an item that the user met; else 0
}

// Recommendation is an item for the user.
type Recommendation struct {
	Item  int64   // number in the app's catalogue
	Title string  // "" when the catalogue has none
	Score float64 // larger is better; a probability where the model has statistics
	Why   Why
}

const (
	defaultCount = 10
	maxCount     = 1000
)

// Recommend ranks with the newest model that the device accepted and found sane,
// without a network; items that the user met in any way are left out. A user without
// history gets what is popular. ErrNoModel says that no model was accepted yet.
func (d *Device) Recommend(ctx context.Context, r Request) ([]Recommendation, error) {
	if r.Count == 0 {
		r.Count = defaultCount
	}
	if r.Count < 1 || r.Count > maxCount {
		return nil, fmt.Errorf("client: %d recommendations, want 1 to %d", r.Count, maxCount)
	}
	sequence, seen, versions, err := d.memory()
	if err != nil {
		return nil, err
	}
	index := d.opts.Shared.cfg.Catalogue.Index
	for _, item := range r.Exclude {
		if i, known := index(item); known {
			seen[i] = true
		}
	}
	err = ErrNoModel
	for _, a := range versions {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if a.doubted {
			continue
		}
		var top []blend.Recommendation
		if top, err = d.rank(a, sequence, r.Count, seen); err == nil {
			return d.present(top), nil
		}
	}
	return nil, err
}

// memory is what recommending reads of the device.
func (d *Device) memory() (sequence []int32, seen map[int32]bool, versions []accepted, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return nil, nil, nil, ErrClosed
	}
	index := d.opts.Shared.cfg.Catalogue.Index
	return history.Sequence(d.events, index), history.Seen(d.events, index), d.st.clone().versions, nil
}

// rank ranks with one accepted version, whose parts are in the store.
func (d *Device) rank(a accepted, sequence []int32, n int, seen map[int32]bool) ([]blend.Recommendation, error) {
	r, err := d.rankerOf(a)
	if err != nil {
		return nil, err
	}
	return r.Rank(sequence, n, func(item int32) bool { return seen[item] })
}

func (d *Device) present(top []blend.Recommendation) []Recommendation {
	items := d.opts.Shared.cfg.Catalogue.Items
	out := make([]Recommendation, len(top))
	for k, r := range top {
		item := items[r.Item]
		out[k] = Recommendation{Item: item.ID, Title: item.Title, Score: r.Score, Why: Why{Kind: Popular}}
		switch r.Kind {
		case blend.Because:
			out[k].Why.Kind = Because
		case blend.Taste:
			out[k].Why.Kind = Taste
		}
		if out[k].Why.Kind != Popular && r.Because >= 0 {
			out[k].Why.Item = items[r.Because].ID
		}
	}
	return out
}
