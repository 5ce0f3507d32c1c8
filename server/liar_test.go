package server

import (
	"context"
	"crypto/ecdh"
	"crypto/ed25519"
	"crypto/hpke"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"tutti/aggregation"
	"tutti/server/api"
	"tutti/server/committee"
	"tutti/server/keys"
)

// liar stands before an honest node and changes what it says.
type liar struct {
	api.UnimplementedCommitteeServer
	node   api.CommitteeClient
	checks func([][]byte)            // changes the words of the sharing check
	answer func(*aggregation.Answer) // changes the answer, which is signed again
	coin   func([]byte) []byte       // changes the coin
	key    ed25519.PrivateKey        // the node's own
}

func (l *liar) Identity(ctx context.Context, r *api.IdentityRequest) (*api.IdentityResponse, error) {
	return l.node.Identity(ctx, r)
}
func (l *liar) OpenRound(ctx context.Context, r *api.OpenRoundRequest) (*api.OpenRoundResponse, error) {
	return l.node.OpenRound(ctx, r)
}
func (l *liar) Reveal(ctx context.Context, r *api.RevealRequest) (*api.RevealResponse, error) {
	a, err := l.node.Reveal(ctx, r)
	if err == nil && l.coin != nil {
		a.Coin = l.coin(a.Coin)
	}
	return a, err
}
func (l *liar) BeginRound(ctx context.Context, r *api.BeginRoundRequest) (*api.BeginRoundResponse, error) {
	return l.node.BeginRound(ctx, r)
}
func (l *liar) SubmitShares(ctx context.Context, r *api.SubmitSharesRequest) (*api.SubmitSharesResponse, error) {
	a, err := l.node.SubmitShares(ctx, r)
	if err == nil && l.checks != nil {
		l.checks(a.Checks)
	}
	return a, err
}
func (l *liar) SignSet(ctx context.Context, r *api.SignSetRequest) (*api.SignSetResponse, error) {
	return l.node.SignSet(ctx, r)
}
func (l *liar) SignAbandon(ctx context.Context, r *api.SignAbandonRequest) (*api.SignAbandonResponse, error) {
	return l.node.SignAbandon(ctx, r)
}
func (l *liar) Release(ctx context.Context, r *api.ReleaseRequest) (*api.ReleaseResponse, error) {
	a, err := l.node.Release(ctx, r)
	if err != nil || l.answer == nil || len(a.Answer) == 0 {
		return a, err
	}
	parsed, err := aggregation.ParseAnswer(a.Answer)
	if err != nil {
		return nil, err
	}
	l.answer(parsed)
	const label = "tutti/agg/v1/answer"
	body := parsed.Marshal()
	body = body[:len(body)-4-ed25519.SignatureSize]
	digest := sha256.Sum256(append(append([]byte{byte(len(label))}, label...), body...))
	parsed.Signature = ed25519.Sign(l.key, append([]byte(label+"\x00"), digest[:]...))
	a.Answer = parsed.Marshal()
	return a, nil
}

// lie puts a liar before node i of a world whose server is not open yet.
func (w *world) lie(i int, l *liar) {
	w.t.Helper()
	n := w.nodes[i]
	var err error
	l.key, err = committee.Key(n.cfg.Dir)
	w.must(err)
	toNode, err := keys.ClientTLS(w.files)
	w.must(err)
	conn, err := grpc.NewClient(n.address, grpc.WithTransportCredentials(credentials.NewTLS(toNode)))
	w.must(err)
	l.node = api.NewCommitteeClient(conn)
	settings, err := keys.MutualTLS(w.files)
	w.must(err)
	s := grpc.NewServer(grpc.Creds(credentials.NewTLS(settings)))
	api.RegisterCommitteeServer(s, l)
	at, err := listen("")
	w.must(err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.Serve(at)
	}()
	w.t.Cleanup(func() {
		s.Stop()
		<-done
		conn.Close()
	})
	w.cfg.Committee[i].Address = at.Addr().String()
}

func (w *world) doubted() (nodes []string, wrong int) {
	for _, e := range w.seen() {
		if d, ok := e.(NodeDoubted); ok {
			nodes = append(nodes, d.Node)
			wrong += d.Wrong
		}
	}
	return nodes, wrong
}

// TestLyingCheckIsNamed (rule 10, T3.18): a node whose words contradict the others' is named and left out, and every
// device stays.
func TestLyingCheckIsNamed(t *testing.T) {
	l := &liar{checks: func(words [][]byte) {
		for _, w := range words {
			w[len(w)-1] ^= 1
		}
	}}
	w := newWorldOf(t, 5, func(w *world) { w.lie(2, l) })
	r := w.start(w.spec(3, 3, 8))
	devices := w.together(3)
	r.wait(t)
	if r.err != nil {
		t.Fatal(r.err)
	}
	exact(t, r.result, []int{0, 1, 2})
	if nodes, wrong := w.doubted(); !slices.Equal(nodes, []string{w.cfg.Committee[2].Address}) || wrong != 3 {
		t.Errorf("doubted %v for %d uploads", nodes, wrong)
	}
	w.publish(r.result)
	for _, d := range devices {
		if got := d.receipt(r.result.Round).GetState(); got != api.UploadState_UPLOAD_STATE_COUNTED {
			t.Errorf("an honest device is %v", got)
		}
	}
}

// missealed seals what is no share to members, under the device's own good signature: every envelope opens, and only the
// sharing check can notice.
func (d *device) missealed(members ...int) {
	cfg, err := aggregation.ParseConfig(d.offer.GetConfig())
	d.w.must(err)
	h, p := d.sealed.Header, cfg.Params()
	const label, version = "tutti/agg/v1/share", 1
	for _, j := range members {
		info := binary.BigEndian.AppendUint32(nil, uint32(len(label)))
		info = append(append(info, label...), version)
		cfgDigest := cfg.Digest()
		info = append(append(append(info, cfgDigest[:]...), h.ID[:]...), h.Nonce[:]...)
		info = binary.BigEndian.AppendUint16(info, uint16(j+1))
		plain := []byte{version}
		for range p.AnswerWords() + p.CheckWords() {
			var b [4]byte
			rand.Read(b[:])
			plain = binary.BigEndian.AppendUint32(plain, binary.BigEndian.Uint32(b[:])>>2) // below 2^31 - 1
		}
		kem := hpke.MLKEM768X25519()
		if cfg.Suite() == aggregation.SuiteX25519 {
			kem = hpke.DHKEM(ecdh.X25519())
		}
		public, err := kem.NewPublicKey(cfg.Literal().Roster[j].Key.Public)
		d.w.must(err)
		h.Envelopes[j], err = hpke.Seal(public, hpke.HKDFSHA256(), hpke.AES256GCM(), info, plain)
		d.w.must(err)
	}
	d.spoil()
}

// TestInconsistentSharingIsExcluded (T3.18): one device whose shares are not shares of one key is left out, alone, before
// anything of it is folded.
func TestInconsistentSharingIsExcluded(t *testing.T) {
	for _, suite := range []aggregation.Suite{aggregation.SuiteX25519, aggregation.SuiteMLKEM768X25519} {
		t.Run(suite.String(), func(t *testing.T) {
			w := newWorld(t, func(c *Config) { c.Suite = suite })
			r := w.start(w.spec(5, 3, 8))
			w.together(3)
			d := w.device()
			d.await()
			d.seal(9)
			d.missealed(1, 3)
			if got := d.deliver(); got != api.UploadState_UPLOAD_STATE_STAGED {
				t.Fatalf("staged: %v", got)
			}
			w.server.CloseCollection()
			r.wait(t)
			if r.err != nil {
				t.Fatal(r.err)
			}
			exact(t, r.result, []int{0, 1, 2})
			if got := d.receipt(r.result.Round); got.GetReason() != api.RejectReason_REJECT_REASON_SHARING {
				t.Errorf("the device is told %v", got)
			}
			if nodes, _ := w.doubted(); len(nodes) > 0 || r.result.Counters.Refused != 1 {
				t.Errorf("nodes %v are doubted, %d uploads refused", nodes, r.result.Counters.Refused)
			}
			w.publish(r.result)
		})
	}
}

// TestWrongAnswersAreCorrected (T3.17): two of nine nodes answer wrong sums of shares; the sum is exact and both are named.
func TestWrongAnswersAreCorrected(t *testing.T) {
	wrong := func(a *aggregation.Answer) { a.Words[7] ^= 1 }
	w := newWorldOf(t, 9, func(w *world) {
		w.cfg.Corrupt = 2
		w.lie(1, &liar{answer: wrong})
		w.lie(6, &liar{answer: wrong})
	})
	r := w.start(w.spec(3, 3, 8))
	w.together(3)
	r.wait(t)
	if r.err != nil {
		t.Fatal(r.err)
	}
	exact(t, r.result, []int{0, 1, 2})
	liars := []string{w.cfg.Committee[1].Address, w.cfg.Committee[6].Address}
	if !slices.Equal(r.result.Wrong, liars) {
		t.Errorf("named %v, want %v", r.result.Wrong, liars)
	}
	named := func() (n int) {
		for _, e := range w.seen() {
			if e, ok := e.(NodeWrong); ok && slices.Contains(liars, e.Node) && e.Round == r.result.Round {
				n++
			}
		}
		return n
	}
	for range 1000 { // a round's result may be there before what happened is told
		if named() == 2 {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if named() != 2 {
		t.Errorf("%d nodes are named", named())
	}
	w.publish(r.result)
}

// TestWrongCoinOpensNothing: a node that shows another coin than it committed to ends the round before a device saw it,
// and nothing is charged; so does a node that shows none. The next round runs without it.
func TestWrongCoinOpensNothing(t *testing.T) {
	for name, coin := range map[string]func([]byte) []byte{
		"another": func(b []byte) []byte { b[0] ^= 1; return b },
		"none":    func([]byte) []byte { return nil },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorldOf(t, 5, func(w *world) { w.lie(4, &liar{coin: coin}) })
			a, err := w.server.openRound(context.Background(), w.spec(3, 3, 8), nil)
			w.must(err)
			d := w.device()
			if _, err := w.server.await(context.Background(), a); err == nil {
				t.Error("the round opened")
			}
			if answer, err := d.checkIn(); err != nil || answer.GetOffer() != nil {
				t.Errorf("a device saw the round: %v %v", answer, err)
			}
			if spent := w.server.Ledger().Totals(); spent.Spent.Sign() != 0 || spent.Reserved.Sign() != 0 {
				t.Errorf("spent %v, reserved %v", spent.Spent, spent.Reserved)
			}
			r := w.start(w.spec(3, 3, 8))
			w.together(3)
			r.wait(t)
			if r.err != nil {
				t.Fatal(r.err)
			}
			if members := r.result.Plan.Committee; len(members) != 4 || slices.ContainsFunc(members, func(k ed25519.PublicKey) bool { return k.Equal(w.nodes[4].key) }) {
				t.Errorf("the round has %d members", len(members))
			}
			w.publish(r.result)
		})
	}
}
