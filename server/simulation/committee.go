package simulation

import (
	"crypto/sha256"
	"encoding/binary"
	"slices"

	"tutti/server/round"
	"tutti/server/store"
)

const (
	members = 5
	quorum  = 4
	need    = 3
)

// member is a committee node that keeps its promises, whatever the server does (aggregation.Member, which TestMembers
// holds it against): one list of keys, one set, or the abandonment, for each group, and the same answer every time.
type member struct {
	w      *world
	index  int
	down   bool
	rounds map[uint64]*memberRound
	groups map[store.Key]*memberGroup
}

type memberRound struct {
	key  []byte
	seen string // the one list of keys that it gave its coin for
}

type memberGroup struct {
	accepted  map[round.ID][32]byte
	shares    map[round.ID]bool // opened in this process: a restart loses them, and they are shown to it again
	signed    [32]byte          // digest of the set; zero: none
	abandoned bool
	answer    []byte
}

// request is what reaches a member: a Request, and what the shell puts beside it.
type request struct {
	round.Request
	key       store.Key
	keys      string         // all members' keys
	set       []round.Upload // to sign, or of the certificate
	headers   [][]byte       // of IDs; nil: the shell could not read it
	certified int            // signatures in the certificate
}

func digestOf(k store.Key, set []round.Upload) [32]byte {
	b := binary.BigEndian.AppendUint64(make([]byte, 0, 12+48*len(set)), k.Round)
	b = binary.BigEndian.AppendUint32(b, k.Shard)
	for _, u := range set {
		b = append(append(b, u.ID[:]...), u.Digest[:]...)
	}
	return sha256.Sum256(b)
}

func (m *member) round(n uint64) *memberRound {
	if m.rounds[n] == nil {
		m.rounds[n] = &memberRound{}
	}
	return m.rounds[n]
}

func (m *member) group(k store.Key) *memberGroup {
	if m.groups[k] == nil {
		m.groups[k] = &memberGroup{accepted: map[round.ID][32]byte{}, shares: map[round.ID]bool{}}
	}
	return m.groups[k]
}

// over says that all groups of a round are abandoned.
func (m *member) over(k store.Key) bool {
	for k.Shard = range uint32(m.w.s.Groups) {
		if g := m.groups[k]; g == nil || !g.abandoned {
			return false
		}
	}
	return true
}

// restart loses what is in memory.
func (m *member) restart() {
	for _, g := range m.groups {
		clear(g.shares)
	}
}

// misses are the uploads of a set whose shares the member has to be shown again before it can release.
func (m *member) misses(q request) (ids []round.ID) {
	g := m.group(q.key)
	if q.Ask != round.AskRelease || g.answer != nil {
		return nil
	}
	for _, u := range q.set {
		if !g.shares[u.ID] && g.accepted[u.ID] == u.Digest {
			ids = append(ids, u.ID)
		}
	}
	return ids
}

// answer is what the member says; what it stored before saying it stays.
func (m *member) answer(q request) round.Input {
	refuse := round.Failed{Member: m.index, Ask: q.Ask, Batch: q.Batch, Final: true}
	g := m.group(q.key)
	switch q.Ask {
	case round.AskOpen:
		r := m.round(q.key.Round)
		if r.key == nil {
			r.key = []byte{byte(m.index), byte(m.w.rng.IntN(256))}
		}
		return round.Opened{Member: m.index, Key: r.key}
	case round.AskReveal:
		r := m.round(q.key.Round)
		if r.seen == "" {
			r.seen = q.keys
		}
		if m.over(q.key) {
			return refuse
		}
		if r.seen != q.keys {
			m.w.check.fail("set", "member %d is shown the keys %s after %s", m.index, q.keys, r.seen)
			return refuse
		}
		return round.Revealed{Member: m.index, Coin: []byte{byte(m.index)}}
	case round.AskBegin:
		if g.abandoned {
			return refuse
		}
		return round.Begun{Member: m.index}
	case round.AskJudge:
		return m.judge(g, q)
	case round.AskSign:
		return m.sign(g, q)
	case round.AskAbandon:
		if g.signed != [32]byte{} {
			return refuse
		}
		g.abandoned = true
		return round.AbandonSigned{Member: m.index, Signature: []byte("abandoned")}
	default:
		return m.release(g, q)
	}
}

func (m *member) lies(how byte) bool {
	return m.w.s.Liar == m.index && slices.Contains([]byte(m.w.s.Lies), how)
}

func (m *member) judge(g *memberGroup, q request) round.Input {
	verdicts := make([]bool, len(q.IDs))
	for i, id := range q.IDs {
		u := m.w.uploads[sha256.Sum256(q.headers[i])]
		if u == nil || u.device.id != id {
			continue // a header that is not this device's
		}
		had, before := g.accepted[id]
		good := g.signed == [32]byte{} && !slices.Contains(u.device.bad, m.index) && !(m.lies('c') && id[0]%2 == 0)
		if !g.abandoned && g.answer == nil && (before && had == u.digest || !before && good) {
			verdicts[i], g.shares[id] = true, true
			g.accepted[id] = u.digest
		}
	}
	return round.Judged{Member: m.index, Batch: q.Batch, Accepted: verdicts}
}

func (m *member) sign(g *memberGroup, q request) round.Input {
	d := digestOf(q.key, q.set)
	m.w.check.proposed(q.key, d, q.set)
	refuse := round.Failed{Member: m.index, Ask: q.Ask, Final: true}
	if g.abandoned || g.signed != [32]byte{} && g.signed != d || len(q.set) < m.w.s.Min || len(q.set) > m.w.s.Max {
		return refuse
	}
	for _, u := range q.set {
		if g.accepted[u.ID] != u.Digest {
			return refuse
		}
	}
	g.signed = d
	return round.SetSigned{Member: m.index, Signature: d[:]}
}

// release answers the sum of the masks over the certified set.
func (m *member) release(g *memberGroup, q request) round.Input {
	m.w.check.released(q.key, m.index)
	refuse := round.Failed{Member: m.index, Ask: q.Ask, Final: true}
	if g.abandoned || q.certified < quorum || g.signed != [32]byte{} && g.signed != digestOf(q.key, q.set) {
		return refuse
	}
	if g.answer == nil {
		for _, u := range q.set {
			if g.accepted[u.ID] != u.Digest || !g.shares[u.ID] {
				return refuse
			}
		}
		total := int64(0)
		for _, u := range q.set {
			if s := m.w.uploads[u.Digest]; s != nil {
				total += s.mask
				if slices.Contains(s.device.skew, m.index) {
					total += 1000 * int64(m.index+1)
				}
			}
		}
		if m.lies('a') {
			total++
		}
		g.answer = binary.BigEndian.AppendUint64(nil, uint64(total))
	}
	return round.Answered{Member: m.index, Answer: g.answer}
}

// slack is how many of n answers may be wrong and are corrected; more are noticed as long as there is one to spare.
func slack(n int) int { return (n - need) / 2 }

// decode corrects as many wrong answers as the spare ones allow.
func decode(answers []round.Said) (total int64, wrong []int, ok bool) {
	votes := map[string]int{}
	best := ""
	for _, a := range answers {
		if votes[string(a.Bytes)]++; votes[string(a.Bytes)] > votes[best] {
			best = string(a.Bytes)
		}
	}
	for _, a := range answers {
		if string(a.Bytes) != best {
			wrong = append(wrong, a.Member)
		}
	}
	if len(best) != 8 {
		return 0, wrong, false
	}
	return int64(binary.BigEndian.Uint64([]byte(best))), wrong, len(answers) >= need && len(wrong) <= slack(len(answers))
}

// words is the sharing check: what the members said of a batch's uploads, of whom some hold a share of another key.
func (d *driver) words(g *group, c round.Check) []round.Finding {
	out := make([]round.Finding, len(c.IDs))
	liar := d.r.w.s.Liar
	forges := slices.Contains([]byte(d.r.w.s.Lies), 'f')
	for i, id := range c.IDs {
		dev := d.r.w.device(id)
		n := 0
		var odd []int
		for _, j := range c.Members {
			if !g.judged[id][j] {
				continue
			}
			n++
			if forged := j == liar && forges && id[0]%2 == 1; forged || slices.Contains(dev.skew, j) {
				odd = append(odd, j)
			}
		}
		switch {
		case n < need:
		case n == need: // any so many words lie on some polynomial
			out[i] = round.Finding{Sharing: round.Sound}
		case len(odd) <= slack(n):
			out[i] = round.Finding{Sharing: round.Sound, Wrong: odd}
		default:
			out[i] = round.Finding{Sharing: round.Unsound}
		}
	}
	return out
}
