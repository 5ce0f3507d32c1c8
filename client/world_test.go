package client_test

import (
	"bytes"
	"context"
	"math/big"
	"strconv"
	"testing"
	"time"

	"tutti/aggregation"
	"tutti/client"
	"tutti/client/history"
	"tutti/client/store"
	"tutti/client/transport/testserver"
	"tutti/model"
	"tutti/model/blend"
	"tutti/model/dataset"
	"tutti/model/seqrec"
	"tutti/model/stats"
	"tutti/privacy/plan"
	"tutti/server/api"
)

// The catalogue of the tests: numbers 100, 110, 120, ...
const items = 12

func number(index int) int64 { return 100 + 10*int64(index) }

func catalogue() *dataset.Catalogue {
	var list []dataset.Item
	for i := range items {
		list = append(list, dataset.Item{ID: number(i), Title: "Film " + string(rune('A'+i)), Year: 1990 + i})
	}
	return dataset.NewCatalogue(list)
}

func secret(b byte) client.Key {
	key, err := history.NewKey(bytes.Repeat([]byte{b}, history.KeyBytes))
	if err != nil {
		panic(err)
	}
	return key
}

// world is a server and what the devices of one process share.
type world struct {
	*testserver.Server
	t      *testing.T
	shared *client.Shared
	conn   client.Transport
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{Server: testserver.New(t, catalogue()), t: t}
	var err error
	if w.shared, err = client.NewShared(client.SharedConfig{Catalogue: catalogue()}); err != nil {
		t.Fatal(err)
	}
	w.conn = w.Dial()
	return w
}

// options of a new device with a token and a memory of its own.
func (w *world) options() client.Options {
	return client.Options{Policy: w.Policy(), Key: secret(7), Store: &store.Memory{}, Shared: w.shared, Transport: w.conn, Token: w.Token()}
}

func (w *world) open(o client.Options) *client.Device {
	w.t.Helper()
	d, err := client.Open(o)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { d.Close() })
	return d
}

// device is a new device whose user met the items of the given indices.
func (w *world) device(met ...int) *client.Device {
	w.t.Helper()
	return w.member(w.options(), met...)
}

// member is a device of these options that is enrolled.
func (w *world) member(o client.Options, met ...int) *client.Device {
	w.t.Helper()
	d := w.open(o)
	w.enrol(d)
	w.record(d, met...)
	return d
}

// enrol makes a device one of the population of the rounds that open from now on.
func (w *world) enrol(d *client.Device) {
	w.t.Helper()
	if err := d.Enroll(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) record(d *client.Device, met ...int) {
	w.t.Helper()
	for k, i := range met {
		if err := d.Record(client.Event{Item: number(i), Kind: history.View, Time: int64(1000 + k)}); err != nil {
			w.t.Fatal(err)
		}
	}
}

func (w *world) contribute(d *client.Device) client.Outcome {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	o, _ := d.Contribute(ctx)
	return o
}

// want checks the kind of an outcome.
func (w *world) want(d *client.Device, kind client.OutcomeKind) client.Outcome {
	w.t.Helper()
	o := w.contribute(d)
	if o.Kind != kind {
		w.t.Fatalf("outcome %v (%v, %v, %v): %v; want %v", o.Kind, o.Reason, o.Policy, o.Upload, o.Err, kind)
	}
	if o.Sentence == "" {
		w.t.Errorf("outcome %v without a sentence", o.Kind)
	}
	return o
}

// refuses checks that Contribute refuses for a reason.
func (w *world) refuses(d *client.Device, reason client.Reason, policy plan.Reason) client.Outcome {
	w.t.Helper()
	o := w.want(d, client.Refused)
	if o.Reason != reason || o.Policy != policy {
		w.t.Fatalf("refused for %v/%v (%v), want %v/%v", o.Reason, o.Policy, o.Err, reason, policy)
	}
	return o
}

// popularityRound is a round of popularity that costs rho 1/2.
func popularityRound(goal int) testserver.Spec {
	return testserver.Spec{Kind: plan.Popularity, Dim: items, Goal: goal, Rho: big.NewRat(1, 2)}
}

// published is a model with all its parts: popularity that favours low indices,
// transitions i -> i+1, and a small Transformer with random weights.
func (w *world) published(seed uint64) model.Version {
	w.t.Helper()
	check := func(err error) {
		if err != nil {
			w.t.Helper()
			w.t.Fatal(err)
		}
	}
	counts := make([]float32, items)
	all := make([]int32, items)
	for i := range counts {
		counts[i], all[i] = float32(2*items-i), int32(i)
	}
	popularity, err := stats.NewPopularity(counts, 0)
	check(err)
	block, err := stats.NewBlock(all, items)
	check(err)
	cells := make([]float32, block.Cells())
	for p := range items - 1 {
		cells[block.Cell(p, p+1)] = 5
	}
	transitions, err := stats.NewTransitions(block, cells, 0.01)
	check(err)
	spec := smallSpec()
	m, err := spec.Model(blend.Public{}, popularity, transitions)
	check(err)
	raw, err := spec.Marshal()
	check(err)
	var weights bytes.Buffer
	check(model.WriteSafetensors(&weights, m.Init(seed), nil))
	return model.Version{Spec: w.AddBlob(raw), Layout: m.Layout().Digest(), Params: w.AddBlob(weights.Bytes()),
		Popularity: w.AddBlob(popularity.Marshal()), Transitions: w.AddBlob(transitions.Marshal()), Blend: "0.2"}
}

func smallSpec() blend.Spec {
	return blend.Spec{Items: items, Dim: 8, Blocks: 1, Heads: 1, Hidden: 8, MaxLen: 8}
}

// smallModel is the Transformer of smallSpec.
func smallModel(t testing.TB) *seqrec.Model {
	t.Helper()
	m, err := smallSpec().Model(blend.Public{}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// abandonWithoutProof makes the server say "abandoned" with some certificate.
func abandonWithoutProof(certificate []byte) func(aggregation.DeviceID, *api.ReceiptResponse) {
	return func(_ aggregation.DeviceID, r *api.ReceiptResponse) {
		r.State, r.AbandonCertificate = api.UploadState_UPLOAD_STATE_ABANDONED, certificate
	}
}

// trained is what a device with the history should learn from the model of a seed.
func trained(t *testing.T, m *seqrec.Model, seed uint64, met []int, training plan.Training) []float32 {
	t.Helper()
	var history []int32
	for _, i := range met {
		history = append(history, int32(i))
	}
	sequences := seqrec.Windows(history, int(training.MaxLen))
	if len(sequences) == 0 {
		return make([]float32, m.Layout().Size())
	}
	rate, err := strconv.ParseFloat(training.LearningRate, 64)
	if err != nil {
		t.Fatal(err)
	}
	update, _, err := seqrec.Train(seqrec.NewEngine(m), m.Init(seed), sequences,
		seqrec.TrainConfig{Steps: int(training.Steps), LearningRate: rate, Optimizer: training.Optimizer})
	if err != nil {
		t.Fatal(err)
	}
	return update.Values()
}
