package history_test

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"tutti/client/history"
)

func key(t testing.TB, b byte) history.Key {
	t.Helper()
	k, err := history.NewKey(bytes.Repeat([]byte{b}, history.KeyBytes))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func codec(t testing.TB, b byte) *history.Codec {
	t.Helper()
	c, err := history.NewCodec(key(t, b), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

var some = []history.Event{
	{Item: 7, Kind: history.View, Time: 10},
	{Item: -9, Kind: history.Rating, Value: 4.5, Time: 20},
	{Item: math.MaxInt64, Kind: history.Dwell, Value: 90, Time: math.MinInt64},
}

func TestRecordRoundTrip(t *testing.T) {
	c := codec(t, 1)
	for _, events := range [][]history.Event{some[:1], some, slices.Repeat(some[1:2], history.MaxRecordEvents)} {
		record, err := c.Seal(3, events)
		if err != nil {
			t.Fatal(err)
		}
		if len(record) > history.MaxRecordBytes {
			t.Fatalf("%d bytes, more than the bound", len(record))
		}
		got, err := c.Open(3, record)
		if err != nil || !slices.Equal(got, events) {
			t.Fatalf("%d events came back as %d, %v", len(events), len(got), err)
		}
	}
	again, _ := c.Seal(3, some)
	once, _ := c.Seal(3, some)
	if bytes.Equal(again, once) {
		t.Fatal("two seals of the same events are equal: the nonce repeats")
	}
}

func TestRecordsAreBoundToPlaceAndKey(t *testing.T) {
	c := codec(t, 1)
	record, err := c.Seal(3, some)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Open(4, record); !errors.Is(err, history.ErrTampered) {
		t.Errorf("record 3 read as record 4: %v", err)
	}
	if _, err := codec(t, 2).Open(3, record); !errors.Is(err, history.ErrTampered) {
		t.Errorf("read under another key: %v", err)
	}
	for i := range record {
		changed := bytes.Clone(record)
		changed[i] ^= 0x40
		if _, err := c.Open(3, changed); !errors.Is(err, history.ErrTampered) {
			t.Fatalf("byte %d changed: %v", i, err)
		}
		if _, err := c.Open(3, record[:i]); !errors.Is(err, history.ErrTampered) {
			t.Fatalf("cut at byte %d: %v", i, err)
		}
	}
}

func TestSealRefuses(t *testing.T) {
	c := codec(t, 1)
	if _, err := c.Seal(0, nil); err == nil {
		t.Error("an empty record was sealed")
	}
	if _, err := c.Seal(0, slices.Repeat(some[:1], history.MaxRecordEvents+1)); err == nil {
		t.Error("a record beyond the bound was sealed")
	}
	if _, err := c.Seal(0, []history.Event{{Item: 1}}); err == nil {
		t.Error("an event without a kind was sealed")
	}
	dry, err := history.NewCodec(key(t, 1), bytes.NewReader(make([]byte, 5)))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := dry.Seal(0, some); err == nil {
		t.Error("sealed without randomness")
	}
}

func TestCheck(t *testing.T) {
	nan := float32(math.NaN())
	for _, bad := range []history.Event{
		{Item: 1}, {Item: 1, Kind: 200}, {Kind: history.Rating}, {Kind: history.Rating, Value: 5.5}, {Kind: history.Rating, Value: -1},
		{Kind: history.Dwell, Value: -1}, {Kind: history.Dwell, Value: history.MaxDwell + 1}, {Kind: history.View, Value: nan},
		{Kind: history.Dwell, Value: float32(math.Inf(1))},
	} {
		if bad.Check() == nil {
			t.Errorf("%+v passes", bad)
		}
	}
	for _, good := range some {
		if err := good.Check(); err != nil {
			t.Errorf("%+v: %v", good, err)
		}
	}
}

func TestWeights(t *testing.T) {
	order := []history.Event{
		{Kind: history.Skip}, {Kind: history.Dwell, Value: 3}, {Kind: history.View}, {Kind: history.Dwell, Value: 60},
		{Kind: history.Click}, {Kind: history.Rating, Value: 4}, {Kind: history.Purchase},
	}
	for i := range order[1:] {
		if a, b := order[i].Weight(), order[i+1].Weight(); !(a < b) || a < 0 || b > 1 {
			t.Errorf("%v weighs %v, %v weighs %v", order[i].Kind, a, order[i+1].Kind, b)
		}
	}
}

func index(item int64) (int32, bool) { return int32(item - 100), item >= 100 && item < 110 }

func TestSequence(t *testing.T) {
	view := func(item, at int64) history.Event { return history.Event{Item: item, Kind: history.View, Time: at} }
	for name, c := range map[string]struct {
		events []history.Event
		want   []int32
	}{
		"empty":                    {nil, []int32{}},
		"time order":               {[]history.Event{view(103, 3), view(101, 1), view(102, 2)}, []int32{1, 2, 3}},
		"equal times keep order":   {[]history.Event{view(105, 1), view(101, 1), view(103, 0)}, []int32{3, 5, 1}},
		"unknown items are left":   {[]history.Event{view(101, 1), view(99, 2), view(999, 3), view(102, 4)}, []int32{1, 2}},
		"skips are left":           {[]history.Event{view(101, 1), {Item: 102, Kind: history.Skip, Time: 2}, view(103, 3)}, []int32{1, 3}},
		"a repetition counts":      {[]history.Event{view(101, 1), view(101, 2)}, []int32{1, 1}},
		"one interest counts once": {[]history.Event{view(101, 1), {Item: 101, Kind: history.Click, Time: 2}, {Item: 101, Kind: history.Purchase, Time: 3}, view(102, 4)}, []int32{1, 2}},
		"back to an item":          {[]history.Event{view(101, 1), view(102, 2), view(101, 3)}, []int32{1, 2, 1}},
		"no time spent":            {[]history.Event{{Item: 101, Kind: history.Dwell, Time: 1}, view(102, 2)}, []int32{2}},
	} {
		before := slices.Clone(c.events)
		if got := history.Sequence(c.events, index); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
		if !slices.Equal(before, c.events) {
			t.Errorf("%s: the events were changed", name)
		}
	}
	seen := history.Seen([]history.Event{view(101, 1), {Item: 102, Kind: history.Skip}, view(5, 1)}, index)
	if len(seen) != 2 || !seen[1] || !seen[2] {
		t.Errorf("seen: %v", seen)
	}
}

func TestRetention(t *testing.T) {
	var events []history.Event
	for i := range 10 {
		events = append(events, history.Event{Item: int64(i), Kind: history.View, Time: int64(100 * i)})
	}
	first := func(r history.Retention, now int64) int64 {
		kept := r.Keep(events, now)
		if len(kept) == 0 {
			return -1
		}
		return kept[0].Item
	}
	for _, c := range []struct {
		r    history.Retention
		want int64
	}{
		{history.Retention{}, 0}, {history.Retention{MaxEvents: 3}, 7}, {history.Retention{MaxEvents: 30}, 0},
		{history.Retention{MaxAge: 250 * time.Second}, 7}, {history.Retention{MaxEvents: 2, MaxAge: time.Hour}, 8},
		{history.Retention{MaxAge: time.Second}, -1},
	} {
		now := int64(905)
		if got := first(c.r, now); got != c.want {
			t.Errorf("%+v keeps from %d, want %d", c.r, got, c.want)
		}
	}
}

func TestKeyShowsNothing(t *testing.T) {
	k := key(t, 0x41) // 'A'
	holder := struct{ K history.Key }{k}
	hidden := struct{ k history.Key }{k} // fmt cannot call the methods of an unexported field
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		for _, v := range []any{k, &k, holder, &holder, hidden, &hidden} {
			if s := fmt.Sprintf(verb, v); strings.Contains(s, "AAAA") || strings.Contains(s, "4141") || strings.Contains(s, "65 65") {
				t.Errorf("%s of %T shows %s", verb, v, s)
			}
		}
	}
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("opened", "key", k)
	if strings.Contains(log.String(), "AAAA") || strings.Contains(log.String(), "65") {
		t.Errorf("the log shows %s", log.String())
	}
	if _, err := json.Marshal(holder); err == nil {
		t.Error("a key was written out as JSON")
	}
	if _, err := history.NewKey(make([]byte, history.KeyBytes)); err == nil {
		t.Error("a key of zeros was taken")
	}
	if _, err := history.NewKey([]byte("short")); err == nil {
		t.Error("a short key was taken")
	}
}

func TestKinds(t *testing.T) {
	for k := history.View; k <= history.Dwell; k++ {
		if got, err := history.ParseKind(k.String()); err != nil || got != k {
			t.Errorf("%v reads back as %v, %v", k, got, err)
		}
	}
	if _, err := history.ParseKind("none"); err == nil {
		t.Error("the kind none was read")
	}
}
