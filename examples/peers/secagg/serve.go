package main

import (
	"encoding/gob"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"

	"tutti/aggregation"
)

// The server's part runs in a process of its own, so that its memory and its time are nobody else's: this program with -serve.

// serve starts that process on a staged job.
func serve(dir string) (f serverFigures, err error) {
	self, err := os.Executable()
	if err != nil {
		return f, err
	}
	cmd := exec.Command(self, "-serve", dir)
	cmd.Stderr = os.Stderr
	cmd.Env = append(os.Environ(), "GOMAXPROCS=1")
	out, err := cmd.Output()
	if err != nil {
		return f, fmt.Errorf("the server's process: %w", err)
	}
	return f, json.Unmarshal(out, &f)
}

// server is what the process keeps.
type server struct {
	cfg     *aggregation.Config
	job     job
	dir     string
	figures serverFigures
	buffer  []byte // one upload, as its stream came in
	times   [4][]float64
}

// serveJob does the server's part of a staged round, then replays the uploads.
func serveJob(dir string) error {
	s := &server{dir: dir}
	file, err := os.Open(filepath.Join(dir, "job"))
	if err != nil {
		return err
	}
	if err := errors.Join(gob.NewDecoder(file).Decode(&s.job), file.Close()); err != nil {
		return err
	}
	if s.cfg, err = aggregation.ParseConfig(s.job.Config); err != nil {
		return err
	}
	s.buffer = make([]byte, s.cfg.Params().VectorLen())
	debug.FreeOSMemory()
	s.figures.Start = resident("VmRSS")
	sum := aggregation.NewAccumulator(s.cfg)
	for i := range s.job.Headers {
		if err := s.take(i, sum); err != nil {
			return err
		}
	}
	if err := s.open(sum); err != nil {
		return err
	}
	s.times, s.figures.Total = [4][]float64{}, 0
	again := aggregation.NewAccumulator(s.cfg)
	for i := range s.job.Devices {
		if err := s.take(i%len(s.job.Headers), again); err != nil {
			return err
		}
	}
	f := &s.figures
	f.Distinct, f.Replayed, f.Peak = len(s.job.Headers), s.job.Devices, resident("VmHWM")
	f.Header, f.Vector, f.Check, f.Fold = median(s.times[0]), median(s.times[1]), median(s.times[2]), median(s.times[3])
	return json.NewEncoder(os.Stdout).Encode(f)
}

// take receives upload i: header, stream, check of the sharing, fold. Reading the file stands for the network and is not counted.
func (s *server) take(i int, sum *aggregation.Accumulator) error {
	file, err := os.Open(filepath.Join(s.dir, fmt.Sprint(i)))
	if err != nil {
		return err
	}
	n, err := file.Read(s.buffer)
	for n < len(s.buffer) && err == nil {
		var more int
		more, err = file.Read(s.buffer[n:])
		n += more
	}
	if err = errors.Join(err, file.Close()); err != nil {
		return err
	}
	var header *aggregation.Header
	steps := []func() error{
		func() (err error) {
			if header, err = aggregation.ParseHeader(s.job.Headers[i]); err != nil {
				return err
			}
			path, err := aggregation.ParseEnrolmentPath(s.job.Paths[i])
			if err != nil {
				return err
			}
			return aggregation.VerifyHeader(s.cfg, header, path)
		},
		func() error {
			check := aggregation.NewVectorCheck(s.cfg, header)
			for part := range slices.Chunk(s.buffer, chunk) {
				if _, err := check.Write(part); err != nil {
					return err
				}
			}
			return check.Close()
		},
		func() error {
			wrong, err := aggregation.CheckShares(s.cfg, header, nil, s.job.Checks[i])
			if err == nil && len(wrong) > 0 {
				err = fmt.Errorf("members %v answered wrongly", wrong)
			}
			return err
		},
		func() error { return sum.Add(s.buffer) },
	}
	for k, step := range steps {
		t, err := processor(step)
		if err != nil {
			return err
		}
		s.times[k] = append(s.times[k], t)
		s.figures.Total += t
	}
	return nil
}

// open unmasks the sum of the distinct uploads and compares it with the plain one.
func (s *server) open(sum *aggregation.Accumulator) error {
	set, err := aggregation.ParseSet(s.job.Set)
	if err != nil {
		return err
	}
	var answers []aggregation.Answer
	for _, b := range s.job.Answers {
		a, err := aggregation.ParseAnswer(b)
		if err != nil {
			return err
		}
		answers = append(answers, *a)
	}
	for range 5 {
		var got []int64
		t, err := processor(func() (err error) { got, _, err = aggregation.Unmask(s.cfg, set, sum, answers); return err })
		if err != nil {
			return err
		}
		if !slices.Equal(got, s.job.Expected) {
			return errors.New("ours: the sum is not the plain one")
		}
		s.figures.Unmask = least(s.figures.Unmask, t)
		runtime.GC()
	}
	return nil
}

func median(x []float64) float64 {
	if len(x) == 0 {
		return 0
	}
	slices.Sort(x)
	return x[len(x)/2]
}
