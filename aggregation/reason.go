package aggregation

// Reason is the closed list of why an upload is not counted. The zero value means that it is.
type Reason uint8

const (
	Accepted           Reason = iota
	ReasonConfig              // sealed for another round, model or parameter set
	ReasonIdentity            // id is not the hash of the public key
	ReasonEnrolment           // the device is not in the population that the enroller signed for the round
	ReasonBase                // base version is not in the round's list
	ReasonSignature           // the device's signature does not hold
	ReasonEnvelopes           // wrong number or length of envelopes, or a Merkle path that does not lead to the signed root
	ReasonEnvelope            // the member's envelope does not open
	ReasonShare               // the share has the wrong length or leaves the field
	ReasonOtherAttempt        // another attempt of this device was accepted
	ReasonVector              // the masked vector is not the signed one, or not canonical
	ReasonClosed              // the set is signed, or the round is over
	ReasonNotEligible         // the lot did not choose this device for the round
	ReasonShard               // the device belongs to another shard of the round
	ReasonSharing             // the members' shares lie on no polynomials: ErrSharing, the server's word
	ReasonNorm                // the vector is longer than the round allows: ErrNorm, the server's word
	reasonCount
)

// Retry says what a device may do after a Reason.
type Retry uint8

const (
	RetryNone   Retry = iota // nothing to retry
	RetryResend              // the same bytes again
	RetryRound               // a later round, with a fresh seal
	RetryUpdate              // first fetch the current configuration or enrol again
)

type reasonText struct {
	label, sentence string
	retry           Retry
}

var reasonTexts = [reasonCount]reasonText{
	Accepted:           {"accepted", "The contribution was accepted.", RetryNone},
	ReasonConfig:       {"wrong_config", "The contribution was made for another round.", RetryUpdate},
	ReasonIdentity:     {"bad_identity", "The device's name does not belong to its key.", RetryUpdate},
	ReasonEnrolment:    {"not_enrolled", "The device is not enrolled in this task.", RetryUpdate},
	ReasonBase:         {"unknown_base", "The contribution starts from a model that this round does not take.", RetryUpdate},
	ReasonSignature:    {"bad_signature", "The contribution's signature does not hold.", RetryResend},
	ReasonEnvelopes:    {"bad_envelopes", "The sealed key shares do not match what the device signed.", RetryResend},
	ReasonEnvelope:     {"envelope_unopened", "A committee member could not open its key share.", RetryRound},
	ReasonShare:        {"bad_share", "A committee member found its key share malformed.", RetryRound},
	ReasonOtherAttempt: {"other_attempt", "Another contribution of this device is already counted.", RetryNone},
	ReasonVector:       {"bad_vector", "The masked vector is damaged or not the one that was signed.", RetryResend},
	ReasonClosed:       {"closed", "The round no longer takes contributions.", RetryRound},
	ReasonNotEligible:  {"not_eligible", "The lot did not choose this device for the round.", RetryRound},
	ReasonShard:        {"other_shard", "The device belongs to another group of this round.", RetryRound},
	ReasonSharing:      {"bad_sharing", "The key shares of the contribution do not belong together.", RetryRound},
	ReasonNorm:         {"too_long", "The contribution is larger than the round allows.", RetryRound},
}

// Label is the metric label.
func (r Reason) Label() string { return r.text().label }

// String is the metric label.
func (r Reason) String() string { return r.text().label }

// Sentence tells a person what happened.
func (r Reason) Sentence() string { return r.text().sentence }

// Retry says what the device may do next.
func (r Reason) Retry() Retry { return r.text().retry }

// Error makes every Reason but Accepted usable as an error; errors.As finds it again.
func (r Reason) Error() string { return "aggregation: upload refused: " + r.text().label }

// Valid reports whether r is one of the listed reasons.
func (r Reason) Valid() bool { return r < reasonCount }

func (r Reason) text() reasonText {
	if !r.Valid() {
		return reasonText{"unknown", "Unknown reason.", RetryNone}
	}
	return reasonTexts[r]
}

// Refusal is the closed list of why a committee member does not do what the server asks. It is an error.
type Refusal uint8

const (
	RefusePlan        Refusal = iota + 1 // the round was opened under another plan
	RefuseNoRound                        // no key was made for this round, or it was erased
	RefusePins                           // enroller, roster or round keys are not the pinned ones
	RefuseOwnKey                         // the roster does not carry this member's own round key
	RefuseOtherConfig                    // another configuration was begun for this round
	RefuseFloor                          // NMin is below the member's own floor
	RefuseSetSize                        // |U| < NMin or |U| > NMax
	RefuseUnaccepted                     // U holds an entry that this member did not accept
	RefuseOtherSet                       // another set was signed in this round
	RefuseSigned                         // a set was signed, so the round cannot be abandoned
	RefuseAbandoned                      // the round was abandoned
	RefuseCertificate                    // too few valid signatures on this configuration and set
	RefuseShares                         // shares of U are missing after a restart: send the headers again
	RefusePast                           // the round lies before the member's horizon
	RefuseOtherKeys                      // other round keys were shown before than these
	RefuseUnrevealed                     // the round's keys were not shown yet
	refusalCount
)

var refusalTexts = [refusalCount]struct{ label, sentence string }{
	RefusePlan:        {"other_plan", "The round was opened under another plan."},
	RefuseNoRound:     {"no_round", "The member holds no key for this round."},
	RefusePins:        {"wrong_roster", "Enroller, roster or round keys are not the pinned ones."},
	RefuseOwnKey:      {"not_own_key", "The roster does not carry this member's own key of the round."},
	RefuseOtherConfig: {"other_config", "Another configuration of this round is already in use."},
	RefuseFloor:       {"below_floor", "The round would open sums over fewer devices than this member allows."},
	RefuseSetSize:     {"set_size", "The set is smaller or larger than the round allows."},
	RefuseUnaccepted:  {"unaccepted_entry", "The set names a contribution that this member did not accept."},
	RefuseOtherSet:    {"other_set", "The member already signed another set in this round."},
	RefuseSigned:      {"already_signed", "The member already signed a set, so it does not abandon the round."},
	RefuseAbandoned:   {"abandoned", "The member already abandoned this round."},
	RefuseCertificate: {"bad_certificate", "The certificate does not carry a quorum of valid signatures."},
	RefuseShares:      {"shares_missing", "The member needs the headers of the set again."},
	RefusePast:        {"past_round", "The round is before those that this member still serves."},
	RefuseOtherKeys:   {"other_keys", "The member was shown other keys of this round before."},
	RefuseUnrevealed:  {"keys_not_shown", "The member was not shown the keys of this round yet."},
}

// Label is the metric label.
func (r Refusal) Label() string {
	if r == 0 || r >= refusalCount {
		return "unknown"
	}
	return refusalTexts[r].label
}

// String is the metric label.
func (r Refusal) String() string { return r.Label() }

// Sentence tells a person what happened.
func (r Refusal) Sentence() string {
	if r == 0 || r >= refusalCount {
		return "Unknown refusal."
	}
	return refusalTexts[r].sentence
}

// Error makes a Refusal usable as an error; errors.As finds it again.
func (r Refusal) Error() string { return "aggregation: member refuses: " + r.Label() }
