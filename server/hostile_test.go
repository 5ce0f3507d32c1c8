package server

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"tutti/aggregation"
	"tutti/server/api"
	"tutti/server/round"
)

// TestHostileDevices: every lie is answered with its reason, and the round's sum stays that of the honest.
func TestHostileDevices(t *testing.T) {
	w := newWorld(t, nil)
	first := w.start(w.spec(3, 3, 8))
	devices := w.together(3)
	first.wait(t)
	if first.err != nil {
		t.Fatal(first.err)
	}
	w.publish(first.result)

	second := w.start(w.spec(4, 3, 8))
	liar := w.device()
	liar.await()
	liar.seal(20)
	good, err := liar.sealed.Header.Marshal()
	w.must(err)
	vector, number := liar.sealed.Vector, liar.round()
	n := uint64(len(vector))
	flipped := append([]byte{}, vector...)
	flipped[len(flipped)/2] ^= 1
	forged := append([]byte{}, good...)
	forged[len(forged)-1] ^= 1 // in the last envelope: the signed root no longer fits
	stranger := *liar
	_, stranger.key, _ = ed25519.GenerateKey(rand.Reader)
	replayed, err := devices[0].sealed.Header.Marshal()
	w.must(err)

	cases := []struct {
		name           string
		round          uint64
		header, vector []byte
		announced      uint64
		want           api.RejectReason
	}{
		{"a replay of the last round", number, replayed, devices[0].sealed.Vector, n, api.RejectReason_REJECT_REASON_WRONG_CONFIG},
		{"a flipped bit", number, good, flipped, n, api.RejectReason_REJECT_REASON_VECTOR},
		{"a short vector", number, good, vector[:n-1], n - 1, api.RejectReason_REJECT_REASON_VECTOR},
		{"a longer vector than announced", number, good, append(append([]byte{}, vector...), 0), n, api.RejectReason_REJECT_REASON_VECTOR},
		{"a huge announcement", number, good, vector, 1 << 62, api.RejectReason_REJECT_REASON_VECTOR},
		{"a forged envelope", number, forged, vector, n, api.RejectReason_REJECT_REASON_HEADER},
		{"garbage", number, []byte("garbage"), vector, n, api.RejectReason_REJECT_REASON_HEADER},
		{"no such round", number + 7, good, vector, n, api.RejectReason_REJECT_REASON_NO_SUCH_ROUND},
	}
	for _, c := range cases {
		r, err := liar.sendRaw(c.round, c.header, c.vector, c.announced)
		if err != nil || r.GetState() != api.UploadState_UPLOAD_STATE_REJECTED || r.GetReason() != c.want {
			t.Errorf("%s: %v %v %v, want %v", c.name, r.GetState(), r.GetReason(), err, c.want)
		}
	}
	if _, err := liar.sendRaw(number, good, vector[:n/2], n); status.Code(err) != codes.InvalidArgument {
		t.Errorf("a truncated vector: %v", err)
	}
	if _, err := liar.sendRaw(number, make([]byte, 257<<10), vector, n); status.Code(err) != codes.InvalidArgument {
		t.Errorf("a header of 257 KiB: %v", err)
	}

	// the same bytes twice are one upload; a second seal is a conflict
	for range 2 {
		if got := liar.deliver(); got != api.UploadState_UPLOAD_STATE_STAGED {
			t.Errorf("an honest upload is %v", got)
		}
	}
	liar.seal(21)
	if r, err := liar.send(); err != nil || r.GetReason() != api.RejectReason_REJECT_REASON_CONFLICT {
		t.Errorf("a second upload: %v %v", r, err)
	}
	w.together(3)
	second.wait(t)
	if second.err != nil {
		t.Fatal(second.err)
	}
	exact(t, second.result, []int{0, 1, 2, 20})
	w.publish(second.result)
	if r, err := devices[0].send(); err != nil || r.GetState() != api.UploadState_UPLOAD_STATE_COUNTED {
		t.Errorf("the first round's upload again: %v %v", r, err)
	}
}

func TestHostileCheckIns(t *testing.T) {
	w := newWorld(t, nil)
	d := w.device()
	ctx := context.Background()
	ask := func(change func(*api.CheckInRequest)) error {
		now := time.Now().Unix()
		r := &api.CheckInRequest{Task: "test", PublicKey: d.public(), Enrolment: d.enrolment, TimeUnix: now, Protocol: 1}
		change(r)
		if r.Signature == nil {
			r.Signature = ed25519.Sign(d.key, CheckInMessage(r.Task, r.PublicKey, r.TimeUnix, r.LogSize))
		}
		_, err := d.rpc.CheckIn(ctx, r)
		return err
	}
	_, other, _ := ed25519.GenerateKey(rand.Reader)
	cases := []struct {
		name   string
		change func(*api.CheckInRequest)
		want   codes.Code
	}{
		{"honest", func(*api.CheckInRequest) {}, codes.OK},
		{"an old request", func(r *api.CheckInRequest) { r.TimeUnix -= 3600 }, codes.Unauthenticated},
		{"a future request", func(r *api.CheckInRequest) { r.TimeUnix += 3600 }, codes.Unauthenticated},
		{"a forged signature", func(r *api.CheckInRequest) { r.Signature = make([]byte, 64) }, codes.Unauthenticated},
		{"another's enrolment", func(r *api.CheckInRequest) { r.PublicKey = other.Public().(ed25519.PublicKey) }, codes.Unauthenticated},
		{"enrolled by oneself", func(r *api.CheckInRequest) { r.Enrolment = aggregation.Enrol(other, "test", d.public()) }, codes.Unauthenticated},
		{"another task", func(r *api.CheckInRequest) { r.Task = "else" }, codes.NotFound},
		{"a long field", func(r *api.CheckInRequest) { r.Signature = make([]byte, 1000) }, codes.InvalidArgument},
	}
	for _, c := range cases {
		if got := status.Code(ask(c.change)); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
	if err := ask(func(r *api.CheckInRequest) { r.Protocol = 0 }); err != nil {
		t.Errorf("an old protocol is answered with a wait, not with %v", err)
	}
}

func TestTokensEnrolOnce(t *testing.T) {
	w := newWorld(t, nil)
	tokens, err := w.server.Tokens(context.Background(), 1)
	w.must(err)
	a, b := w.device(), w.device()
	first, err := a.enrol(tokens[0])
	w.must(err)
	again, err := a.enrol(tokens[0])
	if err != nil || string(first) != string(again) {
		t.Errorf("the same device again: %v", err)
	}
	if _, err := b.enrol(tokens[0]); status.Code(err) != codes.PermissionDenied {
		t.Errorf("a used token: %v", err)
	}
	if _, err := b.enrol("made up"); status.Code(err) != codes.PermissionDenied {
		t.Errorf("an unknown token: %v", err)
	}
	b.key = a.key // the proof is b's own from here on
	_, err = b.rpc.Enroll(context.Background(), &api.EnrollRequest{Task: "test", Token: tokens[0], PublicKey: b.public(), Proof: make([]byte, 64)})
	if status.Code(err) != codes.Unauthenticated {
		t.Errorf("without proof of the key: %v", err)
	}
}

// TestUnenrolledUpload: a device that enrolled after the round's population was frozen waits for the next round, and what
// it uploads all the same is not staged.
func TestUnenrolledUpload(t *testing.T) {
	w := newWorld(t, nil)
	r := w.start(w.spec(3, 3, 8))
	d := w.device()
	d.await()
	late := w.enrol(1)[0]
	if a, err := late.checkIn(); err != nil || a.GetWait().GetReason() != api.WaitReason_WAIT_REASON_NO_ROUND {
		t.Errorf("enrolled after the freeze: %v %v", a, err)
	}
	late.offer = d.offer
	late.seal(5)
	if got, err := late.send(); err != nil || got.GetReason() != api.RejectReason_REJECT_REASON_NOT_ENROLLED {
		t.Errorf("not enrolled: %v %v", got, err)
	}
	w.server.Abandon()
	r.wait(t)
	r = w.start(w.spec(3, 3, 8))
	late.await()
	w.server.Abandon()
	r.wait(t)
}

// TestLotChooses: of many devices the lot makes few eligible; the others are sent home, and their own SDK would not seal.
func TestLotChooses(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.Asked = 2 })
	for { // until the lot leaves enough; who is drawn is nobody's choice
		r := w.start(w.spec(3, 3, enrolledAtOnce)) // room for all: whoever is sent home was not drawn
		for w.server.open() == nil {
			time.Sleep(5 * time.Millisecond)
		}
		var drawn, others []*device
		for _, d := range w.spare {
			a, err := d.checkIn()
			w.must(err)
			if d.offer = a.GetOffer(); d.offer != nil {
				drawn = append(drawn, d)
			} else if others = append(others, d); a.GetWait().GetReason() != api.WaitReason_WAIT_REASON_NO_ROUND {
				t.Errorf("a device that is not drawn waits for %v", a.GetWait().GetReason())
			}
		}
		if len(drawn) < 3 || len(others) == 0 {
			w.server.Abandon()
			r.wait(t)
			continue
		}
		cfg, err := aggregation.ParseConfig(drawn[0].offer.GetConfig())
		w.must(err)
		for _, d := range others {
			client := aggregation.Client{Key: d.key, Pins: aggregation.Pins{Enroller: w.server.Enroller(), Roster: w.cfg.roster()}}
			if _, err := client.Seal(rand.Reader, cfg, aggregation.Digest{}, make([]int32, cfg.Params().Dim()), cfg.Params().Bound()); !errors.Is(err, aggregation.ErrEnrol) {
				t.Errorf("a device that was sent home seals: %v", err)
			}
		}
		var numbers []int
		for i, d := range drawn[:3] {
			d.seal(i)
			if got := d.deliver(); got != api.UploadState_UPLOAD_STATE_STAGED {
				t.Errorf("a drawn device: %v", got)
			}
			numbers = append(numbers, i)
		}
		r.wait(t)
		if r.err != nil {
			t.Fatal(r.err)
		}
		exact(t, r.result, numbers)
		if p := r.result.Plan; p.Threshold == aggregation.EveryDevice || int(p.Population.Size) != enrolledAtOnce {
			t.Errorf("threshold %d of %d devices", p.Threshold, p.Population.Size)
		}
		w.publish(r.result)
		return
	}
}

func (c Config) roster() (keys []ed25519.PublicKey) {
	for _, p := range c.Committee {
		keys = append(keys, p.Identity)
	}
	return keys
}

// open is the round that is offered, if there is one.
func (s *Server) open() *intake {
	s.mu.Lock()
	a := s.round
	s.mu.Unlock()
	if a == nil {
		return nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.groups[0].offer == nil {
		return nil
	}
	return a.groups[0].intake
}

// spoil replaces envelopes by garbage, under the device's own good signature: only their members can notice.
func (d *device) spoil(members ...int) {
	h := d.sealed.Header
	for _, j := range members {
		rand.Read(h.Envelopes[j])
	}
	digest := h.Digest()
	h.Signature = ed25519.Sign(d.key, append([]byte("tutti/agg/v1/upload\x00"), digest[:]...))
}

// TestBadEnvelopes: what one node alone cannot open costs the node its place in this round, not the device; what two
// cannot open costs the device its place.
func TestBadEnvelopes(t *testing.T) {
	w := newWorld(t, nil)
	r := w.start(w.spec(6, 3, 8))
	w.together(3)
	alone, shared := w.device(), w.device()
	for i, d := range []*device{alone, shared} {
		d.await()
		d.seal(10 + i)
	}
	alone.spoil(1)
	shared.spoil(0, 2)
	for _, d := range []*device{alone, shared} {
		if got := d.deliver(); got != api.UploadState_UPLOAD_STATE_STAGED {
			t.Errorf("staged: %v", got)
		}
	}
	w.server.CloseCollection()
	r.wait(t)
	if r.err != nil {
		t.Fatal(r.err)
	}
	exact(t, r.result, []int{0, 1, 2, 10})
	if got := alone.receipt(r.result.Round); got.GetState() != api.UploadState_UPLOAD_STATE_COUNTED {
		t.Errorf("the device of a lone complaint: %v", got)
	}
	if got := shared.receipt(r.result.Round); got.GetState() != api.UploadState_UPLOAD_STATE_REJECTED || got.GetReason() != api.RejectReason_REJECT_REASON_COMMITTEE {
		t.Errorf("the device of two complaints: %v", got)
	}
	doubted := 0
	for _, e := range w.seen() {
		if n, ok := e.(NodeDoubted); ok && n.Node == w.nodes[1].address {
			doubted++
		}
	}
	if doubted != 1 || r.result.Counters.Refused != 1 {
		t.Errorf("node 2 was doubted %d times, %d uploads refused", doubted, r.result.Counters.Refused)
	}
	w.publish(r.result)
}

// ruin puts garbage for the vector under the device's own good signature.
func (d *device) ruin() {
	d.w.t.Helper()
	rand.Read(d.sealed.Vector)
	cfg, err := aggregation.ParseConfig(d.offer.GetConfig())
	d.w.must(err)
	d.sealed.Header.VecHash = vectorHash(cfg, d.sealed.Vector)
	d.spoil()
}

// TestGarbageVoidsTheRound: a garbage vector under well-shared keys cannot be told from a good one before the sum is
// open. Then nothing is published, the charge stays, and the next round runs.
func TestGarbageVoidsTheRound(t *testing.T) {
	w := newWorld(t, nil)
	w.noisy = true
	r := w.start(w.spec(3, 3, 4))
	w.together(2)
	liar := w.device()
	liar.await()
	liar.seal(5)
	liar.ruin()
	if got := liar.deliver(); got != api.UploadState_UPLOAD_STATE_STAGED {
		t.Fatalf("garbage: %v", got)
	}
	r.wait(t)
	var lost *LostError
	if !errors.As(r.err, &lost) || lost.Reason != round.Garbage {
		t.Fatalf("a sum with garbage in it: %v", r.err)
	}
	spent := w.server.Ledger().Totals().Spent
	if rho := w.spec(3, 3, 4).Mechanism.Rho(); spent.Cmp(rho) != 0 {
		t.Errorf("spent is %v, want the round's %v", spent, rho)
	}
	r = w.start(w.spec(3, 3, 4))
	w.together(3)
	r.wait(t)
	if r.err != nil {
		t.Fatal(r.err)
	}
	w.publish(r.result)
}

// TestNormCheck: where norms are proven, a vector of one device that is too long is found before it is summed; the others'
// sum is exact. A device's own SDK would not seal it, so the test signs another vector under an honest proof.
func TestNormCheck(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.CheckNorm = true })
	r := w.start(w.spec(4, 3, 500))
	w.together(3)
	liar := w.device()
	liar.await()
	liar.seal(5)
	rand.Read(liar.sealed.Vector)
	cfg, err := aggregation.ParseConfig(liar.offer.GetConfig())
	w.must(err)
	liar.sealed.Header.VecHash = vectorHash(cfg, liar.sealed.Vector)
	liar.spoil()
	if got := liar.deliver(); got != api.UploadState_UPLOAD_STATE_STAGED {
		t.Fatalf("garbage: %v", got)
	}
	w.server.CloseCollection()
	r.wait(t)
	if r.err != nil {
		t.Fatal(r.err)
	}
	exact(t, r.result, []int{0, 1, 2})
	if got := liar.receipt(r.result.Round); got.GetReason() != api.RejectReason_REJECT_REASON_NORM {
		t.Errorf("the device is told %v", got)
	}
	w.publish(r.result)
}

// vectorHash finds the hash under which a vector is signed, by asking the check for it.
func vectorHash(cfg *aggregation.Config, vector []byte) aggregation.Digest {
	h := sha256.New()
	const label = "tutti/agg/v1/vector"
	h.Write([]byte{byte(len(label))})
	h.Write([]byte(label))
	h.Write(vector)
	var d aggregation.Digest
	h.Sum(d[:0])
	if err := aggregation.VerifyVector(cfg, &aggregation.Header{Prelude: aggregation.Prelude{VecHash: d}}, vector); err != nil {
		panic(err)
	}
	return d
}
