package main

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"gonum.org/v1/gonum/stat"

	"tutti/server"
)

// figures is what a run showed.
type figures struct {
	EnrolSeconds float64  `json:"enrol_seconds"`
	Seconds      float64  `json:"seconds"`         // all rounds, devices' work and publication included
	Uploads      int      `json:"uploads"`         //
	PerSecond    float64  `json:"uploads_per_sec"` // from the first upload's beginning to the last one's end
	Bytes        int64    `json:"upload_bytes"`
	Upload       spread   `json:"upload_seconds"`  // dial, handshake, transfer and the durable receipt
	CheckIn      spread   `json:"checkin_seconds"` //
	Samples      []sample `json:"rounds"`
	Server       resident `json:"server_memory"`
}

type spread struct{ P50, P99, Max float64 }

// sample is the server after a round.
type sample struct {
	Round    uint64   `json:"round"`
	Counted  int      `json:"counted"`
	Seconds  float64  `json:"seconds"`
	Heap     uint64   `json:"heap_bytes"` // live after a collection
	Routines int      `json:"goroutines"`
	Resident resident `json:"resident"`
}

// resident is the memory of a process as the kernel tells it, in bytes.
type resident struct {
	Now  uint64 `json:"now"`
	Peak uint64 `json:"peak"`
}

func newSample(r *server.RoundResult) sample {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return sample{Round: r.Round, Counted: r.N, Seconds: r.Took.Seconds(), Heap: m.HeapAlloc, Routines: runtime.NumGoroutine()}
}

// memoryOf reads a process's memory where the kernel tells it; zero elsewhere.
func memoryOf(pid int) (resident, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if os.IsNotExist(err) && runtime.GOOS != "linux" {
		return resident{}, nil
	}
	if err != nil {
		return resident{}, err
	}
	var r resident
	for line := range strings.Lines(string(b)) {
		name, rest, _ := strings.Cut(line, ":")
		fields := strings.Fields(rest)
		if len(fields) == 0 {
			continue
		}
		kilobytes, _ := strconv.ParseUint(fields[0], 10, 64)
		switch name {
		case "VmRSS":
			r.Now = kilobytes << 10
		case "VmHWM":
			r.Peak = kilobytes << 10
		}
	}
	return r, nil
}

func (f *figures) add(w *way) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f.Uploads, f.Bytes = len(w.uploads), w.bytes
	f.PerSecond = float64(len(w.uploads)) / w.last.Sub(w.first).Seconds()
	f.Upload, f.CheckIn = spreadOf(w.uploads), spreadOf(w.checkIns)
}

func spreadOf(x []float64) spread {
	if len(x) == 0 {
		return spread{}
	}
	slices.Sort(x)
	return spread{stat.Quantile(.5, stat.Empirical, x, nil), stat.Quantile(.99, stat.Empirical, x, nil), x[len(x)-1]}
}

// growth is by how many bytes a round the live heap and the resident memory grow, by least squares, once the first tenth
// of the rounds has warmed the server up.
func (f figures) growth() (heap, resident float64) {
	warm := f.Samples[len(f.Samples)/10:]
	var x, h, r []float64
	for _, s := range warm {
		x, h, r = append(x, float64(s.Round)), append(h, float64(s.Heap)), append(r, float64(s.Resident.Now))
	}
	_, heap = stat.LinearRegression(x, h, nil, false)
	_, resident = stat.LinearRegression(x, r, nil, false)
	return heap, resident
}

func (f figures) tell(s setting, asJSON bool, plot string) error {
	if plot != "" {
		if err := f.draw(plot); err != nil {
			return err
		}
	}
	if asJSON {
		enc := json.NewEncoder(os.Stdout)
		enc.SetIndent("", "  ")
		return enc.Encode(f)
	}
	counted := 0
	for _, r := range f.Samples {
		counted += r.Counted
	}
	fmt.Printf("%d round(s) of %d devices at d = %d on %d cores: %.1f s, after %.1f s of enrolment\n", s.Rounds, s.Devices, s.D, runtime.NumCPU(), f.Seconds, f.EnrolSeconds)
	fmt.Printf("uploads        %d sent, %d counted, %.1f a second, %.3f MB each, %.2f GB in all\n", f.Uploads, counted, f.PerSecond, float64(f.Bytes)/float64(f.Uploads)/1e6, float64(f.Bytes)/1e9)
	fmt.Printf("an upload      p50 %.0f ms, p99 %.0f ms, longest %.0f ms (dial, TLS, transfer, durable receipt)\n", 1e3*f.Upload.P50, 1e3*f.Upload.P99, 1e3*f.Upload.Max)
	fmt.Printf("a check-in     p50 %.1f ms, p99 %.1f ms, longest %.0f ms\n", 1e3*f.CheckIn.P50, 1e3*f.CheckIn.P99, 1e3*f.CheckIn.Max)
	fmt.Printf("the server     %.0f MB resident now, %.0f MB at most\n", float64(f.Server.Now)/1e6, float64(f.Server.Peak)/1e6)
	if len(f.Samples) >= 50 {
		heap, resident := f.growth()
		fmt.Printf("memory         grows by %.0f bytes a round of live heap, %.0f resident, over the last %d rounds; %d goroutines after the last\n",
			heap, resident, len(f.Samples)-len(f.Samples)/10, f.Samples[len(f.Samples)-1].Routines)
	}
	return nil
}

func listen() (net.Listener, error) { return net.Listen("tcp", "127.0.0.1:0") }
