package campaign_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"math"
	"math/big"
	"slices"
	"strconv"
	"time"

	"tutti/model"
	"tutti/model/blend"
	"tutti/model/seqrec"
	"tutti/model/stats"
	"tutti/privacy/mechanism"
	"tutti/privacy/plan"
	"tutti/server"
)

// memory is a server without wires, masks and disk: its devices clip and encode with the mechanism of the plan, their
// integers are added, and the sum is decoded. Devices know what is published and nothing of the campaign. It keeps the
// server's promises: one round at a time, a round is charged when it is opened, versions form a chain, a version names
// blobs that exist.
type memory struct {
	crowd     int // uploads that a round counts, where more than there are histories
	public    blend.Public
	histories [][]int32
	budget    *big.Rat // nil: no bound

	spent    *big.Rat
	blobs    map[[32]byte][]byte
	versions []model.Version
	causes   []string
	rounds   uint64
	asked    []server.RoundSpec  // every round that was asked for, failed ones too
	waiting  *server.RoundResult // opened, not published
	within   float64             // what the newest clip bits said
	shares   []float64           // what all of them said

	// fail, if set, says what a round ends with instead of a sum.
	fail func(server.RoundSpec) error

	// fixed makes the sum of a round follow from what is published alone, to the last bit: no rotation, no rounding.
	fixed   bool
	kept    map[string][]byte
	planned []time.Time

	points, kill int // the process dies at this point; 0: never
}

var errKilled = errors.New("killed")

func newMemory(public blend.Public, histories [][]int32) *memory {
	return &memory{public: public, histories: histories, spent: new(big.Rat), blobs: map[[32]byte][]byte{}, kept: map[string][]byte{}}
}

// clone is the same server at another time line.
func (m *memory) clone() *memory {
	c := *m
	c.spent = new(big.Rat).Set(m.spent)
	c.kept = maps.Clone(m.kept)
	c.blobs, c.versions, c.causes, c.asked = maps.Clone(m.blobs), slices.Clone(m.versions), slices.Clone(m.causes), slices.Clone(m.asked)
	return &c
}

// point is a place where a process may die.
func (m *memory) point() error {
	if m.points++; m.points == m.kill {
		return errKilled
	}
	return nil
}

func (m *memory) RunRound(ctx context.Context, spec server.RoundSpec) (*server.RoundResult, error) {
	if err := errors.Join(ctx.Err(), m.point()); err != nil {
		return nil, err
	}
	if m.waiting != nil {
		return nil, server.ErrUnfinished
	}
	m.asked = append(m.asked, spec)
	m.rounds++
	if m.fail != nil {
		if err := m.fail(spec); err != nil {
			return nil, err
		}
	}
	rho := spec.Mechanism.Rho()
	if rho != nil && m.budget != nil {
		if after := new(big.Rat).Add(m.spent, rho); after.Cmp(m.budget) > 0 {
			return nil, &server.BudgetError{Budget: m.budget, Spent: m.spent, Asked: rho}
		}
		m.spent.Add(m.spent, rho)
	}
	p := plan.Plan{Round: m.rounds, Kind: spec.Kind, Items: spec.Items, Block: spec.Block, Window: spec.Window, Training: spec.Training,
		Mechanism: spec.Mechanism, Metrics: spec.Metrics, Goal: uint32(spec.Goal)}
	if v, found := m.Version(); found {
		p.BaseNumber, p.Base = v.Number, plan.Digest(v.Digest())
	}
	sum, err := m.sum(p)
	if err != nil {
		return nil, err
	}
	n := len(m.histories)
	uploads := max(n, m.crowd)
	counters := server.Counters{Staged: n, Counted: uploads, UploadMillis: slices.Repeat([]float64{250}, uploads), Drops: map[string]int{}}
	m.waiting = &server.RoundResult{Round: p.Round, Plan: p, N: n, Sum: sum, Rho: rho, Counters: counters}
	if m.waiting.Metrics, err = m.metrics(p); err != nil {
		return nil, err
	}
	return m.waiting, m.point()
}

// sum is what the devices send, added and decoded.
func (m *memory) sum(p plan.Plan) (mechanism.Decoded, error) {
	if m.fixed {
		return m.exact(p)
	}
	codec, err := mechanism.NewCodec(p.Mechanism)
	if err != nil {
		return mechanism.Decoded{}, err
	}
	total := make([]int64, p.Mechanism.PaddedDim)
	for _, history := range m.histories {
		vector, err := m.learn(p, history)
		if err != nil {
			return mechanism.Decoded{}, err
		}
		encoded, err := codec.Encode(mechanism.Clip(vector, p.Mechanism.Clip), rand.Reader)
		if err != nil {
			return mechanism.Decoded{}, err
		}
		for i, x := range encoded.Values() {
			total[i] += int64(x)
		}
	}
	return codec.DecodeSum(total, len(m.histories))
}

// exact adds the devices' vectors as they are.
func (m *memory) exact(p plan.Plan) (d mechanism.Decoded, err error) {
	d.Values = make([]float32, p.Mechanism.Dim)
	for _, history := range m.histories {
		vector, err := m.learn(p, history)
		if err != nil {
			return d, err
		}
		for i, x := range vector {
			d.Values[i] += x
		}
	}
	return d, nil
}

func (m *memory) Kept(_ context.Context, name string) ([]byte, bool, error) {
	b, found := m.kept[name]
	return b, found, nil
}

func (m *memory) Keep(_ context.Context, name string, value []byte) error {
	if err := m.point(); err != nil {
		return err
	}
	m.kept[name] = value
	return m.point()
}

func (m *memory) Planned(_ context.Context, opening time.Time) error {
	m.planned = append(m.planned, opening)
	return nil
}

// metrics are the figures that the devices' clip bits give, without noise.
func (m *memory) metrics(p plan.Plan) ([]plan.Figure, error) {
	if p.Metrics == nil {
		return nil, nil
	}
	sum := make([]float32, len(p.Metrics.Names))
	for _, history := range m.histories {
		vector, err := m.learn(p, history)
		if err != nil {
			return nil, err
		}
		facts := plan.Unknown()
		facts.Clip, facts.Norm = p.Mechanism.Clip, 0
		for _, x := range vector {
			facts.Norm += float64(x) * float64(x)
		}
		facts.Norm = math.Sqrt(facts.Norm)
		for i, x := range p.Metrics.Values(facts) {
			sum[i] += x
		}
	}
	figures := p.Metrics.Figures(sum, len(m.histories), 0)
	for _, f := range figures {
		if f.Name == "clip" {
			m.within, m.shares = f.Value, append(m.shares, f.Value)
		}
	}
	return figures, nil
}

// learn is what a device makes of a plan, from what is published.
func (m *memory) learn(p plan.Plan, history []int32) ([]float32, error) {
	switch p.Kind {
	case plan.Popularity:
		return stats.PopularityVector(history, p.Mechanism.Dim), nil
	case plan.Transitions:
		decay, err := strconv.ParseFloat(p.Window.Decay, 64)
		if err != nil {
			return nil, err
		}
		block, err := stats.ParseBlock(m.blobs[p.Block], len(m.public.Rows)/m.public.Dim)
		if err != nil {
			return nil, err
		}
		return block.Vector(history, stats.Window{Width: int(p.Window.Width), Decay: decay}), nil
	}
	parts, err := m.resolve(m.versions[p.BaseNumber-1])
	if err != nil {
		return nil, err
	}
	rate, err := strconv.ParseFloat(p.Training.LearningRate, 64)
	if err != nil {
		return nil, err
	}
	update, _, err := seqrec.Train(seqrec.NewEngine(parts.Model), parts.Params, seqrec.Windows(history, int(p.Training.MaxLen))[:p.Training.Batch],
		seqrec.TrainConfig{Steps: int(p.Training.Steps), LearningRate: rate, Optimizer: p.Training.Optimizer})
	return update.Values(), err
}

// resolve makes a version's parts of what it names, as a device does.
func (m *memory) resolve(v model.Version) (p blend.Parts, err error) {
	items := len(m.public.Rows) / m.public.Dim
	if p.Weight, err = v.BlendWeight(); err != nil {
		return p, err
	}
	if p.Popularity, err = stats.ParsePopularity(m.blobs[v.Popularity], items); err != nil {
		return p, err
	}
	if !v.Transitions.IsZero() {
		if p.Transitions, err = stats.ParseTransitions(m.blobs[v.Transitions], items); err != nil {
			return p, err
		}
	}
	if v.Spec.IsZero() {
		return p, nil
	}
	spec, err := blend.ParseSpec(m.blobs[v.Spec])
	if err != nil {
		return p, err
	}
	if p.Model, err = spec.Model(m.public, p.Popularity, p.Transitions); err != nil {
		return p, err
	}
	if p.Model.Layout().Digest() != v.Layout {
		return p, errors.New("the version names another layout")
	}
	file := m.blobs[v.Params]
	p.Params, _, err = model.ReadSafetensors(bytes.NewReader(file), int64(len(file)))
	return p, err
}

func (m *memory) Resume(context.Context) (*server.RoundResult, error) {
	if m.waiting == nil {
		return nil, server.ErrNothing
	}
	return m.waiting, nil
}

func (m *memory) Publish(_ context.Context, p server.Publication) (model.Version, error) {
	if err := m.point(); err != nil {
		return model.Version{}, err
	}
	if p.Round != m.waiting { // a round that waits must be published before anything else, and only once
		return model.Version{}, fmt.Errorf("round %v does not wait to be published", p.Round)
	}
	for _, b := range p.Blobs {
		m.blobs[sha256.Sum256(b)] = b
	}
	v := *p.Version
	v.Number, v.Parent = 1, model.Digest{}
	if last, found := m.Version(); found {
		v.Number, v.Parent = last.Number+1, last.Digest()
	}
	for _, d := range []model.Digest{v.Spec, v.Params, v.Popularity, v.Transitions} {
		if !d.IsZero() && m.blobs[d] == nil {
			return v, fmt.Errorf("version %d names a blob that is not there", v.Number)
		}
	}
	maps.Copy(m.kept, p.Keep)
	m.versions, m.causes, m.waiting = append(m.versions, v), append(m.causes, p.Cause), nil
	return v, m.point()
}

func (m *memory) Version() (model.Version, bool) {
	if len(m.versions) == 0 {
		return model.Version{}, false
	}
	return m.versions[len(m.versions)-1], true
}

func (m *memory) Blob(digest [32]byte) ([]byte, error) {
	b, found := m.blobs[digest]
	if !found {
		return nil, fmt.Errorf("no blob %x", digest[:4])
	}
	return b, nil
}

func (m *memory) PutBlob(content []byte) ([32]byte, error) {
	if err := m.point(); err != nil {
		return [32]byte{}, err
	}
	digest := sha256.Sum256(content)
	m.blobs[digest] = content
	return digest, m.point()
}
