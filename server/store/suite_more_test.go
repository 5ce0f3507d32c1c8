package store

import (
	"errors"
	"fmt"
	"math/big"
	"reflect"
	"slices"
	"testing"
	"time"

	"tutti/privacy/ledger"
	"tutti/server/round"
)

func init() {
	suite["outcomes of staging"] = suiteStage
	suite["commit order and headers"] = suiteSince
	suite["partial sums"] = suitePartials
	suite["the sum over the set"] = suiteSum
	suite["a change is all or nothing"] = suiteAtomic
	suite["happenings"] = suiteHappenings
	suite["aliases"] = suiteAliases
	suite["states of a task"] = suiteTaskState
	suite["pages of rounds"] = suiteRoundsBefore
	suite["blobs"] = suiteBlobs
	suite["what is read is the caller's own"] = suiteOwn
}

// collect opens round 1.
func collect(t testing.TB, s Store) {
	t.Helper()
	must(t, begin(t, s, 1, nil))
	must(t, s.Move(ctx, lead(t, s), now, move(round.Created, round.Collecting, 1, nil)))
}

func stage(t testing.TB, s Store, replica string, us ...Staged) []error {
	t.Helper()
	outcomes, err := s.Stage(ctx, key(1), replica, 4, us)
	must(t, err)
	return outcomes
}

func suiteStage(t *testing.T, p place) {
	s := taskIn(t, p)
	if got := stage(t, s, "r", upload(1)); got[0] != ErrRoundClosed {
		t.Errorf("an upload to a round that is not there: %v", got)
	}
	must(t, begin(t, s, 1, nil))
	if got := stage(t, s, "r", upload(1)); got[0] != ErrRoundClosed {
		t.Errorf("an upload before the round takes any: %v", got)
	}
	must(t, s.Move(ctx, lead(t, s), now, move(round.Created, round.Collecting, 1, nil)))
	other := upload(1)
	other.Digest[0]++
	got := stage(t, s, "r", upload(1), upload(1), other, upload(2))
	if want := []error{nil, ErrSame, ErrOther, nil}; !slices.Equal(got, want) {
		t.Errorf("outcomes %v, want %v", got, want)
	}
	got = stage(t, s, "q", upload(3), upload(4), upload(5), upload(1), other)
	if want := []error{nil, nil, ErrFullRound, ErrSame, ErrOther}; !slices.Equal(got, want) {
		t.Errorf("outcomes %v, want %v", got, want)
	}
	must(t, s.Move(ctx, lead(t, s), now, move(round.Collecting, round.Frozen, 2, nil)))
	got = stage(t, s, "r", upload(6), upload(2), other)
	if want := []error{ErrRoundClosed, ErrSame, ErrOther}; !slices.Equal(got, want) {
		t.Errorf("behind the freeze: outcomes %v, want %v", got, want)
	}
	us, err := s.UploadsSince(ctx, key(1), 0)
	if err != nil || len(us) != 4 {
		t.Errorf("%d rows, %v", len(us), err)
	}
}

func suiteSince(t *testing.T, p place) {
	s := taskIn(t, p)
	collect(t, s)
	with := upload(9)
	with.Raw = []byte("raw header")
	stage(t, s, "a", with)
	stage(t, s, "b", upload(1), upload(5))
	us, err := s.UploadsSince(ctx, key(1), 1)
	if err != nil || len(us) != 2 || us[0].ID != (round.ID{1}) || us[1].ID != (round.ID{5}) || us[1].Seq != 3 || us[1].Replica != "b" || us[1].Slot != 5 || us[1].Millis != 5 {
		t.Errorf("behind the first: %+v, %v", us, err)
	}
	if us, err := s.UploadsSince(ctx, key(1), 3); err != nil || len(us) != 0 {
		t.Errorf("behind the last: %v, %v", us, err)
	}
	if b, err := s.Header(ctx, key(1), with.ID); err != nil || string(b) != "raw header" {
		t.Errorf("the header in the database: %q, %v", b, err)
	}
	if _, err := s.Header(ctx, key(1), round.ID{1}); !errors.Is(err, ErrNoHeader) {
		t.Errorf("a header at another replica: %v", err)
	}
	st, err := s.OpenStaging(key(1), 8, 8, 10, nil)
	must(t, err)
	must(t, st.PutHeader(1, []byte("xyz")))
	if b, err := s.Header(ctx, key(1), round.ID{1}); err != nil || string(b) != "xyz" {
		t.Errorf("the header in the staging file: %q, %v", b, err)
	}
	must(t, st.Close())
	if _, err := s.Header(ctx, key(1), round.ID{1}); !errors.Is(err, ErrNoHeader) {
		t.Errorf("a header in files that are closed: %v", err)
	}
	must(t, s.Move(ctx, lead(t, s), now, move(round.Collecting, round.Abandoned, 2, func(c *Change) { c.Transition.Durable.Settled = true })))
	if _, err := s.Header(ctx, key(1), with.ID); !errors.Is(err, ErrNoHeader) {
		t.Errorf("a header of a round that has ended: %v", err)
	}
}

func suitePartials(t *testing.T, p place) {
	s := taskIn(t, p)
	collect(t, s)
	stage(t, s, "a", upload(3), upload(1))
	stage(t, s, "b", upload(2))
	put := func(replica string, version uint64, sum string, ids ...byte) error {
		part := Partial{Replica: replica, Version: version, Sum: []byte(sum)}
		for _, id := range ids {
			part.IDs = append(part.IDs, round.ID{id})
		}
		return s.PutPartial(ctx, key(1), part)
	}
	fold := func(want bool, ids ...round.ID) error { return s.Fold(ctx, lead(t, s), key(1), ids, want) }
	must(t, fold(true, round.ID{1}, round.ID{2}, round.ID{3}))
	if err := fold(true, round.ID{2}, round.ID{7}); !errors.Is(err, ErrConflict) {
		t.Errorf("an upload that is not there is wanted: %v", err)
	}
	rows, err := s.ToFold(ctx, key(1), "a")
	if want := []FoldRow{{round.ID{3}, 3, true, false}, {round.ID{1}, 1, true, false}}; err != nil || !slices.Equal(rows, want) {
		t.Errorf("a shall fold %v, %v", rows, err)
	}
	must(t, put("a", 1, "a1", 3))
	must(t, put("b", 1, "b1", 2))
	for name, err := range map[string]error{
		"a version again":          put("a", 1, "x", 3, 1),
		"a version too far":        put("a", 3, "x", 3, 1),
		"another replica's upload": put("a", 2, "x", 3, 2),
		"an upload twice":          put("a", 2, "x", 1, 1),
		"an unknown upload":        put("a", 2, "x", 3, 8),
		"an unknown replica's row": put("c", 1, "x", 1),
	} {
		if !errors.Is(err, ErrConflict) {
			t.Errorf("%s: %v", name, err)
		}
	}
	must(t, fold(false, round.ID{3}))
	if rows, err := s.ToFold(ctx, key(1), "a"); err != nil || !slices.Equal(rows, []FoldRow{{round.ID{3}, 3, false, true}, {round.ID{1}, 1, true, false}}) {
		t.Errorf("a shall fold %v, %v", rows, err)
	}
	must(t, put("a", 2, "a2", 1))
	ps, err := s.Partials(ctx, key(1))
	want := []Partial{{"a", 2, []round.ID{{1}}, []byte("a2")}, {"b", 1, []round.ID{{2}}, []byte("b1")}}
	if err != nil || !reflect.DeepEqual(ps, want) {
		t.Errorf("partials %+v, %v, want %+v", ps, err, want)
	}
	if rows, err := s.ToFold(ctx, key(1), "a"); err != nil || !slices.Equal(rows, []FoldRow{{round.ID{1}, 1, true, true}}) {
		t.Errorf("a holds %v, %v", rows, err)
	}
	must(t, s.Move(ctx, lead(t, s), now, move(round.Collecting, round.Frozen, 2, nil)))
	if err := put("b", 2, "late", 2); !errors.Is(err, ErrRoundClosed) {
		t.Errorf("a partial behind the freeze: %v", err)
	}
	if ps, err := s.Partials(ctx, key(1)); err != nil || len(ps) != 2 {
		t.Errorf("%d partials, %v", len(ps), err)
	}
	must(t, s.Move(ctx, lead(t, s), now, move(round.Frozen, round.Lost, 3, nil)))
	if ps, err := s.Partials(ctx, key(1)); err != nil || len(ps) != 0 {
		t.Errorf("%d partials of a round that has ended, %v", len(ps), err)
	}
}

func suiteSum(t *testing.T, p place) {
	s := taskIn(t, p)
	save := func(sum string) error { return s.SaveSum(ctx, lead(t, s), key(1), []byte(sum)) }
	if err := save("x"); !errors.Is(err, ErrRoundClosed) {
		t.Errorf("a sum of no round: %v", err)
	}
	collect(t, s)
	if _, err := s.Sum(ctx, key(1)); !errors.Is(err, ErrNoSum) {
		t.Errorf("no sum: %v", err)
	}
	must(t, save("first"))
	must(t, save("second"))
	must(t, s.Move(ctx, lead(t, s), now, move(round.Collecting, round.Frozen, 2, nil)))
	if err := save("third"); !errors.Is(err, ErrRoundClosed) {
		t.Errorf("another sum behind the freeze: %v", err)
	}
	if sum, err := s.Sum(ctx, key(1)); err != nil || string(sum) != "second" {
		t.Errorf("the sum is %q, %v", sum, err)
	}
	must(t, s.Move(ctx, lead(t, s), now, move(round.Frozen, round.Published, 3, nil)))
	if _, err := s.Sum(ctx, key(1)); !errors.Is(err, ErrNoSum) {
		t.Errorf("the sum of a round that has ended: %v", err)
	}
}

// suiteAtomic: two changes, of which the second conflicts, leave nothing of the first: neither row, budget, uploads, drops,
// kept state, version, stream nor record.
func suiteAtomic(t *testing.T, p place) {
	s := taskIn(t, p)
	must(t, begin(t, s, 1, big.NewRat(1, 4)))
	must(t, begin(t, s, 2, big.NewRat(1, 4)))
	must(t, s.Move(ctx, lead(t, s), now, move(round.Created, round.Collecting, 1, nil)))
	stage(t, s, "r", upload(1))
	state := func() string {
		t.Helper()
		one, _, err := s.Round(ctx, key(1))
		must(t, err)
		us, err := s.Uploads(ctx, key(1))
		must(t, err)
		books, err := s.Budget(ctx, "t")
		must(t, err)
		drops, err := s.Drops(ctx, key(1))
		must(t, err)
		kept, found, err := s.Kept(ctx, "t", "k")
		must(t, err)
		_, version, err := s.LatestVersion(ctx, "t")
		must(t, err)
		_, stream, err := s.Stream(ctx, "t")
		must(t, err)
		groups, err := s.Groups(ctx, key(1))
		must(t, err)
		return fmt.Sprint(one.Durable.Version, one.Config, us, books, drops, kept, found, version, stream, groups, s.LogSize())
	}
	was := state()
	first := move(round.Collecting, round.Certified, 2, func(c *Change) {
		c.Config, c.Drops, c.Keep = []byte("c"), map[string]int{"died": 1}, map[string][]byte{"k": []byte("v")}
		c.Version, c.Stream = &SignedVersion{Number: 1, Version: []byte{1}, Signature: []byte{1}}, &Stream{State: []byte{1}}
		c.Transition.Charge, c.Transition.Durable.Set = true, []round.Upload{upload(1).Upload}
		c.Groups = []Round{{Key: Key{"t", 1, 1}, Kind: "popularity", Plan: plainPlan}}
		c.Log = []ledger.Body{&ledger.Version{Task: "t", Number: 1, Digest: [32]byte{1}}}
	})
	second := move(round.Created, round.Collecting, 7, func(c *Change) { c.Key = key(2) })
	if err := s.Move(ctx, lead(t, s), now, first, second); !errors.Is(err, ErrConflict) {
		t.Errorf("the second conflicts: %v", err)
	}
	if is := state(); is != was {
		t.Errorf("the first left\n%s\nwas\n%s", is, was)
	}
	bad := first
	bad.Log = append(slices.Clone(first.Log), &ledger.Version{Task: "t", Number: 2, Parent: [32]byte{8}, Digest: [32]byte{2}})
	if err := s.Move(ctx, lead(t, s), now, bad); err == nil {
		t.Error("a record that does not follow was logged")
	}
	if is := state(); is != was {
		t.Errorf("a refused record left\n%s\nwas\n%s", is, was)
	}
	must(t, s.Move(ctx, lead(t, s), now, first))
	if is := state(); is == was {
		t.Error("the change alone changed nothing")
	}
}

func suiteHappenings(t *testing.T, p place) {
	s := p(t)
	var hs []Happened
	for i := range 5 {
		hs = append(hs, Happened{At: now.Add(time.Duration(i) * time.Second), Task: "t", Round: 7, Shard: 1, Name: fmt.Sprint("e", i), Data: []byte(`{}`)})
	}
	must(t, s.Tell(ctx, nil))
	must(t, s.Tell(ctx, append(hs[:3:3], Happened{Task: "u", Name: "other", At: now})))
	must(t, s.Tell(ctx, hs[3:]))
	got, err := s.Happenings(ctx, "t", 1, 3)
	must(t, err)
	if len(got) != 3 || got[0].Seq != 2 || got[2].Seq != 4 || got[2].Name != "e3" || !got[2].At.Equal(hs[3].At) || got[2].Round != 7 || got[2].Shard != 1 || string(got[2].Data) != "{}" {
		t.Errorf("the page is %+v", got)
	}
	if got, err := s.Happenings(ctx, "t", 5, 10); err != nil || len(got) != 0 {
		t.Errorf("behind the last: %v, %v", got, err)
	}
	if got, err := s.Happenings(ctx, "u", 0, 10); err != nil || len(got) != 1 || got[0].Seq != 1 {
		t.Errorf("the other task's: %+v, %v", got, err)
	}
	many := make([]Happened, happeningsKept)
	for i := range many {
		many[i] = Happened{Task: "u", Name: "n", At: now}
	}
	must(t, s.Tell(ctx, many))
	if got, err := s.Happenings(ctx, "u", 0, 1); err != nil || len(got) != 1 || got[0].Seq != 2 {
		t.Errorf("the oldest that is kept: %+v, %v", got, err)
	}
	if got, err := s.Happenings(ctx, "t", 0, 1); err != nil || len(got) != 1 || got[0].Seq != 1 {
		t.Errorf("of the other task: %+v, %v", got, err)
	}
}

func suiteAliases(t *testing.T, p place) {
	s := taskIn(t, p)
	publish(t, s, 3)
	for _, a := range []Alias{{"stable", 1, 100, now, "first"}, {"canary", 3, 5, now, "on trial"}, {"stable", 2, 50, now.Add(time.Hour), "rolled out"}} {
		must(t, s.SetAlias(ctx, Fence{}, "t", a))
	}
	for _, a := range []Alias{{"x", 9, 1, now, ""}, {"", 1, 1, now, ""}, {"x", 1, 101, now, ""}} {
		if err := s.SetAlias(ctx, Fence{}, "t", a); !errors.Is(err, ErrAlias) {
			t.Errorf("%+v: %v", a, err)
		}
	}
	got, err := s.Aliases(ctx, "t")
	must(t, err)
	if len(got) != 2 || got[0].Name != "canary" || got[0].Percent != 5 || got[1].Number != 2 || got[1].Note != "rolled out" || !got[1].Since.Equal(now.Add(time.Hour)) {
		t.Errorf("aliases: %+v", got)
	}
	page, err := s.Versions(ctx, "t", 3, 1)
	if err != nil || len(page) != 1 || page[0].Number != 2 {
		t.Errorf("below 3: %+v, %v", page, err)
	}
	if all, err := s.Versions(ctx, "t", 0, 10); err != nil || len(all) != 3 || all[0].Number != 3 {
		t.Errorf("all: %+v, %v", all, err)
	}
	if v, found, err := s.Version(ctx, "t", 2); err != nil || !found || v.Digest != [32]byte{2} {
		t.Errorf("version 2: %+v, %v, %v", v, found, err)
	}
	if _, found, err := s.Version(ctx, "t", 4); err != nil || found {
		t.Errorf("version 4: %v, %v", found, err)
	}
	again := SignedVersion{Number: 3, Digest: [32]byte{4}, Version: []byte{1}, Signature: []byte{2}}
	if err := s.PutVersion(ctx, lead(t, s), now, "t", again, &ledger.Version{Task: "t", Number: 4, Parent: [32]byte{3}, Digest: [32]byte{4}}); err == nil {
		t.Error("a version was written over another")
	}
}

func publish(t testing.TB, s Store, n uint64) {
	t.Helper()
	for i := range n {
		v := SignedVersion{Number: i + 1, Digest: [32]byte{byte(i + 1)}, Version: []byte{1}, Signature: []byte{2}}
		must(t, s.PutVersion(ctx, lead(t, s), now, "t", v, &ledger.Version{Task: "t", Number: i + 1, Parent: [32]byte{byte(i)}, Digest: v.Digest}))
	}
}

func suiteTaskState(t *testing.T, p place) {
	s := p(t)
	is := func(want string) {
		t.Helper()
		if got, err := s.TaskState(ctx, "t"); err != nil || got != want {
			t.Errorf("the task is %q, %v, want %s", got, err, want)
		}
	}
	is(TaskRunning)
	for _, state := range []string{TaskPaused, TaskRunning, TaskRunning, TaskStopped, TaskStopped} {
		must(t, s.SetTaskState(ctx, Fence{}, "t", state))
		is(state)
	}
	for _, state := range []string{TaskRunning, TaskPaused, "asleep", ""} {
		if err := s.SetTaskState(ctx, Fence{}, "t", state); !errors.Is(err, ErrTaskState) {
			t.Errorf("a stopped task becomes %q: %v", state, err)
		}
	}
	is(TaskStopped)
}

func suiteRoundsBefore(t *testing.T, p place) {
	s := taskIn(t, p)
	for n := range uint64(4) {
		must(t, begin(t, s, n+1, nil))
	}
	c := move(round.Created, round.Collecting, 1, func(c *Change) {
		c.Key, c.Groups = key(3), []Round{{Key: Key{"t", 3, 1}, Kind: "popularity", Plan: plainPlan}}
	})
	must(t, s.Move(ctx, lead(t, s), now, c))
	for _, x := range []struct {
		before uint64
		limit  int
		want   string
	}{{0, 2, "4.0 3.0 3.1 "}, {4, 2, "3.0 3.1 2.0 "}, {2, 5, "1.0 "}, {1, 5, ""}, {0, 9, "4.0 3.0 3.1 2.0 1.0 "}} {
		rows, err := s.RoundsBefore(ctx, "t", x.before, x.limit)
		must(t, err)
		got := ""
		for _, r := range rows {
			got += fmt.Sprintf("%d.%d ", r.Round, r.Shard)
		}
		if got != x.want {
			t.Errorf("%d before %d: %s, want %s", x.limit, x.before, got, x.want)
		}
	}
}

func suiteBlobs(t *testing.T, p place) {
	s := p(t)
	for _, size := range []int{0, 1, blobPart - 1, blobPart, 2*blobPart + 17} {
		content := make([]byte, size)
		for i := range content {
			content[i] = byte(i * 7 >> 3)
		}
		digest, err := s.PutBlob(content)
		must(t, err)
		again, err := s.PutBlob(content)
		if err != nil || again != digest {
			t.Errorf("%d bytes again: %v", size, err)
		}
		if b, err := s.Blob(digest); err != nil || string(b) != string(content) {
			t.Errorf("%d bytes read as %d, %v", size, len(b), err)
		}
		r, n, c, err := s.OpenBlob(digest)
		must(t, err)
		for _, at := range []int{0, size / 3, max(0, size-5)} {
			piece := make([]byte, min(size-at, 3*blobPart/2))
			if m, err := r.ReadAt(piece, int64(at)); m != len(piece) || string(piece) != string(content[at:at+len(piece)]) || int(n) != size {
				t.Errorf("%d bytes at %d of %d: %d, %v", len(piece), at, size, m, err)
			}
		}
		must(t, c.Close())
	}
	if _, err := s.Blob([32]byte{1}); !errors.Is(err, ErrNoBlob) {
		t.Errorf("a missing blob: %v", err)
	}
	if _, _, _, err := s.OpenBlob([32]byte{1}); !errors.Is(err, ErrNoBlob) {
		t.Errorf("a missing blob: %v", err)
	}
}

// suiteOwn: a caller that goes on writing into what it gave, or into what it got, changes nothing that is kept.
func suiteOwn(t *testing.T, p place) {
	s := taskIn(t, p)
	config, said := []byte("config"), []round.Said{{Member: 1, Bytes: []byte("key")}}
	must(t, begin(t, s, 1, nil))
	must(t, s.Move(ctx, lead(t, s), now, move(round.Created, round.Collecting, 1, func(c *Change) {
		c.Config, c.Transition.Durable.Keys = config, said
	})))
	config[0], said[0].Bytes[0] = 'x', 'x'
	for range 2 {
		r, _, err := s.Round(ctx, key(1))
		if err != nil || string(r.Config) != "config" || len(r.Durable.Keys) != 1 || string(r.Durable.Keys[0].Bytes) != "key" {
			t.Fatalf("the round reads as %+v, %v", r, err)
		}
		r.Config[0], r.Durable.Keys[0].Bytes[0] = 'y', 'y'
	}
}
