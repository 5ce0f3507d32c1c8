package seqrec

import (
	"fmt"
	"sync"

	"tutti/model"
)

// Generator writes lists of items one after another: what comes next after a
// history, given what the list already holds. An EncoderDecoder continues as it
// was trained to; a Causal model reads its own output as more history. Nothing
// appears twice in a list.
//
// A Generator holds its weights and is safe for concurrent use.
type Generator struct {
	scorer *Scorer
	spare  sync.Pool // of *writer
}

// MaxBeams bounds GenerateOptions.Beams, and so the memory of a search: keys and
// values of Beams lists of Length items, twice.
const MaxBeams = 1024

// GenerateOptions say what lists to write. What is forbidden never enters a
// list; the probabilities stay those of the model over the whole catalogue. All
// lists of a search are of one length, so that none is favoured for being short.
type GenerateOptions struct {
	// Length of the lists: 1 to Horizon of an EncoderDecoder, 1 to MaxLen of a
	// Causal model, which then reads the last MaxLen-Length+1 items of a history,
	// so that history and list fit into its input. An EncoderDecoder goes on from
	// the newest items as if it had said them: an eighth of Horizon, or as many as
	// leave room for the list. A Scorer leaves room for one item; so what it ranks
	// first begins a list for certain only up to a Length of MaxLen-n+1 after n
	// items, of Horizon-Horizon/8 with a decoder.
	Length int
	// Beams is how many lists are kept while they grow, and at most how many come
	// back: 1 to MaxBeams; 0: 1. One takes the best item at every step.
	Beams int

	ExcludeSeen bool                  // nothing that the history holds
	Exclude     func(item int32) bool // nothing for which it returns true; or nil
	// Categories, if not nil, has the category of every item, negative for none;
	// a list then holds at most PerCategory items of each, 1 or more.
	Categories  []int32
	PerCategory int
}

// List is a generated list.
type List struct {
	Items []int32
	// LogProbs has the logarithm of the probability of each item, given the
	// history and the items before it; LogProb is their sum.
	LogProbs []float64
	LogProb  float64
}

// NewGenerator shares the weights, as NewScorer does. A Bidirectional model has
// no order to write in and is refused.
func NewGenerator(m *Model, params model.Params) (*Generator, error) {
	if m.cfg.Arch == Bidirectional {
		return nil, fmt.Errorf("generator: a %v model does not write", m.cfg.Arch)
	}
	s, err := NewScorer(m, params)
	if err != nil {
		return nil, fmt.Errorf("generator: %w", err)
	}
	g := &Generator{scorer: s}
	g.spare.New = func() any { return newWriter(s) }
	return g, nil
}

// Generate returns the best lists that beam search finds, best first: Beams of
// them or as many as there are. Equal lists of the search go by the rank of what
// they continue, then by the lower item. Lists are shorter than Length where
// nothing more is allowed; without any allowed item there is none.
//
// The state of every list is kept while it grows. What comes back is what
// computing it again from the start for every item gives, to the last bit, and a
// list does not depend on the others in the search. Weights whose scores are not
// finite are an error.
func (g *Generator) Generate(q Query, options GenerateOptions) ([]List, error) {
	if options.Beams == 0 {
		options.Beams = 1
	}
	if err := options.check(g.scorer.model.cfg); err != nil {
		return nil, fmt.Errorf("generate: %w", err)
	}
	w := g.spare.Get().(*writer)
	defer g.spare.Put(w)
	if err := w.begin(q, options.Length, options.Beams); err != nil {
		return nil, fmt.Errorf("generate: %w", err)
	}
	lists, err := search(w, options, newRules(q.Items, options))
	if err != nil {
		return nil, fmt.Errorf("generate: %w", err)
	}
	return lists, nil
}

func (o GenerateOptions) check(cfg Config) error {
	longest, why := cfg.MaxLen, "MaxLen"
	if cfg.Arch == EncoderDecoder {
		longest, why = cfg.Horizon, "Horizon"
	}
	switch {
	case o.Length < 1 || o.Length > longest:
		return fmt.Errorf("lists of %d items, want 1 to %s %d", o.Length, why, longest)
	case o.Beams < 1 || o.Beams > MaxBeams:
		return fmt.Errorf("%d beams, want 1 to %d", o.Beams, MaxBeams)
	case o.Categories == nil && o.PerCategory != 0:
		return fmt.Errorf("at most %d items per category, but no categories", o.PerCategory)
	case o.Categories == nil:
		return nil
	case len(o.Categories) != cfg.Items:
		return fmt.Errorf("%d categories for %d items", len(o.Categories), cfg.Items)
	case o.PerCategory < 1:
		return fmt.Errorf("at most %d items per category, want 1 or more", o.PerCategory)
	}
	return nil
}

// rules decide what may enter a list.
type rules struct {
	seen        map[int32]bool
	exclude     func(item int32) bool
	categories  []int32
	perCategory int
}

func newRules(history []int32, o GenerateOptions) rules {
	r := rules{exclude: o.Exclude, categories: o.Categories, perCategory: o.PerCategory}
	if o.ExcludeSeen {
		r.seen = make(map[int32]bool, len(history))
		for _, item := range history {
			r.seen[item] = true
		}
	}
	return r
}

// forbids returns what must not follow the items of a list.
func (r rules) forbids(list []int32) func(item int32) bool {
	inList := make(map[int32]bool, len(list))
	full := make(map[int32]bool)
	count := make(map[int32]int)
	for _, item := range list {
		inList[item] = true
		if r.categories == nil || r.categories[item] < 0 {
			continue
		}
		c := r.categories[item]
		if count[c]++; count[c] == r.perCategory {
			full[c] = true
		}
	}
	return func(item int32) bool {
		return inList[item] || r.seen[item] || len(full) > 0 && full[r.categories[item]] ||
			r.exclude != nil && r.exclude(item)
	}
}
