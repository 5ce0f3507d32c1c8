package server

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/big"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"tutti/aggregation"
	"tutti/privacy/ledger"
	"tutti/privacy/report"
	"tutti/server/api"
	"tutti/server/committee"
	"tutti/server/round"
	"tutti/server/store"
)

// splitWorld is a world whose rounds are split, with so many devices.
func splitWorld(t *testing.T, groups, devices int, noisy bool) *world {
	t.Helper()
	w := newWorldOf(t, 5, func(w *world) { w.cfg.Groups, w.noisy = groups, noisy })
	w.spare = append(w.spare, w.enrol(devices-len(w.spare))...)
	return w
}

// byGroup waits for the round's lot and sorts all devices by it, as each of them could itself.
func (w *world) byGroup(devices []*device, groups int) [][]*device {
	w.t.Helper()
	devices[0].await()
	cfg, err := aggregation.ParseConfig(devices[0].offer.GetConfig())
	w.must(err)
	out := make([][]*device, groups)
	for _, d := range devices {
		k := cfg.ShardOf(d.id())
		out[k] = append(out[k], d)
	}
	return out
}

// bring lets devices contribute at once, device i the number numbers[i].
func bring(t *testing.T, devices []*device, numbers []int) {
	var all sync.WaitGroup
	for i, d := range devices {
		all.Go(func() {
			if d.await(); d.offer != nil {
				d.seal(numbers[i])
				if got := d.deliver(); got != api.UploadState_UPLOAD_STATE_STAGED {
					t.Errorf("an upload is %v", got)
				}
			}
		})
	}
	all.Wait()
}

// indicator is the digest of the sum of these devices.
func indicator(dim int, numbers []int) [32]byte {
	want := make([]int64, dim)
	for _, i := range numbers {
		want[i] = 1
	}
	return sha256.Sum256(SumBytes(want))
}

// TestFourGroups splits a round over 64 devices into four groups. In each some devices never come and one dies in the
// middle of its upload; one group stays below the minimum. The others are opened, each exactly, and so is their sum.
// A group holds fewer than four of 64 devices with probability below 2^-14.
func TestFourGroups(t *testing.T) {
	w := splitWorld(t, 4, 64, false)
	devices := w.spare
	r := w.start(w.spec(40, 2, 20))
	groups := w.byGroup(devices, 4)
	numbers, next, whole := make([][]int, 4), 0, []int{}
	var counted, late []*device
	for k, members := range groups {
		if len(members) < 4 {
			t.Fatalf("group %d has %d devices", k, len(members))
		}
		come := members[:3]
		if k == 2 {
			come, late = members[:1], members[:1]
		} else {
			counted = append(counted, come...)
		}
		for range come {
			numbers[k] = append(numbers[k], next)
			next++
		}
		bring(t, come, numbers[k])
		if k != 2 {
			whole = append(whole, numbers[k]...)
		}
		dead := members[3]
		dead.await()
		dead.seal(63)
		ctx, cancel := context.WithCancel(context.Background())
		dead.stall(ctx)
		cancel()
	}
	w.server.CloseCollection()
	if r.wait(t); r.err != nil {
		t.Fatal(r.err)
	}
	dim := r.result.Plan.Mechanism.PaddedDim
	var sums []ledger.Digest
	for k, g := range r.result.Groups {
		want := GroupResult{Outcome: ledger.Published, N: 3, Aggregate: indicator(dim, numbers[k])}
		if k == 2 {
			want = GroupResult{Outcome: ledger.Abandoned, Reason: round.TooFewUploads.String()}
		}
		if g != want {
			t.Errorf("group %d is %+v, want %+v", k, g, want)
		}
		sums = append(sums, g.Aggregate)
	}
	if r.result.N != 9 || r.result.Aggregate != ledger.Join(sums...) || len(r.result.Groups) != 4 {
		t.Errorf("the round has %d devices in %d groups", r.result.N, len(r.result.Groups))
	}
	w.holds(r.result, whole)
	w.publish(r.result)
	for _, d := range counted {
		if got := d.receipt(r.result.Round).GetState(); got != api.UploadState_UPLOAD_STATE_COUNTED {
			t.Errorf("a device in an opened group is told %v", got)
		}
	}
	for _, d := range append(late, groups[2][3]) { // one was staged, the other never arrived: both may take their charge back
		if got := d.receipt(r.result.Round).GetState(); got != api.UploadState_UPLOAD_STATE_ABANDONED {
			t.Errorf("a device of the abandoned group is told %v", got)
		}
	}
	if left, err := filepath.Glob(filepath.Join(w.cfg.Dir, "rounds", "*", "*")); err != nil || len(left) > 0 {
		t.Errorf("files of the round are left: %v", left)
	}
}

// holds says whether the decoded sum is that of these devices, up to the rounding of single precision.
func (w *world) holds(r *RoundResult, numbers []int) {
	w.t.Helper()
	total, count := 0.0, 0.0
	for _, v := range r.Sum.Values {
		total += float64(v) * float64(v)
	}
	unit := r.Plan.Mechanism.Scale()
	count = float64(len(numbers)) / (unit * unit) // e_i in grid units stays orthogonal under the rotation
	if diff := total - count; diff > 1e-3*count || diff < -1e-3*count {
		w.t.Errorf("the sum's square is %v, want %v", total, count)
	}
}

// TestGroupsAllAbandoned: the budget is free again only when every group is abandoned by certificate, and then it is.
func TestGroupsAllAbandoned(t *testing.T) {
	w := splitWorld(t, 3, 24, true)
	r := w.start(w.spec(12, 4, 20))
	groups := w.byGroup(w.spare, 3)
	bring(t, groups[0][:1], []int{0})
	w.server.CloseCollection()
	r.wait(t)
	var abandoned *AbandonedError
	if !errors.As(r.err, &abandoned) || !abandoned.Freed || abandoned.Staged != 1 {
		t.Fatalf("the round ends with %v", r.err)
	}
	books, err := w.server.st.Budget(context.Background(), "test")
	w.must(err)
	if books[store.Freed].Cmp(big.NewRat(1, 4)) != 0 || books[store.Charged].Sign() != 0 || books[store.Reserved].Sign() != 0 {
		t.Errorf("the books say %v", books)
	}
	if got := w.server.Ledger().Totals(); got.Spent.Sign() != 0 || got.Reserved.Sign() != 0 {
		t.Errorf("the log says %v spent, %v reserved", got.Spent, got.Reserved)
	}
}

// TestGroupsChargeOnce: three groups are certified and opened for one round's cost, and the report that says so verifies;
// with a group's record changed it does not.
func TestGroupsChargeOnce(t *testing.T) {
	w := splitWorld(t, 3, 45, true)
	r := w.start(w.spec(15, 4, 20))
	for _, members := range w.byGroup(w.spare, 3) {
		if len(members) < 4 {
			t.Skipf("the lot made a group of %d devices, which happens in one of 2^9 runs", len(members))
		}
		bring(t, members[:4], []int{0, 1, 2, 3})
	}
	w.server.CloseCollection()
	if r.wait(t); r.err != nil {
		t.Fatal(r.err)
	}
	w.publish(r.result)
	rho := r.result.Plan.Rho()
	books, err := w.server.st.Budget(context.Background(), "test")
	w.must(err)
	if books[store.Charged].Cmp(rho) != 0 || books[store.Reserved].Sign() != 0 || w.server.Ledger().Totals().Spent.Cmp(rho) != 0 {
		t.Errorf("three groups cost %v in the books and %v in the log, want %v once", books[store.Charged], w.server.Ledger().Totals().Spent, rho)
	}
	w.verifies(r.result)
}

func (w *world) verifies(result *RoundResult) {
	w.t.Helper()
	var records []ledger.Record
	w.must(w.server.Ledger().Records(context.Background(), 0, func(r ledger.Record) error { records = append(records, r); return nil }))
	checkpoint, err := w.server.Ledger().Checkpoint()
	w.must(err)
	in := report.Input{Task: "test", Records: records, Checkpoint: checkpoint,
		Run: report.Run{}, Setting: report.Setting{Devices: 45, SelfEnrolled: true}}
	built, err := report.Build(in)
	w.must(err)
	if n := len(built.Rounds[0].Groups); n != 3 || built.Rounds[0].Survived != uint64(result.N) || !strings.Contains(fmt.Sprint(built.Limitations), "up to 3 groups") {
		w.t.Errorf("the report tells of %d groups and %d devices", n, built.Rounds[0].Survived)
	}
	signed, err := report.Sign(w.keys.Operator, built)
	w.must(err)
	var lines bytes.Buffer
	w.must(w.server.Ledger().Export(context.Background(), &lines))
	if got := report.Verify(signed, lines.Bytes(), report.Options{Operator: w.server.Operator()}); got.Overall != report.Verified {
		w.t.Errorf("the report is %v: %v %+v", got.Overall, got.Reason, got.Steps)
	}
	for name, change := range map[string]func(*ledger.Group){
		"a set of another size": func(g *ledger.Group) { g.Survived++ },
		"another certificate":   func(g *ledger.Group) { g.Certificate[0] ^= 1 },
		"another sum":           func(g *ledger.Group) { g.Aggregate[0] ^= 1 },
		"an abandoned group":    func(g *ledger.Group) { g.Outcome = ledger.Abandoned },
		"a group too small":     func(g *ledger.Group) { g.Survived = 1 },
	} {
		if got := w.tampered(records, change); got == nil {
			w.t.Errorf("%s: the log is accepted", name)
		}
		forged := bytes.Replace(lines.Bytes(), []byte(`"group":1`), []byte(`"group":2`), 1)
		if got := report.Verify(signed, forged, report.Options{}); got.Overall != report.FailedAll {
			w.t.Errorf("a renumbered group: %v", got.Overall)
		}
	}
}

// tampered rewrites one group's record and all hashes behind it, as an operator could who writes the log anew, and
// judges the result.
func (w *world) tampered(records []ledger.Record, change func(*ledger.Group)) error {
	log := new(ledger.State)
	first := true
	for _, r := range records {
		body := r.Body
		if g, ok := body.(*ledger.Group); ok && first {
			first = false
			other := *g
			change(&other)
			body = &other
		}
		if _, err := log.Add(log.Next(body, r.Time)); err != nil {
			return err
		}
	}
	return nil
}

// TestGroupsAreDisjoint: a device refuses another group's configuration, the server refuses its upload there, and so do
// the members.
func TestGroupsAreDisjoint(t *testing.T) {
	w := splitWorld(t, 3, 30, false)
	r := w.start(w.spec(12, 2, 20))
	groups := w.byGroup(w.spare, 3)
	own, foreign := groups[0][0], groups[1][0]
	own.await()
	foreign.await()
	right := own.offer
	own.offer = foreign.offer
	cfg, err := aggregation.ParseConfig(foreign.offer.GetConfig())
	w.must(err)
	client := aggregation.Client{Key: own.key, Pins: aggregation.Pins{Enroller: cfg.Literal().Enroller, Roster: w.cfg.roster()}}
	x := make([]int32, cfg.Params().Dim())
	if _, err := client.Seal(zeros{}, cfg, cfg.Literal().Bases[0], x, cfg.Params().Bound()); !errors.Is(err, aggregation.ErrShard) {
		t.Errorf("a device seals for another group: %v", err)
	}
	own.offer = right
	own.seal(0)
	path, ok := w.server.round.people.Path(own.id())
	if !ok {
		t.Fatal("the device is not enrolled")
	}
	headers := own.sealed.Header.ForMembers(path)
	for shard := range uint32(3) {
		b, err := headers[0].Marshal()
		w.must(err)
		submit := func() ([]committee.Verdict, error) {
			id := aggregation.RoundID{Task: "test", Round: own.round(), Shard: shard}
			return w.server.nodes[0].SubmitShares(context.Background(), id, [][]byte{b})
		}
		verdicts, err := submit()
		for range 500 { // devices are invited while the last members still begin
			if !errors.Is(err, aggregation.RefuseNoRound) {
				break
			}
			time.Sleep(10 * time.Millisecond)
			verdicts, err = submit()
		}
		w.must(err)
		if got := verdicts[0].Reason; (got == aggregation.Accepted) != (shard == 0) {
			t.Errorf("a member says in group %d: %v", shard, got)
		}
	}
	foreign.seal(1)
	stolen := *foreign.sealed.Header
	stolen.ID = own.id()
	raw, err := stolen.Marshal()
	w.must(err)
	if got, err := own.sendRaw(own.round(), raw, foreign.sealed.Vector, uint64(len(foreign.sealed.Vector))); err == nil && got.GetState() != api.UploadState_UPLOAD_STATE_REJECTED {
		t.Errorf("an upload under another group's configuration is %v", got.GetState())
	}
	w.server.Abandon()
	r.wait(t)
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }

// TestGroupsSurviveDeath lets the server die before and after every transition of the first and of the last of three groups; the next process finishes the round with the same sums.
func TestGroupsSurviveDeath(t *testing.T) {
	w := splitWorld(t, 3, 60, false)
	states := []round.State{round.Created, round.Collecting, round.Frozen, round.Certified, round.Released, round.Applied, round.Published}
	for i, from := range states[:len(states)-1] {
		for _, when := range []string{"before", "after"} {
			point := fmt.Sprintf("%s %v->%v", when, from, states[i+1])
			w.dieSplit(point)
			if i > 0 { // the first group opens the round for all
				w.dieSplit(point + " of group 2")
			}
		}
	}
}

// dieSplit runs one split round that dies at a point.
func (w *world) dieSplit(point string) {
	t := w.t
	t.Helper()
	died := false
	w.server.fault = func(at string) error {
		if at == point {
			return errDied
		}
		return nil
	}
	revive := func() *running {
		died = true
		w.stop()
		w.open()
		return w.resume()
	}
	r := w.start(w.spec(12, 2, 40))
	if strings.Contains(point, "created") {
		if r.wait(t); !errors.Is(r.err, errDied) {
			t.Fatalf("%s: %v", point, r.err)
		}
		r = revive()
	}
	groups := w.byGroup(w.spare, 3)
	var digests [][32]byte
	var all sync.WaitGroup
	for k, members := range groups {
		if len(members) < 4 {
			t.Fatalf("the lot made a group of %d of 60 devices", len(members))
		}
		for i, d := range members[:4] { // the goal of a group
			all.Go(func() {
				if d.await(); d.offer != nil {
					d.seal(4*k + i)
					d.deliver()
				}
			})
		}
		digests = append(digests, indicator(r.dim(w), []int{4 * k, 4*k + 1, 4*k + 2, 4*k + 3}))
	}
	if r.wait(t); errors.Is(r.err, errDied) {
		r = revive()
		r.wait(t)
	}
	all.Wait()
	if r.err != nil {
		t.Fatalf("%s: %v", point, r.err)
	}
	for k, g := range r.result.Groups {
		if g.Outcome != ledger.Published || g.N != 4 || g.Aggregate != digests[k] {
			t.Errorf("%s: group %d is %+v", point, k, g)
		}
	}
	_, err := w.server.Publish(context.Background(), Publication{Round: r.result})
	if errors.Is(err, errDied) {
		r = revive()
		r.wait(t)
		if !errors.Is(r.err, ErrNothing) {
			if r.err != nil {
				t.Fatalf("%s: %v", point, r.err)
			}
			w.publish(r.result)
		}
	} else {
		w.must(err)
	}
	if !died {
		t.Errorf("the server never came to %s", point)
	}
	if n := w.server.Ledger().Totals(); n.Reserved.Sign() != 0 {
		t.Errorf("%s: %v stays reserved", point, n.Reserved)
	}
}

// dim is the padded length of the world's usual sums.
func (r *running) dim(w *world) int { return w.spec(12, 2, 40).Mechanism.PaddedDim }

// TestGarbageVoidsItsGroupAlone: a device that sends garbage under well-shared keys voids the sum of its own group. That
// group is charged and lost; the other is opened, and the log holds both.
func TestGarbageVoidsItsGroupAlone(t *testing.T) {
	w := splitWorld(t, 2, 30, false)
	r := w.start(w.spec(16, 2, 20))
	groups := w.byGroup(w.spare, 2)
	for k, members := range groups {
		if len(members) < 3 {
			t.Fatalf("the lot made a group of %d of 30 devices", len(members))
		}
		bring(t, members[:2], []int{2 * k, 2*k + 1})
	}
	liar := groups[0][2]
	liar.await()
	liar.seal(4)
	liar.ruin()
	if got := liar.deliver(); got != api.UploadState_UPLOAD_STATE_STAGED {
		t.Fatalf("garbage: %v", got)
	}
	w.server.CloseCollection()
	if r.wait(t); r.err != nil {
		t.Fatal(r.err)
	}
	dim := r.result.Plan.Mechanism.PaddedDim
	want := []GroupResult{{Outcome: ledger.Lost, Reason: round.Garbage.String()}, {Outcome: ledger.Published, N: 2, Aggregate: indicator(dim, []int{2, 3})}}
	for k, g := range r.result.Groups {
		if g != want[k] {
			t.Errorf("group %d is %+v, want %+v", k, g, want[k])
		}
	}
	w.stop() // the lost group has ended and the other waits: both are there again
	w.open()
	again := w.resume()
	if again.wait(t); again.err != nil || again.result.Aggregate != r.result.Aggregate || again.result.N != 2 {
		t.Fatalf("after a restart the round is %+v, %v", again.result, again.err)
	}
	w.publish(again.result)
	var charged []*ledger.Group
	w.must(w.server.Ledger().Records(context.Background(), 0, func(rec ledger.Record) error {
		if g, ok := rec.Body.(*ledger.Group); ok {
			charged = append(charged, g)
		}
		return nil
	}))
	if len(charged) != 2 || charged[0].Outcome != ledger.Lost || charged[0].Survived != 3 || charged[1].Outcome != ledger.Published || charged[1].Survived != 2 {
		t.Errorf("the log holds %+v", charged)
	}
}
