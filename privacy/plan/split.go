package plan

import (
	"errors"
	"fmt"
	"math"
	"math/big"
	"strconv"

	"tutti/aggregation"
	"tutti/privacy/accounting"
)

// ErrSplit says that no split exists for what was wished.
var ErrSplit = errors.New("cannot plan this")

// The planner's numbers come from a study on 6,040 devices of ml-1m with exact accounting: popularity, one release of
// transitions, distillation, then DP-FedAvg rounds at epsilon 8, 2 and 1.
const (
	studyDim       = 295_611 // trainable numbers of the study's Transformer
	studyThreshold = 6_000   // N*mu from which its model rounds helped (3,030 hurt, 10,060 helped)
	popularityOnly = 270     // N*mu of 1,000 devices at epsilon 1: below, transitions fall behind popularity
	smallestBlock  = 16
	fewRounds      = 40
	manyRounds     = 60
)

// Shares of the budget, in 1/10,000 of rho.
const (
	shareTelemetry   = 200
	shareTransitions = 68 // percent of what telemetry and popularity leave, when model rounds follow; otherwise all of it
	shareAll         = 10_000

	// Popularity's share falls from 20 % of rho (.45 of mu) where budget and devices are scarce to 2.25 % (.15 of mu)
	// where they are not. The study's .15 chose its blocks among 6,040 users; among 610 at mu 1.1 it chose so badly that
	// everything behind it suffered: NDCG@10 of the transitions .0236 at .15 of mu, .0384 at .5, popularity alone .0127
	// and .0192 (ml-latest-small, k = 128, means of 8 seeds).
	sharePopularityScarce, sharePopularityAmple = 2_000, 225
	strengthScarce, strengthAmple               = 800, 5_600
)

// popularityShare is the share of popularity at a strength, in 1/10,000 of rho; between its ends it falls as a power of
// the strength.
func popularityShare(strength float64) int64 {
	switch {
	case strength <= strengthScarce:
		return sharePopularityScarce
	case strength >= strengthAmple:
		return sharePopularityAmple
	}
	slope := math.Log(float64(sharePopularityAmple)/sharePopularityScarce) / math.Log(float64(strengthAmple)/strengthScarce)
	return int64(sharePopularityScarce * math.Pow(strength/strengthScarce, slope))
}

// Choice says what the planner does about model rounds.
type Choice uint8

// The choices.
const (
	ModelAuto  Choice = iota // as the planner advises
	ModelForce               // run them, whatever the advice
	ModelOff                 // never
)

// Wish is what an operator wants of a task.
type Wish struct {
	Goal    int     // devices wanted in every round
	Epsilon float64 // of the whole claim, in (0, 100]
	Delta   string  // decimal; "": DefaultDelta(Goal)
	Items   int     // size of the catalogue: no block is larger
	Dim     int     // numbers of the model's trainable part; 0: there is none
	Rounds  int     // model rounds; 0: the planner's own number

	Population int    // devices that will be enrolled, of which the lot chooses; 0: no more than a sum takes
	Threshold  uint64 // of the lot; 0: aggregation.EveryDevice
	Groups     int    // sums that a round is split into; 0: one
	Model      Choice

	Trust          Trust // who adds the noise
	Participations int   // k: rounds of the task that one device may be in; 0: any number
	Separation     int   // b: rounds from one that a device is in to the next, for model rounds; 0: 1

	Metrics      MetricSet // of the model rounds; "": MetricsOff
	AdaptiveClip bool      // the clip of a model round follows from the clip bits of the one before
}

// Advice is the planner's expectation. The set is closed.
type Advice uint8

// What the planner may expect.
const (
	AdviceAll         Advice = iota // statistics first, then model rounds, which are expected to help
	AdviceStatistics                // statistics only: model rounds are expected to hurt
	AdvicePopularity                // popularity only: transitions are expected to fall behind it
	AdviceNoTrainable               // statistics only: there is nothing to train
)

// String is the advice's label.
func (a Advice) String() string {
	switch a {
	case AdviceAll:
		return "all"
	case AdviceStatistics:
		return "statistics_only"
	case AdvicePopularity:
		return "popularity_only"
	case AdviceNoTrainable:
		return "nothing_to_train"
	}
	return fmt.Sprintf("advice(%d)", uint8(a))
}

// Split is how a task's budget is spent. All rho are exact and add up to Rho.
type Split struct {
	Goal                  int // devices wanted in a round, over all of its groups
	NMin, NMax, Colluders int // of one group: for a single one n_max = ceil(1.3 goal), n_min = ceil(0.7 goal); t_c by Colluders
	Groups                int // at least 1

	Delta string
	Rho   *big.Rat // the whole budget

	Telemetry   *big.Rat
	Popularity  *big.Rat
	Transitions *big.Rat // zero: no transitions round
	Model       *big.Rat // of all model rounds together; zero: none
	Round       *big.Rat // of one model round, on average, without its metrics; zero: none
	Measure     Measurement
	Rounds      int // model rounds
	Block       int // k, items in the transitions block; 0: none

	Mu        float64 // of the whole claim: sqrt(2 rho)
	Effective float64 // mu of a central release with the noise that really arrives when Goal devices take part
	Strength  float64 // Goal * Effective: what decides quality
	Threshold float64 // strength from which model rounds are expected to help; 0 when nothing is trainable

	Trust          Trust
	Participations uint32   // of the plans of all rounds
	Separation     uint32   // of the plans of model rounds
	Stream         *Central // noise of the model rounds where it is one stream: all of it costs Model; nil: it is not

	Advice    Advice
	Sentences []string // what is expected, and why
}

// DefaultDelta is the largest d*10^-k with one digit that is at most min(1e-6, 1/(10 n)).
func DefaultDelta(n int) string {
	for k := 6; ; k++ {
		for digit := int64(9); digit >= 1; digit-- {
			s := FormatDecimal(mustFloat(strconv.FormatInt(digit, 10) + "e-" + strconv.Itoa(k)))
			if deltaFits(s, n) {
				return s
			}
		}
	}
}

func mustFloat(s string) float64 {
	x, err := strconv.ParseFloat(s, 64)
	if err != nil {
		panic("plan: " + err.Error())
	}
	return x
}

// CorruptShare is the share of the enrolled devices that the planner assumes to collude with the server.
const CorruptShare = 0.05

// Cohort returns n_min, n_max and t_c of a round of one group that wants goal devices, of no more than n_max enrolled ones.
func Cohort(goal int) (nMin, nMax, colluders int) {
	nMin, nMax = aggregation.Cohort(goal, 1)
	return nMin, nMax, Colluders(nMax, 0, CorruptShare, aggregation.EveryDevice, 1)
}

// Colluders is t_c of one group: devices in its sum whose noise the server may know. It is the given share of n_max,
// rounded up, or more where the server has more corrupt devices to choose from than that: the upper 2^-40 quantile of
// the corrupt among all that the lot admits to one group (rule 1 of the secure sum's design), since the server may leave
// out every honest device beyond n_min. Without a lot it is the share of the whole population.
func Colluders(nMax, population int, share float64, threshold uint64, groups int) int {
	least := int(math.Ceil(share*float64(nMax) - 1e-9))
	return max(least, aggregation.CorruptQuantile(population, share, threshold, groups))
}

// PlanSplit plans how the budget of a task is spent: a little on telemetry, 2.25 to 20 % of rho on popularity, and the rest
// on transitions; where the model's trainable part is small enough for so many devices and so much budget that its
// rounds are expected to help, they get what 65 % for transitions leave.
func PlanSplit(w Wish) (Split, error) {
	s := Split{Goal: w.Goal, Delta: w.Delta, Groups: max(1, w.Groups), Trust: w.Trust, Participations: AnyParticipations, Separation: uint32(max(1, w.Separation))}
	if w.Participations > 0 {
		s.Participations = uint32(w.Participations)
	}
	if w.Trust > TrustCentralMF || w.Participations < 0 || w.Separation < 0 || w.Trust == TrustCentralMF && w.Groups > 1 {
		return Split{}, fmt.Errorf("%w: %s noise, %d participations %d apart, %d groups: a stream of noise needs rounds that are not split", ErrSplit, w.Trust, w.Participations, w.Separation, w.Groups)
	}
	if w.Goal < 1 || w.Goal > 1<<20 || w.Population < 0 || w.Population > aggregation.MaxPopulation || w.Groups < 0 || w.Groups > aggregation.MaxGroups || w.Items < 1 || w.Dim < 0 || w.Rounds < 0 || !(w.Epsilon > 0 && w.Epsilon <= 100) {
		return Split{}, fmt.Errorf("%w: goal %d, epsilon %g, %d items, %d numbers, %d rounds", ErrSplit, w.Goal, w.Epsilon, w.Items, w.Dim, w.Rounds)
	}
	if err := s.seat(w); err != nil {
		return Split{}, err
	}
	people := max(s.NMax, w.Population)
	if s.Delta == "" {
		s.Delta = DefaultDelta(people)
	}
	if !deltaFits(s.Delta, people) {
		return Split{}, fmt.Errorf("%w: delta %q is not a decimal of at most min(1e-6, 1/(10*%d))", ErrSplit, s.Delta, people)
	}
	var err error
	if s.Rho, err = accounting.RhoForEpsilon(w.Epsilon, mustFloat(s.Delta)); err != nil {
		return Split{}, fmt.Errorf("%w: %w", ErrSplit, err)
	}
	s.Mu, s.Effective = muOf(s.Rho), s.effective(s.Rho)
	s.Strength = float64(w.Goal) * s.Effective
	s.advise(w)
	if err := s.divide(w); err != nil {
		return Split{}, err
	}
	if s.Trust == TrustCentralMF && s.Rounds > 0 {
		rows := s.Rounds + 1 + s.Rounds/10 // rounds that are abandoned or lost take rows too
		if s.Stream, err = StreamFor(s.Model, rows, int(min(s.Participations, 1<<20)), int(s.Separation)); err != nil {
			return Split{}, err
		}
	}
	stretched := s.stretch(w)
	s.explain(w)
	s.Sentences = append(s.Sentences, stretched...)
	return s, nil
}

// seat says how many devices a sum holds, and how many of them may collude.
func (s *Split) seat(w Wish) error {
	threshold := w.Threshold
	if threshold == 0 {
		threshold = aggregation.EveryDevice
	}
	s.NMin, s.NMax = aggregation.Cohort(w.Goal, s.Groups)
	s.Colluders = Colluders(s.NMax, w.Population, CorruptShare, threshold, s.Groups)
	switch {
	case w.Population > 0 && w.Population < s.Groups*s.NMin:
		return fmt.Errorf("%w: %d devices for %d sums over at least %d", ErrSplit, w.Population, s.Groups, s.NMin)
	case s.NMin-s.Colluders < 2 && s.Groups == 1 && w.Population <= s.NMax:
		return fmt.Errorf("%w: %d devices leave fewer than two honest ones in the smallest sum", ErrSplit, w.Goal)
	case s.NMin-s.Colluders < 2:
		return fmt.Errorf("%w: up to %d colluding devices among the %d of the smallest sum leave fewer than two honest ones: want more of the %d enrolled devices in a round, fewer groups, or a lot that admits fewer",
			ErrSplit, s.Colluders, s.NMin, w.Population)
	}
	return nil
}

// muOf is the Gaussian-DP parameter of rho-zCDP's Gaussian.
func muOf(rho *big.Rat) float64 {
	x, _ := rho.Float64()
	return math.Sqrt(2 * x)
}

// effective is the mu of a central Gaussian release whose noise equals what arrives when goal devices take part: their
// shares are sized for n_min - t_c, so more of them bring more noise.
func (s Split) effective(rho *big.Rat) float64 {
	if s.Trust != TrustDevices { // the operator adds as much as is claimed
		return muOf(rho) / math.Sqrt(float64(s.Groups))
	}
	return muOf(rho) * math.Sqrt(float64(s.NMin-s.Colluders)/float64(s.Goal))
}

// groupCost is how much noisier the mean of all devices is than it would be with one group: about the square root of
// the number of groups.
func (s Split) groupCost(goal int) float64 {
	nMin, _, colluders := Cohort(goal)
	return math.Sqrt(float64(nMin-colluders) / float64(s.NMin-s.Colluders))
}

// Threshold is the strength from which rounds over dim numbers are expected to help: the study's, scaled by the square
// root of the dimension, as the norm of the noise is.
func Threshold(dim int) float64 {
	return studyThreshold * math.Sqrt(float64(dim)/studyDim)
}

func (s *Split) advise(w Wish) {
	if w.Dim > 0 {
		s.Threshold = Threshold(w.Dim)
	}
	switch {
	case s.Strength < popularityOnly:
		s.Advice = AdvicePopularity
	case w.Dim == 0:
		s.Advice = AdviceNoTrainable
	case s.Strength < s.Threshold:
		s.Advice = AdviceStatistics
	default:
		s.Advice = AdviceAll
	}
}

// divide gives every purpose its exact share.
func (s *Split) divide(w Wish) error {
	model := w.Dim > 0 && (w.Model == ModelForce || w.Model == ModelAuto && s.Advice == AdviceAll)
	if model {
		if s.Rounds = w.Rounds; s.Rounds == 0 {
			s.Rounds = fewRounds
			if s.Strength >= 2*s.Threshold {
				s.Rounds = manyRounds
			}
		}
	}
	if err := s.measure(w); err != nil {
		return err
	}
	popularity := popularityShare(s.Strength)
	s.Telemetry, s.Popularity = s.part(shareTelemetry, 1), s.part(popularity, 1)
	s.Transitions, s.Model, s.Round = new(big.Rat), new(big.Rat), new(big.Rat)
	rest := s.part(shareAll-shareTelemetry-popularity, 1)
	rest.Sub(rest, s.Measure.Total())
	switch {
	case s.Advice == AdvicePopularity && !model:
		s.Popularity.Add(s.Popularity, rest)
	case model:
		s.Transitions.Mul(rest, big.NewRat(shareTransitions, 100))
		s.Model.Sub(rest, s.Transitions)
		s.Round.Quo(s.Model, big.NewRat(int64(s.Rounds), 1))
	default:
		s.Transitions.Set(rest)
	}
	if s.Transitions.Sign() > 0 {
		s.Block = min(w.Items, BlockSize(float64(w.Goal)*s.effective(s.Transitions)))
	}
	return nil
}

// blockTable is section 6.2's k by N*mu, with a first row measured on 610 users (ml-latest-small and generated behaviour,
// 8 seeds: k = 64, 128, 256 gave NDCG@10 .0337, .0384, .0340 and .0372, .0387, .0410); between its rows k grows as a
// power of N*mu.
var blockTable = []struct{ strength, k float64 }{
	{500, 128}, {1_600, 256}, {3_000, 512}, {5_600, 750}, {10_000, 1_000}, {16_000, 1_500}, {30_000, 2_000}, {100_000, 4_096},
}

// BlockSize is the number of items whose transitions a release of this strength (N times its effective mu) can carry.
// It never falls as the strength grows. 4,096 items, 8.4 million cells, is the most that one upload carries.
func BlockSize(strength float64) int {
	if !(strength > 0) {
		return smallestBlock
	}
	first, last := blockTable[0], blockTable[len(blockTable)-1]
	if strength <= first.strength {
		return max(smallestBlock, int(first.k*strength/first.strength))
	}
	if strength >= last.strength {
		return int(last.k)
	}
	i := 1
	for blockTable[i].strength < strength {
		i++
	}
	a, b := blockTable[i-1], blockTable[i]
	slope := math.Log(b.k/a.k) / math.Log(b.strength/a.strength)
	return int(a.k*math.Pow(strength/a.strength, slope) + 1e-9)
}

// ratio is a part of a whole as a number.
func ratio(part, whole *big.Rat) float64 {
	x, _ := new(big.Rat).Quo(part, whole).Float64()
	return x
}

func (s *Split) explain(w Wish) {
	say := func(format string, args ...any) { s.Sentences = append(s.Sentences, fmt.Sprintf(format, args...)) }
	rho, _ := s.Rho.Float64()
	say("Epsilon %g at delta %s is a budget of rho %.4f in all; every release is charged to it.", w.Epsilon, s.Delta, rho)
	if s.Trust != TrustDevices {
		say("The operator is trusted to add the noise: it sees sums without noise, and single uploads too if it runs the committee itself. The budget bounds what those learn who see the released models, and nothing bounds what the operator learns.")
	} else {
		say("Noise is sized for the %d honest devices that the smallest opened sum of %d holds; when all %d come, it is as in a central release of mu %.3f instead of %.3f.",
			s.NMin-s.Colluders, s.NMin, s.Goal, s.Effective, s.Mu)
	}
	if w.Population > s.NMax {
		say("Of %d enrolled devices, up to %d may be in one sum and hide their noise from it; with no more enrolled than a sum takes it would be %d.",
			w.Population, s.Colluders, Colluders(s.NMax, 0, CorruptShare, aggregation.EveryDevice, 1))
	}
	if s.Groups > 1 {
		say("Each of %d groups carries the noise of a sum of its own: the mean of all is %.1f times as noisy as that of one sum.", s.Groups, s.groupCost(w.Goal))
	}
	switch s.Advice {
	case AdvicePopularity:
		say("With %d devices this budget reaches a strength of %.0f; below %d, item transitions fall behind plain popularity, so popularity is the best use of it.", s.Goal, s.Strength, popularityOnly)
	case AdviceNoTrainable:
		say("There is no trainable part: after popularity, everything goes to the transitions.")
	case AdviceStatistics:
		say("Model rounds over %d numbers are expected to hurt: they help from a strength of about %.0f, and this task reaches %.0f.", w.Dim, s.Threshold, s.Strength)
	case AdviceAll:
		say("Model rounds over %d numbers are expected to help: they do from a strength of about %.0f, and this task reaches %.0f.", w.Dim, s.Threshold, s.Strength)
	}
	say("Popularity gets %.1f %% of rho: it chooses which items the transitions cover.", 100*ratio(s.Popularity, s.Rho))
	if s.Block > 0 {
		say("The transitions release covers the %d most popular items: with more, each cell would drown in noise.", s.Block)
	}
	if s.Stream != nil {
		s.explainStream(say)
	}
	if s.Rounds > 0 {
		say("%d model rounds share %.0f %% of rho; more rounds would mean more noise in each.", s.Rounds, 100*ratio(s.Model, s.Rho))
		if s.Advice != AdviceAll {
			say("They run because they were asked for, against this advice.")
		}
	}
	s.explainMetrics(w, say)
	if w.Model == ModelOff && s.Advice == AdviceAll {
		say("They are switched off, so their share goes to the transitions.")
	}
}

// explainStream says what correlated noise earns.
func (s *Split) explainStream(say func(string, ...any)) {
	p := Plan{Central: s.Stream, Participations: s.Participations, Separation: s.Separation}
	e, err := p.Event()
	if err != nil {
		return
	}
	f := e.(accounting.BLTMF)
	loss, err := f.BLT.MaxLoss(f.Rounds, f.Participations, f.Separation)
	if err != nil {
		return
	}
	say("The noise of the model rounds is one stream over %d rounds, of which a device is in at most %d, %d apart: their sum carries %.1f times the noise of one release, independent noise would leave %.1f times.",
		f.Rounds, f.Participations, f.Separation, loss, math.Sqrt(float64(f.Rounds*f.Participations)))
}
