package client_test

import (
	"context"
	"math/big"
	"testing"
	"time"

	"tutti/client"
	"tutti/client/history"
	"tutti/client/store"
	"tutti/client/transport/testserver"
	"tutti/model/dataset"
	"tutti/privacy/plan"
)

// benchmark is a world of 4,096 items: with the noise coordinates, a vector has
// 36,864 numbers.
func benchmark(b *testing.B) (*testserver.Server, client.Options) {
	b.Helper()
	var list []dataset.Item
	for i := range 4096 {
		list = append(list, dataset.Item{ID: int64(i), Title: "thing"})
	}
	c := dataset.NewCatalogue(list)
	s := testserver.New(b, c)
	shared, err := client.NewShared(client.SharedConfig{Catalogue: c})
	if err != nil {
		b.Fatal(err)
	}
	key, err := history.NewKey([]byte("a key of 32 bytes for benchmarks"))
	if err != nil {
		b.Fatal(err)
	}
	return s, client.Options{Policy: s.Policy(), Key: key, Shared: shared, Transport: s.Dial()}
}

// round opens a round of two at least, for the devices that are enrolled.
func round(s *testserver.Server) {
	s.Open(testserver.Spec{Kind: plan.Popularity, Dim: 4096, Goal: 2, Rho: big.NewRat(1, 2)})
}

// fresh is an enrolled device with 100 events.
func fresh(b *testing.B, s *testserver.Server, o client.Options) *client.Device {
	b.Helper()
	o.Store, o.Token = &store.Memory{}, s.Token()
	d, err := client.Open(o)
	if err == nil {
		err = d.Enroll(b.Context())
	}
	var events []client.Event
	for i := range 100 {
		events = append(events, client.Event{Item: int64(40 * i), Kind: history.View, Time: int64(i + 1)})
	}
	if err == nil {
		err = d.Record(events...)
	}
	if err != nil {
		b.Fatal(err)
	}
	return d
}

// BenchmarkContribute is a whole contribution over gRPC and TLS on loopback,
// the small server's work included.
func BenchmarkContribute(b *testing.B) {
	s, o := benchmark(b)
	for b.Loop() {
		b.StopTimer()
		d := fresh(b, s, o)
		round(s)
		b.StartTimer()
		if out, err := d.Contribute(b.Context()); out.Kind != client.Contributed {
			b.Fatalf("%+v, %v", out, err)
		}
	}
}

// catcher keeps the offer of a check-in.
type catcher struct {
	client.Transport
	offer **client.Offer
}

func (c catcher) CheckIn(ctx context.Context, r client.CheckInRequest) (client.CheckIn, error) {
	answer, err := c.Transport.CheckIn(ctx, r)
	*c.offer = answer.Offer
	return answer, err
}

// BenchmarkStages is a contribution stage by stage, after the check-in.
func BenchmarkStages(b *testing.B) {
	s, o := benchmark(b)
	var offer *client.Offer
	caught := o
	caught.Transport = catcher{o.Transport, &offer}
	total := map[string]time.Duration{}
	n := 0
	for b.Loop() {
		b.StopTimer()
		d := fresh(b, s, caught)
		round(s)
		if _, err := d.DryRun(b.Context()); err != nil || offer == nil {
			b.Fatalf("no offer: %v", err)
		}
		b.StartTimer()
		took, err := d.Stages(b.Context(), offer)
		if err != nil {
			b.Fatal(err)
		}
		for stage, t := range took {
			total[stage] += t
		}
		n++
	}
	for stage, t := range total {
		b.Logf("%-20s %8.3f ms", stage, float64(t.Microseconds())/1000/float64(n))
	}
}
