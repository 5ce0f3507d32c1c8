package seqrec_test

import (
	"bytes"
	"encoding/binary"
	"testing"

	"tutti/model"
	"tutti/model/seqrec"
)

// someState is small enough to fuzz: a model of two items and one dimension.
func someState(t testing.TB, rule string, steps int) []byte {
	m, err := seqrec.New(seqrec.Config{Items: 2, Dim: 1, Blocks: 1, Heads: 1, Hidden: 1, MaxLen: 1}, nil)
	if err != nil {
		t.Fatal(err)
	}
	data := []seqrec.Sequence{{Items: []int32{1}, Targets: []int32{0}}}
	f, err := seqrec.NewFitter(seqrec.NewEngine(m), m.Init(1), seqrec.Batches(data, 1, 1), seqrec.FitConfig{
		Steps: 4, LearningRate: 0.1, Optimizer: rule, ValidateEvery: 2,
		Validate: func(model.Params) (float64, error) { return 0.25, nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	for range steps {
		if err := f.Step(); err != nil {
			t.Fatal(err)
		}
	}
	b, err := f.State().Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// A state is a safetensors file that anything can read.
func TestFitStateIsSafetensors(t *testing.T) {
	b := someState(t, "adam", 3)
	p, meta, err := model.ReadSafetensors(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"weights/item.table", "first/item.table", "second/item.table", "best/item.table"} {
		if len(p.View(name)) != 2 {
			t.Errorf("no %s", name)
		}
	}
	for key, want := range map[string]string{
		"format": "tutti/model/seqrec/fit/1", "step": "3", "tokens": "3", "best_step": "2", "best_value": "0x1p-02",
		"misses": "0", "ended": "false", "optimizer": "adam", "optimizer_steps": "3",
	} {
		if meta[key] != want {
			t.Errorf("%s is %q, want %q", key, meta[key], want)
		}
	}
}

func TestParseFitStateRefuses(t *testing.T) {
	b := someState(t, "sgd", 3)
	if _, err := seqrec.ParseFitState(b); err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{0, 7, 8, 100, len(b) - 4, len(b) - 1} {
		if _, err := seqrec.ParseFitState(b[:n]); err == nil {
			t.Errorf("%d of %d bytes were accepted", n, len(b))
		}
	}
	early := someState(t, "sgd", 1) // nothing was rated yet
	lost := bytes.Replace(early, []byte(`"misses":"0"`), []byte(`"misses":"1"`), 1)
	if _, err := seqrec.ParseFitState(early); err != nil || bytes.Equal(early, lost) {
		t.Fatal(err)
	}
	if _, err := seqrec.ParseFitState(lost); err == nil {
		t.Error("ratings without a best one were accepted")
	}
	for name, change := range map[string][2]string{
		"another format":     {"fit/1", "fit/2"},
		"two steps":          {`"step":"3"`, `"step":"2"`},
		"steps as 03":        {`"step":"3","`, `"step":"03","`},
		"no steps":           {`"step":"3"`, `"stop":"3"`},
		"best to come":       {`"best_step":"2"`, `"best_step":"9"`},
		"no best":            {`"best_step":"2"`, `"best_step":"0"`},
		"ended as 0":         {`"ended":"false"`, `"ended":"f"`},
		"steps of optimiser": {`"optimizer_steps":"3"`, `"optimizer_steps":"2"`},
		"infinite value":     {`"best_value":"0x1p-02"`, `"best_value":"+Inf"`},
		"value in decimal":   {`"best_value":"0x1p-02"`, `"best_value":"0.25"`},
		"weights misspelt":   {`"weights/position"`, `"weighty/position"`},
		"spaces in the JSON": {`{"__metadata__":`, `{ "__metadata__":`},
	} {
		if bad := bytes.Replace(b, []byte(change[0]), []byte(change[1]), 1); bytes.Equal(bad, b) {
			t.Errorf("%s: nothing to replace", name)
		} else if _, err := seqrec.ParseFitState(resized(bad, len(bad)-len(b))); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// resized corrects the length of a header that was changed by so many bytes.
func resized(b []byte, by int) []byte {
	binary.LittleEndian.PutUint64(b, binary.LittleEndian.Uint64(b)+uint64(by))
	return b
}

func FuzzParseFitState(f *testing.F) {
	for _, rule := range []string{"sgd", "adam", "rmsprop"} {
		f.Add(someState(f, rule, 1))
		f.Add(someState(f, rule, 4))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := seqrec.ParseFitState(b)
		if err != nil {
			return
		}
		again, err := s.Marshal()
		if err != nil || !bytes.Equal(again, b) {
			t.Fatalf("came back as %d other bytes (%v)", len(again), err)
		}
	})
}
