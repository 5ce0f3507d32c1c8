package ledger

import "crypto/sha256"

// Group is what became of one group of a round that was split by lot. The records of all groups, in their order, are
// written together with the Round record that they belong to and stand before it.
type Group struct {
	Task         string
	Round        uint64
	Group        uint64 // from 0
	Plan         Digest
	Outcome      string // Published, Lost or Abandoned
	Survived     uint64 // devices in its certified set; 0 when it was abandoned
	Participants Digest // Merkle root over the ids of the set; zero when it was abandoned
	Certificate  Digest // over its set, or of its abandonment; zero: abandoned without one
	Aggregate    Digest // of its opened sum; zero: none
	Reason       string // why it was abandoned or lost
}

// Join is the digest that a Round record has of those of its groups: SHA-256 over a label and the digests in order.
func Join(digests ...Digest) Digest {
	h := sha256.New()
	h.Write([]byte("tutti/groups/v1"))
	for _, d := range digests {
		h.Write(d[:])
	}
	return Digest(h.Sum(nil))
}

func (b *Group) visit(f fields) {
	f.text("task", &b.Task)
	f.number("round", &b.Round)
	f.number("group", &b.Group)
	f.digest("plan", &b.Plan)
	f.text("outcome", &b.Outcome)
	f.number("survived", &b.Survived)
	f.digest("participants", &b.Participants)
	f.digest("certificate", &b.Certificate)
	f.digest("aggregate", &b.Aggregate)
	f.text("reason", &b.Reason)
}

// The rules between the records of a round's groups and the record of the round.

// inTurn: the groups of a round stand directly before it, in their order.
func (t *taskState) inTurn(b Body) *Violation {
	if len(t.groups) == 0 {
		return nil
	}
	round := t.groups[0].Round
	switch b := b.(type) {
	case *Group:
		if b.Round == round && b.Group == uint64(len(t.groups)) {
			return nil
		}
	case *Round:
		if b.Round == round {
			return nil
		}
	}
	return broken(FaultRound, "the groups of round %d are not followed by their round", round)
}

func (t *taskState) group(b *Group) *Violation {
	if _, v := t.planOf(b.Round, b.Plan); v != nil {
		return v
	}
	empty := b.Survived == 0 && b.Participants == Digest{} && b.Aggregate == Digest{}
	switch {
	case b.Group != uint64(len(t.groups)):
		return broken(FaultRound, "group %d of round %d is not the next one", b.Group, b.Round)
	case b.Outcome != Published && b.Outcome != Lost && b.Outcome != Abandoned:
		return broken(FaultRound, "group %d of round %d has no outcome %q", b.Group, b.Round, b.Outcome)
	case b.Outcome == Abandoned && !empty, b.Outcome != Abandoned && (b.Survived == 0 || b.Certificate == Digest{}):
		return broken(FaultCohort, "group %d of round %d is %s with %d devices", b.Group, b.Round, b.Outcome, b.Survived)
	case (b.Outcome == Published) != (b.Aggregate != Digest{}):
		return broken(FaultRound, "group %d of round %d is %s: a sum belongs to an opened group, and only to one", b.Group, b.Round, b.Outcome)
	}
	kept := *b
	t.groups = append(t.groups, &kept)
	return nil
}

// groupsOf: what the round says of itself follows from its groups, and each of them kept the minimum.
func (t *taskState) groupsOf(b *Round) *Violation {
	if len(t.groups) < 2 {
		return broken(FaultRound, "round %d is split into a single group", b.Round)
	}
	var total uint64
	var sets, certificates, sums []Digest
	for _, g := range t.groups {
		if g.Outcome != Abandoned && g.Survived < b.NMin {
			return broken(FaultCohort, "group %d of round %d holds %d devices, at least %d were promised", g.Group, b.Round, g.Survived, b.NMin)
		}
		if g.Outcome == Published && b.Outcome != Published {
			return broken(FaultRound, "round %d is %s, and its group %d was opened", b.Round, b.Outcome, g.Group)
		}
		if g.Outcome == b.Outcome {
			total += g.Survived
		}
		sets, certificates, sums = append(sets, g.Participants), append(certificates, g.Certificate), append(sums, g.Aggregate)
	}
	switch {
	case total != b.Survived || total == 0:
		return broken(FaultCohort, "round %d holds %d devices, its groups %d", b.Round, b.Survived, total)
	case Join(sets...) != b.Participants || Join(certificates...) != b.Certificate || b.Outcome == Published && Join(sums...) != b.Aggregate:
		return broken(FaultRound, "round %d names other sets, certificates or sums than its groups", b.Round)
	}
	return nil
}
