package fleet_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"math"
	"sync/atomic"
	"testing"
	"time"

	"tutti/aggregation"
	"tutti/client"
	"tutti/client/fleet"
	"tutti/client/transport"
	"tutti/privacy/plan"
	"tutti/server"
)

// hostile is a device that someone wrote for the purpose: enrolled like every
// other, with a well-shared key and a good signature over what it likes.
type hostile struct {
	w         *town
	key       ed25519.PrivateKey
	conn      *transport.Conn
	enrolment []byte
	plan      plan.Plan
}

func (w *town) hostile(conn *transport.Conn) *hostile {
	w.t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	w.must(err)
	h := &hostile{w: w, key: key, conn: conn}
	tokens, err := w.server.Tokens(w.t.Context(), 1)
	w.must(err)
	h.enrolment, err = conn.Enroll(w.t.Context(), client.EnrollRequest{Task: w.policy.Task, Token: tokens[0], PublicKey: h.public(),
		Proof: ed25519.Sign(key, client.EnrollMessage(w.policy.Task, tokens[0]))})
	w.must(err)
	return h
}

func (h *hostile) public() ed25519.PublicKey { return h.key.Public().(ed25519.PublicKey) }

// offer waits for the round.
func (h *hostile) offer() *client.Offer {
	h.w.t.Helper()
	for range 500 {
		now := time.Now().Unix()
		answer, err := h.conn.CheckIn(h.w.t.Context(), client.CheckInRequest{Task: h.w.policy.Task, PublicKey: h.public(), Enrolment: h.enrolment,
			Time: now, Protocol: client.Protocol, Signature: ed25519.Sign(h.key, client.CheckInMessage(h.w.policy.Task, h.public(), now, 0))})
		if err == nil && answer.Offer != nil {
			return answer.Offer
		}
		time.Sleep(10 * time.Millisecond)
	}
	h.w.t.Fatal("no offer")
	return nil
}

// attack seals zeros, turns the masked vector into another, and signs that.
func (h *hostile) attack(turn func(p *aggregation.Params, vector []byte)) client.Receipt {
	h.w.t.Helper()
	o := h.offer()
	var err error
	h.plan, err = plan.Open(plan.Signed{Bytes: o.Plan, Signature: o.PlanSignature}, h.w.policy.Operator)
	h.w.must(err)
	cfg, err := aggregation.ParseConfig(o.Config)
	h.w.must(err)
	p := cfg.Params()
	sealer := aggregation.Client{Key: h.key, Pins: aggregation.Pins{Enroller: h.w.policy.Enroller, Roster: h.plan.Committee}}
	if p.Literal().Norm > 0 {
		long := make([]int32, p.Dim())
		for i := range long {
			long[i] = int32(p.Bound())
		}
		if _, err := sealer.Seal(rand.Reader, cfg, h.plan.Base, long, p.Bound()); !errors.Is(err, aggregation.ErrNorm) {
			h.w.t.Errorf("the SDK itself seals a vector beyond the norm: %v", err)
		}
	}
	up, err := sealer.Seal(rand.Reader, cfg, h.plan.Base, make([]int32, p.Dim()), p.Bound())
	h.w.must(err)
	turn(p, up.Vector)
	up.Header.VecHash = aggregation.HashVector(up.Vector)
	digest := up.Header.Digest()
	up.Header.Signature = ed25519.Sign(h.key, append([]byte("tutti/agg/v1/upload\x00"), digest[:]...))
	header, err := up.Header.Marshal()
	h.w.must(err)
	receipt, err := h.conn.Upload(h.w.t.Context(), client.Upload{Task: h.plan.Task, Round: h.plan.Round, Header: header, Vector: up.Vector})
	h.w.must(err)
	return receipt
}

// garbage is a vector of uniform words.
func garbage(p *aggregation.Params, vector []byte) {
	rand.Read(vector[:p.Dim()*p.WordBits()/8])
}

// boost adds a quarter of the wire's modulus to the first word, which is a
// quarter of the sum's domain in the plaintext: ninety norms and more.
func boost(p *aggregation.Params, vector []byte) {
	bit := p.WordBits() - 2
	low := uint(vector[bit/8]) | uint(vector[bit/8+1])<<8
	low += 1 << (bit % 8) // a carry beyond two bits of the word is lost in its neighbour
	vector[bit/8], vector[bit/8+1] = byte(low), byte(low>>8)
}

// TestNormCheckOfAFleet: where norms are proven, a fleet that insists on it and two hostile devices take part in one round, the server
// starts anew in the middle of it, and the sum is that of the fleet. The hostile devices are told why they are not in it.
func TestNormCheckOfAFleet(t *testing.T) {
	w := newTownOf(t, func(c *server.Config) { c.CheckNorm = true })
	w.policy.CheckNorm = true
	conn, err := transport.Dial(transport.Config{Address: w.address, CAFile: w.files.CA})
	w.must(err)
	defer conn.Close()
	attacks := []struct {
		*hostile
		name string
		turn func(*aggregation.Params, []byte)
	}{{w.hostile(conn), "garbage", garbage}, {w.hostile(conn), "boost", boost}}

	var answered atomic.Int64
	middle, goOn := make(chan struct{}), make(chan struct{})
	f := w.fleet(func(c *fleet.Config) {
		c.Workers = 1 // no other device asks while the server is away
		c.Observer = func(e fleet.Event) {
			if _, ok := e.(fleet.Answered); ok && answered.Add(1) == devices/2 {
				close(middle)
				<-goOn
			}
		}
	})
	w.must(f.Enrol(t.Context()))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	first := make(chan error, 1)
	spec, dying := w.popularity(devices, nil), w.server
	spec.Collect = 20 * time.Second
	go func() {
		_, err := dying.RunRound(ctx, spec)
		first <- err
	}()
	for _, a := range attacks {
		if r := a.attack(a.turn); r.State != client.UploadStaged {
			t.Fatalf("%s: %+v", a.name, r)
		}
	}
	done := make(chan error, 1)
	go func() { done <- f.Run(ctx) }()

	<-middle
	w.stop()
	if err := <-first; err == nil {
		t.Fatal("the round was over too soon")
	}
	w.serve()
	close(goOn)
	r, err := w.server.Resume(ctx)
	w.must(err)
	if r.N != devices {
		t.Fatalf("%d devices in the sum", r.N)
	}
	w.exact(r, func(int) bool { return true })
	w.publish(r)
	w.server.Finish()
	w.must(<-done)
	for _, a := range attacks {
		receipt, err := conn.Receipt(t.Context(), client.ReceiptRequest{Task: w.policy.Task, Round: r.Round, Device: aggregation.IDOf(a.public())})
		if err != nil || receipt.State != client.UploadRejected || receipt.Reason != client.RejectNorm {
			t.Errorf("%s: told %v, %v, %v", a.name, receipt.State, receipt.Reason, err)
		}
	}
	if c := f.Counters(); c.Contributed != devices || c.Refused != 0 {
		t.Errorf("%+v", c)
	}
}

// TestBoostWithoutNormCheck: the same boost, where nothing is proven, is in the sum, and far beyond what one device may add to it.
func TestBoostWithoutNormCheck(t *testing.T) {
	w := newTown(t)
	conn, err := transport.Dial(transport.Config{Address: w.address, CAFile: w.files.CA})
	w.must(err)
	defer conn.Close()
	h := w.hostile(conn)
	f := w.fleet(nil)
	w.must(f.Enrol(t.Context()))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		h.attack(boost)
		done <- f.Run(ctx)
	}()
	r := w.round(devices+1, nil)
	cancel()
	<-done
	squares := 0.0
	honest := w.popular(func(int) bool { return true })
	for k, x := range r.Sum.Values {
		squares += (float64(x) - honest[k]) * (float64(x) - honest[k])
	}
	if norm := math.Sqrt(squares); r.N != devices+1 || norm < 2 { // a clipped device adds 1 at most
		t.Errorf("%d devices, one of which added %g", r.N, norm)
	}
}
