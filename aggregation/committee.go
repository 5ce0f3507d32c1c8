package aggregation

import (
	"crypto/ed25519"
	"encoding/binary"
	"fmt"
	"math"
)

// labelDraw separates the draw of a committee from every other use of a beacon.
const labelDraw = "tutti/agg/v1/draw"

// CommitteeSize is a committee by its numbers (section 4).
type CommitteeSize struct {
	Members int // m
	Corrupt int // c, members that may collude with the server
	Quorum  int // floor((m+c)/2)+1 signatures: two quorums share an honest member
	Rho     int // ρ, key words in one polynomial; c+ρ answers are needed
}

// Down is how many members may be down while a quorum remains.
func (s CommitteeSize) Down() int { return s.Members - s.Quorum }

// Slack is how many answers a quorum gives beyond the c+ρ needed: half as many wrong ones are corrected and named.
func (s CommitteeSize) Slack() int { return s.Quorum - s.Corrupt - s.Rho }

// committeeOf lets quorum and ρ follow from m and c. Of what a quorum has beyond c, two thirds pack key words, since
// every envelope and answer shrinks by ρ, and one third, rounded up, is slack against wrong answers: m=5 packs 2,
// m=9 packs 2 and corrects one wrong answer, m=16 packs 4, m=66 packs 16 and corrects four.
func committeeOf(members, corrupt int) CommitteeSize {
	quorum := (members+corrupt)/2 + 1
	return CommitteeSize{Members: members, Corrupt: corrupt, Quorum: quorum, Rho: max(1, 2*(quorum-corrupt)/3)}
}

// FixedCommittee sizes a committee of pinned nodes: c of m may collude, and the share of them that is down at once,
// rounded down to whole nodes, leaves a quorum. It refuses anything else (ErrCommittee).
func FixedCommittee(members, corrupt int, down float64) (CommitteeSize, error) {
	if members < 1 || members > MaxMembers || corrupt < 1 || corrupt >= members || !(down >= 0 && down < 1) {
		return CommitteeSize{}, fmt.Errorf("%w: %d members, %d corrupt, a share of %v down", ErrCommittee, members, corrupt, down)
	}
	s := committeeOf(members, corrupt)
	if gone := int(math.Floor(down*float64(members) + 1e-9)); s.Down() < gone {
		return CommitteeSize{}, fmt.Errorf("%w: a quorum of %d of %d members does not survive %d that are down", ErrCommittee, s.Quorum, members, gone)
	}
	return s, nil
}

// SizeCommittee is the smallest committee to draw at random from devices of which a share is corrupt and a share is
// down when asked: P[more than c corrupt] < 2^-40 and P[fewer than a quorum live] < 2^-20, both by exact binomial
// tails (section 4). A draw without replacement, as DrawCommittee makes, has lighter tails than the binomial
// (Hoeffding 1963, theorem 4), so both bounds hold for it too. ErrCommittee if no m up to MaxMembers will do.
func SizeCommittee(corrupt, down float64) (CommitteeSize, error) {
	if !(corrupt >= 0 && corrupt < 1 && down >= 0 && down < 1) {
		return CommitteeSize{}, fmt.Errorf("%w: shares of %v corrupt and %v down", ErrCommittee, corrupt, down)
	}
	c, hopeless := 1, (1+corrupt)/2 >= 1-down // a quorum is more than is expected to live, at every size
	for m := 2; m <= MaxMembers && !hopeless; m++ {
		for c < m && above(m, corrupt, c) >= privacyLevel {
			c++ // grows with m
		}
		s := committeeOf(m, c)
		if s.Quorum <= m && below(m, 1-down, s.Quorum) < livenessLevel {
			return s, nil
		}
	}
	return CommitteeSize{}, fmt.Errorf("%w: no draw of up to %d devices is safe with %.4g %% corrupt and %.4g %% down", ErrCommittee,
		MaxMembers, 100*corrupt, 100*down)
}

// Seat is one drawn member: the device at the seat's place in the population.
type Seat struct {
	ID   DeviceID
	Path EnrolmentPath
}

// drawPlaces gives m distinct places in [0, size), in order of draw: the k-th place is H(label, beacon, root, k) mod size, drawn
// again from values of the incomplete last run of 2^64, and skipped when it is taken.
func drawPlaces(beacon Digest, p Population, m int) ([]uint32, error) {
	if m < 1 || m > MaxMembers || uint32(m) > p.Size {
		return nil, fmt.Errorf("%w: %d members from a population of %d", ErrCommittee, m, p.Size)
	}
	places := make([]uint32, 0, m)
	taken := make(map[uint32]bool, m)
	for k := uint64(0); len(places) < m; k++ {
		var b [8]byte
		binary.BigEndian.PutUint64(b[:], k)
		place := uint32(lotBelow(uint64(p.Size), labelDraw, beacon[:], p.Root[:], b[:]))
		if !taken[place] {
			taken[place] = true
			places = append(places, place)
		}
	}
	return places, nil
}

// DrawCommittee seats m devices by public randomness. The beacon must be one that nobody knew before the population
// was signed: that of an earlier round of the task under the same population. Seat k becomes member k+1.
//
// The draw names places in the signed order, not the devices with the lowest tickets: a place has one holder, so a
// roster is checked against the root alone, and nobody can leave out a seat that it does not like.
func (e *Enrolled) DrawCommittee(beacon Digest, m int) ([]Seat, error) {
	places, err := drawPlaces(beacon, Population{Size: uint32(e.Size()), Root: e.Root()}, m)
	if err != nil {
		return nil, err
	}
	seats := make([]Seat, m)
	for k, place := range places {
		id := e.ids[place]
		path, _ := e.Path(id)
		seats[k] = Seat{ID: id, Path: path}
	}
	return seats, nil
}

// VerifyCommittee checks a drawn roster against the population's root, which the caller verified: the identity of
// member k+1 must be the key of the device at the k-th drawn place. The roster may then be pinned. ErrRoster.
func (p Population) VerifyCommittee(beacon Digest, roster []ed25519.PublicKey, paths []EnrolmentPath) error {
	if len(roster) != len(paths) {
		return fmt.Errorf("%w: %d members, %d paths", ErrRoster, len(roster), len(paths))
	}
	places, err := drawPlaces(beacon, p, len(roster))
	if err != nil {
		return err
	}
	for k, place := range places {
		if len(roster[k]) != ed25519.PublicKeySize || paths[k].Index != place || !p.Holds(IDOf(roster[k]), paths[k]) {
			return fmt.Errorf("%w: member %d is not the device at the drawn place %d", ErrRoster, k+1, place)
		}
	}
	return nil
}
