package main

import (
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"tutti/client"
	"tutti/client/fleet"
	"tutti/client/transport"
	"tutti/privacy/plan"
	"tutti/server"
	"tutti/server/keys"
)

// play lets the devices follow the server to the end.
func (t *town) play(ctx context.Context) (figures, error) {
	way, err := newWay(t.address, t.certs().CA)
	if err != nil {
		return figures{}, err
	}
	defer way.Close()
	f, err := t.fleet(way)
	if err != nil {
		return figures{}, err
	}
	began := time.Now()
	if err := f.Enrol(ctx); err != nil {
		return figures{}, fmt.Errorf("enrolling: %w", err)
	}
	out := figures{EnrolSeconds: time.Since(began).Seconds()}
	hostile, stop := context.WithCancel(ctx)
	var others sync.WaitGroup
	defer others.Wait()
	defer stop()
	if err := t.pester(hostile, &others); err != nil {
		return out, err
	}
	read := make(chan error, 1)
	go func() { read <- t.read(&out) }()
	began = time.Now()
	fmt.Fprintf(os.Stderr, "%d devices are enrolled\n", t.Devices)
	if err := f.Run(ctx); err != nil {
		return out, err
	}
	if err := <-read; err != nil {
		return out, err
	}
	out.Seconds = time.Since(began).Seconds()
	out.add(way)
	out.Server, err = memoryOf(t.server.Process.Pid)
	return out, err
}

// read takes what the server tells of its rounds, as many as were asked for.
func (t *town) read(out *figures) error {
	began, said := time.Now(), time.Now()
	for len(out.Samples) < t.Rounds {
		if !t.lines.Scan() {
			return errors.New("the server ended early")
		}
		var s sample
		if err := json.Unmarshal(t.lines.Bytes(), &s); err != nil {
			return err
		}
		var err error
		if s.Resident, err = memoryOf(t.server.Process.Pid); err != nil {
			return err
		}
		out.Samples = append(out.Samples, s)
		if time.Since(said) > 5*time.Second && len(out.Samples) < t.Rounds {
			said = time.Now()
			left := time.Since(began) / time.Duration(len(out.Samples)) * time.Duration(t.Rounds-len(out.Samples))
			fmt.Fprintf(os.Stderr, "round %d of %d, about %v left\n", len(out.Samples), t.Rounds, left.Round(time.Second))
		}
	}
	return nil
}

func (t *town) fleet(way *way) (*fleet.Fleet, error) {
	own, err := server.LoadKeys(t.setting.server())
	if err != nil {
		return nil, err
	}
	roster, err := t.roster()
	if err != nil {
		return nil, err
	}
	shared, err := client.NewShared(client.SharedConfig{Catalogue: t.catalogue()})
	if err != nil {
		return nil, err
	}
	tokens, err := os.ReadFile(filepath.Join(t.Dir, "tokens"))
	if err != nil {
		return nil, err
	}
	cfg := fleet.Config{
		Policy: plan.Policy{Task: task, Operator: own.Operator.Public().(ed25519.PublicKey), Enroller: own.Enroller.Public().(ed25519.PublicKey), Committee: roster,
			MinMembers: 4, MinCorrupt: 1, MinCohort: t.nMin(), MaxRhoRound: big.NewRat(1, 1), MaxRhoTotal: big.NewRat(1, 1), MinPad: t.Pad},
		Shared: shared, Transport: way, Tokens: strings.Fields(string(tokens)), Seed: 1, Workers: t.Workers, Poll: 20 * time.Millisecond,
		Cohort: func(plan.Plan) int { return t.Devices },
	}
	draw := rand.New(rand.NewPCG(1, 2))
	for range t.Devices {
		history := make([]int32, 20)
		for i := range history {
			history[i] = int32(draw.IntN(t.D - t.Pad))
		}
		cfg.Histories = append(cfg.Histories, history)
	}
	return fleet.New(cfg)
}

// way is the devices' transport: questions go over a few connections that all share, as through a carrier's proxy; every
// upload dials one of its own, as a phone does.
type way struct {
	cfg    transport.Config
	shared []*transport.Conn

	mu       sync.Mutex
	next     int
	checkIns []float64 // seconds
	uploads  []float64
	bytes    int64
	first    time.Time // upload began
	last     time.Time // upload ended
}

func newWay(address, ca string) (*way, error) {
	w := &way{cfg: transport.Config{Address: address, CAFile: ca}}
	for range 16 {
		c, err := transport.Dial(w.cfg)
		if err != nil {
			return nil, err
		}
		w.shared = append(w.shared, c)
	}
	return w, nil
}

func (w *way) Close() {
	for _, c := range w.shared {
		c.Close()
	}
}

func (w *way) conn() *transport.Conn {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.next++
	return w.shared[w.next%len(w.shared)]
}

func (w *way) Enroll(ctx context.Context, r client.EnrollRequest) ([]byte, error) {
	return w.conn().Enroll(ctx, r)
}

func (w *way) CheckIn(ctx context.Context, r client.CheckInRequest) (client.CheckIn, error) {
	began := time.Now()
	answer, err := w.conn().CheckIn(ctx, r)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.checkIns = append(w.checkIns, time.Since(began).Seconds())
	return answer, err
}

func (w *way) Blob(ctx context.Context, digest [32]byte, limit int64) ([]byte, error) {
	return w.conn().Blob(ctx, digest, limit)
}

func (w *way) Delta(ctx context.Context, digest, base [32]byte, limit int64) ([]byte, error) {
	return w.conn().Delta(ctx, digest, base, limit)
}

func (w *way) Receipt(ctx context.Context, r client.ReceiptRequest) (client.Receipt, error) {
	return w.conn().Receipt(ctx, r)
}

func (w *way) Upload(ctx context.Context, u client.Upload) (client.Receipt, error) {
	began := time.Now()
	c, err := transport.Dial(w.cfg)
	if err != nil {
		return client.Receipt{}, err
	}
	defer c.Close()
	receipt, err := c.Upload(ctx, u)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.first.IsZero() {
		w.first = began
	}
	w.last = time.Now()
	w.uploads = append(w.uploads, time.Since(began).Seconds())
	w.bytes += int64(len(u.Header) + len(u.Vector))
	return receipt, err
}

// pester opens connections that no honest device opens: some say one byte a second, some send noise.
func (t *town) pester(ctx context.Context, group *sync.WaitGroup) error {
	settings, err := keys.ClientTLS(keys.Files{CA: t.certs().CA})
	if err != nil {
		return err
	}
	settings.NextProtos = []string{"h2"}
	for range t.Hostile {
		group.Go(func() { crawl(ctx, t.address) })
		group.Go(func() { babble(ctx, t.address, settings) })
	}
	return nil
}

// crawl sends the beginning of a handshake byte by byte, and begins anew when it is cut off.
func crawl(ctx context.Context, address string) {
	for ctx.Err() == nil {
		c, err := net.Dial("tcp", address)
		for err == nil && ctx.Err() == nil {
			if _, err = c.Write([]byte{0x16}); err == nil {
				pause(ctx, time.Second)
			}
		}
		if c != nil {
			c.Close()
		}
		pause(ctx, 100*time.Millisecond)
	}
}

// babble speaks TLS and then nothing that makes sense.
func babble(ctx context.Context, address string, settings *tls.Config) {
	noise := make([]byte, 16<<10)
	for ctx.Err() == nil {
		c, err := tls.DialWithDialer(&net.Dialer{Timeout: 5 * time.Second}, "tcp", address, settings)
		if err == nil {
			c.SetDeadline(time.Now().Add(5 * time.Second))
			c.Write([]byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"))
			for err == nil && ctx.Err() == nil {
				for i := range noise {
					noise[i] = byte(rand.Uint32())
				}
				_, err = c.Write(noise)
			}
			c.Close()
		}
		pause(ctx, 100*time.Millisecond)
	}
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
