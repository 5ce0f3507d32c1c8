package store

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/mod/sumdb/tlog"

	"tutti/model"
	"tutti/privacy/ledger"
)

// Check says how Fsck looks.
type Check struct {
	Options
	Signature func(task string, v SignedVersion) error // of a version; nil: signatures are not checked
	Repair    bool                                     // remove orphans, and change nothing else
}

// Findings is what Fsck saw. The store is sound when Problems is empty; orphans do no harm.
type Findings struct {
	Records  int       `json:"records"`
	Rounds   int       `json:"rounds"` // with each group on its own
	Uploads  int       `json:"uploads"`
	Versions int       `json:"versions"`
	Blobs    int       `json:"blobs"`
	Signed   bool      `json:"signatures_checked"`
	Problems []Problem `json:"problems"`
	Orphans  []string  `json:"orphans"` // blobs that nothing names, and files of rounds that have ended
	Removed  int       `json:"removed"`
}

// Problem is one thing that is not as it must be.
type Problem struct {
	Where string `json:"where"`
	What  string `json:"what"`
}

// checker is a Fsck under way.
type checker struct {
	s     *SQL
	ctx   context.Context
	out   Findings
	log   *ledger.State
	plans map[string][]byte // of the log, by task and round
	costs map[string]string // of the plans in the log, as the budget has them
	named map[[32]byte]bool // blobs that must be there
	texts [][]byte          // everything that may name a blob
}

func (c *checker) problem(where, format string, args ...any) {
	c.out.Problems = append(c.out.Problems, Problem{where, fmt.Sprintf(format, args...)})
}

// Fsck reads everything that a store keeps, which nobody may be changing, and says what is not as it must be: records that
// do not decode or chain, hashes, rounds whose state contradicts their uploads, the budget or the log, versions whose
// digest or signature is wrong, blobs that are missing or damaged. It changes nothing, but with Repair it removes orphans.
// The error is of a store that cannot be read at all.
func Fsck(ctx context.Context, o Check) (Findings, error) {
	if _, err := os.Stat(o.Dir); err != nil {
		return Findings{}, Explain(o.Dir, err)
	}
	if _, err := os.Stat(filepath.Join(o.Dir, "tutti.db")); o.DB == "" && err != nil {
		return Findings{}, fmt.Errorf("%s is no data directory of a server: %w", o.Dir, err)
	}
	s, err := o.attach(ctx)
	if err != nil {
		return Findings{}, err
	}
	defer s.Close()
	format := 0
	if _, err := s.db.Row(ctx, `SELECT CAST(value AS INTEGER) FROM meta WHERE name = 'schema'`, nil, &format); err != nil {
		return Findings{}, err
	}
	if err := s.readable(format); err != nil {
		return Findings{}, err
	}
	if format != newestFormat {
		return Findings{}, fmt.Errorf("%s: %w: the database has format %d, which the server leads to %d when it starts: start it once", s.db.path, ErrFormat, format, newestFormat)
	}
	c := &checker{s: s, ctx: ctx, log: new(ledger.State), plans: map[string][]byte{}, costs: map[string]string{}, named: map[[32]byte]bool{}}
	c.out.Signed = o.Signature != nil
	for _, step := range []func() error{c.records, c.rounds, func() error { return c.versions(o.Signature) }, c.strays, c.blobs, c.files} {
		if err := step(); err != nil {
			return c.out, err
		}
	}
	if o.Repair {
		return c.out, c.repair()
	}
	return c.out, nil
}

// records checks the log: every record decodes, is canonical, may stand where it stands, and the tree's hashes are its.
func (c *checker) records() error {
	var hashes []tlog.Hash
	next := int64(0)
	whole := true
	err := c.s.db.Query(c.ctx, recordsFrom, []any{0}, func(rows *sql.Rows) error {
		var seq int64
		var data []byte
		if err := rows.Scan(&seq, &data); err != nil {
			return err
		}
		c.out.Records++
		c.texts = append(c.texts, data)
		where := fmt.Sprintf("log, record %d", seq)
		if !whole {
			return nil
		}
		rec, err := ledger.Decode(data)
		if err == nil && (seq != next || int64(rec.Seq) != seq) {
			err = fmt.Errorf("it is record %d, in the place of %d", rec.Seq, next)
		}
		var canonical []byte
		if err == nil {
			canonical, err = c.log.Add(rec)
		}
		if err == nil && !bytes.Equal(canonical, data) {
			err = errors.New("its bytes are not canonical")
		}
		if err != nil {
			whole = false
			c.problem(where, "%v; those behind it were not judged", err)
			return nil
		}
		next++
		if p, ok := rec.Body.(*ledger.Plan); ok {
			key := fmt.Sprintf("%s/%d", p.Task, p.Round)
			c.plans[key], c.costs[key] = p.Bytes, rhoText(p.Rho)
			c.texts = append(c.texts, p.Bytes)
		}
		more, err := ledger.Append(rec.Seq, data, memHashes(hashes))
		hashes = append(hashes, more...)
		return err
	})
	if err != nil || !whole {
		return err
	}
	at := int64(0)
	err = c.s.db.Query(c.ctx, `SELECT position, hash FROM hashes ORDER BY position`, nil, func(rows *sql.Rows) error {
		var position int64
		var hash []byte
		if err := rows.Scan(&position, &hash); err != nil {
			return err
		}
		if position != at || at >= int64(len(hashes)) || !bytes.Equal(hash, hashes[at][:]) {
			c.problem(fmt.Sprintf("log, hash %d", position), "it is not the hash of the records")
		}
		at++
		return nil
	})
	if err == nil && at != int64(len(hashes)) {
		c.problem("log", "%d hashes are kept of %d", at, len(hashes))
	}
	return err
}

// strays checks what belongs to no round of its own: uploads without a round, kept state, which may name blobs.
func (c *checker) strays() error {
	var n int
	for _, x := range []struct{ what, query string }{
		{"uploads of rounds that are not there", `SELECT count(*) FROM uploads u WHERE NOT EXISTS (SELECT 1 FROM rounds r WHERE r.task = u.task AND r.round = u.round AND r.shard = u.shard)`},
		{"budgets of rounds that are not there", `SELECT count(*) FROM budget b WHERE NOT EXISTS (SELECT 1 FROM rounds r WHERE r.task = b.task AND r.round = b.round)`},
		{"rounds without a budget", `SELECT count(*) FROM rounds r WHERE NOT EXISTS (SELECT 1 FROM budget b WHERE r.task = b.task AND r.round = b.round)`},
		{"uploads that a partial sum holds which is not there", `SELECT count(*) FROM uploads u WHERE folded = 1 AND NOT EXISTS
			(SELECT 1 FROM partials p WHERE p.task = u.task AND p.round = u.round AND p.shard = u.shard AND p.replica = u.replica)`},
		{"aliases of versions that are not there", `SELECT count(*) FROM aliases a WHERE NOT EXISTS (SELECT 1 FROM versions v WHERE v.task = a.task AND v.number = a.number)`},
		{"spent tokens of devices that are not there", `SELECT count(*) FROM tokens t WHERE device IS NOT NULL AND NOT EXISTS (SELECT 1 FROM devices d WHERE d.task = t.task AND d.device = t.device)`},
		{"gaps in the places of devices", `SELECT coalesce(sum(n), 0) FROM (SELECT max(place) - count(*) AS n FROM devices GROUP BY task) AS gaps`},
	} {
		if _, err := c.s.db.Row(c.ctx, x.query, nil, &n); err != nil {
			return err
		}
		if n != 0 {
			c.problem("tables", "%d %s", n, x.what)
		}
	}
	return c.s.db.Query(c.ctx, `SELECT value FROM kept`, nil, func(rows *sql.Rows) error {
		var b []byte
		err := rows.Scan(&b)
		c.texts = append(c.texts, b)
		return err
	})
}

// versions checks digests, order and signatures of the published versions, and that the log knows the newest.
func (c *checker) versions(signature func(string, SignedVersion) error) error {
	var tasks []string
	err := c.s.db.Query(c.ctx, `SELECT DISTINCT task FROM versions ORDER BY task`, nil, func(rows *sql.Rows) error {
		var task string
		err := rows.Scan(&task)
		tasks = append(tasks, task)
		return err
	})
	for i := 0; err == nil && i < len(tasks); i++ {
		var all []SignedVersion
		all, err = c.s.versions(c.ctx, `task = ? ORDER BY number`, tasks[i])
		var before model.Digest
		for n, v := range all {
			where := fmt.Sprintf("task %s, version %d", tasks[i], v.Number)
			c.out.Versions++
			c.texts = append(c.texts, v.Version)
			parsed, err := model.ParseVersion(v.Version)
			switch {
			case err != nil:
				c.problem(where, "it cannot be read: %v", err)
			case parsed.Digest() != v.Digest || parsed.Number != v.Number:
				c.problem(where, "its digest or number is not that of its bytes")
			case parsed.Parent != before || v.Number != uint64(n+1):
				c.problem(where, "it does not follow the version before it")
			}
			if before = v.Digest; err == nil {
				c.name(parsed.Spec, parsed.Params, parsed.Popularity, parsed.Transitions)
			}
			if signature != nil {
				if err := signature(tasks[i], v); err != nil {
					c.problem(where, "%v", err)
				}
			}
		}
		if totals, known := c.log.Task(tasks[i]); len(all) > 0 && (!known || totals.Head != before) {
			c.problem("task "+tasks[i], "the newest version is not the newest of the log")
		}
	}
	return err
}

func (c *checker) name(digests ...[32]byte) {
	for _, d := range digests {
		if d != ([32]byte{}) {
			c.named[d] = true
		}
	}
}

// blobs reads them all. What a version names must be there; what nothing names is an orphan.
func (c *checker) blobs() error {
	var all [][32]byte
	if err := c.s.blobs.list(func(digest [32]byte) error { all = append(all, digest); return nil }); err != nil {
		return err
	}
	mentioned := mentions(c.texts, all)
	for _, digest := range all {
		c.out.Blobs++
		if _, err := c.s.Blob(digest); err != nil {
			c.problem(fmt.Sprintf("blob %x", digest), "%v", err)
		} else if !c.named[digest] && !mentioned[digest] {
			c.out.Orphans = append(c.out.Orphans, fmt.Sprintf("blob %x", digest))
		}
		delete(c.named, digest)
	}
	for digest := range c.named {
		if b, err := c.s.Blob(digest); err != nil || b == nil && digest != nothing {
			c.problem(fmt.Sprintf("blob %x", digest), "a version names it, and it is not there")
		}
	}
	slices.SortFunc(c.out.Problems, func(a, b Problem) int { return strings.Compare(a.Where, b.Where) })
	return nil
}

// files finds what a crash left in the directory: files of rounds that have ended, half-written files.
func (c *checker) files() error {
	open, err := c.s.Unfinished(c.ctx)
	if err != nil {
		return nil // a round that cannot be read is a problem already
	}
	keep := map[Key]bool{}
	for _, r := range open {
		keep[r.Key] = true
	}
	err = eachRoundDir(c.s.dir, func(k Key, path string) error {
		if !keep[k] {
			c.out.Orphans = append(c.out.Orphans, "file "+path)
		}
		return nil
	})
	halves, _ := filepath.Glob(filepath.Join(c.s.dir, ".new-*"))
	more, _ := filepath.Glob(filepath.Join(c.s.dir, "blobs", "*", ".new-*"))
	for _, path := range append(halves, more...) {
		c.out.Orphans = append(c.out.Orphans, "file "+path)
	}
	return err
}

// repair removes the orphans.
func (c *checker) repair() error {
	for _, o := range c.out.Orphans {
		var err error
		if path, isFile := strings.CutPrefix(o, "file "); isFile {
			err = os.RemoveAll(path)
		} else {
			var digest [32]byte
			if _, err = fmt.Sscanf(o, "blob %x", (*hexDigest)(&digest)); err == nil {
				err = c.s.blobs.remove(digest)
			}
		}
		if err != nil {
			return Explain(c.s.dir, err)
		}
		c.out.Removed++
	}
	return nil
}
