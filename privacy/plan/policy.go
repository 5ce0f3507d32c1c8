package plan

import (
	"crypto/ed25519"
	"math/big"
)

// Policy is what a device accepts, fixed by the app and its user before any plan arrives. Its keys are pinned: they
// never come from the server.
type Policy struct {
	Task      string
	Operator  ed25519.PublicKey
	Enroller  ed25519.PublicKey
	Committee []ed25519.PublicKey // every member of a plan must be one of these

	MinMembers  int      // smallest committee
	MinCorrupt  int      // smallest number of members assumed to collude with the server
	MinCohort   int      // smallest n_min
	MinColluder *big.Rat // smallest t_c as a share of n_max; nil: any
	MaxClip     float64  // largest clip; 0: any
	MaxRhoRound *big.Rat // most that one round may cost; nil refuses every round with noise
	MaxRhoTotal *big.Rat // most that the device spends in all; nil refuses every round with noise
	MinPad      int      // fewest coordinates that carry noise only
	Population  int      // devices of the task, for the rule on delta; 0: the plan's n_max

	AllowNoiseOff bool // tests and comparisons only
	AllowUnmasked bool // tests and comparisons only
}

// LogCheck is what a device found when it compared the plan's checkpoint with the one it keeps.
type LogCheck uint8

// Results of the comparison. The zero value refuses.
const (
	LogMissing LogCheck = iota // no checkpoint, or none that verifies
	LogForked                  // signed, but it does not extend the one kept
	LogConsistent
)

// State is what a device remembers, and the time.
type State struct {
	Now        int64    // unix seconds
	Spent      *big.Rat // rho spent so far over all rounds; nil: nothing
	Sealed     bool     // a round of the task was sealed before
	LastRound  uint64   // the newest such round
	BaseNumber uint64   // newest accepted model version; 0: none
	Base       Digest   // its digest
	Log        LogCheck
}
