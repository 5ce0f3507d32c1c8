package round

import (
	"testing"
	"time"
)

// FuzzMachine feeds any inputs in any order: the machine never panics, moves only forward along the lifecycle, charges
// and frees at most once, and never both, and proposes one set.
func FuzzMachine(f *testing.F) {
	f.Add(happy())
	f.Add([]byte{4, 2, 4, 9, 13, 255, 12, 0, 7, 1, 7, 2, 7, 3, 7, 4})
	f.Add(append(happy()[:10], 14, 0, 14, 1, 15, 3, 15, 200))
	f.Fuzz(func(t *testing.T, script []byte) {
		playScript(t, script)
	})
}

// happy is a script that ends in PUBLISHED; the fuzzer grows from it.
func happy() (script []byte) {
	for j := range byte(5) {
		script = append(script, 0, j)
	}
	for j := range byte(5) {
		script = append(script, 14, j)
	}
	for j := range byte(5) {
		script = append(script, 1, j)
	}
	script = append(script, 2, 1, 2, 2, 2, 3)
	for _, threeYes := range []byte{14, 8, 2, 17, 11} { // members 0 to 4
		script = append(script, 3, threeYes)
	}
	script = append(script, 15, 2, 5, 0)
	for j := range byte(5) {
		script = append(script, 6, j)
	}
	for j := range byte(5) {
		script = append(script, 8, j)
	}
	return append(script, 9, 0, 10, 0, 10, 1)
}

func TestHappyScript(t *testing.T) {
	if m := playScript(t, happy()); m.State() != Published {
		t.Errorf("the script ends in %v", m.State())
	}
}

func playScript(t *testing.T, script []byte) *Machine {
	p, err := NewParams(Literal{Members: 5, Quorum: 4, Need: 3, Goal: 3, Min: 2, Max: 4, Batch: 3, Windows: DefaultWindows(time.Minute)})
	if err != nil {
		t.Fatal(err)
	}
	now := time.Unix(1_800_000_000, 0)
	m, out := New(p, now)
	w := watch{t: t, state: Created}
	w.see(m, out)
	for i := 0; i+1 < len(script) && i < 2000; i += 2 {
		now = now.Add(10 * time.Millisecond)
		if script[i]%16 == 13 {
			now = now.Add(time.Duration(script[i+1]) * time.Second)
		}
		w.see(m, m.Step(now, inputOf(script[i], script[i+1])))
	}
	return m
}

// inputOf reads two bytes as an input; members out of range are part of it.
func inputOf(kind, arg byte) Input {
	j := int(arg % 7)
	switch kind % 16 {
	case 0:
		return Opened{Member: j, Key: []byte{arg}}
	case 1:
		return Begun{Member: j}
	case 2:
		return Staged{Uploads: []Upload{{ID: ID{arg}, Digest: [32]byte{arg}}}}
	case 3:
		yes := arg&32 == 0
		return Judged{Member: j, Batch: int(arg / 64), Accepted: []bool{yes, true, yes}[:1+arg%3]}
	case 4:
		return Failed{Member: j, Ask: Ask(arg / 16), Batch: int(arg % 3), Final: arg > 128}
	case 5:
		return Assembled{Err: arg > 200}
	case 6:
		return SetSigned{Member: j, Signature: []byte{arg}}
	case 7:
		return AbandonSigned{Member: j, Signature: []byte{arg}}
	case 8:
		return Answered{Member: j, Answer: []byte{arg}}
	case 9:
		return Unmasked{Fault: LostReason(arg % 4), Wrong: []int{j}[:arg/128]}
	case 10:
		if arg%2 == 0 {
			return ApplyDone{}
		}
		return PublishDone{}
	case 11:
		return CloseNow{}
	case 12:
		return Stop{Reason: AbandonReason(arg % 8)}
	case 14:
		return Revealed{Member: j, Coin: []byte{arg}}
	case 15:
		one := Finding{Sharing: Sound - Sharing(arg/32%2) + Sharing(arg/128*(1+arg%2)), Wrong: []int{j}[:arg/16%2]}
		return Checked{Batch: int(arg / 64), Findings: []Finding{one, {Sharing: Sound}, one}[:1+arg%3]}
	}
	return Tick{}
}

// watch holds what must be true of every sequence of effects.
type watch struct {
	t              *testing.T
	state          State
	version        uint64
	charged, freed bool
	set            []Upload
}

func (w *watch) see(m *Machine, out Effects) {
	w.t.Helper()
	if p := out.Persist; p != nil {
		if p.Durable.Version != w.version+1 || p.From != w.state && !(p.From == Abandoned && p.To == Abandoned) {
			w.t.Fatalf("transition %v -> %v, version %d, after %v, version %d", p.From, p.To, p.Durable.Version, w.state, w.version)
		}
		if forward := p.To == p.From+1 && p.To <= Published; !forward && p.To != Abandoned && p.To != Lost || p.To == Abandoned && p.From.Charged() || p.To == Lost && p.From != Certified {
			w.t.Fatalf("transition %v -> %v", p.From, p.To)
		}
		if p.Charge && (w.charged || w.freed) || p.Free && (w.charged || w.freed) {
			w.t.Fatalf("charge %v, free %v, after charged %v, freed %v", p.Charge, p.Free, w.charged, w.freed)
		}
		w.charged, w.freed = w.charged || p.Charge, w.freed || p.Free
		w.version, w.state = p.Durable.Version, p.To
		if p.To == Frozen {
			w.set = p.Durable.Set
			if len(w.set) < 2 || len(w.set) > 4 {
				w.t.Fatalf("a set of %d", len(w.set))
			}
		}
	}
	for _, r := range out.Send {
		if r.Ask == AskRelease && !w.charged {
			w.t.Fatal("a release is asked for before the charge is durable")
		}
		if r.Ask == AskSign && w.state != Frozen {
			w.t.Fatalf("a signature is asked for in %v", w.state)
		}
	}
	if m.State() != w.state || w.state.Charged() != w.charged {
		w.t.Fatalf("state %v, watched %v, charged %v", m.State(), w.state, w.charged)
	}
}
