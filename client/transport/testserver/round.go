package testserver

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"time"

	"tutti/aggregation"
	"tutti/client"
	"tutti/model"
	"tutti/privacy/ledger"
	"tutti/privacy/mechanism"
	"tutti/privacy/plan"
	"tutti/server/api"
)

// Spec says what round to open.
type Spec struct {
	Kind     plan.Kind
	Dim      int
	Goal     int      // devices; 0: 3
	Rho      *big.Rat // cost; nil: noise off
	Block    model.Digest
	Training plan.Training
	Suite    aggregation.Suite                // of the members' keys; 0: the plan's
	Edit     func(*plan.Plan)                 // changes the plan before it is signed
	Config   func(*aggregation.ConfigLiteral) // changes the configuration
	Log      func(*ledger.Plan) bool          // changes the record of the plan; false: none is written
}

// Round is a round at work.
type Round struct {
	Number uint64
	Plan   plan.Plan
	cfg    *aggregation.Config
	people *aggregation.Enrolled // the population, as it was when the round opened
	signed plan.Signed
	staged map[aggregation.DeviceID]*stagedUpload
	state  map[aggregation.DeviceID]api.UploadState
	closed bool
	cert   []byte                 // of abandonment
	record ledger.Record          // of the plan
	set    []aggregation.DeviceID // that was opened
	ended  *ledger.Record         // of the round
}

type stagedUpload struct {
	header *aggregation.Header
	digest aggregation.Digest
	vector []byte
}

// Publish signs and announces the next version; number 0 in v is filled in, and
// so are the parent and the catalogue where they are zero.
func (s *Server) Publish(v model.Version) model.Version {
	s.mu.Lock()
	defer s.mu.Unlock()
	if v.Number == 0 {
		v.Number = s.number + 1
	}
	if v.Parent.IsZero() {
		v.Parent = s.head
	}
	if v.Items.IsZero() {
		v.Items = s.catalogue.Digest()
	}
	s.version = s.sign(v)
	s.number, s.head = v.Number, v.Digest()
	return v
}

// Sign signs a version without announcing it.
func (s *Server) Sign(v model.Version) *api.SignedVersion { return s.sign(v) }

func (s *Server) sign(v model.Version) *api.SignedVersion {
	b, err := v.Marshal()
	s.must(err)
	return &api.SignedVersion{Version: b, Signature: ed25519.Sign(s.operator, client.VersionMessage(b))}
}

// Open opens the next round.
func (s *Server) Open(spec Spec) *Round {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	r := &Round{Number: uint64(len(s.rounds) + 1), staged: map[aggregation.DeviceID]*stagedUpload{}, state: map[aggregation.DeviceID]api.UploadState{}}
	r.people = s.population()
	r.Plan = s.plan(r.Number, spec)
	r.Plan.Population = r.people.Sign(s.enroller, Task)
	if spec.Edit != nil {
		spec.Edit(&r.Plan)
	}
	var err error
	r.signed, err = plan.Sign(s.operator, r.Plan)
	s.must(err)
	record := &ledger.Plan{Task: Task, Round: r.Number, What: spec.Kind.String(), Rho: r.Plan.Rho(), Stream: r.Plan.Stream(),
		Bytes: r.signed.Bytes, Signature: r.signed.Signature}
	if spec.Log == nil || spec.Log(record) {
		r.record, err = s.log.Append(record, time.Now().Unix())
		s.must(err)
	}
	r.cfg = s.configure(r, spec)
	s.round, s.rounds[r.Number] = r, r
	return r
}

func (s *Server) plan(number uint64, spec Spec) plan.Plan {
	goal := spec.Goal
	if goal == 0 {
		goal = 3
	}
	mech, err := mechanism.Design(mechanism.Literal{Dim: spec.Dim, Clip: 1, NMin: max(2, goal-1), NMax: goal + 3,
		Rho: spec.Rho, Noise: spec.Rho != nil})
	s.must(err)
	p := plan.Plan{Task: Task, Round: number, Kind: spec.Kind, BaseNumber: s.number, Base: s.head, Items: s.catalogue.Digest(),
		Block: spec.Block, Training: spec.Training, Mechanism: mech, Goal: uint32(goal), Committee: s.Committee(), Corrupt: Corrupt,
		Packing: Packing, Enroller: public(s.enroller), Threshold: aggregation.EveryDevice, Groups: 1, Participations: plan.AnyParticipations, Separation: 1, Suite: aggregation.SuiteX25519, Budget: big.NewRat(50, 1), Delta: "1e-06",
		Checkpoint: s.checkpoint(), Deadline: time.Now().Add(time.Hour).Unix()}
	if spec.Kind == plan.Transitions {
		p.Window = plan.Window{Width: 8, Decay: "0.75"}
	}
	return p
}

func (s *Server) checkpoint() []byte {
	c, err := s.log.Checkpoint(LogOrigin)
	s.must(err)
	note, err := ledger.SignCheckpoint(s.operator, c)
	s.must(err)
	return note
}

func (s *Server) configure(r *Round, spec Spec) *aggregation.Config {
	params, err := plan.Aggregation(r.Plan)
	s.must(err)
	id := aggregation.RoundID{Task: r.Plan.Task, Round: r.Number}
	l := aggregation.ConfigLiteral{Round: id, Plan: r.signed.Digest(), Bases: r.Plan.Bases(),
		Params: params.Literal(), Enroller: public(s.enroller), Population: r.Plan.Population, Threshold: r.Plan.Threshold, Groups: r.Plan.Groups}
	suite := spec.Suite
	if suite == 0 {
		suite = r.Plan.Suite
	}
	var keys []aggregation.RoundKey
	for j, m := range s.nodes {
		key, _, err := m.OpenRound(rand.Reader, id, r.signed.Digest(), suite)
		s.must(err)
		keys = append(keys, key)
		l.Roster = append(l.Roster, aggregation.MemberKey{Index: uint16(j + 1), Identity: public(s.identities[j]), Key: key})
	}
	for j, m := range s.nodes {
		l.Roster[j].Coin, _, err = m.Reveal(id, keys)
		s.must(err)
	}
	honest := spec.Edit == nil && spec.Config == nil
	if spec.Config != nil {
		spec.Config(&l)
	}
	cfg, err := aggregation.NewConfig(l)
	s.must(err)
	for _, m := range s.nodes {
		if _, err := m.Begin(cfg); err != nil && honest {
			s.must(err)
		}
	}
	return cfg
}

// population is who is enrolled now: the devices, and sleepers that never wake.
func (s *Server) population() *aggregation.Enrolled {
	ids := make([]aggregation.DeviceID, 0, Sleepers+len(s.tokens))
	for i := range Sleepers {
		ids = append(ids, aggregation.DeviceID{0: byte(i), 15: 0xff})
	}
	for _, key := range s.tokens {
		if key != nil {
			ids = append(ids, aggregation.IDOf(key))
		}
	}
	people, err := aggregation.NewEnrolled(ids)
	s.must(err)
	return people
}

// invites says whether a device is one of the round's: enrolled when its
// population was frozen, and drawn.
func (r *Round) invites(id aggregation.DeviceID) bool {
	_, enrolled := r.people.Path(id)
	return enrolled && r.cfg.Eligible(id)
}

// Invited says the same to a test.
func (s *Server) Invited(r *Round, id aggregation.DeviceID) bool { return r.invites(id) }

// SignPlan signs a plan without opening a round for it.
func (s *Server) SignPlan(p plan.Plan) plan.Signed {
	signed, err := plan.Sign(s.operator, p)
	s.must(err)
	return signed
}

// Certificate is the round's certificate of abandonment, nil without one.
func (r *Round) Certificate() []byte { return r.cert }

// Count is the number of staged uploads.
func (s *Server) Count(r *Round) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(r.staged)
}

// Close certifies the uploads that came in and opens their sum, one vector of
// integers, and says who is in it.
func (s *Server) Close(r *Round) (sum []int64, set []aggregation.DeviceID) {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.end(r)
	var entries []aggregation.Entry
	total := aggregation.NewAccumulator(r.cfg)
	for id, u := range r.staged {
		entries = append(entries, aggregation.Entry{ID: id, Digest: u.digest})
		s.must(total.Add(u.vector))
		r.state[id] = api.UploadState_UPLOAD_STATE_COUNTED
		set = append(set, id)
	}
	slices.SortFunc(set, aggregation.DeviceID.Compare)
	u, err := aggregation.NewSet(entries)
	s.must(err)
	var signatures []aggregation.SetSignature
	for _, m := range s.nodes {
		signature, _, err := m.Sign(r.cfg.Round(), &aggregation.Proposal{Cfg: r.cfg.Digest(), Set: u})
		s.must(err)
		signatures = append(signatures, signature)
	}
	cert, err := aggregation.Certify(r.cfg, u, signatures)
	s.must(err)
	var answers []aggregation.Answer
	for _, m := range s.nodes {
		a, _, err := m.Release(r.cfg.Round(), cert)
		s.must(err)
		answers = append(answers, *a)
	}
	sum, wrong, err := aggregation.Unmask(r.cfg, u, total, answers)
	s.must(err)
	if len(wrong) > 0 {
		s.t.Fatalf("members %v answered wrongly", wrong)
	}
	r.set = set
	s.logRound(r, cert)
	return sum, set
}

// logRound writes the record of an opened round.
func (s *Server) logRound(r *Round, cert *aggregation.Certificate) {
	if _, planned := s.log.PlanAt(Task, r.Number); !planned {
		return // a forked log knows nothing of it
	}
	ids := make([][16]byte, len(r.set))
	for i := range ids {
		ids[i] = r.set[i]
	}
	m := r.Plan.Mechanism
	rec, err := s.log.Append(&ledger.Round{Task: Task, Round: r.Number, What: r.Plan.Kind.String(), Plan: r.signed.Digest(), Outcome: ledger.Published,
		Mechanism: m.AppendCanonical(nil), Survived: uint64(len(ids)), NMin: uint64(m.NMin), Participants: ledger.Participants(ids), Noise: m.Noise,
		Rho: r.Plan.Rho(), Certificate: sha256.Sum256(cert.Marshal()), Aggregate: ledger.Digest{1}}, time.Now().Unix())
	s.must(err)
	r.ended = &rec
}

// Decode decodes the main vector of an opened sum.
func (s *Server) Decode(r *Round, sum []int64, n int) mechanism.Decoded {
	return s.decode(r.Plan.Mechanism, sum[:r.Plan.Mechanism.PaddedDim], n)
}

// DecodeMetrics decodes the metrics behind it.
func (s *Server) DecodeMetrics(r *Round, sum []int64, n int) []plan.Figure {
	m := r.Plan.Metrics
	d := s.decode(m.Mechanism, sum[r.Plan.Mechanism.PaddedDim:], n)
	return m.Figures(d.Values, n, m.Mechanism.NoiseOnSum(n))
}

func (s *Server) decode(p mechanism.Params, sum []int64, n int) mechanism.Decoded {
	codec, err := mechanism.NewCodec(p)
	s.must(err)
	d, err := codec.DecodeSum(sum, n)
	s.must(err)
	return d
}

// Abandon ends a round with a certificate of the committee.
func (s *Server) Abandon(r *Round) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.end(r)
	var signatures []aggregation.AbandonSignature
	for _, m := range s.nodes {
		signature, _, err := m.Abandon(r.cfg.Round())
		s.must(err)
		signatures = append(signatures, signature)
	}
	cert, err := aggregation.CertifyAbandon(r.cfg, signatures)
	s.must(err)
	r.cert = cert.Marshal()
	for id := range r.state {
		r.state[id] = api.UploadState_UPLOAD_STATE_ABANDONED
	}
}

// Fork makes the log forget its past: a new log of the same size and more.
func (s *Server) Fork() {
	s.mu.Lock()
	defer s.mu.Unlock()
	size := s.log.Size()
	s.log = ledger.Log{}
	_, err := s.log.Append(&ledger.Task{Task: Task, Operator: public(s.operator), Purpose: "another past", Unit: "device",
		Adjacency: "zero-out", Delta: "1e-06", Budget: big.NewRat(100, 1)}, time.Now().Unix())
	s.must(err)
	for number := uint64(1); s.log.Size() < size; number++ {
		v := &ledger.Version{Task: Task, Number: number, Digest: model.Digest{byte(number)}, Cause: "start"}
		if number > 1 {
			v.Parent = model.Digest{byte(number - 1)}
		}
		_, err := s.log.Append(v, time.Now().Unix())
		s.must(err)
	}
}

// end closes the round for uploads.
func (s *Server) end(r *Round) {
	r.closed = true
	if s.round == r {
		s.round = nil
	}
}

// stage takes a complete upload.
func (s *Server) stage(r *Round, h *aggregation.Header, vector []byte) (*api.UploadResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	digest := h.Digest()
	devices := s.seen[r.Number]
	if devices == nil {
		devices = map[aggregation.DeviceID]map[aggregation.Digest]int{}
		s.seen[r.Number] = devices
	}
	if devices[h.ID] == nil {
		devices[h.ID] = map[aggregation.Digest]int{}
	}
	devices[h.ID][digest]++
	if old := r.staged[h.ID]; old != nil && old.digest == digest {
		return &api.UploadResponse{State: r.state[h.ID]}, nil
	} else if old != nil {
		return reject(api.RejectReason_REJECT_REASON_CONFLICT), nil
	}
	if r.closed {
		return &api.UploadResponse{State: api.UploadState_UPLOAD_STATE_LATE}, nil
	}
	if s.lie.Staging != nil {
		if refuse := s.lie.Staging(h.ID); refuse != nil {
			return refuse, nil
		}
	}
	if err := s.judge(r, h, vector); err != nil {
		return nil, err
	}
	r.staged[h.ID] = &stagedUpload{h, digest, vector}
	r.state[h.ID] = api.UploadState_UPLOAD_STATE_STAGED
	answer := &api.UploadResponse{State: api.UploadState_UPLOAD_STATE_STAGED}
	if s.lie.Upload != nil {
		return answer, s.lie.Upload(h.ID, answer)
	}
	return answer, nil
}

// judge has every member judge the header, and checks that their shares lie on
// polynomials.
func (s *Server) judge(r *Round, h *aggregation.Header, vector []byte) error {
	path, _ := r.people.Path(h.ID)
	var answers []aggregation.CheckAnswer
	for j, m := range s.nodes {
		judge, err := m.Judge(r.cfg.Round())
		if err != nil {
			return err
		}
		mine, err := h.ForMember(uint16(j+1), path)
		if err != nil {
			return err
		}
		verdicts, _, err := m.Accept(r.cfg.Round(), judge.Open([]*aggregation.MemberHeader{mine}))
		if err != nil {
			return err
		}
		if verdicts[0].Reason != aggregation.Accepted {
			return fmt.Errorf("member %d: %w", j+1, verdicts[0].Reason)
		}
		answers = append(answers, aggregation.CheckAnswer{Member: uint16(j + 1), Words: verdicts[0].Check})
	}
	wrong, err := aggregation.CheckShares(r.cfg, h, vector, answers)
	if err == nil && len(wrong) > 0 {
		err = fmt.Errorf("members %v answered the check wrongly", wrong)
	}
	return err
}

func reject(r api.RejectReason) *api.UploadResponse {
	return &api.UploadResponse{State: api.UploadState_UPLOAD_STATE_REJECTED, Reason: r}
}

var errNoRound = errors.New("no such round")

// Renamed signs the state of a checkpoint as that of a log of another name.
func (s *Server) Renamed(note []byte, origin string) []byte {
	c, err := ledger.OpenCheckpoint(note, LogOrigin, public(s.operator))
	s.must(err)
	c.Origin = origin
	renamed, err := ledger.SignCheckpoint(s.operator, c)
	s.must(err)
	return renamed
}

// Ended says whether a round takes nothing any more.
func (s *Server) Ended(r *Round) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return r.closed
}
