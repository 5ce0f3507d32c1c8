package operator

import (
	"fmt"
	"slices"
	"sort"
	"strings"
	"time"

	"tutti/privacy/ledger"
	"tutti/privacy/plan"
	"tutti/server/round"
)

// phaseWords say what a round does in each state.
var phaseWords = map[round.State]string{
	round.Created:    "asks the committee for the round's keys",
	round.Collecting: "takes uploads",
	round.Frozen:     "waits for the committee to sign the set of devices",
	round.Certified:  "waits for the committee to open the sum",
	round.Released:   "works out what the sum says",
	round.Applied:    "publishes the new version",
	round.Abandoned:  "waits for the committee to certify that nothing was opened",
}

// privacy says what protects the devices, by the newest plan; before the first one by how the task was made.
func (b *book) privacy(made string) Privacy {
	central, early := b.central, "no round was planned yet"
	if b.newest == 0 {
		central = made
	}
	p := Privacy{On: b.noise, Trust: "devices", Words: "every device adds a share of the noise; nobody sees a sum without it"}
	if central != "" && central != plan.TrustDevices.String() {
		p.Trust, p.Words = central, "the operator adds the noise, and sees sums without it"
		early += "; the operator will add the noise, and sees sums without it"
	}
	switch {
	case b.newest == 0 && b.budget != nil:
		p.On, p.Words = true, early
	case b.budget == nil || !b.noise:
		p.On, p.Words = false, "PRIVACY IS OFF: no noise is added, and nothing is claimed; for tests and comparisons only"
	}
	return p
}

// round puts together what log and happenings say of a round.
func (l *logged) round(number uint64, h *happenedRound) Round {
	r := Round{Number: number, Kind: l.kind, State: l.outcome, Reason: l.reason, Opened: l.at, Ended: l.end, Seconds: l.end.Sub(l.at).Seconds(), Goal: l.goal, Collect: max(0, l.deadline.Sub(l.at).Seconds()),
		Groups: max(1, l.groups), Counted: l.survived, Staged: l.survived, Refused: []Reason{}, Phases: []Phase{}, Meter: l.meter, Cost: l.cost,
		Charged: l.outcome != ledger.Abandoned, Version: l.version, Measured: l.figures}
	if l.outcome != ledger.Published {
		r.Counted = 0
	}
	if h != nil {
		r.Opened = h.opened
		r.Phases = slices.Clone(h.phases)
		r.Staged = max(r.Staged, h.staged)
		if h.ended != nil {
			r.Staged, r.Late, r.Refused, r.Ended = h.ended.Staged, h.ended.Late, refused(h.ended.Drops), h.at
			r.Reason = h.ended.Reason
		}
		r.Seconds = max(0, r.Ended.Sub(r.Opened).Seconds())
	}
	r.Words = r.sentence(l.uncertified)
	return r
}

// sentence says what became of a round.
func (r *Round) sentence(uncertified bool) string {
	turned := 0
	for _, x := range r.Refused {
		turned += x.Count
	}
	switch r.State {
	case ledger.Published:
		s := fmt.Sprintf("Round %d is published: %d of %d counted", r.Number, r.Counted, r.Goal)
		if turned > 0 || r.Late > 0 {
			s += fmt.Sprintf(", %d refused, %d late", turned, r.Late)
		}
		if r.Version > 0 {
			s += fmt.Sprintf("; it made version %d", r.Version)
		}
		return s
	case ledger.Lost:
		return fmt.Sprintf("Round %d is lost, and its cost stays spent: %s", r.Number, lostWords(r.Reason))
	}
	s := fmt.Sprintf("Round %d is abandoned with %d uploads: %s", r.Number, r.Staged, abandonWords(r.Reason))
	if uncertified {
		return s + "; the committee did not certify that, so its cost stays held"
	}
	return s + "; it cost nothing"
}

func abandonWords(label string) string {
	for _, r := range abandonReasons() {
		if r.String() == label {
			return r.Sentence()
		}
	}
	return "for a reason that this release does not know"
}

func lostWords(label string) string {
	for _, r := range lostReasons() {
		if r.String() == label {
			return r.Sentence()
		}
	}
	return "nothing could be published of it"
}

// abandonReasons and lostReasons list the closed sets: until the first number that has no reason.
func abandonReasons() (out []round.AbandonReason) {
	for r := round.AbandonReason(1); r.String() != "unknown"; r++ {
		out = append(out, r)
	}
	return out
}

func lostReasons() (out []round.LostReason) {
	for r := round.LostReason(1); r.String() != "unknown"; r++ {
		out = append(out, r)
	}
	return out
}

// ended lists why rounds were abandoned, the most frequent first.
func ended(reasons map[string]int) []Reason {
	out := []Reason{}
	for label, n := range reasons {
		words := abandonWords(label)
		if !slices.ContainsFunc(abandonReasons(), func(r round.AbandonReason) bool { return r.String() == label }) {
			label = "unknown"
		}
		out = append(out, Reason{Label: label, Words: words, Count: n})
	}
	sort.Slice(out, func(i, j int) bool {
		return out[i].Count > out[j].Count || out[i].Count == out[j].Count && out[i].Label < out[j].Label
	})
	return out
}

// sentence says in one line where a task stands.
func sentence(v *View, waiting *Told) string {
	var parts []string
	switch {
	case v.Open != nil && v.Open.Phase == round.Collecting.String():
		parts = append(parts, fmt.Sprintf("Round %d takes uploads: %d of %d are in, %d accepted, until %s", v.Open.Number, v.Open.Staged, v.Open.Goal, v.Open.Accepted, v.Open.Deadline.Format("15:04")))
	case v.Open != nil:
		parts = append(parts, fmt.Sprintf("Round %d %s", v.Open.Number, v.Open.Words))
	case v.State == Running && waiting != nil:
		parts = append(parts, waiting.Words)
	case len(v.Rounds) > 0:
		parts = append(parts, v.Rounds[0].Words)
	default:
		parts = append(parts, "No round was opened yet")
	}
	switch v.State {
	case Paused:
		parts = append(parts, "the task is paused: no other round opens")
	case Stopped:
		parts = append(parts, "the task is stopped")
	case Finished:
		parts = append(parts, "the recipe is done")
	}
	if v.Budget.Bounded {
		s := fmt.Sprintf("epsilon %.2f of %.2f", v.Budget.Spent.Epsilon, v.Budget.Epsilon)
		if f := v.Budget.Forecast; f.Known && v.State == Running {
			s += ", " + f.Words
		}
		parts = append(parts, s)
	}
	return strings.Join(parts, "; ")
}

// Labels of warnings. The set is closed.
const (
	WarnPrivacyOff  = "privacy_off"
	WarnTrusted     = "trusted_operator"
	WarnNode        = "node_away"
	WarnNodeWrong   = "node_wrong"
	WarnCertificate = "certificate"
	WarnDisk        = "disk"
	WarnBudget      = "budget"
	WarnFailures    = "failures"
	WarnStandstill  = "standstill"
	WarnWaiting     = "waiting"
	WarnMeter       = "meter"
	WarnLog         = "log"
	WarnAttendance  = "participation"
)

// When to warn. The shipped alert rules say the same (alerts.yaml).
const (
	warnCertificate   = 7 * 24 * time.Hour
	warnDisk          = 0.1
	warnBudget        = 0.8
	warnFailures      = 3
	warnParticipation = 0.5
	warnRounds        = 3
)

func (m *Maker) warnings(v *View) []Warning {
	out := []Warning{}
	warn := func(grave bool, label, subject, remedy, words string, args ...any) {
		out = append(out, Warning{Label: label, Grave: grave, Words: fmt.Sprintf(words, args...), Remedy: remedy, Subject: subject})
	}
	if v.Log.Verdict.State == "failed" {
		warn(true, WarnLog, "", "stop the server, keep the data directory, and run tutti fsck", "the log does not hold: %s", v.Log.Verdict.Words)
	}
	if m.told.failing != nil && v.State == Running {
		warn(true, WarnStandstill, "", "remove the cause; the round goes on by itself or with the next start", "%s", m.told.failing.Words)
	}
	if v.Totals.InARow >= warnFailures {
		warn(true, WarnFailures, "", "look at why they ended, below", "the last %d rounds ended without a sum", v.Totals.InARow)
	}
	m.warnMachine(v, warn)
	for _, n := range v.Nodes {
		if !n.Up {
			warn(false, WarnNode, n.Address, "ask whoever runs it", "committee node %s does not answer since %s", n.Address, n.AwaySince.Format("2 January 15:04"))
		}
		if n.Wrong > 0 {
			warn(false, WarnNodeWrong, n.Address, "ask whoever runs it", "committee node %s gave %d wrong answers, which the other nodes' corrected", n.Address, n.Wrong)
		}
	}
	if len(v.Rounds) > 0 && v.Rounds[0].Meter != nil && v.Rounds[0].Meter.Off {
		warn(true, WarnMeter, "", "pause the task and compare the devices' releases", "round %d had %.2f times the promised noise (z = %+.1f)", v.Rounds[0].Number, v.Rounds[0].Meter.Ratio, v.Rounds[0].Meter.Z)
	}
	if v.Budget.Bounded && 1-v.Budget.Left > warnBudget {
		warn(false, WarnBudget, "", "plan the task that follows: a budget cannot be raised", "%.0f %% of the budget are spent or reserved; %s", 100*(1-v.Budget.Left), v.Budget.Forecast.Words)
	}
	if low := lowParticipation(v.Rounds); low {
		warn(false, WarnAttendance, "", "longer collections, or a smaller goal", "fewer than half of the wanted devices were counted in each of the last %d rounds", warnRounds)
	}
	if m.told.waiting != nil && v.Open == nil && v.State == Running {
		warn(false, WarnWaiting, "", "hand out tokens to more devices", "%s", lower(m.told.waiting.Words))
	}
	if !v.Privacy.On {
		warn(false, WarnPrivacyOff, "", "", "%s", v.Privacy.Words)
	} else if v.Privacy.Trust != "devices" {
		warn(false, WarnTrusted, "", "", "%s", v.Privacy.Words)
	}
	slices.SortStableFunc(out, func(a, b Warning) int { return boolInt(b.Grave) - boolInt(a.Grave) })
	return out
}

func (m *Maker) warnMachine(v *View, warn func(grave bool, label, subject, remedy, words string, args ...any)) {
	if c := v.Machine.Certificate; c != nil {
		switch left := c.Sub(v.At); {
		case left <= 0:
			warn(true, WarnCertificate, "", "put new certificate files in place: they are read without a restart", "the certificate expired on %s: devices refuse this server", c.Format("2 January 15:04"))
		case left < warnCertificate:
			warn(false, WarnCertificate, "", "put new certificate files in place: they are read without a restart", "the certificate expires on %s", c.Format("2 January 15:04"))
		}
	}
	if total := v.Machine.DiskTotal; total > 0 && float64(v.Machine.DiskFree) < warnDisk*float64(total) {
		warn(true, WarnDisk, "", "free space on the data directory's disk", "only %d MiB of %d MiB of disk are free", v.Machine.DiskFree>>20, total>>20)
	}
}

func lowParticipation(rounds []Round) bool {
	if len(rounds) < warnRounds {
		return false
	}
	for _, r := range rounds[:warnRounds] {
		if r.participation() >= warnParticipation {
			return false
		}
	}
	return true
}
