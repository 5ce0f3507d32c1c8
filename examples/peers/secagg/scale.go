package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"

	"tutti/aggregation"
)

// A whole round at scale: every device's vector is really sealed, every header really judged by every member that is up. Devices drop
// at random points, three of the nine members go down: one before the first header, one when half of the devices are through, one
// before the signatures. The rest is exactly a quorum.

// staged is how many uploads a worker holds until the members have accepted them.
const staged = 32

// fate is what becomes of a device.
type fate int

const (
	stays fate = iota
	dropsBefore
	dropsWithin
	dropsAfter
	fates
)

// phases of the round, in order.
const (
	phaseSeal = iota
	phaseVerify
	phaseJudge
	phaseCheck
	phaseFold
	phases
)

// scaleReport is what a run found, and the JSON file.
type scaleReport struct {
	Machine string             `json:"machine"`
	Variant string             `json:"variant"`
	Dim     int                `json:"dim"`
	Devices int                `json:"devices"`
	Workers int                `json:"workers"`
	Fates   [fates]int         `json:"stay_before_within_after"`
	Summed  int                `json:"devices_in_the_sum"`
	Members int                `json:"members_that_sign"`
	Exact   bool               `json:"exact"`
	Seconds map[string]float64 `json:"seconds"` // of the phases, added up over the workers; open and total by the clock
	Setup   int64              `json:"rss_after_setup_bytes"`
	Peak    int64              `json:"peak_rss_bytes"`
	Kept    int64              `json:"heap_of_members_bytes"` // what the round left on the heap: nearly all of it shares that members keep
	Upload  int                `json:"upload_bytes"`
}

// stadium is the round that the workers share.
type stadium struct {
	*cast
	o     options
	total int
	locks [members]sync.Mutex
	bar   *bar
}

// worker is one core's part; nobody else touches it.
type worker struct {
	*stadium
	sum     *aggregation.Accumulator
	plain   []int64
	entries []aggregation.Entry
	fates   [fates]int
	spent   [phases]time.Duration
	upload  int
	waiting []waiting
}

// waiting is an upload that is complete, and staged until the members have accepted it.
type waiting struct {
	header *aggregation.Header
	path   aggregation.EnrolmentPath
	vector []byte
	values []int32
}

func (o options) runScale() error {
	r, err := o.round()
	if err != nil {
		return err
	}
	r.print()
	if o.out == "" {
		return nil
	}
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(o.out, append(b, '\n'), 0o644)
}

// round runs the whole round.
func (o options) round() (*scaleReport, error) {
	began, used, v, dim := time.Now(), processorTime(), o.variants[0], o.dims[0]
	c, err := newCast(dim, o.devices, v)
	if err != nil {
		return nil, err
	}
	r := &scaleReport{Machine: machine(), Variant: v.String(), Dim: dim, Devices: o.devices, Workers: runtime.GOMAXPROCS(0),
		Seconds: map[string]float64{"setup": time.Since(began).Seconds()}, Setup: resident("VmRSS")}
	s := &stadium{cast: c, o: o, total: o.devices, bar: newBar("devices", int64(o.devices))}
	heap, collected := held(), time.Now()
	workers, err := s.collect(r.Workers)
	s.bar.close()
	if err != nil {
		return nil, err
	}
	r.Seconds["collecting, by the clock"] = time.Since(collected).Seconds()
	r.Kept = held() - heap
	if err := s.open(r, workers); err != nil {
		return nil, err
	}
	r.Seconds["total, processor time"] = (processorTime() - used).Seconds()
	r.Seconds["total, by the clock"], r.Peak = time.Since(began).Seconds(), resident("VmHWM")
	return r, nil
}

// up is the number of members that are up after so many devices, the first of them.
func (s *stadium) up(done int64) int {
	if done < int64(s.total/2) {
		return members - 1
	}
	return members - 2
}

// held is what is reachable on the heap.
func held() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// collect takes every device through seal, upload, judgement and fold, on all cores.
func (s *stadium) collect(n int) ([]*worker, error) {
	workers, failed := make([]*worker, n), make([]error, n)
	var wg sync.WaitGroup
	for w := range workers {
		workers[w] = &worker{stadium: s, sum: aggregation.NewAccumulator(s.cfg),
			plain: make([]int64, s.cfg.Params().Dim())}
		wg.Go(func() { failed[w] = workers[w].run(w, n) })
	}
	wg.Wait()
	return workers, errors.Join(failed...)
}

func (w *worker) run(first, step int) error {
	for i := first; i < w.total; i += step {
		if err := w.device(i); err != nil {
			return fmt.Errorf("device %d: %w", i, err)
		}
		if len(w.waiting) == staged {
			if err := w.settle(); err != nil {
				return err
			}
		}
		w.bar.add(1)
	}
	return w.settle()
}

func (w *worker) took(phase int, since time.Time) { w.spent[phase] += time.Since(since) }

// device seals one vector and sends as much of it as its fate allows.
func (w *worker) device(i int) error {
	end, rng := stays, rand.New(rand.NewPCG(9, uint64(i)))
	if rng.Float64() < w.o.drop {
		end = dropsBefore + fate(rng.IntN(3))
	}
	w.fates[end]++
	x := input(uint64(i), w.cfg.Params().Dim())
	at := time.Now()
	up, err := w.seal(i, x)
	if err != nil {
		return err
	}
	w.took(phaseSeal, at)
	if end == dropsBefore {
		return nil
	}
	raw, err := up.Header.Marshal()
	if err != nil {
		return err
	}
	w.upload = len(raw) + len(up.Vector)
	path, err := w.path(up.Header.ID)
	if err != nil {
		return err
	}
	at = time.Now()
	defer w.took(phaseVerify, at)
	header, err := aggregation.ParseHeader(raw)
	if err != nil {
		return err
	}
	if err := aggregation.VerifyHeader(w.cfg, header, path); err != nil {
		return err
	}
	sent := len(up.Vector)
	if end == dropsWithin {
		sent = rng.IntN(sent)
	}
	check := aggregation.NewVectorCheck(w.cfg, header)
	for part := range slices.Chunk(up.Vector[:sent], chunk) {
		if _, err := check.Write(part); err != nil {
			return err
		}
	}
	err = check.Close()
	switch {
	case end == dropsWithin && err == nil:
		return errors.New("a torn upload passed")
	case end == dropsWithin:
		return nil
	case err != nil:
		return err
	}
	w.waiting = append(w.waiting, waiting{header, path, up.Vector, x})
	return nil
}

// settle shows the staged headers to the members that are up, checks the sharing and folds.
func (w *worker) settle() error {
	if len(w.waiting) == 0 {
		return nil
	}
	up := w.up(w.bar.done.Load())
	answers := make([][]aggregation.CheckAnswer, len(w.waiting))
	at := time.Now()
	for j := range up {
		words, err := w.judge(j)
		if err != nil {
			return err
		}
		for i := range words {
			answers[i] = append(answers[i], aggregation.CheckAnswer{Member: uint16(j + 1), Words: words[i]})
		}
	}
	w.took(phaseJudge, at)
	for i, u := range w.waiting {
		at = time.Now()
		wrong, err := aggregation.CheckShares(w.cfg, u.header, nil, answers[i])
		if err != nil || len(wrong) > 0 {
			return fmt.Errorf("an honest sharing fails its check: %v, %w", wrong, err)
		}
		w.took(phaseCheck, at)
		at = time.Now()
		if err := w.sum.Add(u.vector); err != nil {
			return err
		}
		w.took(phaseFold, at)
		addTo(w.plain, u.values)
		w.entries = append(w.entries, u.header.Entry())
	}
	clear(w.waiting)
	w.waiting = w.waiting[:0]
	return nil
}

// judge takes the staged headers over the wire to member j+1, which opens them here and accepts them under its lock.
func (w *worker) judge(j int) (words [][]uint64, err error) {
	headers := make([]*aggregation.MemberHeader, len(w.waiting))
	for i, u := range w.waiting {
		cut, err := u.header.ForMember(uint16(j+1), u.path)
		if err != nil {
			return nil, err
		}
		raw, err := cut.Marshal()
		if err != nil {
			return nil, err
		}
		if headers[i], err = aggregation.ParseMemberHeader(raw); err != nil {
			return nil, err
		}
	}
	w.locks[j].Lock()
	judge, err := w.members[j].Judge(w.id)
	w.locks[j].Unlock()
	if err != nil {
		return nil, err
	}
	opened := judge.Open(headers)
	w.locks[j].Lock()
	defer w.locks[j].Unlock()
	verdicts, _, err := w.members[j].Accept(w.id, opened)
	if err != nil {
		return nil, err
	}
	for _, v := range verdicts {
		if v.Reason != aggregation.Accepted {
			return nil, fmt.Errorf("member %d refuses an honest device: %v", j+1, v.Reason)
		}
		words = append(words, v.Check)
	}
	return words, nil
}

// open merges, has the rest of the committee sign and release, unmasks, and compares with the plain sum.
func (s *stadium) open(r *scaleReport, workers []*worker) error {
	sum, plain := workers[0].sum, workers[0].plain
	var entries []aggregation.Entry
	names := [phases]string{"seal", "verify", "judge, all members", "check", "fold"}
	for i, w := range workers {
		if i > 0 {
			if err := sum.Merge(w.sum); err != nil {
				return err
			}
			for j, v := range w.plain {
				plain[j] += v
			}
		}
		entries = append(entries, w.entries...)
		for k, n := range w.fates {
			r.Fates[k] += n
		}
		for k, t := range w.spent {
			r.Seconds[names[k]] += t.Seconds()
		}
		r.Upload = max(r.Upload, w.upload)
	}
	set, err := aggregation.NewSet(entries)
	if err != nil {
		return err
	}
	at := time.Now()
	answers, err := s.close(set, everyone()[:members-3])
	if err != nil {
		return err
	}
	r.Seconds["sign, certify, release"] = time.Since(at).Seconds()
	at = time.Now()
	got, wrong, err := aggregation.Unmask(s.cfg, set, sum, answers)
	if err != nil || len(wrong) > 0 {
		return fmt.Errorf("unmask: wrong members %v, %w", wrong, err)
	}
	r.Seconds["unmask"] = time.Since(at).Seconds()
	r.Summed, r.Members, r.Exact = len(entries), len(answers), slices.Equal(got, plain)
	if !r.Exact {
		return errors.New("the sum is not the plain one")
	}
	return nil
}

func (r *scaleReport) print() {
	fmt.Printf("%s, %s\n", r.Machine, time.Now().Format(time.DateOnly))
	fmt.Printf("%d devices, %s coordinates of 16 bits, %s, m = %d, c = %d, rho = %d, %d workers. Nothing is replayed.\n",
		r.Devices, power(r.Dim), r.Variant, members, corrupt, rho, r.Workers)
	t := newTable(os.Stdout, fmt.Sprintf("exact sum of %d devices over %d coordinates", r.Summed, r.Dim))
	t.AppendHeader(table.Row{"what", "figure"})
	t.AppendRows([]table.Row{
		{"devices: stay, drop before, within, after their upload", fmt.Sprint(r.Fates)},
		{"in the sum: those that stay, and those that go after their upload", r.Summed},
		{"members: one never there, one gone half-way, one gone before signing", fmt.Sprintf("%d sign and answer", r.Members)},
		{"upload", mbs(r.Upload) + " MB"},
	})
	t.AppendSeparator()
	for _, name := range []string{"setup", "seal", "verify", "judge, all members", "check", "fold", "collecting, by the clock",
		"sign, certify, release", "unmask", "total, by the clock", "total, processor time"} {
		t.AppendRow(table.Row{name, seconds(r.Seconds[name])})
	}
	t.AppendSeparator()
	t.AppendRows([]table.Row{
		{"peak memory: devices, server and nine members in one process", mb(r.Peak)},
		{"of it before the first device", mb(r.Setup)},
		{"of it kept by the round, nearly all of it shares in the members' machines", mb(r.Kept)},
	})
	t.Render()
	fmt.Println("Seal to fold: by the clock of every worker, added up; making the inputs is not among them. The plain sum was added up beside the masked one.")
}
