package optim_test

import (
	"bytes"
	"encoding/binary"
	"math"
	"reflect"
	"testing"

	"tutti/model/optim"
)

func TestConfigRefused(t *testing.T) {
	nan := math.NaN()
	for _, change := range []func(c *optim.Config){
		func(c *optim.Config) { c.Rule = "magic" },
		func(c *optim.Config) { c.Rule = optim.FedAvg },
		func(c *optim.Config) { c.Beta1 = 1 },
		func(c *optim.Config) { c.Beta2 = -0.1 },
		func(c *optim.Config) { c.Epsilon = 0 },
		func(c *optim.Config) { c.Epsilon = nan },
		func(c *optim.Config) { c.WeightDecay = -1 },
		func(c *optim.Config) { c.WeightDecay = nan },
		func(c *optim.Config) { c.Momentum = 0.9 },
		func(c *optim.Config) { c.Nesterov = true },
		func(c *optim.Config) { *c = optim.Config{Rule: optim.SGD, Nesterov: true} },
		func(c *optim.Config) { *c = optim.Config{Rule: optim.SGD, Epsilon: 1} },
		func(c *optim.Config) { *c = optim.Config{Rule: optim.SGD, Momentum: 1} },
		func(c *optim.Config) { *c = optim.Config{Rule: optim.RMSprop, Beta1: 0.9, Epsilon: 1} },
	} {
		c, err := optim.Defaults(optim.Adam)
		if err != nil {
			t.Fatal(err)
		}
		change(&c)
		if _, err := optim.NewOptimizer(c); err == nil {
			t.Errorf("%+v was accepted", c)
		}
	}
}

func TestNewSchedule(t *testing.T) {
	for _, c := range []struct {
		cfg  optim.ScheduleConfig
		want map[int]float64
	}{
		{optim.ScheduleConfig{Rate: 1, Steps: 100}, map[int]float64{0: 1, 50: 0.5, 100: 0}},
		{optim.ScheduleConfig{Rate: 1, Steps: 100, Kind: "cosine", Final: 0.5}, map[int]float64{0: 1, 50: 0.75, 200: 0.5}},
		{optim.ScheduleConfig{Rate: 2, Steps: 100, Kind: "constant", WarmUp: 4}, map[int]float64{0: 0.5, 3: 2, 99: 2}},
		{optim.ScheduleConfig{Rate: 1, Steps: 100, Kind: "exponential"}, map[int]float64{0: 1, 50: 0.1, 100: 0.01}},
		{optim.ScheduleConfig{Rate: 8, Steps: 6, Kind: "step", Final: 1, Every: 2}, map[int]float64{0: 8, 1: 8, 2: 4, 4: 2, 6: 1}},
	} {
		s, err := optim.NewSchedule(c.cfg)
		if err != nil {
			t.Fatal(err)
		}
		for step, want := range c.want {
			if got := s(step); !(math.Abs(got-want) <= 1e-12) {
				t.Errorf("%+v: rate %v at step %d, want %v", c.cfg, got, step, want)
			}
		}
	}
	for _, cfg := range []optim.ScheduleConfig{
		{}, {Rate: 1}, {Rate: -1, Steps: 1}, {Rate: math.Inf(1), Steps: 1}, {Rate: 1, Steps: 1, Kind: "magic"},
		{Rate: 1, Steps: 1, WarmUp: -1}, {Rate: 1, Steps: 1, Final: math.NaN()}, {Rate: 1, Steps: 1, Every: -1},
	} {
		if _, err := optim.NewSchedule(cfg); err == nil {
			t.Errorf("%+v was accepted", cfg)
		}
	}
}

func TestRestoreRefuses(t *testing.T) {
	opt, err := optim.New("adam")
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []optim.State{
		{Rule: optim.AdamW},
		{Rule: optim.Adam, First: make([]float32, 2), Second: make([]float32, 3)},
		{Rule: optim.Adam, First: []float32{float32(math.Inf(1))}, Second: make([]float32, 1)},
		{Rule: optim.Adam, First: make([]float32, 1), Second: []float32{-1}},
	} {
		if opt.Restore(s) == nil {
			t.Errorf("%+v was accepted", s)
		}
	}
}

func TestOptimizerStateIsACopy(t *testing.T) {
	opt, err := optim.NewOptimizer(optim.Config{Rule: optim.SGD, Momentum: 0.5})
	if err != nil {
		t.Fatal(err)
	}
	w := []float32{0}
	opt.Step(w, []float32{1}, 1)
	s := opt.State()
	s.First[0] = 100
	if err := opt.Restore(optim.State{Rule: optim.SGD, Steps: 1, First: []float32{1}}); err != nil {
		t.Fatal(err)
	}
	if opt.Step(w, []float32{1}, 1); w[0] != -2.5 {
		t.Errorf("w = %v, want -2.5", w[0])
	}
}

func someState() optim.State {
	return optim.State{Rule: optim.Adam, Steps: 7, First: []float32{1, -2}, Second: []float32{0.5, 0}}
}

// The bytes as the doc comment describes them.
func TestStateBytes(t *testing.T) {
	b, err := someState().Marshal()
	if err != nil {
		t.Fatal(err)
	}
	want := []byte("\x00\x00\x00\x17tutti/model/optim/state\x01\x00\x00\x00\x04adam" +
		"\x00\x00\x00\x00\x00\x00\x00\x07" +
		"\x00\x00\x00\x02\x3f\x80\x00\x00\xc0\x00\x00\x00" +
		"\x00\x00\x00\x02\x3f\x00\x00\x00\x00\x00\x00\x00")
	if !bytes.Equal(b, want) {
		t.Errorf("got  %x\nwant %x", b, want)
	}
	for n := range b {
		if _, err := optim.ParseState(b[:n]); err == nil {
			t.Errorf("%d of %d bytes were accepted", n, len(b))
		}
	}
	if _, err := optim.ParseState(append(bytes.Clone(b), 0)); err == nil {
		t.Error("a byte after the end was accepted")
	}
	liar := bytes.Clone(b)
	binary.BigEndian.PutUint32(liar[len(b)-12:], math.MaxUint32) // must not be allocated
	if _, err := optim.ParseState(liar); err == nil {
		t.Error("2^32-1 values in 8 bytes were accepted")
	}
	for _, s := range []optim.State{
		{Rule: "a rule whose name has more than 32 bytes"},
		{Rule: optim.Adam, First: []float32{float32(math.NaN())}},
	} {
		if _, err := s.Marshal(); err == nil {
			t.Errorf("%+v was written", s)
		}
	}
}

func FuzzParseState(f *testing.F) {
	b, err := someState().Marshal()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := optim.ParseState(b)
		if err != nil {
			return
		}
		again, err := s.Marshal()
		if err != nil || !bytes.Equal(again, b) {
			t.Fatalf("%x came back as %x (%v)", b, again, err)
		}
		if twice, err := optim.ParseState(again); err != nil || !reflect.DeepEqual(s, twice) {
			t.Fatal("parsing is not stable")
		}
	})
}
