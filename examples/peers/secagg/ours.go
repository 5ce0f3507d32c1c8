package main

import (
	"encoding/gob"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"

	"tutti/aggregation"
)

const (
	maxDevices = 1 << 14 // n_max of every configuration
	distinct   = 12      // uploads that are really sealed for the server's part, before they are replayed
	batch      = 256     // headers that a member judges at a time
	chunk      = 256 << 10
)

// ourFigures are one variant at one dimension.
type ourFigures struct {
	Variant       string        `json:"variant"` // ring and suite
	Devices       int           `json:"devices"`
	WordBits      int           `json:"word_bits"`
	ClientSeconds float64       `json:"client_seconds"`
	UpBytes       int           `json:"up_bytes"`
	Server        serverFigures `json:"server"`
	Member        memberFigures `json:"member"`
}

// serverFigures come from a process of its own that only does the server's part; times are processor time on one core, in seconds.
type serverFigures struct {
	Distinct int     `json:"distinct_uploads"`
	Replayed int     `json:"uploads"` // in total, the distinct ones over and over
	Header   float64 `json:"header_seconds"`
	Vector   float64 `json:"vector_seconds"`
	Check    float64 `json:"check_seconds"`
	Fold     float64 `json:"fold_seconds"`
	Unmask   float64 `json:"unmask_seconds"`
	Total    float64 `json:"total_seconds"` // of all uploads, everything above but unmask
	Start    int64   `json:"start_rss_bytes"`
	Peak     int64   `json:"peak_rss_bytes"`
}

func (s serverFigures) upload() float64 { return s.Header + s.Vector + s.Check + s.Fold }

// memberFigures are one member's work for really sealed headers.
type memberFigures struct {
	Devices int     `json:"devices"`
	Header  float64 `json:"header_seconds"`
	Judge   float64 `json:"judge_seconds"` // of all headers: parse, open, accept
	Sign    float64 `json:"sign_seconds"`
	Release float64 `json:"release_seconds"`
	Bytes   int     `json:"header_bytes"`
}

func (m memberFigures) total() float64 { return m.Judge + m.Sign + m.Release }

// ours measures one variant: a client, the server in its own process, one member.
func (o options) ours(dir string, dim int, v variant, member memberFigures) (f ourFigures, err error) {
	c, err := newCast(dim, distinct, v)
	if err != nil {
		return f, err
	}
	f = ourFigures{Variant: v.String(), Devices: o.devices, WordBits: c.cfg.Params().WordBits(), Member: member}
	job, err := c.stage(dir, o.devices, &f)
	if err != nil {
		return f, err
	}
	f.Server, err = serve(filepath.Join(dir, job))
	return f, errors.Join(err, os.RemoveAll(filepath.Join(dir, job)))
}

// job is what the server's process gets: everything that the server received over the wire.
type job struct {
	Config   []byte
	Devices  int
	Headers  [][]byte
	Paths    [][]byte
	Checks   [][]aggregation.CheckAnswer
	Set      []byte
	Answers  [][]byte
	Expected []int64
}

// stage seals the distinct uploads, takes the members through the round, and writes what the server needs.
func (c *cast) stage(dir string, devices int, f *ourFigures) (string, error) {
	name := fmt.Sprintf("%d-%s", c.cfg.Params().Dim(), strings.ReplaceAll(f.Variant, ", ", "-"))
	if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
		return "", err
	}
	j := job{Config: c.cfg.Marshal(), Devices: devices, Expected: make([]int64, c.cfg.Params().Dim())}
	var entries []aggregation.Entry
	for i := range distinct {
		x := input(uint64(i), c.cfg.Params().Dim())
		var up *aggregation.Upload
		t, err := processor(func() (err error) { up, err = c.seal(i, x); return err })
		if err != nil {
			return "", err
		}
		f.ClientSeconds = least(f.ClientSeconds, t)
		if err := c.stageUpload(filepath.Join(dir, name, fmt.Sprint(i)), up, &j); err != nil {
			return "", err
		}
		f.UpBytes = len(j.Headers[i]) + len(up.Vector)
		addTo(j.Expected, x)
		entries = append(entries, up.Header.Entry())
	}
	set, err := aggregation.NewSet(entries)
	if err != nil {
		return "", err
	}
	answers, err := c.close(set, everyone())
	if err != nil {
		return "", err
	}
	j.Set = set.Marshal()
	for _, a := range answers {
		j.Answers = append(j.Answers, a.Marshal())
	}
	file, err := os.Create(filepath.Join(dir, name, "job"))
	if err != nil {
		return "", err
	}
	return name, errors.Join(gob.NewEncoder(file).Encode(j), file.Close())
}

func (c *cast) stageUpload(path string, up *aggregation.Upload, j *job) error {
	header, err := up.Header.Marshal()
	if err != nil {
		return err
	}
	enrolment, err := c.path(up.Header.ID)
	if err != nil {
		return err
	}
	enrolmentBytes, err := enrolment.Marshal()
	if err != nil {
		return err
	}
	checks, err := c.checks(up.Header, enrolment)
	if err != nil {
		return err
	}
	j.Headers, j.Paths, j.Checks = append(j.Headers, header), append(j.Paths, enrolmentBytes), append(j.Checks, checks)
	return os.WriteFile(path, up.Vector, 0o600)
}

// checks are the members' words for one header.
func (c *cast) checks(h *aggregation.Header, path aggregation.EnrolmentPath) (all []aggregation.CheckAnswer, err error) {
	var alone sync.Mutex
	for j, cut := range h.ForMembers(path) {
		answer, err := c.accept(j, cut, &alone)
		if err != nil {
			return nil, err
		}
		all = append(all, answer)
	}
	return all, nil
}

// memberWork measures one member with n really sealed headers. Of an upload a member sees the header alone, and that does not depend
// on the dimension, so these vectors are short.
func memberWork(n int, v variant, say func(string, ...any)) (f memberFigures, err error) {
	const dim = 4096
	c, err := newCast(dim, n, v)
	if err != nil {
		return f, err
	}
	say("%v: sealing %d short vectors for the members", v, n)
	cuts, entries, err := c.sealHeaders(n)
	if err != nil {
		return f, err
	}
	f.Devices, f.Bytes = n, len(cuts[0])
	runtime.GC()
	member := c.members[0]
	for raw := range slices.Chunk(cuts, batch) {
		t, err := processor(func() error { return judge(c, member, raw) })
		if err != nil {
			return f, err
		}
		f.Judge += t
		if len(raw) == batch || n < batch {
			f.Header = least(f.Header, t/float64(len(raw)))
		}
	}
	set, err := aggregation.NewSet(entries)
	if err != nil {
		return f, err
	}
	return f, c.finish(&f, set)
}

// judge parses, opens and accepts a batch, as a member does what comes over the wire.
func judge(c *cast, member *aggregation.Member, raw [][]byte) error {
	headers := make([]*aggregation.MemberHeader, len(raw))
	for i, b := range raw {
		var err error
		if headers[i], err = aggregation.ParseMemberHeader(b); err != nil {
			return err
		}
	}
	judge, err := member.Judge(c.id)
	if err != nil {
		return err
	}
	verdicts, _, err := member.Accept(c.id, judge.Open(headers))
	for _, v := range verdicts {
		if v.Reason != aggregation.Accepted {
			return fmt.Errorf("a member refuses an honest device: %v", v.Reason)
		}
	}
	return err
}

// sealHeaders seals for n devices on all cores, lets members 2 to 6 accept at once, and keeps the first member's cut of every header.
func (c *cast) sealHeaders(n int) (cuts [][]byte, entries []aggregation.Entry, err error) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(runtime.NumCPU()))
	cuts, entries = make([][]byte, n), make([]aggregation.Entry, n)
	x := make([]int32, c.cfg.Params().Dim())
	failed := make([]error, runtime.NumCPU())
	var wg sync.WaitGroup
	var locks [members]sync.Mutex
	for w := range failed {
		wg.Go(func() {
			for i := w; i < n && failed[w] == nil; i += len(failed) {
				cuts[i], entries[i], failed[w] = c.cut(i, x, &locks)
			}
		})
	}
	wg.Wait()
	return cuts, entries, errors.Join(failed...)
}

func (c *cast) cut(i int, x []int32, locks *[members]sync.Mutex) ([]byte, aggregation.Entry, error) {
	up, err := c.seal(i, x)
	if err != nil {
		return nil, aggregation.Entry{}, err
	}
	path, err := c.path(up.Header.ID)
	if err != nil {
		return nil, aggregation.Entry{}, err
	}
	cuts := up.Header.ForMembers(path)
	for j := 1; j < c.cfg.Params().Quorum(); j++ {
		if _, err := c.accept(j, cuts[j], &locks[j]); err != nil {
			return nil, aggregation.Entry{}, err
		}
	}
	b, err := cuts[0].Marshal()
	return b, up.Header.Entry(), err
}

// accept takes one header through member j+1; only what changes the member's state happens under the lock.
func (c *cast) accept(j int, cut *aggregation.MemberHeader, lock *sync.Mutex) (aggregation.CheckAnswer, error) {
	lock.Lock()
	judge, err := c.members[j].Judge(c.id)
	lock.Unlock()
	if err != nil {
		return aggregation.CheckAnswer{}, err
	}
	opened := judge.Open([]*aggregation.MemberHeader{cut})
	lock.Lock()
	defer lock.Unlock()
	verdicts, _, err := c.members[j].Accept(c.id, opened)
	if err == nil && verdicts[0].Reason != aggregation.Accepted {
		err = fmt.Errorf("member %d refuses an honest device: %v", j+1, verdicts[0].Reason)
	}
	if err != nil {
		return aggregation.CheckAnswer{}, err
	}
	return aggregation.CheckAnswer{Member: uint16(j + 1), Words: verdicts[0].Check}, nil
}

// finish has the first member sign and release; the other members of the quorum sign beside it.
func (c *cast) finish(f *memberFigures, set *aggregation.Set) error {
	proposal := &aggregation.Proposal{Cfg: c.cfg.Digest(), Set: set}
	signatures := make([]aggregation.SetSignature, c.cfg.Params().Quorum())
	for j := range signatures {
		t, err := processor(func() (err error) { signatures[j], _, err = c.members[j].Sign(c.id, proposal); return err })
		if err != nil {
			return err
		}
		f.Sign = least(f.Sign, t)
	}
	certificate, err := aggregation.Certify(c.cfg, set, signatures)
	if err != nil {
		return err
	}
	for j := range signatures {
		t, err := processor(func() error { _, _, err := c.members[j].Release(c.id, certificate); return err })
		if err != nil {
			return err
		}
		f.Release = least(f.Release, t)
	}
	return nil
}
