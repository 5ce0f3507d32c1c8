package store

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"math/big"
	"reflect"
	"testing"
	"time"

	"tutti/privacy/ledger"
	"tutti/privacy/plan"
	"tutti/server/round"
	"tutti/server/store/pgtest"
)

// place is where a store's state lies: each call opens it, again or beside another, as a process of its own would.
type place func(t testing.TB) Store

// kinds are all stores. The same suite runs over each.
var kinds = map[string]func(t testing.TB) place{
	"sqlite": func(t testing.TB) place {
		dir := t.TempDir()
		return func(t testing.TB) Store { return open(t, dir) }
	},
	"memory": func(t testing.TB) place {
		d := NewDisk(time.Now, false)
		return func(t testing.TB) Store { return d.Open("a") }
	},
	"memory, shared": func(t testing.TB) place {
		d, n := NewDisk(time.Now, true), 0
		return func(t testing.TB) Store { n++; return d.Open(fmt.Sprint("replica ", n)) }
	},
	"postgres": func(t testing.TB) place {
		dsn := pgtest.DSN(t)
		return func(t testing.TB) Store { return openPG(t, dsn) }
	},
}

// suite is what every store does. A case is given an empty place.
var suite = map[string]func(t *testing.T, p place){
	"round lives":                suiteRoundLives,
	"compare and set":            suiteCompareAndSet,
	"budget books":               suiteBudgetBooks,
	"log survives failed writes": suiteLogSurvivesFailedWrites,
	"staging slots":              suiteStagingSlots,
	"versions":                   suiteVersions,
	"enrol":                      suiteEnrol,
}

func TestSuite(t *testing.T) {
	for kind, fresh := range kinds {
		for name, run := range suite {
			t.Run(kind+"/"+name, func(t *testing.T) { run(t, fresh(t)) })
		}
	}
}

// taskIn opens a place whose log opens task t with a budget of 1.
func taskIn(t testing.TB, p place) Store {
	t.Helper()
	s := p(t)
	must(t, s.Append(ctx, lead(t, s), now, &ledger.Task{Task: "t", Operator: make([]byte, 32), Delta: "1e-06", Budget: big.NewRat(1, 1)}))
	return s
}

func suiteRoundLives(t *testing.T, p place) {
	s := taskIn(t, p)
	rho := big.NewRat(1, 3)
	must(t, begin(t, s, 1, rho))
	must(t, s.Move(ctx, lead(t, s), now, move(round.Created, round.Collecting, 1, func(c *Change) { c.Config = []byte("cfg") })))
	us := []Staged{upload(1), upload(2), upload(3), upload(4), upload(5)}
	for _, want := range []error{nil, ErrSame} {
		outcomes, err := s.Stage(ctx, key(1), "r", 6, us)
		must(t, err)
		for i, got := range outcomes {
			if got != want {
				t.Errorf("upload %d: %v, want %v", i, got, want)
			}
		}
	}
	set := []round.Upload{us[0].Upload, us[1].Upload}
	must(t, s.Move(ctx, lead(t, s), now, move(round.Collecting, round.Frozen, 2, func(c *Change) {
		c.Transition.Durable.Set, c.Transition.Refused, c.Drops = set, []round.Refusal{{ID: us[2].ID, Reason: round.DropCommittee}, {ID: us[3].ID, Reason: round.DropSharing}}, map[string]int{"died": 2}
	})))
	us = append(us, upload(6))
	if late, err := s.Stage(ctx, key(1), "r", 6, us[5:]); err != nil || late[0] != ErrRoundClosed {
		t.Errorf("an upload that was on its way when the set was frozen: %v, %v", late, err)
	}
	must(t, s.Move(ctx, lead(t, s), now, move(round.Frozen, round.Certified, 3, func(c *Change) {
		c.Transition.Charge, c.Certificate, c.Transition.Durable.Set = true, []byte("cert"), set
	})))
	uploads, err := s.Uploads(ctx, key(1))
	must(t, err)
	for i, want := range []UploadState{CountedUpload, CountedUpload, RefusedUpload, UnsoundUpload, LateUpload} {
		if uploads[i].State != want || uploads[i].Upload != us[i].Upload || uploads[i].Slot != us[i].Slot {
			t.Errorf("upload %d is %+v, want state %d", i, uploads[i], want)
		}
	}
	spent, n, err := s.DeviceSpent(ctx, "t", us[0].ID)
	if err != nil || n != 1 || spent.Cmp(rho) != 0 {
		t.Errorf("a counted device has spent %v in %d rounds, %v", spent, n, err)
	}
	if spent, n, _ := s.DeviceSpent(ctx, "t", us[2].ID); n != 0 || spent.Sign() != 0 {
		t.Errorf("a refused device has spent %v in %d rounds", spent, n)
	}
	devices, most, total, err := s.Participation(ctx, "t")
	if err != nil || devices != 2 || most != 1 || total != 2 {
		t.Errorf("participation: %d devices, most %d, total %d, %v", devices, most, total, err)
	}
	got, found, err := s.Round(ctx, key(1))
	if err != nil || !found || string(got.Config) != "cfg" || string(got.Certificate) != "cert" || !reflect.DeepEqual(got.Durable.Set, set) {
		t.Errorf("the round reads as %+v, %v, %v", got, found, err)
	}
	drops, err := s.Drops(ctx, key(1))
	if err != nil || drops["died"] != 2 {
		t.Errorf("drops: %v, %v", drops, err)
	}
	books, err := s.Budget(ctx, "t")
	if err != nil || books[Charged].Cmp(rho) != 0 || books[Reserved].Sign() != 0 {
		t.Errorf("budget: %v, %v", books, err)
	}
}

func suiteCompareAndSet(t *testing.T, p place) {
	s := taskIn(t, p)
	must(t, begin(t, s, 1, nil))
	must(t, s.Move(ctx, lead(t, s), now, move(round.Created, round.Collecting, 1, nil)))
	size := s.LogSize()
	for _, version := range []uint64{0, 1, 3} {
		c := move(round.Collecting, round.Abandoned, version, func(c *Change) {
			c.Transition.Free = true
			c.Log = []ledger.Body{&ledger.Abandon{Task: "t", Round: 1, Plan: (&ledger.Plan{Bytes: []byte("plan 1")}).Digest(), Reason: "stopped"}}
		})
		if err := s.Move(ctx, lead(t, s), now, c); !errors.Is(err, ErrConflict) {
			t.Errorf("version %d over 1: %v", version, err)
		}
	}
	if s.LogSize() != size {
		t.Error("a conflict left a record in the log")
	}
}

func suiteBudgetBooks(t *testing.T, p place) {
	s := taskIn(t, p)
	third := big.NewRat(1, 3)
	for n := range uint64(3) {
		must(t, begin(t, s, n+1, third))
	}
	var v *ledger.Violation
	if err := begin(t, s, 4, third); !errors.As(err, &v) || v.Fault != ledger.FaultBudget {
		t.Errorf("a fourth third: %v", err)
	}
	if _, found, _ := s.Round(ctx, key(4)); found {
		t.Error("a round that was refused is there")
	}
	free := func(n uint64, settled, freed bool) Change {
		c := move(round.Created, round.Abandoned, 1, func(c *Change) { c.Key = key(n) })
		c.Transition.Durable.Settled, c.Transition.Free = settled, freed
		return c
	}
	must(t, s.Move(ctx, lead(t, s), now, free(1, true, true)))
	must(t, s.Move(ctx, lead(t, s), now, free(2, true, false)))
	must(t, s.Move(ctx, lead(t, s), now, free(3, false, false)))
	books, err := s.Budget(ctx, "t")
	must(t, err)
	for state, want := range map[BudgetState]*big.Rat{Freed: third, Held: third, Reserved: third, Charged: new(big.Rat)} {
		if books[state].Cmp(want) != 0 {
			t.Errorf("books %d: %v, want %v", state, books[state], want)
		}
	}
	twice := free(1, true, true)
	twice.Transition.Durable.Version = 2
	if err := s.Move(ctx, lead(t, s), now, twice); !errors.Is(err, ErrConflict) {
		t.Errorf("a budget was freed twice: %v", err)
	}
}

// suiteLogSurvivesFailedWrites: a transaction that fails after its records were judged leaves no trace, on disk or in
// memory, and the log of a reopened store is the same.
func suiteLogSurvivesFailedWrites(t *testing.T, p place) {
	s := p(t)
	task := &ledger.Task{Task: "t", Operator: make([]byte, 32), Budget: big.NewRat(1, 1)}
	must(t, s.Append(ctx, lead(t, s), now, task))
	bad := []ledger.Body{&ledger.Version{Task: "t", Number: 1, Digest: [32]byte{1}}, &ledger.Version{Task: "t", Number: 2, Parent: [32]byte{9}, Digest: [32]byte{2}}}
	if err := s.Append(ctx, lead(t, s), now, bad...); err == nil {
		t.Fatal("a version that follows nothing was logged")
	}
	good := &ledger.Version{Task: "t", Number: 1, Digest: [32]byte{1}}
	must(t, s.Append(ctx, lead(t, s), now, good))
	root, err := s.Root(s.LogSize())
	must(t, err)
	must(t, s.Close())
	s = p(t)
	again, err := s.Root(s.LogSize())
	if err != nil || again != root || s.LogSize() != 2 {
		t.Errorf("reopened: %d records, root %x, %v; want 2, %x", s.LogSize(), again[:4], err, root[:4])
	}
	totals, _ := s.Totals("t")
	if totals.Head != good.Digest {
		t.Errorf("the newest version is %x", totals.Head[:4])
	}
}

func suiteStagingSlots(t *testing.T, p place) {
	s := taskIn(t, p)
	must(t, begin(t, s, 1, nil))
	st, err := s.OpenStaging(key(1), 8, 100, 3, nil)
	must(t, err)
	vector := make([]byte, 100)
	rand.Read(vector)
	var slots []int
	for range 3 {
		slot, err := st.Take()
		must(t, err)
		slots = append(slots, slot)
		must(t, st.PutHeader(slot, []byte{byte(slot), 2, 3}))
		must(t, st.PutVector(slot, 0, vector[:60]))
		must(t, st.PutVector(slot, 60, vector[60:]))
	}
	if _, err := st.Take(); !errors.Is(err, ErrNoSlot) {
		t.Errorf("a fourth slot of three: %v", err)
	}
	for _, wrong := range []error{st.PutHeader(0, make([]byte, 9)), st.PutVector(0, 60, make([]byte, 41)), st.PutVector(0, -1, nil)} {
		if wrong == nil {
			t.Error("a write beyond the slot")
		}
	}
	must(t, st.Sync())
	st.Give(slots[1])
	must(t, st.Close())
	st, err = s.OpenStaging(key(1), 8, 100, 3, []int{slots[0], slots[2]})
	must(t, err)
	defer st.Close()
	slot, err := st.Take()
	switch {
	case s.Shared() && !errors.Is(err, ErrNoSlot): // a commit on its way may name it
		t.Errorf("slot %d, which was written, is free after a restart: %v", slot, err)
	case !s.Shared() && (err != nil || slot != slots[1]):
		t.Errorf("the free slot after a restart is %d, %v, want %d", slot, err, slots[1])
	}
	got := make([]byte, 100)
	must(t, st.Vector(slots[2], got))
	header, err := st.Header(slots[2], 3)
	if err != nil || !bytes.Equal(got, vector) || !bytes.Equal(header, []byte{byte(slots[2]), 2, 3}) {
		t.Errorf("slot %d reads back as %x, %v", slots[2], header, err)
	}
	must(t, st.DropVectors())
	if _, err := st.Header(slots[0], 3); err != nil {
		t.Errorf("headers went with the vectors: %v", err)
	}
}

func suiteVersions(t *testing.T, p place) {
	s := taskIn(t, p)
	if _, found, err := s.LatestVersion(ctx, "t"); found || err != nil {
		t.Errorf("before the first: %v, %v", found, err)
	}
	for n := range uint64(2) {
		v := SignedVersion{Number: n + 1, Digest: [32]byte{byte(n + 1)}, Version: []byte{1}, Signature: []byte{2}}
		must(t, s.PutVersion(ctx, lead(t, s), now, "t", v, &ledger.Version{Task: "t", Number: n + 1, Parent: [32]byte{byte(n)}, Digest: v.Digest}))
	}
	v, found, err := s.LatestVersion(ctx, "t")
	if err != nil || !found || v.Number != 2 || v.Digest != [32]byte{2} {
		t.Errorf("newest: %+v, %v, %v", v, found, err)
	}
}

func suiteEnrol(t *testing.T, p place) {
	s := taskIn(t, p)
	hash := TokenHash("t", "token")
	must(t, s.AddTokens(ctx, now, "t", [][32]byte{hash}))
	a, b := round.ID{1}, round.ID{2}
	for range 2 {
		must(t, s.Enrol(ctx, now, "t", hash, a, []byte("key")))
	}
	for _, c := range []struct {
		task string
		hash [32]byte
		want error
	}{{"t", hash, ErrTokenUsed}, {"else", hash, ErrToken}, {"t", TokenHash("t", "other"), ErrToken}} {
		if err := s.Enrol(ctx, now, c.task, c.hash, b, []byte("key")); !errors.Is(err, c.want) {
			t.Errorf("task %s: %v, want %v", c.task, err, c.want)
		}
	}
	if n, err := s.Enrolled(ctx, "t"); err != nil || n != 1 {
		t.Errorf("%d devices, %v", n, err)
	}
}

type end struct{ certified, freed bool }

var groupsEnds = map[string]struct {
	ends []end
	want BudgetState
}{
	"all certified":         {[]end{{certified: true}, {certified: true}, {certified: true}}, Charged},
	"the last certified":    {[]end{{freed: true}, {}, {certified: true}}, Charged},
	"the first certified":   {[]end{{certified: true}, {freed: true}, {freed: true}}, Charged},
	"all freed":             {[]end{{freed: true}, {freed: true}, {freed: true}}, Freed},
	"one has no one's word": {[]end{{freed: true}, {}, {freed: true}}, Held},
}

func init() {
	for name := range groupsEnds {
		suite["budget of groups: "+name] = func(t *testing.T, p place) { suiteBudgetOfGroups(t, p, name) }
	}
}

// suiteBudgetOfGroups: of a round in three groups, the first certificate charges and no other does; what is not charged is free only
// when all groups are abandoned by certificate, and held when one of them is without.
func suiteBudgetOfGroups(t *testing.T, p place, name string) {
	c, third := groupsEnds[name], big.NewRat(1, 3)
	s := taskIn(t, p)
	must(t, begin(t, s, 1, third))
	must(t, s.Move(ctx, lead(t, s), now, move(round.Created, round.Collecting, 1, func(c *Change) {
		for shard := uint32(1); shard < 3; shard++ {
			row := Round{Key: Key{"t", 1, shard}, Kind: "popularity", Config: []byte("cfg"), Plan: plan.Signed{Bytes: []byte("plan 1"), Signature: []byte("s")}}
			row.Durable.State = round.Collecting
			row.Durable.Version = 1
			c.Groups = append(c.Groups, row)
		}
	})))
	for shard, e := range c.ends {
		books, err := s.Budget(ctx, "t")
		must(t, err)
		if shard > 0 && c.want != Charged && books[Reserved].Cmp(third) != 0 {
			t.Errorf("after %d groups the budget is not reserved any more", shard)
		}
		to := round.Abandoned
		if e.certified {
			to = round.Certified
		}
		must(t, s.Move(ctx, lead(t, s), now, move(round.Collecting, to, 2, func(c *Change) {
			c.Key = Key{"t", 1, uint32(shard)}
			c.Transition.Charge, c.Transition.Free = e.certified, e.freed
			c.Transition.Durable.Settled, c.Transition.Durable.Freed = !e.certified, e.freed
		})))
	}
	books, err := s.Budget(ctx, "t")
	must(t, err)
	for state, rho := range books {
		if want := map[bool]*big.Rat{true: third, false: new(big.Rat)}[state == c.want]; rho.Cmp(want) != 0 {
			t.Errorf("books %d: %v, want %v", state, rho, want)
		}
	}
	rows, err := s.RoundGroups(ctx, key(1))
	if n, err2 := s.Groups(ctx, key(1)); err != nil || err2 != nil || n != 3 || len(rows) != 3 || rows[2].Shard != 2 {
		t.Errorf("%d rows, %v, %v", len(rows), err, err2)
	}
}
