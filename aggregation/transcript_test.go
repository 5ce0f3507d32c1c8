package aggregation

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"testing/cryptotest"
)

// TestTranscripts replays the rounds in testdata/*.txt. A file is a list of commands, each followed by what everybody then says: who
// sends what, how many bytes, and the first four bytes of the messages' SHA-256 in brackets, one for each sender or receiver.
//
//	round devices=N nmin=N nmax=N members=N corrupt=N rho=N   keys, coins and configurations, begun at every member; and, if wanted,
//	      [groups=N] [wanted=N] [profile=N] [suite=N] [norm=N] [begin=no]
//	begin [to=M...] [in=ROOM]       the server shows a configuration to members
//	keys fake=M to=M...             the server shows members round keys again, that of one member exchanged
//	seal D... [times=N] [in=ROOM]   each device seals its unit vector, or a multiple, for its shard's configuration
//	damage D envelope=M | vector | sharing | attempt          the device damages its own message, and signs it again
//	upload D... [bytes=N] [in=ROOM] the server receives header and vector, or only N bytes of it
//	show D... to=M... [in=ROOM]     the server shows staged headers to members
//	check D...                      the server compares the check words that it got
//	propose D... to=M... [in=ROOM]  the server proposes that set
//	certify [in=ROOM]               the server collects the signatures that it got
//	release M... [in=ROOM]          the server shows the certificate to members
//	lie M [check=D]                 the member's answer, or its check words of a device, are changed; the answer is signed again
//	leave out M                     the server does without the member's answer
//	abandon M... [in=ROOM]          the server asks members to abandon
//	restart M...                    members lose their memory and keep their store
//	forget M... before=R            members drop all rounds before one
//	unmask [in=ROOM]                the server opens the sum of the last proposal
//
// Devices and members are numbers; 2-5 is a range. A room is a shard, or "other": shard 0 under a list of other base versions.
// Everything follows from seeds, HPKE's ephemeral keys too: from the generator that testing/cryptotest gives the standard library. Should
// another Go release draw from it otherwise, digests of uploads change, and nothing else.
func TestTranscripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no transcripts", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			cryptotest.SetGlobalRandom(t, 1)
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
			if lines := strings.Count(got, "\n"); lines > 70 {
				t.Errorf("%d lines are more than a screen", lines)
			}
		})
	}
}

// replay runs the commands of a transcript, lines that start with "> ", and writes what they say after them; comments and empty
// lines stay.
func replay(t *testing.T, text string) string {
	var out strings.Builder
	s := newScene(t, &out)
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

// order is one command, taken apart.
type order struct {
	t     *testing.T
	verb  string
	plain []string
	opts  map[string]string
}

func newOrder(t *testing.T, command string) order {
	fields := strings.Fields(command)
	o := order{t: t, verb: fields[0], opts: map[string]string{}}
	for _, f := range fields[1:] {
		if k, v, ok := strings.Cut(f, "="); ok {
			o.opts[k] = v
		} else {
			o.plain = append(o.plain, f)
		}
	}
	return o
}

// numbers are the command's plain ones.
func (o order) numbers() []int { return numbersIn(o.t, o.plain) }

// list is an option's numbers.
func (o order) list(key string) []int { return numbersIn(o.t, strings.Split(o.opts[key], ",")) }

// number is an option's, or the default.
func (o order) number(key string, otherwise int) int {
	if _, ok := o.opts[key]; !ok {
		return otherwise
	}
	return o.list(key)[0]
}

// numbersIn reads "1 3-5".
func numbersIn(t *testing.T, fields []string) (list []int) {
	for _, f := range fields {
		from, to, ranged := strings.Cut(f, "-")
		a, err := strconv.Atoi(from)
		b := a
		if ranged && err == nil {
			b, err = strconv.Atoi(to)
		}
		if err != nil {
			t.Fatalf("not a number: %q", f)
		}
		for ; a <= b; a++ {
			list = append(list, a)
		}
	}
	return list
}

// ranges writes ascending numbers as "1 3-5".
func ranges(list []int) string {
	var text []string
	for i := 0; i < len(list); {
		k := i
		for k+1 < len(list) && list[k+1] == list[k]+1 {
			k++
		}
		if k > i {
			text = append(text, fmt.Sprintf("%d-%d", list[i], list[k]))
		} else {
			text = append(text, strconv.Itoa(list[i]))
		}
		i = k + 1
	}
	return strings.Join(text, " ")
}

// chorus collects what several say, and writes those who say the same in one line, with the digests of their messages.
type chorus struct {
	scene *scene
	kind  string // member, device
	who   []int
	text  string
	marks []string
}

func (s *scene) chorus(kind string) *chorus { return &chorus{scene: s, kind: kind} }

// add is one voice; message is nil if it says no more than the text.
func (c *chorus) add(who int, message []byte, format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if text != c.text || len(c.who) > 0 && who != c.who[len(c.who)-1]+1 {
		c.end()
		c.text = text
	}
	c.who = append(c.who, who)
	if message != nil {
		c.marks = append(c.marks, sumOfBytes(message)[:8])
	}
}

func (c *chorus) end() {
	if len(c.who) > 0 {
		kind, marks := c.kind, ""
		if len(c.who) > 1 {
			kind += "s"
		}
		if len(c.marks) > 0 {
			marks = " [" + strings.Join(c.marks, " ") + "]"
		}
		c.scene.say("%s %s: %s%s", kind, ranges(c.who), c.text, marks)
	}
	c.who, c.marks, c.text = nil, nil, ""
}
