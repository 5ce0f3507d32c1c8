package main

import (
	"context"
	"crypto/rand"
	"fmt"
	insecure "math/rand/v2"
	"path/filepath"
	"sync"

	"tutti/model/dataset"
	"tutti/model/stats"
	"tutti/privacy/audit"
	"tutti/privacy/audit/attack"
	"tutti/privacy/central"
)

// attackKind is one row of the table.
type attackKind struct {
	name, about string
	expected    string // from the design's measurements, or theory
	run         func(ctx context.Context, o attack.Options, s *scene) (audit.Section, error)
}

// attackKinds lists every attack, in the order of the table.
func attackKinds() []attackKind {
	return []attackKind{
		{"inversion_update", "items out of one bare update", "bare 1.000 (exact history); masked .50", invertUpdate},
		{"inversion_share", "items out of an update with a noise share but no mask", "share alone .50/.61/.90 at n = 10/100/1000: no protection; masked .50", invertShare},
		{"inversion_sum", "a member's items out of the opened sum of updates", "no noise .97/.85/.77 at n = 10/100/1000; z = .5 .51/.53/.59; z = 1 .51/.49/.53", invertSum},
		{"inversion_popularity", "a member's items out of the opened popularity sum", "within the bound; no figure in the design (real tastes: a sum also shows what all like)", invertPopularity},
		{"membership_sum", "is a known update in the opened sum?", "no noise 1.0/1.0/.97; z = 1 .755-.763 (bound .760); z = .5 .916-.930 (bound .921)", membershipSum},
		{"float_gaussian", "the low bits of naive Gaussian noise", "naive .9997 at any sigma; integers 0; central mode as ideal noise", floatGaussian},
		{"float_laplace", "the low bits of textbook Laplace noise", ".57 to .64 certain; integers 0", floatLaplace},
		{"silent_noise", "devices that send no noise", "5 of 100: -6.5; 30 of 100: -39; alarm below -5", func(ctx context.Context, o attack.Options, _ *scene) (audit.Section, error) {
			return attack.SilentNoise(ctx, o, 100, []int{5, 30})
		}},
		{"dropout", "a sum below the minimum cohort", "epsilon 4.89 -> 7.29 at 50 %; nothing is unmasked", func(ctx context.Context, o attack.Options, _ *scene) (audit.Section, error) {
			return attack.Dropout(ctx, o)
		}},
		{"malicious_plan", "plans that would open a single device's data", "each refused, with its reason", func(ctx context.Context, o attack.Options, _ *scene) (audit.Section, error) {
			return attack.MaliciousPlans(ctx, o)
		}},
		{"bad_device", "NaN, huge and out-of-range vectors", "the sum of the others stays right", func(ctx context.Context, o attack.Options, _ *scene) (audit.Section, error) {
			return attack.BadDevices(ctx, o)
		}},
		{"cloned_rng", "two copies of one device", "copied state 1.000; system randomness 0", func(ctx context.Context, o attack.Options, _ *scene) (audit.Section, error) {
			return attack.Clones(ctx, o, rand.Reader)
		}},
		{"lira_statistics", "membership in the released statistics recommender", "within the bound of the claim", liraOfStatistics},
		{"lira_model", "membership in a released Transformer", "within the bound of the claim", liraOfModel},
	}
}

// scene is who is attacked, and at what size.
type scene struct {
	flags   attackFlags
	people  attackPeople     // as many as the largest sum needs, where the data have them
	sizes   []int            // of sums
	targets int              // devices attacked for a mean
	uniform func() [][]int32 // people without common taste
}

// Sizes of invented worlds.
const (
	attackItems   = 5000 // the design's
	quickPeople   = 250  // with fewer, the membership inference does not always succeed without noise
	attackHistory = 21   // a window of twenty and what came next
)

func newScene(f attackFlags) (*scene, error) {
	s := &scene{flags: f, sizes: []int{10, 100, 1000}, targets: 40}
	if f.quick {
		s.sizes, s.targets = []int{10, 100}, 20
	}
	largest := s.sizes[len(s.sizes)-1]
	s.uniform = sync.OnceValue(func() [][]int32 { return uniformHistories(largest, attackItems, attackHistory, f.seed) })
	ds, source, err := attackData(f, max(largest, quickPeople))
	if err != nil {
		return nil, err
	}
	s.people = peopleOf(ds, source)
	return s, nil
}

func attackData(f attackFlags, people int) (*dataset.Dataset, string, error) {
	if f.data != "" {
		ds, _, err := loadData(f.data)
		return ds, filepath.Base(filepath.Clean(f.data)), err
	}
	g := dataset.DefaultGenerator()
	g.Users, g.Items, g.Seed = people, attackItems, f.seed
	if f.quick {
		g.Items = 1000
	}
	ds, err := dataset.Generate(g)
	return ds, "invented (seeded generator)", err
}

func peopleOf(ds *dataset.Dataset, source string) attackPeople {
	p := attackPeople{catalogue: ds.Catalogue, histories: dataset.LeaveOneOut(ds).Train}
	p.source = fmt.Sprintf("%d people and %d items, %s", len(p.histories), p.items(), source)
	return p
}

func invertUpdate(ctx context.Context, o attack.Options, s *scene) (audit.Section, error) {
	var kinds []attack.Kind
	full, err := tableKind(s.uniform(), attackItems, s.flags.seed)
	if err != nil {
		return audit.Section{}, err
	}
	few := s.people
	transitions, err := transitionsKind(few.histories, few.items(), min(40, few.items()))
	if err != nil {
		return audit.Section{}, err
	}
	small, err := smallKind(few, s.flags.seed)
	if err != nil {
		return audit.Section{}, err
	}
	kinds = append(kinds, full, popularityKind(few.histories, few.items()), transitions, small)
	return attack.InvertUpdate(ctx, o, kinds, min(s.targets, 10, len(few.histories)))
}

func invertShare(ctx context.Context, o attack.Options, s *scene) (audit.Section, error) {
	k, err := tableKind(s.uniform(), attackItems, s.flags.seed)
	if err != nil {
		return audit.Section{}, err
	}
	return attack.InvertShare(ctx, o, k, []int{10, 100, 1000}, s.targets)
}

func invertSum(ctx context.Context, o attack.Options, s *scene) (audit.Section, error) {
	k, err := tableKind(s.uniform(), attackItems, s.flags.seed)
	if err != nil {
		return audit.Section{}, err
	}
	return attack.InvertSum(ctx, o, k, s.sizes, []float64{.5, 1}, s.targets)
}

func invertPopularity(ctx context.Context, o attack.Options, s *scene) (audit.Section, error) {
	sizes := append([]int(nil), s.sizes...)
	sizes[len(sizes)-1] = min(sizes[len(sizes)-1], len(s.people.histories))
	k := popularityKind(s.people.histories, s.people.items())
	return attack.InvertSum(ctx, o, k, sizes, []float64{.5, 1}, s.targets)
}

func membershipSum(ctx context.Context, o attack.Options, s *scene) (audit.Section, error) {
	k := popularityKind(s.uniform(), attackItems)
	scores := 2000
	if s.flags.quick {
		scores = 400
	}
	return attack.MembershipSum(ctx, o, k, s.sizes, []float64{1, .5}, scores)
}

func floatGaussian(ctx context.Context, o attack.Options, s *scene) (audit.Section, error) {
	naive := insecure.New(insecure.NewPCG(s.flags.seed, 0xf10a7)) // the generator under attack
	return attack.FloatGaussian(ctx, o, naive.NormFloat64, centralNoise, []float64{1, 4, 10}, s.outputs())
}

// centralNoise is what the trusted-aggregator mode adds to a sum of one coordinate, in units of the bound.
func centralNoise(x, sigma float64) (float64, error) {
	const bound = 1 << 20
	y, err := central.Gaussian([]int64{int64(x * bound)}, bound, sigma)
	if err != nil {
		return 0, err
	}
	return float64(y[0]) / bound, nil
}

func floatLaplace(ctx context.Context, o attack.Options, s *scene) (audit.Section, error) {
	return attack.FloatLaplace(ctx, o, []float64{1, 2, 10}, s.outputs())
}

func (s *scene) outputs() int {
	if s.flags.quick {
		return 4000
	}
	return 40_000
}

func liraOfStatistics(ctx context.Context, o attack.Options, s *scene) (audit.Section, error) {
	people, shadows := s.people, s.flags.shadows
	people = people.first(600)
	if s.flags.quick {
		people, shadows = people.first(quickPeople), min(shadows, 12)
	}
	r, err := newLiraStatistics(o, people)
	if err != nil {
		return audit.Section{}, err
	}
	return attack.LiRA(ctx, o, r, shadows)
}

func liraOfModel(ctx context.Context, o attack.Options, s *scene) (audit.Section, error) {
	people, shadows, items, rounds := s.people.first(200), s.flags.shadows, 500, 6
	if s.flags.quick {
		people, shadows, items, rounds = people.first(60), min(shadows, 8), 300, 4
	}
	r, err := newLiraModel(o, people.popular(items), rounds)
	if err != nil {
		return audit.Section{}, err
	}
	return attack.LiRA(ctx, o, r, shadows)
}

// first keeps so many people.
func (p attackPeople) first(n int) attackPeople {
	p.histories = p.histories[:min(n, len(p.histories))]
	return p
}

// popular keeps the most popular items, and people who met two of them.
func (p attackPeople) popular(n int) attackPeople {
	kept := stats.TopK(stats.CountPopularity(p.histories, p.items()), n)
	number := make(map[int32]int32, len(kept))
	items := make([]dataset.Item, len(kept))
	for i, item := range kept {
		number[item] = int32(i)
		items[i] = dataset.Item{ID: int64(i + 1), Title: fmt.Sprint("item ", i+1)}
	}
	catalogue := dataset.NewCatalogue(items)
	var histories [][]int32
	for _, h := range p.histories {
		var left []int32
		for _, item := range h {
			if i, ok := number[item]; ok {
				left = append(left, i)
			}
		}
		if len(left) >= 2 {
			histories = append(histories, left)
		}
	}
	return attackPeople{source: p.source + fmt.Sprintf(", of them %d people and the %d most popular items", len(histories), len(items)), catalogue: catalogue, histories: histories}
}
