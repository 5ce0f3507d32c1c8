package graph

import (
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"runtime/debug"
	"testing"

	"tutti/model/seqrec"
)

// tiny is a model whose steps cost little but the graph's own work.
var tiny = seqrec.Config{Items: 20, Dim: 8, Blocks: 2, Heads: 2, Hidden: 8, MaxLen: 8, Dropout: 0.1}

// TestMemoryIsFlat makes ten thousand steps, on batches of several sizes.
func TestMemoryIsFlat(t *testing.T) {
	m := newModel(t, tiny)
	engine := newEngine(t, m, Tasks)
	params := m.Init(1).Values()
	grad := make([]float32, len(params))
	rng := rand.New(rand.NewPCG(24, 24))
	batches := make([][]seqrec.Sequence, 16)
	for i := range batches {
		batches[i] = randomBatch(tiny, rng, 1+i%3, false)
	}
	run := func(steps int) (now runtime.MemStats, resident int64) {
		for i := range steps {
			if _, _, err := engine.LossGrad(params, batches[i%len(batches)], grad); err != nil {
				t.Fatal(err)
			}
		}
		debug.FreeOSMemory()
		runtime.ReadMemStats(&now)
		return now, residentBytes()
	}
	steps := 10_000
	if testing.Short() {
		steps = 1000
	}
	before, small := run(500) // buffers are made here
	after, large := run(steps)
	if held := int64(after.HeapAlloc) - int64(before.HeapAlloc); held > 64<<10 {
		t.Errorf("%d bytes more are held after %d steps", held, steps)
	}
	t.Logf("%d bytes more are resident after %d steps, %d in all", large-small, steps, large)
	if large-small > 8<<20 && !testing.Short() { // -race, which is run with -short, keeps its own books
		t.Errorf("%d bytes more are resident", large-small)
	}
	mallocs := (after.Mallocs - before.Mallocs) / uint64(steps)
	bytes := (after.TotalAlloc - before.TotalAlloc) / uint64(steps)
	t.Logf("%d allocations, %d bytes per step", mallocs, bytes)
	if mallocs > 500 || bytes > 16<<10 {
		t.Errorf("%d allocations, %d bytes per step, want at most 500 and 16 KiB", mallocs, bytes)
	}
}

// residentBytes is the memory of the process, 0 where the system does not say.
func residentBytes() int64 {
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	var all, resident int64
	fmt.Sscan(string(text), &all, &resident)
	return resident * int64(os.Getpagesize())
}

// TestAllocations: what a step allocates is bounded, whatever the model, and does
// not grow with the batch.
func TestAllocations(t *testing.T) {
	for name, cfg := range options() {
		if cfg.Loss.Kind != seqrec.FullSoftmax {
			continue // draws allocate what they draw
		}
		m := newModel(t, cfg)
		engine, params := newEngine(t, m, Tasks), m.Init(1).Values()
		grad := make([]float32, len(params))
		rng := rand.New(rand.NewPCG(25, 25))
		for _, sequences := range []int{40, 1} {
			batch := familyBatch(cfg, rng, sequences)
			step := func() (bytes, mallocs uint64) {
				var before, after runtime.MemStats
				runtime.ReadMemStats(&before)
				if _, _, err := engine.LossGrad(params, batch, grad); err != nil {
					t.Fatal(err)
				}
				runtime.ReadMemStats(&after)
				return after.TotalAlloc - before.TotalAlloc, after.Mallocs - before.Mallocs
			}
			step()
			bytes, mallocs := step()
			for range 4 { // whatever else the process allocates comes and goes
				b, n := step()
				bytes, mallocs = min(bytes, b), min(mallocs, n)
			}
			t.Logf("%s, %d sequences: %d allocations, %d bytes per step", name, sequences, mallocs, bytes)
			if mallocs > 2000 || bytes > 64<<10 {
				t.Errorf("%s, %d sequences: %d allocations, %d bytes per step, want at most 2000 and 64 KiB", name, sequences, mallocs, bytes)
			}
		}
	}
}
