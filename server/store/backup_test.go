package store

import (
	"bufio"
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"tutti/model"
	"tutti/privacy/ledger"
	"tutti/server/round"
	"tutti/server/store/pgtest"
)

var signer = ed25519.NewKeyFromSeed(make([]byte, 32))

func checkSignature(_ string, v SignedVersion) error {
	if !ed25519.Verify(signer.Public().(ed25519.PublicKey), v.Version, v.Signature) {
		return errors.New("the signature is not the operator's")
	}
	return nil
}

// fill gives a store something of everything: round 1 lost behind its certificate, 2 abandoned, 3 under way; a version with its blobs.
func fill(t testing.TB, s Store) {
	t.Helper()
	f := lead(t, s)
	must(t, s.Append(ctx, f, now, &ledger.Task{Task: "t", Operator: make([]byte, 32), Delta: "1e-06", Budget: big.NewRat(1, 1)}))
	params, err := s.PutBlob([]byte("parameters"))
	must(t, err)
	v := model.Version{Number: 1, Params: params}
	b, err := v.Marshal()
	must(t, err)
	signed := SignedVersion{Number: 1, Digest: v.Digest(), Version: b, Signature: ed25519.Sign(signer, b)}
	must(t, s.PutVersion(ctx, f, now, "t", signed, &ledger.Version{Task: "t", Number: 1, Digest: v.Digest()}))
	must(t, s.SetAlias(ctx, f, "t", Alias{Name: "stable", Number: 1, Percent: 100, Since: now}))
	block, err := s.PutBlob([]byte("a block that kept state names"))
	must(t, err)
	must(t, s.Keep(ctx, f, "t", "campaign", fmt.Appendf(nil, `{"block":"%x"}`, block)))
	must(t, s.Keep(ctx, f, "t", "empty", nil))
	must(t, s.Tell(ctx, []Happened{{At: now, Task: "t", Name: "x", Data: []byte(`{"a":"<tag> \"quoted\" \u00e9"}`)}}))
	must(t, s.AddTokens(ctx, now, "t", [][32]byte{TokenHash("t", "a"), TokenHash("t", "b")}))
	must(t, s.Enrol(ctx, now, "t", TokenHash("t", "a"), round.ID{1}, []byte("key")))
	must(t, begin(t, s, 1, big.NewRat(1, 4)))
	f = lead(t, s)
	step := func(n uint64, from, to round.State, version uint64, change func(*Change)) {
		t.Helper()
		c := move(from, to, version, func(c *Change) { c.Key = key(n) })
		if change != nil {
			change(&c)
		}
		must(t, s.Move(ctx, f, now, c))
	}
	step(1, round.Created, round.Collecting, 1, nil)
	us := []Staged{upload(1), upload(2), upload(3)}
	set := []round.Upload{us[0].Upload, us[1].Upload}
	_, err = s.Stage(ctx, key(1), "r", 5, us)
	must(t, err)
	must(t, s.SaveSum(ctx, f, key(1), []byte("sum")))
	inSet := func(c *Change) { c.Transition.Durable.Set = set }
	step(1, round.Collecting, round.Frozen, 2, inSet)
	step(1, round.Frozen, round.Certified, 3, func(c *Change) { inSet(c); c.Transition.Charge = true })
	step(1, round.Certified, round.Lost, 4, inSet)
	must(t, begin(t, s, 2, big.NewRat(1, 4)))
	f = lead(t, s)
	step(2, round.Created, round.Abandoned, 1, func(c *Change) {
		c.Transition.Free, c.Transition.Durable.Freed, c.Transition.Durable.Settled = true, true, true
		c.Log = []ledger.Body{&ledger.Abandon{Task: "t", Round: 2, Plan: (&ledger.Plan{Bytes: []byte("plan 2")}).Digest(), Reason: "stopped", Certificate: ledger.Digest{1}}}
	})
	must(t, begin(t, s, 3, nil))
	f = lead(t, s)
	step(3, round.Created, round.Collecting, 1, nil)
	with := upload(4)
	with.Raw = []byte("header")
	_, err = s.Stage(ctx, key(3), "r", 5, []Staged{with, upload(5)})
	must(t, err)
	must(t, s.Fold(ctx, f, key(3), []round.ID{{4}}, true))
	must(t, s.PutPartial(ctx, key(3), Partial{Replica: "r", Version: 1, IDs: []round.ID{{4}}, Sum: []byte{}}))
}

// contents are all rows of a store, as a backup writes them, but for the ends of leases, which a restore ends.
func contents(t *testing.T, s *SQL) string {
	t.Helper()
	var b bytes.Buffer
	w := bufio.NewWriter(&b)
	must(t, s.db.do(ctx, func(tx *Tx) error { _, err := tx.Exec(`UPDATE leases SET until = 0`); return err }))
	must(t, s.db.read(ctx, func(q querier) error {
		for _, table := range backedUp {
			if _, err := dumpTable(q, w, table); err != nil {
				return err
			}
		}
		return nil
	}))
	must(t, w.Flush())
	lines := strings.Split(b.String(), "\n") // a table has no order
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

func fsck(t *testing.T, o Options) Findings {
	t.Helper()
	found, err := Fsck(ctx, Check{Options: o, Signature: checkSignature})
	must(t, err)
	return found
}

// TestBackupRestore: whatever kind is backed up, either kind is restored from it, row by row, and goes on.
func TestBackupRestore(t *testing.T) {
	options := map[string]func() Options{
		"sqlite":   func() Options { return Options{Dir: t.TempDir()} },
		"postgres": func() Options { return Options{Dir: t.TempDir(), DB: pgtest.DSN(t)} },
	}
	for from, first := range options {
		for to, second := range options {
			t.Run(from+" to "+to, func(t *testing.T) {
				s := openWith(t, first())
				fill(t, s)
				must(t, os.MkdirAll(filepath.Join(s.dir, "keys"), 0o700))
				must(t, os.WriteFile(filepath.Join(s.dir, "keys", "operator.pem"), []byte("secret"), 0o600))
				st, err := s.OpenStaging(key(3), 8, 4, 5, nil)
				must(t, err)
				must(t, st.PutVector(1, 0, []byte("abcd")))
				must(t, st.Close())
				dir := filepath.Join(t.TempDir(), "deep", "backup")
				m, err := s.Backup(ctx, dir)
				must(t, err)
				if m.Blobs != 2 || m.Records != uint64Len(s) || m.Rows["uploads"] != 5 {
					t.Errorf("the backup says %+v", m)
				}
				if _, err := s.Backup(ctx, dir); !errors.Is(err, ErrBackup) {
					t.Errorf("a backup over a backup: %v", err)
				}
				was := contents(t, s)
				must(t, s.Close())

				o := second()
				_, err = Restore(ctx, dir, o)
				must(t, err)
				if found := fsck(t, o); len(found.Problems)+len(found.Orphans) > 0 || found.Versions != 1 || found.Blobs != 2 || found.Rounds != 3 {
					t.Errorf("the restored store: %+v", found)
				}
				r := openWith(t, o)
				if is := contents(t, r); is != was {
					t.Errorf("the restored rows differ:\n%s", firstDifference(was, is))
				}
				if b, err := os.ReadFile(filepath.Join(o.Dir, "keys", "operator.pem")); err != nil || string(b) != "secret" {
					t.Errorf("the key: %q, %v", b, err)
				}
				st, err = r.OpenStaging(key(3), 8, 4, 5, nil)
				must(t, err)
				vector := make([]byte, 4)
				if err := st.Vector(1, vector); err != nil || string(vector) != "abcd" {
					t.Errorf("the staged vector: %q, %v", vector, err)
				}
				must(t, st.Close())
				must(t, r.SaveSum(ctx, lead(t, r), key(3), []byte("sum"))) // it goes on
				must(t, begin(t, r, 4, big.NewRat(1, 4)))
				if _, err := Restore(ctx, dir, o); !errors.Is(err, ErrNotEmpty) {
					t.Errorf("a restore over a store: %v", err)
				}
			})
		}
	}
}

func uint64Len(s Store) int64 { return int64(s.LogSize()) }

func firstDifference(a, b string) string {
	x, y := strings.Split(a, "\n"), strings.Split(b, "\n")
	for i := range min(len(x), len(y)) {
		if x[i] != y[i] {
			return x[i] + "\n" + y[i]
		}
	}
	return fmt.Sprint(len(x), " and ", len(y), " lines")
}

// TestBackupOfRunningServer: another process has a server that runs make a backup, while the server goes on writing; what
// is in it is one moment.
func TestBackupOfRunningServer(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	fill(t, s)
	f := lead(t, s)
	stop, stopped := make(chan struct{}), make(chan int)
	go func() {
		n := 0
		for ; ; n++ {
			select {
			case <-stop:
				stopped <- n
				return
			default:
			}
			if err := s.Keep(ctx, f, "t", fmt.Sprint("n", n), []byte("x")); err != nil {
				t.Error(err)
			}
		}
	}()
	to := filepath.Join(t.TempDir(), "backup")
	m, err := AskBackup(ctx, dir, to, time.Minute)
	must(t, err)
	_, again := AskBackup(ctx, dir, to, time.Minute)
	close(stop)
	n := <-stopped
	if again == nil || !strings.Contains(again.Error(), "there already") {
		t.Errorf("a second backup in the same place: %v", again)
	}
	if kept := int(m.Rows["kept"]); kept < 2 || kept > n+2 {
		t.Errorf("%d of %d rows", kept, n)
	}
	o := Options{Dir: t.TempDir()}
	_, err = Restore(ctx, to, o)
	must(t, err)
	if found := fsck(t, o); len(found.Problems) > 0 {
		t.Errorf("the restored store: %+v", found.Problems)
	}
	must(t, s.Close())
	if _, err := AskBackup(ctx, dir, to+"2", 50*time.Millisecond); !errors.Is(err, ErrNoAnswer) {
		t.Errorf("nobody answers: %v", err)
	}
}

// TestDamagedBackup: what is not whole is refused.
func TestDamagedBackup(t *testing.T) {
	s := open(t, t.TempDir())
	fill(t, s)
	for name, damage := range map[string]func(dir string) error{
		"no manifest": func(dir string) error { return os.Remove(filepath.Join(dir, manifestFile)) },
		"rows cut off": func(dir string) error {
			info, err := os.Stat(filepath.Join(dir, rowsFile))
			must(t, err)
			return os.Truncate(filepath.Join(dir, rowsFile), info.Size()-10)
		},
		"a damaged blob": func(dir string) error {
			all, _ := filepath.Glob(filepath.Join(dir, "blobs", "*", "*"))
			return os.WriteFile(all[0], []byte("x"), 0o600)
		},
		"a newer format": func(dir string) error {
			path := filepath.Join(dir, manifestFile)
			text, err := os.ReadFile(path)
			must(t, err)
			return os.WriteFile(path, bytes.Replace(text, []byte(`"schema": 3`), []byte(`"schema": 4`), 1), 0o600)
		},
	} {
		dir := filepath.Join(t.TempDir(), "backup")
		_, err := s.Backup(ctx, dir)
		must(t, err)
		must(t, damage(dir))
		if _, err := Restore(ctx, dir, Options{Dir: t.TempDir()}); !errors.Is(err, ErrBackup) && !errors.Is(err, ErrFormat) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestFsckFinds: each damage is found, and nothing else is.
func TestFsckFinds(t *testing.T) {
	good := t.TempDir()
	s := open(t, good)
	fill(t, s)
	backup := filepath.Join(t.TempDir(), "backup")
	_, err := s.Backup(ctx, backup)
	must(t, err)
	restored := t.TempDir()
	_, err = Restore(ctx, backup, Options{Dir: restored})
	must(t, err)
	for statement, want := range map[string]string{
		`UPDATE records SET record = substr(record, 1, 9) WHERE seq = 2`:         "record 2",
		`DELETE FROM records WHERE seq = 3`:                                      "record 4",
		`UPDATE hashes SET hash = zeroblob(32) WHERE position = 2`:               "hash 2",
		`DELETE FROM hashes WHERE position = (SELECT max(position) FROM hashes)`: "hashes are kept",
		`UPDATE rounds SET state = 4 WHERE round = 1`:                            "columns say",
		`UPDATE rounds SET version = 9 WHERE round = 3`:                          "columns say",
		`UPDATE rounds SET plan = x'00' WHERE round = 3`:                         "not the one in the log",
		`UPDATE rounds SET durable = x'00' WHERE round = 3`:                      "cannot be read",
		`UPDATE budget SET state = 3 WHERE round = 1`:                            "budget is in state 3",
		`UPDATE budget SET state = 4 WHERE round = 2`:                            "budget is in state 4",
		`UPDATE budget SET rho = '1/1000000' WHERE round = 2`:                    "its budget is of rho",
		`DELETE FROM budget WHERE round = 3`:                                     "without a budget",
		`INSERT INTO budget VALUES ('t', 9, '', 1)`:                              "budgets of rounds",
		`UPDATE uploads SET state = 3 WHERE round = 1 AND slot = 1`:              "are counted, its set has 2",
		`UPDATE uploads SET state = 2 WHERE round = 1 AND slot = 3`:              "not in its set",
		`UPDATE uploads SET digest = zeroblob(32) WHERE round = 1 AND slot = 1`:  "another digest",
		`DELETE FROM uploads WHERE round = 3 AND slot = 4`:                       "has place",
		`UPDATE uploads SET round = 7 WHERE round = 3`:                           "uploads of rounds",
		`DELETE FROM partials`:                                                   "partial sum holds",
		`UPDATE versions SET version = x'00'`:                                    "cannot be read",
		`UPDATE versions SET digest = zeroblob(32)`:                              "its digest",
		`UPDATE versions SET signature = zeroblob(64)`:                           "not the operator's",
		`DELETE FROM versions`:                                                   "aliases of versions",
		`UPDATE devices SET place = 5`:                                           "gaps",
		`DELETE FROM devices`:                                                    "tokens of devices",
	} {
		o := Options{Dir: t.TempDir()}
		must(t, copyTree(restored, o.Dir))
		db, err := OpenDB(filepath.Join(o.Dir, "tutti.db"), statement)
		must(t, err)
		must(t, db.Close())
		found := fsck(t, o)
		if text := fmt.Sprint(found.Problems); !strings.Contains(text, want) {
			t.Errorf("%s: %s, want %q", statement, text, want)
		}
	}
	must(t, s.Close())
	if found := fsck(t, Options{Dir: good}); len(found.Problems)+len(found.Orphans) > 0 {
		t.Errorf("what was not damaged: %+v", found)
	}
	s = open(t, good)
	must(t, s.Move(ctx, lead(t, s), now, move(round.Collecting, round.Published, 2, func(c *Change) { c.Key = key(3) })))
	must(t, s.Close())
	if found := fsck(t, Options{Dir: good}); !strings.Contains(fmt.Sprint(found.Problems), "the log does not say") {
		t.Errorf("published without a record: %+v", found.Problems)
	}
}

// TestFsckBlobsAndOrphans: missing and damaged blobs are problems; orphans are listed, and go only when that is asked for.
func TestFsckBlobsAndOrphans(t *testing.T) {
	o := Options{Dir: t.TempDir()}
	s := open(t, o.Dir)
	fill(t, s)
	orphan, err := s.PutBlob([]byte("nobody's"))
	must(t, err)
	st, err := s.OpenStaging(key(1), 8, 4, 5, nil) // of a round that has ended
	must(t, err)
	must(t, st.Close())
	must(t, s.Close())
	for _, repair := range []bool{false, true, false} {
		found, err := Fsck(ctx, Check{Options: o, Repair: repair})
		must(t, err)
		if len(found.Problems) > 0 || found.Signed {
			t.Errorf("problems: %+v", found)
		}
		want := 2
		if _, err := os.Stat(s.roundDir(key(1))); err != nil && !repair {
			want = 0
		}
		if len(found.Orphans) != want || repair && found.Removed != 2 || !repair && found.Removed != 0 {
			t.Errorf("repair %v: %+v", repair, found)
		}
		if want > 0 && !strings.Contains(fmt.Sprint(found.Orphans), fmt.Sprintf("%x", orphan)) {
			t.Errorf("the orphans are %v", found.Orphans)
		}
	}
	all, _ := filepath.Glob(filepath.Join(o.Dir, "blobs", "*", "*"))
	if len(all) != 2 {
		t.Fatalf("%d blobs are left", len(all))
	}
	must(t, os.WriteFile(all[0], []byte("x"), 0o600))
	must(t, os.WriteFile(all[1], []byte("x"), 0o600))
	if found := fsck(t, o); len(found.Problems) != 2 {
		t.Errorf("damaged blobs: %+v", found)
	}
	for _, path := range all {
		must(t, os.Remove(path))
	}
	if found := fsck(t, o); len(found.Problems) != 1 || !strings.Contains(found.Problems[0].What, "a version names it") {
		t.Errorf("missing blobs: %+v", found)
	}
	if _, err := Fsck(ctx, Check{Options: Options{Dir: t.TempDir()}}); err == nil {
		t.Error("an empty directory is sound")
	}
}
