package server

import (
	"fmt"
	"math/big"
	"time"

	"tutti/privacy/mechanism"
	"tutti/privacy/plan"
	"tutti/server/round"
)

// Event is something that happened, for people and for counters. String says it in plain words.
type Event interface {
	fmt.Stringer
	event()
}

// Part names one group of a round that was split, from 1; zero: the whole round.
type Part struct{ Group, Of int }

// of is the subject of a sentence.
func (p Part) of(round uint64) string {
	if p.Of < 2 {
		return fmt.Sprintf("Round %d", round)
	}
	return fmt.Sprintf("Round %d, group %d of %d", round, p.Group, p.Of)
}

type (
	// Opened: devices may upload.
	Opened struct {
		Round          uint64
		Kind           plan.Kind
		Goal, Min, Max int // Min and Max of one group
		Groups         int
		Members        int
		Rho            *big.Rat // nil: noise is off
		Deadline       time.Time
		Central        bool // the operator is trusted to add the noise
	}
	// Progress: uploads were staged, or accepted by the committee.
	Progress struct {
		Round                  uint64
		Staged, Accepted, Goal int
	}
	// Closing: no more uploads are taken.
	Closing struct {
		Round uint64
		Part
		Staged int
	}
	// Frozen: the set is fixed.
	Frozen struct {
		Round uint64
		Part
		Devices int
	}
	// Certified: a quorum signed the set, and the budget is charged.
	Certified struct {
		Round uint64
		Part
		Devices           int
		Signatures        int
		Rho, Spent, Total *big.Rat // Total nil: no bound
	}
	// SumOpened: the sum is open.
	SumOpened struct {
		Round uint64
		Part
		Devices int
		Meter   mechanism.NoiseMeter
		Took    time.Duration // since the round opened
	}
	// Published: what was made of the sum is public.
	Published struct {
		Round   uint64 // 0: no round made it
		Version uint64 // 0: the round made no version
		Cause   string
	}
	// Abandoned: nothing was opened.
	Abandoned struct {
		Round uint64
		Part
		Reason round.AbandonReason
		Staged int
	}
	// Freed: the committee certified an abandonment, so that nobody is charged, or it did not.
	Freed struct {
		Round uint64
		Part
		Certified bool
	}
	// Lost: certified and charged, but no sum.
	Lost struct {
		Round uint64
		Part
		Reason round.LostReason
	}
	// NodeAway: a committee node stopped answering. NodeBack: it answers again. NodeDoubted: it complains alone.
	NodeAway    struct{ Node string }
	NodeBack    struct{ Node string }
	NodeDoubted struct {
		Node       string
		Complaints int
		Wrong      int // of them: uploads on which its words contradict the other nodes'
	}
	// NodeWrong: a committee node answered a wrong sum of shares; the others' answers corrected it.
	NodeWrong struct {
		Round uint64
		Node  string
	}
	// Waiting: too few devices are enrolled to open a round.
	Waiting struct{ Enrolled, Want int }
	// Failing: the server cannot go on; Resume continues when the cause is removed.
	Failing struct {
		Round uint64
		Err   error
	}
)

func (Opened) event()      {}
func (Progress) event()    {}
func (Closing) event()     {}
func (Frozen) event()      {}
func (Certified) event()   {}
func (SumOpened) event()   {}
func (Published) event()   {}
func (Abandoned) event()   {}
func (Freed) event()       {}
func (Lost) event()        {}
func (NodeAway) event()    {}
func (NodeBack) event()    {}
func (NodeDoubted) event() {}
func (NodeWrong) event()   {}
func (Waiting) event()     {}
func (Failing) event()     {}

func (e Opened) String() string {
	trust := ""
	if e.Central {
		trust = "; " + SeesSums
	}
	if e.Groups > 1 {
		return fmt.Sprintf("Round %d (%s) is open: %d devices wanted, in %d groups of at least %d, %d committee nodes, %s%s", e.Round, e.Kind, e.Goal, e.Groups, e.Min, e.Members, cost(e.Rho), trust)
	}
	return fmt.Sprintf("Round %d (%s) is open: %d devices wanted, at least %d, %d committee nodes, %s%s", e.Round, e.Kind, e.Goal, e.Min, e.Members, cost(e.Rho), trust)
}

func cost(rho *big.Rat) string {
	switch {
	case rho == nil:
		return "no noise"
	case rho.Sign() == 0:
		return "nothing more: its stream of noise is paid for"
	}
	return "rho " + rho.FloatString(6)
}

func (e Progress) String() string {
	return fmt.Sprintf("Round %d: %d of %d uploads in, %d accepted by the committee", e.Round, e.Staged, e.Goal, e.Accepted)
}

func (e Closing) String() string {
	return fmt.Sprintf("%s is closed with %d uploads", e.of(e.Round), e.Staged)
}

func (e Frozen) String() string {
	return fmt.Sprintf("%s: %d devices are in the set", e.of(e.Round), e.Devices)
}

func (e Certified) String() string {
	s := fmt.Sprintf("%s: %d nodes certified the set of %d devices", e.of(e.Round), e.Signatures, e.Devices)
	if e.Rho == nil {
		return s + "; there is no noise, so no finite claim covers it"
	}
	s += "; charged " + cost(e.Rho)
	if e.Total != nil && e.Spent != nil {
		s += fmt.Sprintf(", %s of %s spent", e.Spent.FloatString(6), e.Total.FloatString(6))
	}
	return s
}

func (e SumOpened) String() string {
	s := fmt.Sprintf("%s: the sum over %d devices is open after %v", e.of(e.Round), e.Devices, e.Took.Round(time.Millisecond))
	if e.Meter.PadCoords > 0 {
		s += fmt.Sprintf("; noise measured at %.2f times the promised variance (z = %+.1f)", e.Meter.MeasuredVar/e.Meter.ExpectedVar, e.Meter.ZScore)
	}
	return s
}

func (e Published) String() string {
	switch {
	case e.Round == 0:
		return fmt.Sprintf("Version %d is published (%s)", e.Version, e.Cause)
	case e.Version == 0:
		return fmt.Sprintf("Round %d is done", e.Round)
	}
	return fmt.Sprintf("Round %d is done; version %d is published", e.Round, e.Version)
}

func (e Abandoned) String() string {
	return fmt.Sprintf("%s is abandoned with %d uploads: %s", e.of(e.Round), e.Staged, e.Reason.Sentence())
}

func (e Freed) String() string {
	if e.Certified {
		return fmt.Sprintf("%s cost nothing: nothing of it can ever be opened", e.of(e.Round))
	}
	return fmt.Sprintf("%s has no certificate that it was abandoned, so its cost stays reserved", e.of(e.Round))
}

func (e Lost) String() string {
	return fmt.Sprintf("%s is lost: %s", e.of(e.Round), e.Reason.Sentence())
}

func (e NodeAway) String() string { return fmt.Sprintf("Committee node %s does not answer", e.Node) }
func (e NodeBack) String() string { return fmt.Sprintf("Committee node %s answers again", e.Node) }
func (e NodeDoubted) String() string {
	if e.Wrong > 0 {
		return fmt.Sprintf("Committee node %s contradicts all others about the key shares of %d uploads and is left out of this round", e.Node, e.Wrong)
	}
	return fmt.Sprintf("Committee node %s alone complains about %d uploads and is left out of this round", e.Node, e.Complaints)
}

func (e NodeWrong) String() string {
	return fmt.Sprintf("Round %d: committee node %s answered a wrong sum of key shares; the other nodes' answers corrected it", e.Round, e.Node)
}

func (e Waiting) String() string {
	return fmt.Sprintf("Waiting for devices: %d of %d are enrolled", e.Enrolled, e.Want)
}

func (e Failing) String() string {
	return fmt.Sprintf("Round %d stands still, nothing is lost: %v", e.Round, e.Err)
}
