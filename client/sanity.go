package client

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"tutti/model"
	"tutti/model/metric"
	"tutti/model/seqrec"
)

// Before a new version serves, the device asks it for what its own user did
// last. The question and the answer stay on the device; so does the verdict,
// which changes nothing that it sends or fetches.
//
// The rule: every score must be finite. And where at least three of the last
// four interactions can be asked for, the new version is not sane if the items
// come, on average, in the second half of its ranking, and a quarter of the
// catalogue or more behind where the version puts them that serves. Between two
// versions that rank alike this never holds, whatever the user does: it is meant
// for a model that is upside down, not for one that is a little worse, which the
// telemetry of many devices can tell and one history cannot.
const (
	askedLast   = 4    // interactions that are asked for, at most
	fewestAsked = 3    // fewer say nothing
	halfway     = 0.5  // rank loss of a ranking by chance
	muchWorse   = 0.25 // of the catalogue
)

var errScores = errors.New("client: a score is not a finite number")

// insane says what speaks against serving a version; nil: nothing. serving is
// the one that serves now, nil if none does.
func (d *Device) insane(fresh ranker, serving *accepted) error {
	history, items := d.sequence(), d.opts.Shared.cfg.Catalogue.Len()
	loss, asked, err := rankLoss(fresh, history, items)
	if err != nil {
		return err
	}
	if asked < fewestAsked || loss <= halfway || serving == nil {
		return nil
	}
	before, err := d.rankerOf(*serving)
	if err != nil {
		return nil // it serves no more either
	}
	old, _, err := rankLoss(before, history, items)
	if err == nil && loss-old >= muchWorse {
		return fmt.Errorf("client: the last items come at %.2f of the ranking, and at %.2f before", loss, old)
	}
	return nil
}

// rankLoss is where a version ranks the items that the user met last, each from
// what came before it: the mean share of the unseen items that come first, 0 to
// 1. asked is how many there are; an item that the history held before is not
// recommended again, so it is not asked for.
func rankLoss(r ranker, history []int32, items int) (loss float64, asked int, err error) {
	scores, seen := make([]float32, items), make([]bool, items)
	defer clear(scores)
	score := func(past []int32) error {
		if err := r.Scores(past, scores); err != nil {
			if errors.Is(err, seqrec.ErrEmptyHistory) {
				clear(scores)
				return nil
			}
			return err
		}
		for _, x := range scores {
			if math.IsNaN(float64(x)) || math.IsInf(float64(x), 0) {
				return errScores
			}
		}
		return nil
	}
	if err := score(history); err != nil {
		return 0, 0, err
	}
	for n := len(history) - 1; n > 0 && n >= len(history)-askedLast; n-- {
		past, target := history[:n], history[n]
		if slices.Contains(past, target) {
			continue
		}
		if err := score(past); err != nil {
			return 0, 0, err
		}
		clear(seen)
		rivals := items - 1
		for _, item := range past {
			if !seen[item] {
				seen[item] = true
				rivals--
			}
		}
		if rivals > 0 {
			loss += metric.Rank(scores, target, seen, metric.TiesHalf) / float64(rivals)
			asked++
		}
	}
	return loss / float64(max(asked, 1)), asked, nil
}

// rankerOf is what ranks with an accepted version, from parts in the store.
func (d *Device) rankerOf(a accepted) (ranker, error) {
	v, err := model.ParseVersion(a.version)
	if err != nil {
		return nil, err
	}
	return d.opts.Shared.ranker(&v, func(digest model.Digest, limit int64) ([]byte, error) {
		return d.opts.Shared.blobs.get(digest, func() ([]byte, error) { return d.stored(digest, limit) })
	})
}
