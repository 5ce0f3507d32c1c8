// Command poison measures what devices that lie can do to a recommender, and what each defence stops.
//
//	go run ./examples/poison
//
// It trains the real recommender, statistics and then a small Transformer, on data that it invents (the statistics without
// noise on ../shared/data/ml-latest-small if it is there, or on -data), with the real clip, norm bound, noise sizes and
// groups. Masks are left out: they change no sum. The noise is drawn in floating point with the variance of the real one. Some of the devices are attackers that know each other and what is defended:
//
//	boost     their update, turned round and 100 times longer than the clip allows
//	boost max the same, only as long as the norm check lets pass
//	flip      their update, turned round, as long as the clip
//	backdoor  an update that pushes one item, as long as the clip
//
// against no defence, a check of the norm, and 5, 10 or 20 groups whose means are combined by median, trimmed mean, or
// without those that are too long.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"sync"
	"time"
)

type options struct {
	data    string
	epsilon float64
	rounds  int
	people  int
	seed    uint64
	json    bool
	only    string
}

func main() {
	var o options
	flag.StringVar(&o.data, "data", "", "folder with MovieLens files (default: ../shared/data/ml-latest-small if it is there, else invented)")
	flag.Float64Var(&o.epsilon, "epsilon", 8, "of the runs with noise")
	flag.IntVar(&o.rounds, "rounds", 20, "rounds of the Transformer")
	flag.IntVar(&o.people, "people", 2000, "people who are invented for the runs with noise: few people cannot have groups under noise")
	flag.Uint64Var(&o.seed, "seed", 1, "of data, groups, attackers and noise: this is a simulation")
	flag.StringVar(&o.only, "only", "", "statistics, noise or network: that part alone")
	flag.BoolVar(&o.json, "json", false, "print the measurements as JSON")
	flag.Usage = func() {
		fmt.Fprint(flag.CommandLine.Output(), "What devices that lie can do to a recommender, and what each defence stops. Takes a minute or two.\n\n")
		flag.PrintDefaults()
	}
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, o, os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "poison:", err)
		os.Exit(1)
	}
}

// part is one recommender under attack.
type part struct {
	Name, Title string
	world       *world
	learn       func(setting) (measured, error)
}

// setting is one run: who attacks how, and what is done about it.
type setting struct {
	Attack  attack
	Share   float64 // of the devices that attack
	Defence defence
}

// measured is what came of a run.
type measured struct {
	NDCG       float64 `json:"ndcg10"`        // of honest people
	Chance     float64 `json:"ndcg10_ci95"`   // half the width of its 95 % interval
	Target     float64 `json:"target_hit10"`  // share of them that are shown the pushed item among ten
	Noise      float64 `json:"noise_times"`   // noise on the mean, relative to one group without defence; 0: there is none
	LeftOut    float64 `json:"groups_out"`    // groups left out, mean over the sums
	Excluded   float64 `json:"devices_out"`   // devices left out by the norm check, mean over the sums
	Infeasible string  `json:"why,omitempty"` // why there is no such run
}

// row is a measurement with its name.
type row struct {
	Part    string  `json:"part"`
	Defence string  `json:"defence"`
	Attack  string  `json:"attack"`
	Share   float64 `json:"share"`
	measured
}

var shares = []float64{0.01, 0.05, 0.2}

// settings lists every run of a part.
func settings() (list []setting) {
	for _, d := range defences() {
		list = append(list, setting{Attack: honest, Defence: d})
		for _, a := range attacks {
			for _, s := range shares {
				list = append(list, setting{a, s, d})
			}
		}
	}
	return list
}

func run(ctx context.Context, o options, out, progress io.Writer) error {
	parts, err := parts(o)
	if err != nil {
		return err
	}
	var rows []row
	for _, p := range parts {
		measured, err := measure(ctx, p, progress)
		if err != nil {
			return err
		}
		rows = append(rows, measured...)
	}
	if o.json {
		e := json.NewEncoder(out)
		e.SetIndent("", "  ")
		return e.Encode(rows)
	}
	fmt.Fprint(out, "Attackers: 1 %, 5 % and 20 % of the devices. Masks are left out of this simulation: they change no sum.\n")
	for _, p := range parts {
		show(out, p, rows)
	}
	fmt.Fprint(out, limits)
	return nil
}

// measure runs all settings of a part, on all cores.
func measure(ctx context.Context, p part, progress io.Writer) ([]row, error) {
	list := settings()
	rows, errs := make([]row, len(list)), make([]error, len(list))
	var mu sync.Mutex
	var group sync.WaitGroup
	start, next, done := time.Now(), 0, 0
	for range runtime.GOMAXPROCS(0) {
		group.Go(func() {
			for ctx.Err() == nil {
				mu.Lock()
				k := next
				next++
				mu.Unlock()
				if k >= len(list) {
					return
				}
				s := list[k]
				m, err := p.learn(s)
				rows[k], errs[k] = row{p.Name, s.Defence.String(), s.Attack.String(), s.Share, m}, err
				mu.Lock()
				done++
				took := time.Since(start)
				fmt.Fprintf(progress, "\r%s: %d of %d runs, %s left   ", p.Name, done, len(list),
					(took / time.Duration(done) * time.Duration(len(list)-done)).Round(time.Second))
				mu.Unlock()
			}
		})
	}
	group.Wait()
	fmt.Fprintf(progress, "\r%s: %d runs in %s              \n", p.Name, done, time.Since(start).Round(time.Second))
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	return rows, ctx.Err()
}
