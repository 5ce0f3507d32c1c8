package round

import (
	"slices"
	"testing"
	"time"
)

// collecting is a machine in COLLECTING whose members have all begun, with the uploads a, b, c shown in one batch.
func collecting(t *testing.T, l Literal) (*Machine, time.Time) {
	t.Helper()
	l.Goal, l.Min, l.Max, l.Batch, l.Windows = 3, 2, 4, 3, DefaultWindows(time.Minute)
	p, err := NewParams(l)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Unix(1_800_000_000, 0)
	m, _ := New(p, now)
	for j := range l.Members {
		m.Step(now, Opened{Member: j, Key: []byte{byte(j)}})
	}
	for j := range l.Members {
		m.Step(now, Revealed{Member: j, Coin: []byte{byte(j)}})
	}
	for j := range l.Members {
		m.Step(now, Begun{Member: j})
	}
	m.Step(now, Staged{Uploads: []Upload{{ID: ID{'a'}}, {ID: ID{'b'}}, {ID: ID{'c'}}}})
	return m, now
}

var allYes = []bool{true, true, true}

func judge(m *Machine, now time.Time, members ...int) (out Effects) {
	for _, j := range members {
		out = m.Step(now, Judged{Member: j, Batch: 0, Accepted: allYes})
	}
	return out
}

func checkIn(t *testing.T, out Effects) []int {
	t.Helper()
	for _, w := range out.Work {
		if w.Check != nil {
			return w.Check.Members
		}
	}
	t.Fatalf("no check in %+v", out.Work)
	return nil
}

func assembleIn(out Effects) (names string) {
	for _, w := range out.Work {
		for _, u := range w.Assemble {
			names += string(u.ID[:1])
		}
	}
	return names
}

// TestNothingIsFoldedUnchecked: verdicts alone fold nothing, and what the check finds unsound is never folded.
func TestNothingIsFoldedUnchecked(t *testing.T) {
	m, now := collecting(t, Literal{Members: 5, Quorum: 4, Need: 3})
	out := judge(m, now, 0, 1, 2, 3, 4)
	if len(out.Work) != 1 || !slices.Equal(checkIn(t, out), []int{0, 1, 2, 3, 4}) {
		t.Fatalf("after the verdicts: %+v", out.Work)
	}
	out = m.Step(now, Checked{Batch: 0, Findings: []Finding{{Sharing: Sound}, {Sharing: Unsound}, {Sharing: Sound}}})
	if len(out.Work) != 1 || len(out.Work[0].Fold) != 2 || slices.Contains(out.Work[0].Fold, ID{'b'}) || m.Ready() != 2 {
		t.Fatalf("after the check: %+v, %d ready", out.Work, m.Ready())
	}
	if out = m.Step(now, CloseNow{}); assembleIn(out) != "ac" {
		t.Fatalf("assembled %q", assembleIn(out))
	}
	out = m.Step(now, Assembled{})
	if want := []Refusal{{ID{'b'}, DropSharing}}; !slices.Equal(out.Persist.Refused, want) {
		t.Errorf("refused %v, want %v", out.Persist.Refused, want)
	}
}

// TestLyingMemberIsNamed: words that the others contradict cost the member its place in Q, not the device its place in U.
func TestLyingMemberIsNamed(t *testing.T) {
	m, now := collecting(t, Literal{Members: 5, Quorum: 4, Need: 3})
	judge(m, now, 0, 1, 2, 3, 4)
	lie := Finding{Sharing: Sound, Wrong: []int{2}}
	out := m.Step(now, Checked{Batch: 0, Findings: []Finding{lie, {Sharing: Sound}, lie}})
	if m.Ready() != 1 || m.Taking() { // the goal of three is reached all the same
		t.Fatalf("%d are ready, taking %v", m.Ready(), m.Taking())
	}
	if assembleIn(out) != "abc" {
		t.Fatalf("assembled %q", assembleIn(out))
	}
	if want := (Event{Kind: MemberDoubted, Member: 2, Count: 2, Wrong: 2}); !slices.Contains(out.Events, want) {
		t.Errorf("events %+v", out.Events)
	}
	m.Step(now, Assembled{})
	if d := m.Durable(); !slices.Equal(d.Quorum, []int{0, 1, 3, 4}) {
		t.Errorf("Q is %v", d.Quorum)
	}
}

// TestLateMemberIsHeard: with too few words to tell who is wrong the upload is unsound; the member that comes back before
// the decision settles it.
func TestLateMemberIsHeard(t *testing.T) {
	m, now := collecting(t, Literal{Members: 5, Quorum: 4, Need: 3})
	m.Step(now, Failed{Member: 4, Ask: AskJudge, Batch: 0})
	if got := checkIn(t, judge(m, now, 0, 1, 2, 3)); !slices.Equal(got, []int{0, 1, 2, 3}) {
		t.Fatalf("the check hears %v", got)
	}
	m.Step(now, Checked{Batch: 0, Findings: []Finding{{Sharing: Sound}, {Sharing: Unsound}, {Sharing: Sound}}})
	now = now.Add(time.Second)
	m.Step(now, Tick{})
	out := judge(m, now, 4)
	if got := checkIn(t, out); !slices.Equal(got, []int{0, 1, 2, 3, 4}) || assembleIn(out) != "" {
		t.Fatalf("the second check hears %v, assembled %q", got, assembleIn(out))
	}
	if out = m.Step(now, CloseNow{}); assembleIn(out) != "" {
		t.Fatalf("assembled %q while a check is under way", assembleIn(out))
	}
	out = m.Step(now, Checked{Batch: 0, Findings: []Finding{{Sharing: Sound}, {Sharing: Sound, Wrong: []int{0}}, {Sharing: Sound}}})
	if assembleIn(out) != "abc" {
		t.Errorf("assembled %q", assembleIn(out))
	}
}

// TestFoldedAndThenUnsound: what a second check finds unsound leaves the count of the ready, and the set.
func TestFoldedAndThenUnsound(t *testing.T) {
	m, now := collecting(t, Literal{Members: 5, Quorum: 4, Need: 3})
	m.Step(now, Failed{Member: 4, Ask: AskJudge, Batch: 0})
	judge(m, now, 0, 1, 2, 3)
	sound := Finding{Sharing: Sound}
	m.Step(now, Checked{Batch: 0, Findings: []Finding{sound, sound, {}}})
	if m.Ready() != 2 {
		t.Fatalf("%d are ready", m.Ready())
	}
	now = now.Add(time.Second)
	m.Step(now, Tick{})
	judge(m, now, 4)
	m.Step(now, Checked{Batch: 0, Findings: []Finding{{Sharing: Unsound}, sound, sound}})
	if m.Ready() != 2 {
		t.Fatalf("%d are ready", m.Ready())
	}
	if out := m.Step(now, CloseNow{}); assembleIn(out) != "bc" {
		t.Errorf("assembled %q", assembleIn(out))
	}
}

// TestRevealFollowsAllKeys: nobody is asked for its coin before every key is there, and a member that keeps its coin ends
// the round before any device saw it.
func TestRevealFollowsAllKeys(t *testing.T) {
	p, err := NewParams(Literal{Members: 3, Quorum: 3, Need: 3, Goal: 2, Min: 2, Max: 4, Batch: 2, Windows: DefaultWindows(time.Minute)})
	if err != nil {
		t.Fatal(err)
	}
	now := time.Unix(1_800_000_000, 0)
	for _, answer := range []Input{Failed{Member: 1, Ask: AskReveal, Final: true}, Tick{}, Revealed{Member: 1, Coin: []byte("1")}} {
		m, _ := New(p, now)
		m.Step(now, Revealed{Member: 2, Coin: []byte("early")})
		m.Step(now, Opened{Member: 0})
		m.Step(now, Opened{Member: 1})
		late := now.Add(9 * time.Second)
		out := m.Step(late, Opened{Member: 2})
		if len(out.Send) != 3 || out.Send[0].Ask != AskReveal {
			t.Fatalf("after the keys: %+v", out.Send)
		}
		m.Step(late, Revealed{Member: 0, Coin: []byte("0")})
		m.Step(late, Revealed{Member: 2, Coin: []byte("2")})
		out = m.Step(late.Add(9*time.Second), answer)
		switch answer.(type) {
		case Failed:
			if d := m.Durable(); d.State != Abandoned || d.Abandon != CommitteeAbsent || !d.Freed {
				t.Errorf("after the refusal: %+v", d)
			}
		case Tick:
			if m.State() != Created {
				t.Errorf("the window of the coins is over too early: %v", m.State())
			}
			if m.Step(late.Add(11*time.Second), Tick{}); m.Durable().Abandon != CommitteeAbsent {
				t.Errorf("the coin is waited for for ever: %v", m.State())
			}
		default:
			got := ""
			for _, c := range out.Persist.Durable.Coins {
				got += string(c.Bytes)
			}
			if m.State() != Collecting || got != "012" {
				t.Errorf("%v with the coins %q", m.State(), got)
			}
		}
	}
}

// TestWrongAnswerIsNamed: a corrected answer has a name, and what is stored opens as it was opened.
func TestWrongAnswerIsNamed(t *testing.T) {
	m, now := collecting(t, Literal{Members: 5, Quorum: 4, Need: 2})
	judge(m, now, 0, 1, 2, 3, 4)
	m.Step(now, Checked{Batch: 0, Findings: []Finding{{Sharing: Sound}, {Sharing: Sound}, {Sharing: Sound}}})
	m.Step(now, CloseNow{})
	m.Step(now, Assembled{})
	for j := range 4 {
		m.Step(now, SetSigned{Member: j, Signature: []byte("s")})
	}
	for j := range 4 {
		m.Step(now, Answered{Member: j, Answer: []byte("x")})
	}
	out := m.Step(now.Add(time.Second), Tick{})
	if len(out.Work) != 1 || !out.Work[0].Unmask {
		t.Fatalf("%+v", out)
	}
	m.Step(now, Answered{Member: 4, Answer: []byte("x")})
	out = m.Step(now, Unmasked{Wrong: []int{3}})
	if d := out.Persist.Durable; d.State != Released || !slices.Equal(d.Wrong, []int{3}) || len(d.Answers) != 4 {
		t.Errorf("%+v", d)
	}
	if !slices.Contains(out.Events, Event{Kind: MemberWrong, Member: 3}) {
		t.Errorf("events %+v", out.Events)
	}
}
