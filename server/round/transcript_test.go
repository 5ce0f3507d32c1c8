package round

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestTranscripts plays the scenarios of testdata: a line that begins with > is what happens, the indented lines below it are
// what the machine does, in the order of Effects. With TUTTI_REWRITE=1 the files are written anew, to be read by a person.
//
//	new members=5 quorum=4 need=3 goal=3 min=2 max=4 batch=2
//	open|reveal|begin|sign|answer|refuse MEMBER...   members answer; refuse is the signature of the abandonment
//	stage ab                                         uploads of the devices a and b are durable
//	judge MEMBER BATCH yn                            a member's verdicts
//	check BATCH s u o - s2                           sound, unsound, oversized, unproved; s2: sound, member 2's words are wrong
//	fail MEMBER ASK [BATCH] [final]
//	assembled [error|missing ab]
//	unmasked [no answers|disagree|garbage|wrong MEMBER...]
//	apply|publish|close|stop
//	wait 5s                                          time passes, and a Tick
//	crash [5s]                                       the machine is gone, and resumed from what is durable
func TestTranscripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) < 7 {
		t.Fatalf("%d transcripts: %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := new(scene).play(t, string(want))
			if os.Getenv("TUTTI_REWRITE") != "" {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			} else if got != string(want) {
				t.Errorf("the machine does otherwise than %s says:\n%s", file, got)
			}
		})
	}
}

// scene is one machine and what is durable of it.
type scene struct {
	m       *Machine
	p       Params
	now     time.Time
	durable Durable
	staged  []Upload
	out     strings.Builder
}

// play repeats the comments and commands of a file, with what the machine does below each command.
func (s *scene) play(t *testing.T, file string) string {
	s.now = time.Unix(1_800_000_000, 0)
	for line := range strings.Lines(file) {
		line = strings.TrimRight(line, "\n")
		command, is := strings.CutPrefix(line, "> ")
		switch {
		case is:
			fmt.Fprintln(&s.out, line)
			if err := s.do(strings.Fields(command)); err != nil {
				t.Fatalf("%s: %v", line, err)
			}
		case !strings.HasPrefix(line, "  "):
			fmt.Fprintln(&s.out, line)
		}
	}
	return s.out.String()
}

func (s *scene) do(words []string) error {
	switch words[0] {
	case "new":
		return s.open(strings.Join(words[1:], " "))
	case "crash":
		if len(words) > 1 {
			d, err := time.ParseDuration(words[1])
			if err != nil {
				return err
			}
			s.now = s.now.Add(d)
		}
		m, out := Resume(s.p, s.durable, s.staged, s.now)
		s.m = m
		s.show(out)
		return nil
	case "wait":
		d, err := time.ParseDuration(words[1])
		s.now = s.now.Add(d)
		s.step(Tick{})
		return err
	}
	ins, err := inputs(words)
	for _, in := range ins {
		if u, ok := in.(Staged); ok {
			s.staged = append(s.staged, u.Uploads...)
		}
		s.step(in)
	}
	return err
}

func (s *scene) open(line string) error {
	l := Literal{Windows: DefaultWindows(time.Minute)}
	_, err := fmt.Sscanf(line, "members=%d quorum=%d need=%d goal=%d min=%d max=%d batch=%d", &l.Members, &l.Quorum, &l.Need, &l.Goal, &l.Min, &l.Max, &l.Batch)
	if err != nil {
		return err
	}
	if s.p, err = NewParams(l); err != nil {
		return err
	}
	s.durable = Durable{State: Created, Since: s.now}
	m, out := New(s.p, s.now)
	s.m = m
	s.show(out)
	return nil
}

func (s *scene) step(in Input) { s.show(s.m.Step(s.now, in)) }

func numbers(words []string) (out []int, err error) {
	for _, w := range words {
		n, err := strconv.Atoi(w)
		if err != nil {
			return nil, err
		}
		out = append(out, n)
	}
	return out, nil
}

// inputs reads a command.
func inputs(words []string) (out []Input, err error) {
	rest := words[1:]
	switch words[0] {
	case "open", "reveal", "begin", "sign", "answer", "refuse":
		js, err := numbers(rest)
		for _, j := range js {
			out = append(out, map[string]Input{
				"open": Opened{Member: j, Key: []byte{byte(j)}}, "reveal": Revealed{Member: j, Coin: []byte{byte(j)}}, "begin": Begun{Member: j},
				"sign": SetSigned{Member: j, Signature: []byte("s")}, "answer": Answered{Member: j, Answer: []byte("x")}, "refuse": AbandonSigned{Member: j, Signature: []byte("a")},
			}[words[0]])
		}
		return out, err
	case "stage":
		return []Input{Staged{named(rest[0])}}, nil
	case "judge":
		ns, err := numbers(rest[:2])
		if err != nil {
			return nil, err
		}
		in := Judged{Member: ns[0], Batch: ns[1]}
		for _, c := range rest[2] {
			in.Accepted = append(in.Accepted, c == 'y')
		}
		return []Input{in}, nil
	case "check":
		return findings(rest)
	case "fail":
		return failure(rest)
	case "assembled":
		in := Assembled{Err: len(rest) == 1}
		if len(rest) == 2 {
			for _, u := range named(rest[1]) {
				in.Missing = append(in.Missing, u.ID)
			}
		}
		return []Input{in}, nil
	case "unmasked":
		return unmasked(rest)
	}
	in, known := map[string]Input{"apply": ApplyDone{}, "publish": PublishDone{}, "close": CloseNow{}, "stop": Stop{}}[words[0]]
	if !known {
		return nil, fmt.Errorf("no command %q", words[0])
	}
	return []Input{in}, nil
}

func named(names string) (us []Upload) {
	for _, c := range names {
		us = append(us, Upload{ID: ID{byte(c)}, Digest: [32]byte{byte(c)}})
	}
	return us
}

func findings(words []string) ([]Input, error) {
	b, err := strconv.Atoi(words[0])
	in := Checked{Batch: b}
	for _, w := range words[1:] {
		f := Finding{Sharing: map[byte]Sharing{'s': Sound, 'u': Unsound, 'o': Oversized, '-': Unproved}[w[0]]}
		for _, c := range w[1:] {
			f.Wrong = append(f.Wrong, int(c-'0'))
		}
		in.Findings = append(in.Findings, f)
	}
	return []Input{in}, err
}

func failure(words []string) ([]Input, error) {
	j, err := strconv.Atoi(words[0])
	in := Failed{Member: j}
	for a, name := range askNames {
		if name == words[1] && name != "" {
			in.Ask = Ask(a)
		}
	}
	for _, w := range words[2:] {
		if in.Final = w == "final"; !in.Final {
			in.Batch, err = strconv.Atoi(w)
		}
	}
	return []Input{in}, err
}

func unmasked(words []string) (_ []Input, err error) {
	var in Unmasked
	if len(words) > 0 {
		switch words[0] {
		case "no":
			in.Fault = NoAnswers
		case "disagree":
			in.Fault = Disagreement
		case "garbage":
			in.Fault = Garbage
		case "wrong":
			in.Wrong, err = numbers(words[1:])
		}
	}
	return []Input{in}, err
}

// show writes effects in the order in which they are carried out.
func (s *scene) show(e Effects) {
	line := func(format string, args ...any) { fmt.Fprintf(&s.out, "  "+format+"\n", args...) }
	if p := e.Persist; p != nil {
		s.durable = p.Durable
		text := fmt.Sprintf("persist %v -> %v, version %d", p.From, p.To, p.Durable.Version)
		if p.To == Frozen {
			text += fmt.Sprintf(", set %s, quorum %v", names(p.Durable.Set), p.Durable.Quorum)
		}
		for _, r := range p.Refused {
			text += fmt.Sprintf(", refused %c %v", r.ID[0], r.Reason)
		}
		if p.Charge {
			text += ", charge"
		}
		if p.Free {
			text += ", free"
		}
		switch {
		case p.Durable.Abandon != 0:
			text += fmt.Sprintf(", %v, settled %v", p.Durable.Abandon, p.Durable.Settled)
		case p.Durable.Lost != 0:
			text += fmt.Sprintf(", %v", p.Durable.Lost)
		}
		line("%s", text)
	}
	s.requests(e.Send, line)
	for _, w := range e.Work {
		switch {
		case w.Fold != nil:
			text := ""
			for _, id := range w.Fold {
				text += string(id[:1])
			}
			line("fold %s", text)
		case w.Check != nil:
			text := ""
			for _, id := range w.Check.IDs {
				text += string(id[:1])
			}
			line("check batch %d, %s, words of %v", w.Check.Batch, text, w.Check.Members)
		case w.Assemble != nil:
			line("assemble %s", names(w.Assemble))
		case w.Unmask:
			line("unmask")
		}
	}
	for _, ev := range e.Events {
		s.event(ev, line)
	}
	if s.m != nil && s.m.Done() {
		line("done")
	}
	if !e.Wake.IsZero() {
		line("wake in %v", e.Wake.Sub(s.now))
	}
}

// requests are shown together where members are asked the same.
func (s *scene) requests(rs []Request, line func(string, ...any)) {
	for i := 0; i < len(rs); {
		r := rs[i]
		var to []int
		for ; i < len(rs) && rs[i].Ask == r.Ask && rs[i].Batch == r.Batch; i++ {
			to = append(to, rs[i].Member)
		}
		text := fmt.Sprintf("ask %v to %v", to, r.Ask)
		if r.Ask == AskJudge {
			text += fmt.Sprintf(" batch %d, ", r.Batch)
			for _, id := range r.IDs {
				text += string(id[:1])
			}
		}
		line("%s", text)
	}
}

func (s *scene) event(e Event, line func(string, ...any)) {
	if name := eventNames[e.Kind]; e.Kind >= MemberLeft && e.Kind <= MemberWrong {
		line("tell %s: member %d, %d complaints, %d wrong words", name, e.Member, e.Count, e.Wrong)
	} else if e.Kind >= UploadRefused {
		line("tell %s: %c, member %d", name, e.ID[0], e.Member)
	} else {
		line("tell %s, %d", name, e.Count)
	}
}

var eventNames = map[Kind]string{
	RoundOpened: "opened", RoundClosing: "closing", RoundFrozen: "frozen", RoundCertified: "certified", RoundOpenedSum: "opened the sum", RoundApplied: "applied",
	RoundPublished: "published", RoundAbandoned: "abandoned", RoundSettled: "settled", RoundLost: "lost", MemberLeft: "left", MemberBack: "back",
	MemberDoubted: "doubted", MemberWrong: "wrong", UploadRefused: "refused", UploadWrong: "contradicted", UploadUnsound: "unsound", UploadGone: "gone",
}

func names(us []Upload) (out string) {
	for _, u := range us {
		out += string(u.ID[:1])
	}
	return out
}
