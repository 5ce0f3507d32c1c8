package plan

import "fmt"

// Reason is the closed list of why a device refuses a plan. The zero value means that it does not.
type Reason uint8

// The reasons.
const (
	Accepted              Reason = iota
	ReasonOperator               // not signed by the pinned operator, or not readable
	ReasonTask                   // for another task
	ReasonEnroller               // another enroller vouches for the devices
	ReasonMember                 // a committee member is unknown, or stands twice
	ReasonCommittee              // the committee is too small
	ReasonCorrupt                // too few members are assumed to collude
	ReasonAggregation            // the secure sum cannot be built from the plan's numbers
	ReasonCentral                // the server would add the noise, not the devices
	ReasonNoiseOff               // noise is off
	ReasonMechanism              // the numbers of clip and noise do not hold together
	ReasonCohort                 // too few devices would be in the sum
	ReasonColluders              // too few devices are assumed to hide their noise
	ReasonClip                   // the clip is too large
	ReasonPad                    // too few coordinates measure the noise
	ReasonDelta                  // delta is too large for so many devices
	ReasonRoundCost              // one round costs more than the device allows
	ReasonBudget                 // the device's budget would be exceeded
	ReasonDeadline               // the round is over
	ReasonRepeated               // the device already took part in this round or a later one
	ReasonOldBase                // the round starts from a model older than the one the device has
	ReasonLogMissing             // the plan brings no checkpoint that verifies
	ReasonLogForked              // the operator's log contradicts what the device saw
	ReasonPopulation             // the enroller did not sign the population for the task
	ReasonSmallPopulation        // too few devices are enrolled
	ReasonGroups                 // no groups, or too many
	ReasonThreshold              // the lot leaves too few devices, or nobody
	ReasonSuite                  // envelopes that this program does not know
	ReasonPostQuantum            // envelopes that a quantum computer would open
	ReasonUncheckedNorm          // inputs that nobody checks
	ReasonMetrics                // the numbers of the metrics do not hold together
	ReasonParticipations         // the device was in as many rounds as it may
	ReasonSeparation             // too soon after the last round that the device was in
	ReasonClock                  // the device's clock went back
	ReasonNotLogged              // the plan is not proven to be in the log
	ReasonStream                 // the noise over several rounds changes midway
	ReasonBases                  // an older base is not the version that the device knows
	reasonCount
)

// Retry says what a device may do after a refusal.
type Retry uint8

// Retry classes.
const (
	RetryNone     Retry = iota // nothing to retry
	RetryRound                 // another round of the same task may do
	RetryOperator              // nothing until the operator changes the task
	RetryAlarm                 // nothing before a person has looked: the operator contradicts itself or is not who it was
)

// String is the retry class's label.
func (r Retry) String() string {
	switch r {
	case RetryNone:
		return "none"
	case RetryRound:
		return "next_round"
	case RetryOperator:
		return "operator"
	case RetryAlarm:
		return "alarm"
	}
	return fmt.Sprintf("retry(%d)", uint8(r))
}

var reasons = [reasonCount]struct {
	label, sentence string
	retry           Retry
}{
	Accepted:              {"accepted", "The plan keeps to this device's rules.", RetryNone},
	ReasonOperator:        {"operator", "The plan does not come from the operator that this app trusts. Nothing was sent.", RetryAlarm},
	ReasonTask:            {"task", "The plan is for another task. Nothing was sent.", RetryOperator},
	ReasonEnroller:        {"enroller", "Someone unknown to this app vouches for the devices of this round. Nothing was sent.", RetryAlarm},
	ReasonMember:          {"member", "The committee has a member that this app does not know, or one that counts twice. Nothing was sent.", RetryAlarm},
	ReasonCommittee:       {"committee", "The committee that keeps the sum sealed is too small. Nothing was sent.", RetryOperator},
	ReasonCorrupt:         {"corrupt", "The plan trusts too many of its committee members. Nothing was sent.", RetryOperator},
	ReasonAggregation:     {"aggregation", "The numbers of the sealed sum do not fit together. Nothing was sent.", RetryOperator},
	ReasonCentral:         {"central", "This round trusts the operator to hide people in the result, and this app does not. Nothing was sent.", RetryOperator},
	ReasonNoiseOff:        {"noise_off", "This round would add no noise, so the result could give single people away. Nothing was sent.", RetryOperator},
	ReasonMechanism:       {"mechanism", "The plan's noise is weaker than it says. Nothing was sent.", RetryOperator},
	ReasonCohort:          {"cohort", "Too few devices would be added up to hide this one. Nothing was sent.", RetryOperator},
	ReasonColluders:       {"colluders", "The plan trusts too many of the other devices. Nothing was sent.", RetryOperator},
	ReasonClip:            {"clip", "The plan lets one device count for too much. Nothing was sent.", RetryOperator},
	ReasonPad:             {"pad", "The plan leaves no room to measure whether the noise is real. Nothing was sent.", RetryOperator},
	ReasonDelta:           {"delta", "The plan's promise is too weak for so many devices. Nothing was sent.", RetryOperator},
	ReasonRoundCost:       {"round_cost", "This round would cost more privacy than one round may cost. Nothing was sent.", RetryRound},
	ReasonBudget:          {"budget", "This device's privacy budget is spent. It still recommends, and sends nothing more.", RetryNone},
	ReasonDeadline:        {"deadline", "The round is over. Another one will come.", RetryRound},
	ReasonRepeated:        {"repeated", "This device has already taken part in this round or a later one.", RetryRound},
	ReasonOldBase:         {"old_base", "The round starts from an older model than the one on this device. Nothing was sent.", RetryRound},
	ReasonLogMissing:      {"log_missing", "The plan does not show the public log of earlier rounds. Nothing was sent.", RetryRound},
	ReasonPopulation:      {"population", "The list of devices of this round is not the one that someone independent vouched for. Nothing was sent.", RetryAlarm},
	ReasonSmallPopulation: {"small_population", "Too few devices are enrolled to hide this one among them. Nothing was sent.", RetryRound},
	ReasonGroups:          {"groups", "The round is split into a number of groups that cannot be. Nothing was sent.", RetryOperator},
	ReasonThreshold:       {"threshold", "The lot of this round would leave too few devices to hide this one. Nothing was sent.", RetryOperator},
	ReasonSuite:           {"suite", "The round seals its keys in a way that this app does not know; update the app. Nothing was sent.", RetryOperator},
	ReasonPostQuantum:     {"post_quantum", "A later quantum computer could open what this round seals. Nothing was sent.", RetryOperator},
	ReasonUncheckedNorm:   {"unchecked_norm", "Nobody would notice a device that spoils this round for all others. Nothing was sent.", RetryOperator},
	ReasonMetrics:         {"metrics", "The figures that this round asks for are not hidden as they should be. Nothing was sent.", RetryOperator},
	ReasonParticipations:  {"participations", "This device has been in as many rounds as it may. It still recommends, and sends nothing more.", RetryNone},
	ReasonSeparation:      {"separation", "This device took part a short while ago and rests now. Another round will come.", RetryRound},
	ReasonClock:           {"clock", "The clock of this device went back, so it cannot tell which rounds are over. Nothing was sent; please set the clock.", RetryRound},
	ReasonNotLogged:       {"not_logged", "The server does not prove that this round stands in its public log. Nothing was sent.", RetryAlarm},
	ReasonStream:          {"stream", "The operator changed, midway, how several rounds hide people together. Nothing was sent.", RetryAlarm},
	ReasonBases:           {"bases", "The round builds on an earlier model that is not the one this device knows. Nothing was sent.", RetryAlarm},
	ReasonLogForked:       {"log_forked", "The public log contradicts what this device saw earlier. Nothing was sent; please tell the auditor.", RetryAlarm},
}

// String is the reason's metric label.
func (r Reason) String() string {
	if r < reasonCount {
		return reasons[r].label
	}
	return fmt.Sprintf("reason(%d)", uint8(r))
}

// Sentence is what an app can show.
func (r Reason) Sentence() string {
	if r < reasonCount {
		return reasons[r].sentence
	}
	return "The plan was refused. Nothing was sent."
}

// Retry says what the device may do next.
func (r Reason) Retry() Retry {
	if r < reasonCount {
		return reasons[r].retry
	}
	return RetryOperator
}

// Refusal is the error of a plan that a device does not follow.
type Refusal struct {
	Reason Reason
	Detail string // numbers for a log; holds nothing of the person's
}

func (r *Refusal) Error() string {
	if r.Detail == "" {
		return "plan refused (" + r.Reason.String() + ")"
	}
	return "plan refused (" + r.Reason.String() + "): " + r.Detail
}

// Sentence is what an app can show.
func (r *Refusal) Sentence() string { return r.Reason.Sentence() }

// Retry says what the device may do next.
func (r *Refusal) Retry() Retry { return r.Reason.Retry() }

func refuse(r Reason, format string, args ...any) *Refusal {
	return &Refusal{r, fmt.Sprintf(format, args...)}
}
