package aggregation

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"tutti/aggregation/share"
)

var update = flag.Bool("update", false, "rewrite the transcripts in testdata")

// TestTranscripts replays the rounds in testdata/*.txt. A file is a list of commands, each followed by what everybody then says:
//
//	round devices=N nmin=N nmax=N members=N corrupt=N rho=N   opens and begins a round at every member
//	seal D...                       each device seals its unit vector
//	damage D envelope=M | vector    the device damages its own message, and signs it again
//	upload D... [bytes=N]           the server receives header and vector, or only N bytes of it
//	show M... to=D...               the server shows staged headers to members
//	propose D... to=M...            the server proposes that set
//	certify                         the server collects the signatures that it got
//	release M...                    the server shows the certificate to members
//	lie M                           the member's answer is changed, and signed again
//	leave out M                     the server does without the member's answer
//	abandon M...                    the server asks members to abandon
//	restart M...                    members lose their memory and keep their store
//	unmask                          the server opens the sum of the last proposal
//
// Devices and members are numbers; 2-5 is a range.
func TestTranscripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no transcripts", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := replay(t, string(want))
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			} else if got != string(want) {
				t.Errorf("the replay differs (go test -run Transcripts -update, then read the diff):\n%s", got)
			}
		})
	}
}

// replay runs the commands of a transcript, lines that start with "> ", and writes what they say after them; comments and empty
// lines stay.
func replay(t *testing.T, text string) string {
	var out strings.Builder
	s := &scene{t: t, out: &out, ups: map[int]*Upload{}, staged: map[int]bool{}, answers: map[int]Answer{}, abandoned: map[int]AbandonSignature{}}
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		if command, ok := strings.CutPrefix(line, "> "); ok {
			fmt.Fprintln(&out, line)
			s.run(command)
		} else if line == "" || strings.HasPrefix(line, "#") {
			fmt.Fprintln(&out, line)
		}
	}
	return out.String()
}

// scene is a world, the server's memory of the round, and the page that is written.
type scene struct {
	t         *testing.T
	out       *strings.Builder
	w         *world
	ups       map[int]*Upload
	staged    map[int]bool
	set       *Set
	inSet     []int
	sigs      []SetSignature
	cert      *Certificate
	answers   map[int]Answer
	abandoned map[int]AbandonSignature
}

func (s *scene) say(format string, args ...any) { fmt.Fprintf(s.out, "  "+format+"\n", args...) }

// numbers reads "1 3-5" out of fields.
func (s *scene) numbers(fields []string) (list []int) {
	for _, f := range fields {
		from, to, ranged := strings.Cut(f, "-")
		a, err := strconv.Atoi(from)
		b := a
		if ranged && err == nil {
			b, err = strconv.Atoi(to)
		}
		if err != nil {
			s.t.Fatalf("not a number: %q", f)
		}
		for ; a <= b; a++ {
			list = append(list, a)
		}
	}
	return list
}

// options splits "1 2 to=3,4 bytes=7" into fields and options.
func options(fields []string) (plain []string, opts map[string]string) {
	opts = map[string]string{}
	for _, f := range fields {
		if k, v, ok := strings.Cut(f, "="); ok {
			opts[k] = v
		} else {
			plain = append(plain, f)
		}
	}
	return plain, opts
}

func (s *scene) run(command string) {
	fields := strings.Fields(command)
	plain, opts := options(fields[1:])
	list := func(key string) []int { return s.numbers(strings.Split(opts[key], ",")) }
	switch fields[0] {
	case "round":
		s.round(func(key string) int { return list(key)[0] })
	case "seal":
		for _, d := range s.numbers(plain) {
			s.ups[d] = s.w.seal(d-1, s.w.unit(d-1))
			s.say("device %d: %d envelopes, vector of %d bytes", d, len(s.ups[d].Header.Envelopes), len(s.ups[d].Vector))
		}
	case "damage":
		s.damage(s.numbers(plain[:1])[0], opts["envelope"])
	case "upload":
		for _, d := range s.numbers(plain) {
			s.upload(d, opts["bytes"])
		}
	case "show":
		s.show(s.numbers(plain), list("to"))
	case "propose":
		s.propose(s.numbers(plain), list("to"))
	case "certify":
		s.certify()
	case "release":
		s.release(s.numbers(plain))
	case "lie":
		m := s.numbers(plain)[0]
		a := s.answers[m]
		a.Words = slices.Clone(a.Words)
		a.Words[0] = (a.Words[0] + 1) % share.P
		a.sign(s.w.nodes[m-1].setup.Identity)
		s.answers[m] = a
		s.say("member %d: answers something else", m)
	case "leave":
		m := s.numbers(plain[1:])[0]
		delete(s.answers, m)
		s.say("server: does without member %d", m)
	case "abandon":
		s.abandon(s.numbers(plain))
	case "restart":
		for _, m := range s.numbers(plain) {
			s.w.nodes[m-1].restart(s.t)
			s.say("member %d: back with %d records", m, len(s.w.nodes[m-1].store))
		}
	case "unmask":
		s.unmask()
	default:
		s.t.Fatalf("unknown command %q", command)
	}
}

func (s *scene) round(number func(string) int) {
	p := ParamsLiteral{Dim: number("devices"), Bound: 1000, NMin: number("nmin"), NMax: number("nmax"),
		Members: number("members"), Corrupt: number("corrupt"), Rho: number("rho")}
	s.w = newWorld(s.t, p, number("devices"))
	s.say("round %v: quorum %d, answers needed %d, words of %d bits", s.w.cfg.Round(), s.w.cfg.params.Quorum(), s.w.cfg.params.Need(), s.w.cfg.params.WordBits())
}

func (s *scene) damage(d int, envelope string) {
	up := s.ups[d]
	if envelope != "" {
		m := s.numbers([]string{envelope})[0]
		up.Header.Envelopes[m-1][50] ^= 1
		s.say("device %d: damages the envelope of member %d", d, m)
	} else {
		clear(up.Vector)
		up.Header.VecHash = HashVector(up.Vector)
		s.say("device %d: sends a vector of zeros", d)
	}
	resign(up.Header, s.w.devices[d-1].Key)
}

func (s *scene) upload(d int, bytes string) {
	up := s.ups[d]
	vector := up.Vector
	if bytes != "" {
		vector = vector[:s.numbers([]string{bytes})[0]]
	}
	if err := errors.Join(s.w.verify(up.Header), VerifyVector(s.w.cfg, up.Header, vector)); err != nil {
		s.say("server: device %d: %v", d, err)
		return
	}
	s.staged[d] = true
	s.say("server: device %d staged", d)
}

func (s *scene) show(devices, members []int) {
	for _, m := range members {
		var batch []*MemberHeader
		var shown []int
		for _, d := range devices {
			if s.staged[d] {
				batch = append(batch, s.w.cut(s.ups[d].Header, m-1))
				shown = append(shown, d)
			}
		}
		verdicts, records, err := s.w.nodes[m-1].judge(s.w.cfg.Round(), batch...)
		if err != nil {
			s.say("member %d: %v", m, err)
			continue
		}
		s.w.nodes[m-1].write(records)
		var text []string
		for i, v := range verdicts {
			text = append(text, fmt.Sprintf("%d %s", shown[i], v.Reason.Label()))
		}
		s.say("member %d: %s", m, strings.Join(text, ", "))
	}
}

func (s *scene) propose(devices, members []int) {
	var ups []*Upload
	for _, d := range devices {
		ups = append(ups, s.ups[d])
	}
	s.set, s.inSet, s.sigs = setOf(s.t, ups), devices, nil
	for _, m := range members {
		sig, err := s.w.sign(m-1, s.set)
		if err != nil {
			s.say("member %d: %s", m, labelOf(err))
			continue
		}
		s.sigs = append(s.sigs, sig)
		s.say("member %d: signs U = %v", m, devices)
	}
}

func labelOf(err error) string {
	var refusal Refusal
	if errors.As(err, &refusal) {
		return "refuses: " + refusal.Sentence()
	}
	return err.Error()
}

func (s *scene) certify() {
	cert, err := Certify(s.w.cfg, s.set, s.sigs)
	s.cert = cert
	if err != nil {
		s.say("server: no certificate: %d of %d signatures", len(cert.Signatures), s.w.cfg.params.Quorum())
		return
	}
	s.say("server: certificate with %d signatures over %d devices", len(cert.Signatures), cert.Set.Len())
}

func (s *scene) release(members []int) {
	for _, m := range members {
		a, err := s.w.release(m-1, s.cert)
		if err != nil {
			s.say("member %d: %s", m, labelOf(err))
			continue
		}
		s.answers[m] = *a
		s.say("member %d: answers with %d words, keeps %d records", m, len(a.Words), len(s.w.nodes[m-1].store))
	}
}

func (s *scene) abandon(members []int) {
	for _, m := range members {
		sig, records, err := s.w.nodes[m-1].member.Abandon(s.w.cfg.Round())
		if err != nil {
			s.say("member %d: %s", m, labelOf(err))
			continue
		}
		s.w.nodes[m-1].write(records)
		s.abandoned[m] = sig
		s.say("member %d: abandons the round", m)
	}
	var sigs []AbandonSignature
	for _, sig := range s.abandoned {
		sigs = append(sigs, sig)
	}
	if _, err := CertifyAbandon(s.w.cfg, sigs); err != nil {
		s.say("devices: the charge stays, %d of %d abandonments", len(sigs), s.w.cfg.params.Quorum())
		return
	}
	s.say("devices: the charge is free again, %d abandonments", len(sigs))
}

func (s *scene) unmask() {
	acc := NewAccumulator(s.w.cfg)
	for _, d := range s.inSet {
		if err := acc.Add(s.ups[d].Vector); err != nil {
			s.t.Fatal(err)
		}
	}
	var answers []Answer
	for m := range s.w.nodes {
		if a, ok := s.answers[m+1]; ok {
			answers = append(answers, a)
		}
	}
	sum, wrong, err := Unmask(s.w.cfg, s.set, acc, answers)
	if err != nil {
		s.say("server: no sum: %v", err)
		return
	}
	for _, m := range wrong {
		s.say("server: member %d answered wrongly", m)
	}
	s.say("server: sum over %d devices: %v", s.set.Len(), sum)
}
