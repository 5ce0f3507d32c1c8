//go:build unix

package server

import (
	"fmt"
	"sync"
	"syscall"
	"testing"
	"time"

	"tutti/privacy/mechanism"
)

// BenchmarkUploads measures the server's side of uploads that are sealed already: header checks, streaming over TLS,
// staging with fsync, the verdicts of five committee nodes in the same process, folding, and the release.
func BenchmarkUploads(b *testing.B) {
	for _, size := range []struct{ dim, devices int }{{36_864, 600}, {327_680, 200}} {
		b.Run(fmt.Sprintf("D=%d", size.dim), func(b *testing.B) {
			w := newWorld(b, nil)
			w.noisy = false
			devices := make([]*device, size.devices)
			for i := range devices {
				devices[i] = w.device()
			}
			spec := w.spec(size.devices, size.devices/2, size.devices)
			var err error
			spec.Mechanism, err = mechanism.Design(mechanism.Literal{Dim: size.dim, Clip: 1, NMin: size.devices / 2, NMax: size.devices})
			w.must(err)
			spec.Collect = 5 * time.Minute
			for b.Loop() {
				b.StopTimer()
				r := w.start(spec)
				for i, d := range devices {
					d.await()
					d.seal(i)
				}
				b.StartTimer()
				began, cpu := time.Now(), cpuTime()
				w.deliverAll(devices, 8)
				staged := time.Since(began)
				r.wait(b)
				w.must(r.err)
				b.ReportMetric((cpuTime()-cpu).Seconds()*1000/float64(len(devices)), "cpu-ms/upload")
				b.ReportMetric(float64(len(devices))/staged.Seconds(), "staged/s")
				b.ReportMetric(float64(len(devices))/time.Since(began).Seconds(), "opened/s")
				b.ReportMetric(float64(len(devices[0].sealed.Vector)), "bytes/upload")
				b.StopTimer()
				w.publish(r.result)
				b.StartTimer()
			}
		})
	}
}

// cpuTime is what the process has used so far: steadier than the wall on a machine with other work. It includes the
// sending half of the test's own devices.
func cpuTime() time.Duration {
	var u syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func (w *world) deliverAll(devices []*device, workers int) {
	next := make(chan *device)
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for d := range next {
				d.deliver()
			}
		})
	}
	for _, d := range devices {
		next <- d
	}
	close(next)
	wg.Wait()
}
