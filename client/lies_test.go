package client_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"math/big"
	"testing"

	"tutti/aggregation"
	"tutti/client"
	"tutti/client/transport/testserver"
	"tutti/model"
	"tutti/privacy/ledger"
	"tutti/privacy/plan"
	"tutti/server/api"
)

// TestLies has the server, or somebody between it and the device, change one
// thing. Each must be refused for the named reason, with nothing charged,
// nothing sealed, and the device still able to take part in an honest round.
func TestLies(t *testing.T) {
	flip := func(b []byte, at int) []byte {
		b = append([]byte(nil), b...)
		b[(at+len(b))%len(b)] ^= 1
		return b
	}
	onOffer := func(change func(*api.Offer)) func(*world) {
		return func(w *world) {
			w.Lie(testserver.Lies{CheckIn: func(r *api.CheckInResponse) {
				if r.Offer != nil {
					change(r.Offer)
				}
			}})
		}
	}
	edit := func(change func(*plan.Plan)) testserver.Spec {
		s := popularityRound(3)
		s.Edit = change
		return s
	}
	_, stranger, _ := ed25519.GenerateKey(nil)
	strangerKey := publicOf(stranger)

	for name, c := range map[string]struct {
		spec   testserver.Spec
		lie    func(*world)
		reason client.Reason
		policy plan.Reason
	}{
		"a byte of the plan":           {lie: onOffer(func(o *api.Offer) { o.Plan = flip(o.Plan, -20) }), reason: client.ReasonPolicy, policy: plan.ReasonOperator},
		"a byte of its signature":      {lie: onOffer(func(o *api.Offer) { o.PlanSignature = flip(o.PlanSignature, 5) }), reason: client.ReasonPolicy, policy: plan.ReasonOperator},
		"no plan at all":               {lie: onOffer(func(o *api.Offer) { o.Plan, o.PlanSignature = nil, nil }), reason: client.ReasonPolicy, policy: plan.ReasonOperator},
		"a byte of the configuration":  {lie: onOffer(func(o *api.Offer) { o.Config = flip(o.Config, 90) }), reason: client.ReasonConfig},
		"a configuration cut short":    {lie: onOffer(func(o *api.Offer) { o.Config = o.Config[:40] }), reason: client.ReasonConfig},
		"fewer in a sum than the plan": {spec: withConfig(func(l *aggregation.ConfigLiteral) { l.Params.NMin-- }, 4), reason: client.ReasonConfig},
		"another base than the plan":   {spec: withConfig(func(l *aggregation.ConfigLiteral) { l.Bases = append(l.Bases, aggregation.Digest{9}) }, 3), reason: client.ReasonConfig},
		"another plan's digest":        {spec: withConfig(func(l *aggregation.ConfigLiteral) { l.Plan[0] ^= 1 }, 3), reason: client.ReasonConfig},
		"another enroller":             {spec: withConfig(func(l *aggregation.ConfigLiteral) { l.Enroller = strangerKey }, 3), reason: client.ReasonConfig},
		"a round key nobody signed":    {spec: withConfig(func(l *aggregation.ConfigLiteral) { l.Roster[1].Key.Signature = flip(l.Roster[1].Key.Signature, 3) }, 3), reason: client.ReasonConfig},

		"a population beside the plan's":   {spec: withConfig(func(l *aggregation.ConfigLiteral) { l.Population = population(t, stranger, 40) }, 3), reason: client.ReasonConfig},
		"a population's signature":         {spec: withConfig(func(l *aggregation.ConfigLiteral) { l.Population.Signature = flip(l.Population.Signature, 9) }, 3), reason: client.ReasonConfig},
		"a lot with another threshold":     {spec: withConfig(func(l *aggregation.ConfigLiteral) { l.Threshold /= 2 }, 3), reason: client.ReasonConfig},
		"two groups instead of one":        {spec: withConfig(func(l *aggregation.ConfigLiteral) { l.Groups = 2 }, 3), reason: client.ReasonConfig},
		"a coin that nobody committed to":  {lie: onOffer(func(o *api.Offer) { o.Config = flip(o.Config, -1) }), reason: client.ReasonConfig},
		"a commitment made up later":       {spec: withConfig(recommit, 3), reason: client.ReasonConfig},
		"weaker envelopes than the plan's": {spec: downgraded(), reason: client.ReasonConfig},

		"a population of somebody else":  {spec: edit(func(p *plan.Plan) { p.Population = population(t, stranger, 40) }), reason: client.ReasonPolicy, policy: plan.ReasonPopulation},
		"a population that was enlarged": {spec: edit(func(p *plan.Plan) { p.Population.Size++ }), reason: client.ReasonPolicy, policy: plan.ReasonPopulation},
		"a lot that two may win":         {spec: edit(func(p *plan.Plan) { p.Threshold = 1 }), reason: client.ReasonPolicy, policy: plan.ReasonThreshold},
		"another task":                   {spec: edit(func(p *plan.Plan) { p.Task = "shoes" }), reason: client.ReasonPolicy, policy: plan.ReasonTask},
		"a strange member":               {spec: withStranger(stranger), reason: client.ReasonPolicy, policy: plan.ReasonMember},
		"noise off":                      {spec: testserver.Spec{Kind: plan.Popularity, Dim: items}, reason: client.ReasonPolicy, policy: plan.ReasonNoiseOff},
		"noise left to the server": {spec: edit(func(p *plan.Plan) {
			p.Mechanism.Noise = false
			p.Central = &plan.Central{Noise: plan.CentralGaussian, Z: "1"}
		}), reason: client.ReasonPolicy, policy: plan.ReasonCentral},
		"less noise than stated": {spec: edit(func(p *plan.Plan) { p.Mechanism.Sigma2.Num -= p.Mechanism.Sigma2.Num / 50 }), reason: client.ReasonPolicy, policy: plan.ReasonMechanism},
		"too dear a round":       {spec: testserver.Spec{Kind: plan.Popularity, Dim: items, Rho: big.NewRat(2, 1)}, reason: client.ReasonPolicy, policy: plan.ReasonRoundCost},
		"a round that is over":   {spec: edit(func(p *plan.Plan) { p.Deadline = 1000 }), reason: client.ReasonPolicy, policy: plan.ReasonDeadline},
		"no checkpoint":          {spec: edit(func(p *plan.Plan) { p.Checkpoint = nil }), reason: client.ReasonPolicy, policy: plan.ReasonLogMissing},
		"a damaged checkpoint":   {spec: edit(func(p *plan.Plan) { p.Checkpoint = flip(p.Checkpoint, -5) }), reason: client.ReasonPolicy, policy: plan.ReasonLogMissing},

		"a plan that is not logged":        {spec: withLog(func(*ledger.Plan) bool { return false }), reason: client.ReasonPolicy, policy: plan.ReasonNotLogged},
		"a plan that is logged otherwise":  {spec: withLog(func(p *ledger.Plan) bool { p.Bytes = append([]byte{1}, p.Bytes...); return true }), reason: client.ReasonPolicy, policy: plan.ReasonNotLogged},
		"a plan logged at another cost":    {spec: withLog(func(p *ledger.Plan) bool { p.Rho = big.NewRat(1, 3); return true }), reason: client.ReasonPolicy, policy: plan.ReasonNotLogged},
		"no proof of the plan":             {lie: onOffer(func(o *api.Offer) { o.Logged.Inclusion = nil }), reason: client.ReasonPolicy, policy: plan.ReasonNotLogged},
		"the proof of another record":      {lie: onOffer(func(o *api.Offer) { o.Logged.Seq = 0 }), reason: client.ReasonPolicy, policy: plan.ReasonNotLogged},
		"a record at another time":         {lie: onOffer(func(o *api.Offer) { o.Logged.TimeUnix++ }), reason: client.ReasonPolicy, policy: plan.ReasonNotLogged},
		"a checkpoint before the plan":     {lie: onOffer(func(o *api.Offer) { o.Logged.Checkpoint, o.Logged.Extension = checkpointOf(o), nil }), reason: client.ReasonPolicy, policy: plan.ReasonNotLogged},
		"no word of the log":               {lie: onOffer(func(o *api.Offer) { o.Logged = nil }), reason: client.ReasonPolicy, policy: plan.ReasonLogMissing},
		"a plan of a log that goes not on": {lie: onOffer(func(o *api.Offer) { o.Logged.Extension = nil }), reason: client.ReasonPolicy, policy: plan.ReasonLogForked},
		"another task's log":               {lie: otherLog("tutti/shoes"), reason: client.ReasonPolicy, policy: plan.ReasonLogMissing},
		"another catalogue":                {spec: edit(func(p *plan.Plan) { p.Items[0] ^= 1 }), reason: client.ReasonModel},
		"a vector too long":                {spec: testserver.Spec{Kind: plan.Popularity, Dim: items + 1, Rho: big.NewRat(1, 2)}, reason: client.ReasonModel},
		"a block nobody has": {spec: testserver.Spec{Kind: plan.Transitions, Dim: items, Rho: big.NewRat(1, 2), Block: model.Digest{7}},
			reason: client.ReasonBlob},
		"training without a model": {spec: testserver.Spec{Kind: plan.Model, Dim: items, Rho: big.NewRat(1, 2),
			Training: plan.Training{Steps: 1, LearningRate: "0.1", Optimizer: "sgd"}}, reason: client.ReasonVersionUnknown},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			d := w.device(1, 2, 3)
			if c.lie != nil {
				c.spec = popularityRound(3)
			}
			r := w.Open(c.spec)
			w.Lie(testserver.Lies{InviteAll: true})
			if c.lie != nil {
				c.lie(w)
			}
			w.refuses(d, c.reason, c.policy)
			if s := d.Privacy(); s.Spent.Sign() != 0 || s.Open != 0 || w.Count(r) != 0 || w.Uploads(r.Number, s.Device) != 0 {
				t.Fatalf("a refused round was charged or sent: %+v", s)
			}
			w.Lie(testserver.Lies{})
			w.Open(popularityRound(3))
			w.want(d, client.Contributed)
		})
	}
}

// population is one on the word of the given enroller.
func population(t *testing.T, enroller ed25519.PrivateKey, n int) aggregation.Population {
	t.Helper()
	ids := make([]aggregation.DeviceID, n)
	for i := range ids {
		ids[i] = aggregation.DeviceID{byte(i), 1}
	}
	e, err := aggregation.NewEnrolled(ids)
	if err != nil {
		t.Fatal(err)
	}
	return e.Sign(enroller, testserver.Task)
}

// recommit gives the second member a coin and a commitment that fit together, and that it did not sign.
func recommit(l *aggregation.ConfigLiteral) {
	_, key, _ := ed25519.GenerateKey(nil)
	m, err := aggregation.NewMember(aggregation.MemberSetup{Identity: key, Index: 1, Floor: 2,
		Pins: aggregation.Pins{Enroller: l.Enroller, Roster: []ed25519.PublicKey{publicOf(key)}}})
	if err != nil {
		panic(err)
	}
	other, _, err := m.OpenRound(rand.Reader, l.Round, l.Plan, l.Roster[1].Key.Suite)
	if err != nil {
		panic(err)
	}
	l.Roster[1].Key.Commit = other.Commit
	if l.Roster[1].Coin, _, err = m.Reveal(l.Round, []aggregation.RoundKey{other}); err != nil {
		panic(err)
	}
}

// downgraded is a round whose plan wants post-quantum envelopes and whose members made other keys.
func downgraded() testserver.Spec {
	s := popularityRound(3)
	s.Edit = func(p *plan.Plan) { p.Suite = aggregation.SuiteMLKEM768X25519 }
	s.Suite = aggregation.SuiteX25519
	return s
}

// withConfig is a round whose configuration is not the plan's.
func withConfig(change func(*aggregation.ConfigLiteral), goal int) testserver.Spec {
	s := popularityRound(goal)
	s.Config = change
	return s
}

func publicOf(k ed25519.PrivateKey) ed25519.PublicKey { return k.Public().(ed25519.PublicKey) }

// withStranger is a round whose plan and configuration agree on a third member
// that no device has pinned.
func withStranger(stranger ed25519.PrivateKey) testserver.Spec {
	s := popularityRound(3)
	s.Edit = func(p *plan.Plan) { p.Committee[2] = publicOf(stranger) }
	s.Config = func(l *aggregation.ConfigLiteral) {
		roster := []ed25519.PublicKey{l.Roster[0].Identity, l.Roster[1].Identity, publicOf(stranger)}
		m, err := aggregation.NewMember(aggregation.MemberSetup{Identity: stranger, Index: 3, Floor: 2,
			Pins: aggregation.Pins{Enroller: l.Enroller, Roster: roster}})
		if err != nil {
			panic(err)
		}
		key, _, err := m.OpenRound(rand.Reader, l.Round, l.Plan, l.Roster[0].Key.Suite)
		if err != nil {
			panic(err)
		}
		coin, _, err := m.Reveal(l.Round, []aggregation.RoundKey{l.Roster[0].Key, l.Roster[1].Key, key})
		if err != nil {
			panic(err)
		}
		l.Roster[2] = aggregation.MemberKey{Index: 3, Identity: publicOf(stranger), Key: key, Coin: coin}
	}
	return s
}

// TestPolicy: an honest plan that asks for more than the user of this device
// allows is refused by the rule that it breaks.
func TestPolicy(t *testing.T) {
	for name, c := range map[string]struct {
		rule   func(*plan.Policy)
		reason plan.Reason
	}{
		"other members only":     {func(p *plan.Policy) { p.Committee = p.Committee[:2] }, plan.ReasonMember},
		"a larger committee":     {func(p *plan.Policy) { p.MinMembers = 5 }, plan.ReasonCommittee},
		"more corrupt members":   {func(p *plan.Policy) { p.MinCorrupt = 2 }, plan.ReasonCorrupt},
		"a larger cohort":        {func(p *plan.Policy) { p.MinCohort = 100 }, plan.ReasonCohort},
		"more colluding devices": {func(p *plan.Policy) { p.MinColluder = big.NewRat(1, 10) }, plan.ReasonColluders},
		"a smaller clip":         {func(p *plan.Policy) { p.MaxClip = 0.5 }, plan.ReasonClip},
		"more noise coordinates": {func(p *plan.Policy) { p.MinPad = 1 << 16 }, plan.ReasonPad},
		"many devices":           {func(p *plan.Policy) { p.Population = 1_000_000 }, plan.ReasonDelta},
		"more enrolled devices":  {func(p *plan.Policy) { p.MinPopulation = 100 }, plan.ReasonSmallPopulation},
		"post-quantum envelopes": {func(p *plan.Policy) { p.PostQuantum = true }, plan.ReasonPostQuantum},
		"cheaper rounds":         {func(p *plan.Policy) { p.MaxRhoRound = big.NewRat(1, 3) }, plan.ReasonRoundCost},
		"no rounds with noise":   {func(p *plan.Policy) { p.MaxRhoRound = nil }, plan.ReasonRoundCost},
		"a smaller budget":       {func(p *plan.Policy) { p.MaxRhoTotal = big.NewRat(1, 3) }, plan.ReasonBudget},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			o := w.options()
			c.rule(&o.Policy)
			d := w.member(o, 1)
			r := w.Open(popularityRound(3))
			out := w.refuses(d, client.ReasonPolicy, c.reason)
			if out.Sentence != c.reason.Sentence() || out.Round != r.Number || out.Label() != "refused/policy/"+c.reason.String() {
				t.Errorf("said %q of round %d (%s)", out.Sentence, out.Round, out.Label())
			}
			if s := d.Privacy(); s.Spent.Sign() != 0 || w.Count(r) != 0 || s.LogSize == 0 {
				t.Errorf("a refused round was charged or sent, or its log forgotten: %+v", s)
			}
		})
	}
}

func withLog(change func(*ledger.Plan) bool) testserver.Spec {
	s := popularityRound(3)
	s.Log = change
	return s
}

// checkpointOf is the checkpoint in an offered plan.
func checkpointOf(o *api.Offer) []byte {
	p, err := plan.Parse(o.Plan)
	if err != nil {
		panic(err)
	}
	return p.Checkpoint
}

// otherLog shows the same records as the log of another name, under the operator's own signature.
func otherLog(origin string) func(*world) {
	return func(w *world) {
		w.Lie(testserver.Lies{CheckIn: func(r *api.CheckInResponse) {
			if r.Offer != nil {
				r.Offer.Logged.Checkpoint = w.Renamed(r.Offer.Logged.Checkpoint, origin)
			}
		}})
	}
}

// TestOlderLog: the server goes back to a state of its log that the device has left behind, or cuts it short.
func TestOlderLog(t *testing.T) {
	w := newWorld(t)
	d := w.device(1)
	var old *api.Logged
	w.Open(popularityRound(3))
	w.Lie(testserver.Lies{CheckIn: func(r *api.CheckInResponse) { old = r.Offer.GetLogged() }})
	w.want(d, client.Contributed)
	for range 3 {
		w.Open(popularityRound(3))
	}
	w.Lie(testserver.Lies{})
	w.want(d, client.Contributed)
	seen := d.Privacy().LogSize
	r := w.Open(popularityRound(3))
	w.Lie(testserver.Lies{CheckIn: func(r *api.CheckInResponse) {
		if r.Offer != nil {
			r.Offer.Logged.Checkpoint, r.Offer.Logged.Consistency = old.Checkpoint, old.Consistency
		}
	}})
	w.refuses(d, client.ReasonPolicy, plan.ReasonLogForked)
	if s := d.Privacy(); s.LogSize != seen || !s.Forked || w.Count(r) != 0 {
		t.Fatalf("%+v", s)
	}
	fork, err := ledger.ParseFork(d.Evidence())
	if err == nil {
		err = fork.Verify(w.Policy().Operator, testserver.LogOrigin)
	}
	if !errors.Is(err, ledger.ErrUnproven) { // an old state is no contradiction by itself, and the device says no more than it knows
		t.Errorf("an old state convicts: %v", err)
	}
	w.Lie(testserver.Lies{})
	w.want(d, client.Contributed)
}

// TestTwoPlansForOneRound: the operator signs two plans of one round, shows the
// committee the one and devices the other.
func TestTwoPlansForOneRound(t *testing.T) {
	w := newWorld(t)
	d := w.device(1)
	r := w.Open(popularityRound(3))
	other := r.Plan
	other.Budget = big.NewRat(60, 1)
	signed := w.SignPlan(other)
	w.Lie(testserver.Lies{CheckIn: func(answer *api.CheckInResponse) {
		answer.Offer.Plan, answer.Offer.PlanSignature = signed.Bytes, signed.Signature
	}})
	w.refuses(d, client.ReasonConfig, 0)
}

func TestLogForkIsRefusedAndKept(t *testing.T) {
	w := newWorld(t)
	d := w.device(1)
	w.Open(popularityRound(3))
	w.want(d, client.Contributed)
	for range 3 { // the log grows, and the device follows
		w.Open(popularityRound(3))
	}
	w.want(d, client.Contributed)
	seen := d.Privacy().LogSize
	if seen < 4 {
		t.Fatalf("the device saw %d records", seen)
	}
	other := w.device(2)
	w.Fork()
	w.Open(popularityRound(3))
	w.Open(popularityRound(3))
	w.refuses(d, client.ReasonPolicy, plan.ReasonLogForked)
	if s := d.Privacy(); !s.Forked || s.LogSize != seen {
		t.Fatalf("forked: %v, log size %d", s.Forked, s.LogSize)
	}
	fork, err := ledger.ParseFork(d.Evidence())
	if err != nil {
		t.Fatal(err)
	}
	if err := fork.Verify(w.Policy().Operator, testserver.LogOrigin); err != nil {
		t.Errorf("what the device keeps convicts nobody: %v", err)
	}
	// A device that never saw the first branch has nothing to compare with.
	w.want(other, client.Contributed)
}

func TestStrangerCannotEnrol(t *testing.T) {
	w := newWorld(t)
	o := w.options()
	o.Token = "made up"
	w.refuses(w.open(o), client.ReasonNotEnrolled, 0)
	o = w.options()
	o.Token = ""
	w.refuses(w.open(o), client.ReasonNotEnrolled, 0)
	w.Lie(testserver.Lies{Enroll: func(r *api.EnrollResponse) { r.Enrolment[0] ^= 1 }})
	w.refuses(w.open(w.options()), client.ReasonNotEnrolled, 0)
}

func TestServerSaysNo(t *testing.T) {
	w := newWorld(t)
	d := w.device(1)
	r := w.Open(popularityRound(3))
	w.Lie(testserver.Lies{Staging: func(aggregation.DeviceID) *api.UploadResponse {
		return &api.UploadResponse{State: api.UploadState_UPLOAD_STATE_REJECTED, Reason: api.RejectReason_REJECT_REASON_ROUND_FULL}
	}})
	o := w.refuses(d, client.ReasonServer, 0)
	if o.Reject != client.RejectRoundFull || o.Sentence != client.RejectRoundFull.Sentence() {
		t.Fatalf("the server's reason came through as %v: %s", o.Reject, o.Sentence)
	}
	// Sealed is sealed: the charge stays, and the round gets no second seal.
	w.Lie(testserver.Lies{})
	w.want(d, client.Waiting)
	if s := d.Privacy(); s.Spent.Cmp(r.Plan.Rho()) != 0 || w.Uploads(r.Number, s.Device) > 1 {
		t.Fatalf("after a rejection: spent %v, %d uploads", s.Spent, w.Uploads(r.Number, s.Device))
	}
}

func TestLateUpload(t *testing.T) {
	w := newWorld(t)
	d := w.device(1)
	w.Open(popularityRound(2))
	w.Lie(testserver.Lies{Staging: func(aggregation.DeviceID) *api.UploadResponse {
		return &api.UploadResponse{State: api.UploadState_UPLOAD_STATE_LATE}
	}})
	o := w.refuses(d, client.ReasonServer, 0)
	if s := d.Privacy(); o.Upload != client.UploadLate || o.Reject != client.RejectRoundClosed || s.Open != 0 || s.Spent.Sign() == 0 {
		t.Fatalf("outcome %+v, status %+v", o, s)
	}
}

func TestOffline(t *testing.T) {
	w := newWorld(t)
	o := w.options()
	o.Transport = nil
	d := w.open(o)
	out, err := d.Contribute(t.Context())
	if out.Kind != client.Failed || !errors.Is(err, client.ErrUnavailable) {
		t.Fatalf("%+v, %v", out, err)
	}
}
