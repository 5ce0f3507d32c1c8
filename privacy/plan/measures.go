package plan

import (
	"math"
	"slices"
)

// Facts are what a device knows of itself in a round. They stay on the device: Values alone leaves it, clipped, noised
// and masked. A number that does not exist there is NaN.
type Facts struct {
	// How well the version that the round starts from foretold the device's last event, which the device learns nothing
	// from in this round: whether the item was among the first ten, its NDCG@10 and its reciprocal rank.
	Hit10, NDCG10, MRR float64

	Loss    float64 // before training, per position, over ln(items): 1 is a uniform guess
	Norm    float64 // of the update before it was clipped; 0: nothing was learned
	Clip    float64 // what it was clipped to
	Events  int     // of the history that the last event was foretold from
	Popular float64 // share of them among the most popular tenth of the items, by the released popularity
}

// Unknown are the facts of a device that has nothing to say.
func Unknown() Facts {
	nan := math.NaN()
	return Facts{Hit10: nan, NDCG10: nan, MRR: nan, Loss: nan, Norm: nan, Popular: nan}
}

func finite(x float64) bool { return !math.IsNaN(x) && !math.IsInf(x, 0) }

func (f Facts) evaluated() bool {
	return finite(f.Hit10) && finite(f.NDCG10) && finite(f.MRR)
}

// group is a set of devices by a public rule that each device applies to itself. A device is in at most one group of a
// family.
type group struct {
	family, name string
	holds        func(Facts) bool
}

// Bounds of the groups.
const (
	shortHistory  = 10  // events at most
	mediumHistory = 50  // events at most
	mainstream    = 0.5 // share of popular items at least
)

var groups = []group{
	{"history", "short", func(f Facts) bool { return f.Events <= shortHistory }},
	{"history", "medium", func(f Facts) bool { return f.Events > shortHistory && f.Events <= mediumHistory }},
	{"history", "long", func(f Facts) bool { return f.Events > mediumHistory }},
	{"taste", "mainstream", func(f Facts) bool { return finite(f.Popular) && f.Popular >= mainstream }},
	{"taste", "niche", func(f Facts) bool { return finite(f.Popular) && f.Popular < mainstream }},
}

// measure is one metric of the closed list. Each is one coordinate in [-1/2, 1/2]: a value is moved and scaled there,
// so that no metric has more weight in the norm than another.
type measure struct {
	name      string
	family    string // of groups; "": about all devices
	group     string
	of        string  // the metric that counts the devices of this mean; "": a count, or a mean over all devices
	low, high float64 // between which the value is taken
	shape     shape
	value     func(Facts) float64 // NaN: this device does not count
}

// shape says how the sum of a coordinate is read.
type shape uint8

const (
	presence shape = iota // +1/2 of a device that counts, -1/2 of any other
	member                // 1/2 of a device that counts, 0 of any other
	mean                  // a mean over the devices that of counts; 0 of any other
	share                 // a mean over all devices; 0, which is undecided, of one that cannot say
)

const (
	metricEvaluated = "evaluated"
	metricHit       = "hit10"
	metricNDCG      = "ndcg10"
	metricTrained   = "trained"
	metricLoss      = "loss"
	metricClip      = "clip"
)

// known are all metrics, in the order in which a plan lists them.
var known = func() []measure {
	when := func(counts func(Facts) bool, value func(Facts) float64) func(Facts) float64 {
		return func(f Facts) float64 {
			if !counts(f) {
				return math.NaN()
			}
			return value(f)
		}
	}
	one := func(Facts) float64 { return 1 }
	hit := func(f Facts) float64 { return f.Hit10 }
	ndcg := func(f Facts) float64 { return f.NDCG10 }
	all := []measure{
		{name: metricEvaluated, shape: presence, low: 0, high: 1, value: when(Facts.evaluated, one)},
		{name: metricHit, shape: mean, of: metricEvaluated, low: 0, high: 1, value: when(Facts.evaluated, hit)},
		{name: metricNDCG, shape: mean, of: metricEvaluated, low: 0, high: 1, value: when(Facts.evaluated, ndcg)},
		{name: "mrr", shape: mean, of: metricEvaluated, low: 0, high: 1, value: when(Facts.evaluated, func(f Facts) float64 { return f.MRR })},
		{name: metricTrained, shape: presence, low: 0, high: 1, value: when(func(f Facts) bool { return finite(f.Loss) }, one)},
		{name: metricLoss, shape: mean, of: metricTrained, low: 0, high: 2, value: func(f Facts) float64 { return f.Loss }},
		{name: metricClip, shape: share, low: 0, high: 1, value: withinClip},
	}
	for _, g := range groups {
		prefix := g.family + "." + g.name + "."
		within := func(f Facts) bool { return f.evaluated() && g.holds(f) }
		all = append(all,
			measure{prefix + "in", g.family, g.name, "", 0, 1, member, when(within, one)},
			measure{prefix + metricHit, g.family, g.name, prefix + "in", 0, 1, mean, when(within, hit)},
			measure{prefix + metricNDCG, g.family, g.name, prefix + "in", 0, 1, mean, when(within, ndcg)})
	}
	return all
}()

// withinClip is the bit of adaptive clipping (arXiv 1905.03871, algorithm 1). A device that learned nothing does not
// pull the clip down to its zero.
func withinClip(f Facts) float64 {
	switch {
	case !finite(f.Norm) || f.Norm <= 0:
		return math.NaN()
	case f.Norm <= f.Clip:
		return 1
	}
	return 0
}

func measureOf(name string) (measure, bool) {
	i := slices.IndexFunc(known, func(m measure) bool { return m.name == name })
	if i < 0 {
		return measure{}, false
	}
	return known[i], true
}

// coordinate is what one device adds to the sum.
func (m measure) coordinate(f Facts) float32 {
	x := m.value(f)
	counts := finite(x)
	switch {
	case m.shape == presence && counts:
		return 0.5
	case m.shape == presence:
		return -0.5
	case !counts:
		return 0
	case m.shape == member:
		return 0.5
	}
	x = min(max(x, m.low), m.high)
	return float32((x - (m.low+m.high)/2) / (m.high - m.low))
}

// Values is what a device adds to the sum: one number in [-1/2, 1/2] per name. A fact that is no number adds 0 and is
// not counted; so does a metric that is not of the closed list, which Policy.Check refuses before.
func (m *Metrics) Values(f Facts) []float32 {
	out := make([]float32, len(m.Names))
	for i, name := range m.Names {
		if one, found := measureOf(name); found {
			out[i] = one.coordinate(f)
		}
	}
	return out
}

// Asks says whether the device must foretell its last event, that is, learn nothing from it.
func (m *Metrics) Asks() bool {
	return m != nil && slices.ContainsFunc(m.Names, func(name string) bool { return name != metricClip && name != metricTrained && name != metricLoss })
}

// longest is the largest L2 norm that honest values of the names have: of each family a device is in one group.
func longest(names []string) float64 {
	quarters, families := 0.0, map[string]map[string]float64{}
	for _, name := range names {
		one, _ := measureOf(name)
		if one.family == "" {
			quarters++
			continue
		}
		if families[one.family] == nil {
			families[one.family] = map[string]float64{}
		}
		families[one.family][one.group]++
	}
	for _, of := range families {
		most := 0.0
		for _, n := range of {
			most = max(most, n)
		}
		quarters += most
	}
	return math.Sqrt(quarters) / 2
}

// Figure is one opened metric: a mean over the devices that it counts, or how many they are.
type Figure struct {
	Name      string
	Value     float64
	Low, High float64 // 95 % interval, from the noise alone
}

// intervalSigmas is the half width of a 95 % interval.
const intervalSigmas = 1.959964

// Figures reads the sum of n devices' Values, with Gaussian noise of the given standard deviation on each number. Where
// noise drowns the count of a mean, the interval is all that the metric can be.
func (m *Metrics) Figures(sum []float32, n int, noise float64) []Figure {
	out := make([]Figure, len(m.Names))
	at := func(name string) float64 {
		if i := slices.Index(m.Names, name); i >= 0 {
			return float64(sum[i])
		}
		return 0
	}
	for i, name := range m.Names {
		one, _ := measureOf(name)
		s, devices := float64(sum[i]), float64(n)
		switch one.shape {
		case presence:
			out[i] = figure(name, s+devices/2, intervalSigmas*noise, 0, devices)
		case member:
			out[i] = figure(name, 2*s, 2*intervalSigmas*noise, 0, devices)
		case share:
			out[i] = figure(name, s/devices+0.5, intervalSigmas*noise/devices, 0, 1)
		case mean:
			counted, spread := at(one.of)+devices/2, noise
			if one.family != "" {
				counted, spread = 2*at(one.of), 2*noise
			}
			out[i] = one.ratio(s, noise, counted, spread)
		}
	}
	return out
}

func figure(name string, value, half, low, high float64) Figure {
	in := func(x float64) float64 { return min(max(x, low), high) }
	return Figure{name, in(value), in(value - half), in(value + half)}
}

// ratio is the mean of values whose noised sum is s and whose noised count is n, with Fieller's interval for the ratio of
// two independent normals (Some problems in interval estimation, 1954): all x with |s - x n| <= 1.96 sqrt(a^2 + x^2 b^2).
func (m measure) ratio(s, a, n, b float64) Figure {
	scale := func(x float64) float64 { return min(max((m.low+m.high)/2+x*(m.high-m.low), m.low), m.high) }
	all := Figure{m.name, (m.low + m.high) / 2, m.low, m.high}
	if n > 0 {
		all.Value = scale(s / n)
	}
	a, b = a*intervalSigmas, b*intervalSigmas
	p, q := n*n-b*b, s*s-a*a
	root := s*s*n*n - p*q
	if n <= 0 || p <= 0 || root < 0 {
		return all
	}
	root = math.Sqrt(root)
	return Figure{m.name, all.Value, scale((s*n - root) / p), scale((s*n + root) / p)}
}

// MetricSet names what a task measures.
type MetricSet string

// The sets.
const (
	MetricsOff    MetricSet = "off"
	MetricsClip   MetricSet = "clip"   // the bit of adaptive clipping alone
	MetricsBasic  MetricSet = "basic"  // quality, loss, how many devices counted, and the clip bit
	MetricsGroups MetricSet = "groups" // and the quality of groups of devices
)

// Names lists the metrics of a set; none of a set that does not exist.
func (s MetricSet) Names() []string {
	var names []string
	for _, m := range known {
		grouped := m.family != ""
		switch {
		case s == MetricsClip && m.name == metricClip, s == MetricsBasic && !grouped, s == MetricsGroups && m.name != "":
			names = append(names, m.name)
		}
	}
	return names
}
