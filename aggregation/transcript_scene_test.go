package aggregation

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"tutti/aggregation/mask"
)

// scene is a world, the server's memory of the round, and the page that is written.
type scene struct {
	t      *testing.T
	out    *strings.Builder
	w      *world
	rooms  map[string]*room
	sealed map[int]*Upload
	home   map[int]*room // where a device's upload belongs
	staged map[int]bool
	checks map[int][]CheckAnswer // by device
}

// room is what the server holds of one configuration.
type room struct {
	cfg       *Config
	set       *Set
	inSet     []int
	sigs      []SetSignature
	cert      *Certificate
	answers   map[int]Answer
	abandoned map[int]AbandonSignature
}

func newScene(t *testing.T, out *strings.Builder) *scene {
	return &scene{t: t, out: out, rooms: map[string]*room{}, sealed: map[int]*Upload{}, home: map[int]*room{}, staged: map[int]bool{},
		checks: map[int][]CheckAnswer{}}
}

func (s *scene) say(format string, args ...any) { fmt.Fprintf(s.out, "  "+format+"\n", args...) }

func (s *scene) run(command string) {
	o := newOrder(s.t, command)
	act, ok := map[string]func(order){
		"round": s.round, "begin": s.begin, "keys": s.keys, "seal": s.seal, "damage": s.damage, "upload": s.upload, "show": s.show, "check": s.check,
		"propose": s.propose, "certify": s.certify, "release": s.release, "lie": s.lie, "leave": s.leave, "abandon": s.abandon, "restart": s.restart,
		"forget": s.forget, "unmask": s.unmask,
	}[o.verb]
	if !ok {
		s.t.Fatalf("unknown command %q", command)
	}
	act(o)
}

// room is the one that the command names, shard 0 unless it does.
func (s *scene) room(o order) *room {
	name := o.opts["in"]
	if name == "" {
		name = "0"
	}
	r := s.rooms[name]
	if r == nil {
		s.t.Fatalf("no room %q", name)
	}
	return r
}

func (s *scene) node(m int) *node { return s.w.nodes[m-1] }

func (s *scene) members() []int { return numbersIn(s.t, []string{fmt.Sprintf("1-%d", len(s.w.nodes))}) }

func (s *scene) round(o order) {
	p := ParamsLiteral{Dim: o.number("devices", 0), Bound: 1000, NMin: o.number("nmin", 0), NMax: o.number("nmax", 0), Members: o.number("members", 0),
		Corrupt: o.number("corrupt", 0), Rho: o.number("rho", 0), Profile: mask.Profile(o.number("profile", 1)),
		Norm: int64(o.number("norm", 0))}
	groups, threshold := o.number("groups", 1), uint64(EveryDevice)
	if wanted := o.number("wanted", 0); wanted > 0 {
		threshold = ThresholdFor(uint32(wanted), uint32(p.Dim))
	}
	s.w = newCast(s.t, p, p.Dim, Suite(o.number("suite", 1)), uint32(groups), threshold)
	for k := range groups {
		s.enter(fmt.Sprint(k), s.w.shard(uint32(k)))
	}
	other := s.w.literal
	other.Bases = []Digest{{4}}
	s.enter("other", s.w.config(other))
	first, keys, coins := s.rooms["0"].cfg, s.chorus("member"), s.chorus("member")
	for j, m := range first.literal.Roster {
		keys.add(j+1, slices.Concat(m.Key.Public, m.Key.Commit[:], m.Key.Signature), "round key of %d bytes", 1+len(m.Key.Public)+32+64)
		coins.add(j+1, m.Coin[:], "coin of %d bytes", 32)
	}
	keys.end()
	coins.end()
	b, params := first.Beacon(), first.params
	s.say("server: beacon %x, quorum %d, need %d answers, %d words of %d bits", b[:4], params.Quorum(), params.Need(), params.Dim(), params.WordBits())
	if groups > 1 || threshold != EveryDevice {
		s.lot(groups)
	}
	if o.opts["begin"] != "no" {
		for k := range groups {
			s.begin(newOrder(s.t, fmt.Sprintf("begin in=%d", k)))
		}
	}
}

func (s *scene) enter(name string, cfg *Config) {
	s.rooms[name] = &room{cfg: cfg, answers: map[int]Answer{}, abandoned: map[int]AbandonSignature{}}
}

// lot says where the beacon puts the devices.
func (s *scene) lot(groups int) {
	cfg := s.rooms["0"].cfg
	shards, out := make([][]int, groups), []int(nil)
	for i, d := range s.w.devices {
		if id := IDOf(publicOf(d.Key)); cfg.Eligible(id) {
			k := cfg.ShardOf(id)
			shards[k] = append(shards[k], i+1)
		} else {
			out = append(out, i+1)
		}
	}
	for k, in := range shards {
		s.say("lot: shard %d takes %s", k, ranges(in))
	}
	if len(out) > 0 {
		s.say("lot: %s left out", ranges(out))
	}
}

func (s *scene) begin(o order) {
	r, to := s.room(o), s.members()
	if o.opts["to"] != "" {
		to = o.list("to")
	}
	b := r.cfg.Marshal()
	s.say("server: configuration of %v, %d bytes [%s]", r.cfg.Round(), len(b), sumOfBytes(b)[:8])
	c := s.chorus("member")
	for _, m := range to {
		records, err := s.node(m).member.Begin(r.cfg)
		if s.node(m).write(records); err != nil {
			c.add(m, nil, "%s", labelOf(err))
		} else {
			c.add(m, nil, "begins")
		}
	}
	c.end()
}

// keys shows members a list in which one member's key is fresh and signed, as a corrupt member's second one would be.
func (s *scene) keys(o order) {
	fake := o.number("fake", 0)
	foreign := s.w.foreignRoster(s.w.literal.Round, s.w.literal.Plan)
	list := make([]RoundKey, len(s.w.nodes))
	for j := range list {
		if list[j] = s.w.literal.Roster[j].Key; j+1 == fake {
			list[j] = foreign[j].Key
		}
	}
	c := s.chorus("member")
	for _, m := range o.list("to") {
		coin, records, err := s.node(m).member.Reveal(s.w.literal.Round.Whole(), list)
		if s.node(m).write(records); err != nil {
			c.add(m, nil, "%s", labelOf(err))
		} else {
			c.add(m, coin[:], "coin of %d bytes", len(coin))
		}
	}
	c.end()
}

func (s *scene) seal(o order) {
	c := s.chorus("device")
	for _, d := range o.numbers() {
		client := s.w.devices[d-1]
		r := s.room(o)
		if o.opts["in"] == "" {
			r = s.rooms[fmt.Sprint(r.cfg.ShardOf(IDOf(publicOf(client.Key))))]
		}
		x := s.w.unit(d - 1)
		x[d-1] *= int32(o.number("times", 1))
		up, err := client.Seal(s.w.random, r.cfg, r.cfg.literal.Bases[0], x, s.w.literal.Params.Bound)
		if err != nil {
			c.add(d, nil, "seals nothing: %v", err)
			continue
		}
		s.sealed[d], s.home[d] = up, r
		header, err := up.Header.Marshal()
		if err != nil {
			s.t.Fatal(err)
		}
		c.add(d, slices.Concat(header, up.Vector), "header of %d bytes, vector of %d", len(header), len(up.Vector))
	}
	c.end()
}

func (s *scene) damage(o order) {
	d := numbersIn(s.t, o.plain[:1])[0]
	up, cfg, key := s.sealed[d], s.home[d].cfg, s.w.devices[d-1].Key
	switch {
	case o.opts["envelope"] != "":
		m := o.number("envelope", 0)
		up.Header.Envelopes[m-1][50] ^= 1
		s.say("device %d: damages the envelope of member %d", d, m)
	case o.plain[1] == "sharing":
		words := make([]uint64, cfg.params.AnswerWords()+cfg.params.blindWords())
		words[0] = 1
		up.Header.Envelopes[0] = s.w.sealTo(up.Header, 1, words)
		up.Header.Envelopes[1] = s.w.sealTo(up.Header, 2, words)
		s.say("device %d: seals words to members 1 and 2 that are on no polynomial", d)
	case o.plain[1] == "attempt":
		again, err := s.w.devices[d-1].Seal(s.w.random, cfg, cfg.literal.Bases[0], s.w.unit(d-1), s.w.literal.Params.Bound)
		if err != nil {
			s.t.Fatal(err)
		}
		s.sealed[d] = again
		s.say("device %d: seals a second time", d)
		return
	default:
		clear(up.Vector)
		up.Header.VecHash = HashVector(up.Vector)
		s.say("device %d: sends a vector of zeros", d)
	}
	resign(up.Header, key)
}

func (s *scene) upload(o order) {
	c := s.chorus("device")
	for _, d := range o.numbers() {
		up, r := s.sealed[d], s.home[d]
		if up == nil {
			continue
		}
		if o.opts["in"] != "" {
			r = s.room(o)
		}
		vector := up.Vector[:o.number("bytes", len(up.Vector))]
		if err := errors.Join(VerifyHeader(r.cfg, up.Header, s.w.path(up.Header.ID)), VerifyVector(r.cfg, up.Header, vector)); err != nil {
			c.add(d, nil, "not staged, %v", err)
			continue
		}
		s.staged[d] = true
		digest := up.Header.Digest()
		c.add(d, digest[:], "staged")
	}
	c.end()
}

func (s *scene) show(o order) {
	r, c := s.room(o), s.chorus("member")
	for _, m := range o.list("to") {
		var batch []*MemberHeader
		var shown []int
		size, all := 0, []byte(nil)
		for _, d := range o.numbers() {
			if s.staged[d] {
				mh := s.w.cut(s.sealed[d].Header, m-1)
				b, err := mh.Marshal()
				if err != nil {
					s.t.Fatal(err)
				}
				batch, shown, size, all = append(batch, mh), append(shown, d), size+len(b), append(all, b...)
			}
		}
		verdicts, records, err := s.node(m).judge(r.cfg.Round(), batch...)
		if s.node(m).write(records); err != nil {
			c.add(m, nil, "%s", labelOf(err))
			continue
		}
		c.add(m, all, "%s, %d bytes: %s", plural(len(batch), "header"), size, s.verdicts(m, shown, verdicts))
	}
	c.end()
}

// verdicts keeps the check words and says in short who was accepted and who was not.
func (s *scene) verdicts(m int, shown []int, verdicts []Verdict) string {
	by := map[Reason][]int{}
	for i, v := range verdicts {
		by[v.Reason] = append(by[v.Reason], shown[i])
		if v.Reason == Accepted {
			d := shown[i]
			s.checks[d] = slices.DeleteFunc(s.checks[d], func(a CheckAnswer) bool { return int(a.Member) == m })
			s.checks[d] = append(s.checks[d], CheckAnswer{Member: uint16(m), Words: v.Check})
		}
	}
	var text []string
	for _, reason := range slices.Sorted(maps.Keys(by)) {
		text = append(text, ranges(by[reason])+" "+reason.Label())
	}
	return strings.Join(text, ", ")
}

func plural(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return fmt.Sprintf("%d %s", n, what)
}

func asNumbers(members []uint16) (list []int) {
	for _, m := range members {
		list = append(list, int(m))
	}
	return list
}

func (s *scene) check(o order) {
	c := s.chorus("device")
	for _, d := range o.numbers() {
		var words []byte
		for _, a := range s.checks[d] {
			for _, v := range a.Words {
				words = binary.BigEndian.AppendUint64(words, v)
			}
		}
		wrong, err := CheckShares(s.home[d].cfg, s.sealed[d].Header, s.sealed[d].Vector, s.checks[d])
		switch {
		case errors.Is(err, ErrSharing):
			c.add(d, words, "left out, %s by %d answers", ReasonSharing.Label(), len(s.checks[d]))
		case errors.Is(err, ErrNorm):
			c.add(d, words, "left out, %s by %d answers", ReasonNorm.Label(), len(s.checks[d]))
		case err != nil:
			c.add(d, words, "%v", err)
		case len(wrong) > 0:
			c.add(d, words, "shared by %d answers, wrong is that of member %s", len(s.checks[d]), ranges(asNumbers(wrong)))
		default:
			c.add(d, words, "shared by %d answers", len(s.checks[d]))
		}
	}
	c.end()
}

func (s *scene) propose(o order) {
	r, c := s.room(o), s.chorus("member")
	var ups []*Upload
	for _, d := range o.numbers() {
		ups = append(ups, s.sealed[d])
	}
	r.set, r.inSet, r.sigs = setOf(s.t, ups), o.numbers(), nil
	p := &Proposal{Cfg: r.cfg.Digest(), Set: r.set}
	b := p.Marshal()
	s.say("server: proposal U = %s, %d bytes [%s]", ranges(r.inSet), len(b), sumOfBytes(b)[:8])
	for _, m := range o.list("to") {
		sig, records, err := s.node(m).member.Sign(r.cfg.Round(), p)
		if s.node(m).write(records); err != nil {
			c.add(m, nil, "%s", labelOf(err))
			continue
		}
		r.sigs = append(r.sigs, sig)
		c.add(m, sig.Signature, "signs")
	}
	c.end()
}

func labelOf(err error) string {
	var refusal Refusal
	if errors.As(err, &refusal) {
		return "refuses: " + refusal.Sentence()
	}
	return err.Error()
}

func (s *scene) certify(o order) {
	r := s.room(o)
	var err error
	if r.cert, err = Certify(r.cfg, r.set, r.sigs); err != nil {
		s.say("server: no certificate: %d of %d signatures", len(r.cert.Signatures), r.cfg.params.Quorum())
		return
	}
	b := r.cert.Marshal()
	s.say("server: certificate, %d signatures over %d devices, %d bytes [%s]", len(r.cert.Signatures), r.cert.Set.Len(), len(b), sumOfBytes(b)[:8])
}

func (s *scene) release(o order) {
	r, c := s.room(o), s.chorus("member")
	for _, m := range o.numbers() {
		a, records, err := s.node(m).member.Release(r.cfg.Round(), r.cert)
		if s.node(m).write(records); err != nil {
			c.add(m, nil, "%s", labelOf(err))
			continue
		}
		r.answers[m] = *a
		b := a.Marshal()
		c.add(m, b, "answer of %d bytes, keeps %s", len(b), plural(len(s.node(m).store), "record"))
	}
	c.end()
}

func (s *scene) lie(o order) {
	m := o.numbers()[0]
	r := s.room(o)
	p := r.cfg.params.shares.Field().Modulus()
	if d := o.number("check", 0); d > 0 {
		for i, a := range s.checks[d] {
			if int(a.Member) == m {
				s.checks[d][i].Words = slices.Clone(a.Words)
				s.checks[d][i].Words[0] = (a.Words[0] + 1) % p
			}
		}
		s.say("member %d: changes its check words of device %d", m, d)
		return
	}
	a := r.answers[m]
	a.Words = slices.Clone(a.Words)
	a.Words[0] = (a.Words[0] + 1) % p
	a.sign(s.node(m).setup.Identity)
	r.answers[m] = a
	s.say("member %d: answers something else [%s]", m, sumOfBytes(a.Marshal())[:8])
}

func (s *scene) leave(o order) {
	m := numbersIn(s.t, o.plain[1:])[0]
	delete(s.room(o).answers, m)
	s.say("server: does without member %d", m)
}

func (s *scene) abandon(o order) {
	r, c := s.room(o), s.chorus("member")
	for _, m := range o.numbers() {
		sig, records, err := s.node(m).member.Abandon(r.cfg.Round())
		if s.node(m).write(records); err != nil {
			c.add(m, nil, "%s", labelOf(err))
			continue
		}
		r.abandoned[m] = sig
		c.add(m, sig.Signature, "abandons %v", r.cfg.Round())
	}
	c.end()
	var sigs []AbandonSignature
	for _, sig := range r.abandoned {
		sigs = append(sigs, sig)
	}
	cert, err := CertifyAbandon(r.cfg, sigs)
	if err != nil {
		s.say("devices: the charge stays, %d of %d abandonments", len(sigs), r.cfg.params.Quorum())
		return
	}
	b := cert.Marshal()
	s.say("devices: the charge is free again, %d abandonments, %d bytes [%s]", len(sigs), len(b), sumOfBytes(b)[:8])
}

func (s *scene) restart(o order) {
	c := s.chorus("member")
	for _, m := range o.numbers() {
		s.node(m).restart(s.t)
		var store []byte
		for _, k := range slices.Sorted(maps.Keys(s.node(m).store)) {
			store = append(append(store, k...), s.node(m).store[k]...)
		}
		c.add(m, store, "back with %s", plural(len(s.node(m).store), "record"))
	}
	c.end()
}

func (s *scene) forget(o order) {
	c := s.chorus("member")
	for _, m := range o.numbers() {
		s.node(m).write(s.node(m).member.Forget(s.w.literal.Round.Task, uint64(o.number("before", 0))))
		c.add(m, nil, "keeps %s", plural(len(s.node(m).store), "record"))
	}
	c.end()
}

func (s *scene) unmask(o order) {
	r := s.room(o)
	acc := NewAccumulator(r.cfg)
	for _, d := range r.inSet {
		if err := acc.Add(s.sealed[d].Vector); err != nil {
			s.t.Fatal(err)
		}
	}
	var answers []Answer
	for _, m := range slices.Sorted(maps.Keys(r.answers)) {
		answers = append(answers, r.answers[m])
	}
	b := acc.Marshal()
	s.say("server: partial sum of %d vectors, %d bytes [%s]", acc.Count(), len(b), sumOfBytes(b)[:8])
	sum, wrong, err := Unmask(r.cfg, r.set, acc, answers)
	if err != nil {
		s.say("server: no sum: %v", err)
		return
	}
	for _, m := range wrong {
		s.say("server: member %d answered wrongly", m)
	}
	s.say("server: sum over %d devices: %v", r.set.Len(), sum)
}
