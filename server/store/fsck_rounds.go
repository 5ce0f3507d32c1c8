package store

import (
	"bytes"
	"database/sql"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"regexp"

	"tutti/server/round"
)

// fsckRow is a round's row with the columns that repeat what durable holds.
type fsckRow struct {
	Round
	state, settled, freed, version int64
}

// rounds checks every row against itself, its uploads, the budget and the log.
func (c *checker) rounds() error {
	var rows []fsckRow
	err := c.s.db.Query(c.ctx, `SELECT state, settled, freed, version, `+roundColumns+` FROM rounds ORDER BY task, round, shard`, nil, func(r *sql.Rows) error {
		var x fsckRow
		var err error
		x.Round, err = scanRound(func(dest ...any) error {
			return r.Scan(append([]any{&x.state, &x.settled, &x.freed, &x.version}, dest...)...)
		})
		c.out.Rounds++
		if err != nil {
			c.problem(fmt.Sprintf("round %s/%d/%d", x.Task, x.Round.Round, x.Shard), "it cannot be read: %v", err)
			return nil
		}
		c.texts = append(c.texts, x.Plan.Bytes, x.Config, x.Result)
		rows = append(rows, x)
		return nil
	})
	if err != nil {
		return err
	}
	for i := 0; i < len(rows); {
		n := i + 1
		for n < len(rows) && rows[n].Task == rows[i].Task && rows[n].Round.Round == rows[i].Round.Round {
			n++
		}
		if err := c.round(rows[i:n]); err != nil {
			return err
		}
		i = n
	}
	return nil
}

// round checks all groups of one round.
func (c *checker) round(groups []fsckRow) error {
	k := groups[0].Key
	where := fmt.Sprintf("round %s/%d", k.Task, k.Round)
	if plan, logged := c.plans[fmt.Sprintf("%s/%d", k.Task, k.Round)]; !logged || !bytes.Equal(plan, groups[0].Plan.Bytes) {
		c.problem(where, "its plan is not the one in the log")
	}
	charged, settled, held := false, true, false
	for i, g := range groups {
		d := g.Durable
		place := fmt.Sprintf("%s/%d", where, g.Shard)
		if int(g.Shard) != i {
			c.problem(place, "a group before it is missing")
		}
		if g.state != int64(d.State) || g.version != int64(d.Version) || (g.settled == 1) != d.Settled || d.Freed && g.freed == 0 {
			c.problem(place, "its columns say state %d, version %d; it is %d and %d", g.state, g.version, d.State, d.Version)
		}
		charged = charged || d.State.Charged()
		settled = settled && d.Settled
		held = held || g.freed == 0
		if _, ok := c.log.EndAt(k.Task, k.Round, g.Shard); d.State == round.Published && !ok {
			c.problem(place, "it is published, and the log does not say who was in its sum")
		}
		if err := c.uploads(g, place); err != nil {
			return err
		}
	}
	want := Reserved
	switch {
	case charged:
		want = Charged
	case settled && held:
		want = Held
	case settled:
		want = Freed
	}
	var state int64
	var rho string
	found, err := c.s.db.Row(c.ctx, `SELECT state, rho FROM budget WHERE task = ? AND round = ?`, []any{k.Task, int64(k.Round)}, &state, &rho)
	if err == nil && found && BudgetState(state) != want {
		c.problem(where, "its budget is in state %d, and its groups want %d", state, want)
	}
	if cost, logged := c.costs[fmt.Sprintf("%s/%d", k.Task, k.Round)]; err == nil && found && logged && rho != cost {
		c.problem(where, "its budget is of rho %q, and its plan in the log costs %q", rho, cost)
	}
	return err
}

// uploads checks that the counted uploads of a certified group are its set, and the order of all.
func (c *checker) uploads(g fsckRow, where string) error {
	us, err := c.s.UploadsSince(c.ctx, g.Key, 0)
	if err != nil {
		c.problem(where, "its uploads cannot be read: %v", err)
		return nil
	}
	set := make(map[round.ID][32]byte, len(g.Durable.Set))
	for _, u := range g.Durable.Set {
		set[u.ID] = u.Digest
	}
	counted := 0
	for i, u := range us {
		c.out.Uploads++
		if u.Seq != uint64(i+1) {
			c.problem(where, "upload %d has place %d", i+1, u.Seq)
		}
		digest, in := set[u.ID]
		if in && digest != u.Digest {
			c.problem(where, "an upload of its set has another digest")
		}
		if u.State == CountedUpload {
			counted++
			if !in || !g.Durable.State.Charged() {
				c.problem(where, "an upload is counted that is not in its set")
			}
		}
	}
	if g.Durable.State.Charged() && counted != len(set) {
		c.problem(where, "%d uploads are counted, its set has %d", counted, len(set))
	}
	var sums int
	if _, err := c.s.db.Row(c.ctx, `SELECT count(*) FROM sums WHERE task = ? AND round = ? AND shard = ?`, []any{g.Task, int64(g.Key.Round), int64(g.Shard)}, &sums); err != nil {
		return err
	}
	if s := g.Durable.State; sums == 0 && s >= round.Frozen && s < round.Released {
		c.problem(where, "it is %v, and the sum over its set is missing", s)
	}
	return nil
}

var (
	hexRun    = regexp.MustCompile(`[0-9a-f]{64,}`)
	base64Run = regexp.MustCompile(`[A-Za-z0-9+/_-]{43}`)
	arrayRun  = regexp.MustCompile(`\[(?:\d{1,3},){31}\d{1,3}\]`)
)

// mentions finds which of the digests are written anywhere in the texts: as they are, in hex, in base64, or as a JSON
// array of numbers. It would rather find one too many: what it does not find may be removed.
func mentions(texts [][]byte, digests [][32]byte) map[[32]byte]bool {
	by := make(map[uint64][][32]byte, len(digests))
	for _, d := range digests {
		head := binary.BigEndian.Uint64(d[:])
		by[head] = append(by[head], d)
	}
	found := map[[32]byte]bool{}
	look := func(b []byte) {
		for i := 0; i+32 <= len(b); i++ {
			for _, d := range by[binary.BigEndian.Uint64(b[i:])] {
				if bytes.Equal(d[:], b[i:i+32]) {
					found[d] = true
				}
			}
		}
	}
	for _, text := range texts {
		look(text)
		for _, run := range hexRun.FindAll(text, -1) {
			for shift := range 2 {
				even := run[shift:]
				b, _ := hex.DecodeString(string(even[:len(even)/2*2]))
				look(b)
			}
		}
		for _, run := range base64Run.FindAll(text, -1) {
			for _, coding := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
				if b, err := coding.DecodeString(string(run)); err == nil {
					look(b)
				}
			}
		}
		for _, run := range arrayRun.FindAll(text, -1) {
			var numbers [32]byte
			if json.Unmarshal(run, &numbers) == nil {
				look(numbers[:])
			}
		}
	}
	return found
}

// hexDigest scans a digest.
type hexDigest [32]byte

// Scan is fmt.Scanner.
func (h *hexDigest) Scan(state fmt.ScanState, _ rune) error {
	token, err := state.Token(true, nil)
	if err == nil {
		var n int
		if n, err = hex.Decode(h[:], token); n != len(h) && err == nil {
			err = fmt.Errorf("a digest of %d bytes", n)
		}
	}
	return err
}
