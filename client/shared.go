package client

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"sync"

	"tutti/model"
	"tutti/model/blend"
	"tutti/model/dataset"
	"tutti/model/rank"
	"tutti/model/seqrec"
	"tutti/model/stats"
	"tutti/privacy/mechanism"
	"tutti/privacy/plan"
)

// SharedConfig is what an app knows about its items.
type SharedConfig struct {
	Catalogue *dataset.Catalogue
	Public    blend.Public // public columns of the items; needed where a model's spec reads them
	// Items is the digest that plans and versions name; zero: Catalogue.Digest().
	Items model.Digest
	// NewEngine makes what trains; nil: the fused layers. One goroutine uses an
	// engine at a time.
	NewEngine func(*seqrec.Model) seqrec.Engine
}

// Shared is what the devices of one process have in common: the catalogue, and
// the last few models, offers, codecs and engines, each read, verified or built
// once. Nothing in it belongs to one device. It is safe for concurrent use.
type Shared struct {
	cfg   SharedConfig
	items model.Digest

	blobs   recent[model.Digest, []byte]
	offers  recent[model.Digest, *opened]
	codecs  recent[model.Digest, *sync.Pool] // of *mechanism.Codec
	blocks  recent[model.Digest, *stats.Block]
	models  recent[modelKey, *trainable]
	params  recent[model.Digest, model.Params]
	rankers recent[model.Digest, ranker]
	popular recent[model.Digest, []bool] // the most popular tenth of the items
	// verdicts remembers what policies said. Checking a plan builds the secure
	// sum's ring, a millisecond; thousands of devices that stand alike ask the
	// same question within a second.
	verdicts recent[model.Digest, error]
}

// modelKey names a Transformer: its spec and the releases that it reads.
type modelKey struct{ spec, popularity, transitions model.Digest }

// trainable is a Transformer with its idle engines.
type trainable struct {
	model   *seqrec.Model
	engines sync.Pool
}

// How many of each are kept. A process serves one or two tasks; a round needs
// its base, and the version before stays for devices that lag.
const (
	keptBlobs    = 12
	keptFew      = 4
	keptVerdicts = 64
)

// NewShared checks the catalogue.
func NewShared(cfg SharedConfig) (*Shared, error) {
	if cfg.Catalogue == nil || cfg.Catalogue.Len() == 0 {
		return nil, errors.New("client: no catalogue")
	}
	if n := cfg.Public.Dim * cfg.Catalogue.Len(); cfg.Public.Dim < 0 || len(cfg.Public.Rows) != n {
		return nil, fmt.Errorf("client: %d public values for %d items of %d columns", len(cfg.Public.Rows), cfg.Catalogue.Len(), cfg.Public.Dim)
	}
	s := &Shared{cfg: cfg, items: cfg.Items}
	if s.items.IsZero() {
		s.items = cfg.Catalogue.Digest()
	}
	if s.cfg.NewEngine == nil {
		s.cfg.NewEngine = func(m *seqrec.Model) seqrec.Engine { return seqrec.NewEngine(m) }
	}
	s.blobs.limit, s.verdicts.limit = keptBlobs, keptVerdicts
	for _, limit := range []*int{&s.offers.limit, &s.codecs.limit, &s.blocks.limit, &s.models.limit, &s.params.limit, &s.rankers.limit, &s.popular.limit} {
		*limit = keptFew
	}
	return s, nil
}

// Catalogue is the app's list of items.
func (s *Shared) Catalogue() *dataset.Catalogue { return s.cfg.Catalogue }

// open is openOffer, remembered: its result depends on the arguments alone.
func (s *Shared) open(policy plan.Policy, o *Offer) (*opened, *refusal) {
	key := sha256.Sum256(fields(policy.Operator, o.Plan, o.PlanSignature, o.Config))
	op, err := s.offers.get(key, func() (*opened, error) {
		op, r := openOffer(policy, o)
		if r != nil {
			return nil, r
		}
		return op, nil
	})
	var r *refusal
	switch {
	case errors.As(err, &r):
		return nil, r
	case err != nil:
		return nil, refuse(ReasonConfig, err)
	}
	return op, nil
}

// check is policy.Check, remembered for the same plan, policy and state, the
// second included.
func (s *Shared) check(policy plan.Policy, o *opened, st plan.State) error {
	question, err := json.Marshal([]any{policy, st})
	if err != nil { // never for these types; the answer does not depend on the memory
		return policy.Check(o.plan, st)
	}
	digest := o.config.Plan()
	verdict, err := s.verdicts.get(sha256.Sum256(fields(digest[:], question)), func() (error, error) {
		return policy.Check(o.plan, st), nil
	})
	if err != nil { // no verdict is no consent
		return err
	}
	return verdict
}

func fields(parts ...[]byte) []byte {
	var b []byte
	for _, p := range parts {
		b = appendField(b, string(p))
	}
	return b
}

// withCodec lends a codec of the parameters.
func (s *Shared) withCodec(p mechanism.Params, use func(*mechanism.Codec) error) error {
	pool, err := s.codecs.get(sha256.Sum256(p.AppendCanonical(nil)), func() (*sync.Pool, error) {
		first, err := mechanism.NewCodec(p)
		if err != nil {
			return nil, err
		}
		pool := &sync.Pool{}
		pool.Put(first)
		return pool, nil
	})
	if err != nil {
		return err
	}
	codec, ok := pool.Get().(*mechanism.Codec)
	if !ok {
		if codec, err = mechanism.NewCodec(p); err != nil {
			return err
		}
	}
	defer pool.Put(codec)
	return use(codec)
}

// parts fetches a blob by digest, at most limit bytes of it.
type parts func(digest model.Digest, limit int64) ([]byte, error)

const (
	maxSpec     = 4 << 10
	maxOverhead = 1 << 20  // of a file of weights beside the weights
	maxBlockLen = 64 << 10 // 4,096 items
)

// popularity and transitions are nil where the version has none.
func (s *Shared) releases(v *model.Version, get parts) (p *stats.Popularity, t *stats.Transitions, err error) {
	items := s.cfg.Catalogue.Len()
	if !v.Popularity.IsZero() {
		b, err := get(v.Popularity, int64(4*items+maxSpec))
		if err != nil {
			return nil, nil, err
		}
		if p, err = stats.ParsePopularity(b, items); err != nil {
			return nil, nil, err
		}
	}
	if !v.Transitions.IsZero() {
		const k = stats.MaxBlock
		b, err := get(v.Transitions, k*(k-1)+4*k+maxSpec)
		if err != nil {
			return nil, nil, err
		}
		if t, err = stats.ParseTransitions(b, items); err != nil {
			return nil, nil, err
		}
	}
	return p, t, nil
}

// transformer builds a version's Transformer; nil where it has none.
func (s *Shared) transformer(v *model.Version, get parts) (*trainable, error) {
	if v.Spec.IsZero() {
		return nil, nil
	}
	t, err := s.models.get(modelKey{v.Spec, v.Popularity, v.Transitions}, func() (*trainable, error) {
		b, err := get(v.Spec, maxSpec)
		if err != nil {
			return nil, err
		}
		spec, err := blend.ParseSpec(b)
		if err != nil {
			return nil, err
		}
		if spec.Items != s.cfg.Catalogue.Len() {
			return nil, fmt.Errorf("client: a model of %d items for a catalogue of %d", spec.Items, s.cfg.Catalogue.Len())
		}
		popularity, transitions, err := s.releases(v, get)
		if err != nil {
			return nil, err
		}
		m, err := spec.Model(s.cfg.Public, popularity, transitions)
		if err != nil {
			return nil, err
		}
		t := &trainable{model: m}
		t.engines.New = func() any { return s.cfg.NewEngine(m) }
		return t, nil
	})
	if err != nil {
		return nil, err
	}
	if t.model.Layout().Digest() != v.Layout {
		return nil, errors.New("client: the weights' layout is not the one that the version names")
	}
	return t, nil
}

// weights are a version's Transformer weights, checked against its layout.
func (s *Shared) weights(v *model.Version, t *trainable, get parts) (model.Params, error) {
	return s.params.get(v.Params, func() (model.Params, error) {
		b, err := get(v.Params, int64(4*t.model.Layout().Size()+maxOverhead))
		if err != nil {
			return model.Params{}, err
		}
		p, _, err := model.ReadSafetensors(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			return model.Params{}, err
		}
		if p.Layout().Digest() != t.model.Layout().Digest() {
			return model.Params{}, errors.New("client: weights of another layout")
		}
		return p, nil
	})
}

// ranker ranks the catalogue for one history.
type ranker interface {
	Rank(history []int32, n int, exclude func(item int32) bool) ([]blend.Recommendation, error)
	Scores(history []int32, out []float32) error
}

// ranker builds what serves a version. That it builds is the check that a
// device makes before it accepts the version.
func (s *Shared) ranker(v *model.Version, get parts) (ranker, error) {
	return s.rankers.get(v.Digest(), func() (ranker, error) {
		weight, err := v.BlendWeight()
		if err != nil {
			return nil, err
		}
		popularity, transitions, err := s.releases(v, get)
		if err != nil {
			return nil, err
		}
		p := blend.Parts{Popularity: popularity, Transitions: transitions, Weight: weight}
		t, err := s.transformer(v, get)
		if err != nil {
			return nil, err
		}
		if t != nil && !v.Params.IsZero() {
			p.Model = t.model
			if p.Params, err = s.weights(v, t, get); err != nil {
				return nil, err
			}
		}
		if popularity == nil {
			return newTransformerOnly(p)
		}
		return blend.New(p)
	})
}

// transformerOnly serves a version that has no statistics.
type transformerOnly struct{ scorer *seqrec.Scorer }

func newTransformerOnly(p blend.Parts) (ranker, error) {
	if p.Model == nil {
		return nil, errors.New("client: a version without any part to rank with")
	}
	scorer, err := seqrec.NewScorer(p.Model, p.Params)
	return transformerOnly{scorer}, err
}

// Scores writes a score for every item, larger for better.
func (t transformerOnly) Scores(history []int32, out []float32) error {
	return t.scorer.Scores(history, out)
}

func (t transformerOnly) Rank(history []int32, n int, exclude func(item int32) bool) ([]blend.Recommendation, error) {
	seen := rank.Seen(history)
	top, err := t.scorer.Rank(history, n, func(i int32) bool { return seen(i) || exclude != nil && exclude(i) })
	if errors.Is(err, seqrec.ErrEmptyHistory) {
		return nil, fmt.Errorf("%w: the model has no popularity for a user without history", ErrNoModel)
	}
	if err != nil {
		return nil, err
	}
	out := make([]blend.Recommendation, len(top))
	for k, r := range top {
		out[k] = blend.Recommendation{Item: r.Item, Score: float64(r.Score), Kind: blend.Taste, Because: -1}
	}
	return out, nil
}

// verifyKey says whether a key can verify at all; ed25519.Verify panics on one
// of another length.
func verifyKey(key ed25519.PublicKey) bool { return len(key) == ed25519.PublicKeySize }
