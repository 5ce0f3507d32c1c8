package silo

// Refusal is the closed list of why an organisation does not do what it is asked. It is an error.
type Refusal uint8

const (
	RefuseOtherConfig         Refusal = iota + 1 // message or record of another configuration
	RefuseOrder                                  // a step that this step needs was not made yet
	RefuseOtherView                              // another list of announcements than the one answered
	RefuseOtherKeys                              // another list of key shares than the one in use
	RefuseOtherVector                            // a second, different contribution in one round
	RefuseSecondDecryption                       // a second partial decryption: another sum than the one decrypted
	RefuseActiveSet                              // the same sum, for another set of decrypting organisations
	RefuseNotActive                              // the proposal does not name this organisation
	RefuseMinimum                                // fewer contributions, or fewer decrypting organisations, than agreed
	RefuseContributions                          // the proposal's list is not the list of contributions that this organisation holds
	RefuseOwnContribution                        // the proposal names a contribution of ours that we did not make
	RefuseSum                                    // the proposed ciphertext is not the sum of those contributions
	RefuseSecondContributions                    // a second, different contribution of one organisation
	RefuseClosed                                 // the round is over here and its secrets are erased
	refusalCount
)

var refusalTexts = [refusalCount]struct{ label, sentence string }{
	RefuseOtherConfig:         {"other_config", "The message belongs to another configuration."},
	RefuseOrder:               {"out_of_order", "An earlier step of the round is missing."},
	RefuseOtherView:           {"other_announcements", "The key share was already made for another list of announcements."},
	RefuseOtherKeys:           {"other_keys", "The round already uses another list of key shares."},
	RefuseOtherVector:         {"other_vector", "The organisation already contributed another vector in this round."},
	RefuseSecondDecryption:    {"second_decryption", "The organisation already decrypted its one sum of this round."},
	RefuseActiveSet:           {"other_active_set", "The organisation already decrypted this sum with another set of organisations."},
	RefuseNotActive:           {"not_active", "The proposal does not ask this organisation to decrypt."},
	RefuseMinimum:             {"below_minimum", "The sum would be over fewer organisations than agreed."},
	RefuseContributions:       {"other_contributions", "The proposal does not list the contributions that this organisation holds."},
	RefuseOwnContribution:     {"not_own_contribution", "The proposal lists a contribution that this organisation did not make."},
	RefuseSum:                 {"other_sum", "The proposed ciphertext is not the sum of the listed contributions."},
	RefuseSecondContributions: {"second_contribution", "The organisation already sent another contribution."},
	RefuseClosed:              {"closed", "The round is over here, its secrets are erased."},
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
func (r Refusal) Error() string { return "silo: organisation refuses: " + r.Label() }
