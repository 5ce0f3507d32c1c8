package registry

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"math"
	"testing"

	"pgregory.net/rapid"
)

func device(n uint64) (id [16]byte) {
	binary.BigEndian.PutUint64(id[:], n)
	return id
}

func published(n uint64) Published {
	return Published{n, sha256.Sum256(binary.BigEndian.AppendUint64(nil, n))}
}

// TestRing: a ring holds its share of the devices, everyone of a smaller one, and other devices for another version. The
// share of 20,000 devices is off by more than 5 standard deviations with probability 6e-7 for each percentage; the ids are
// fixed, so the test fails always or never.
func TestRing(t *testing.T) {
	const n = 20_000
	from, other := published(4).Digest, published(5).Digest
	both := 0
	for _, percent := range []uint32{0, 1, 5, 25, 50, 99, 100} {
		in := 0
		for i := range uint64(n) {
			if In(device(i), from, percent) {
				in++
				if percent < 100 && !In(device(i), from, percent+1) {
					t.Fatalf("device %d leaves when %d %% grow", i, percent)
				}
				if percent == 25 && In(device(i), other, percent) {
					both++
				}
			}
		}
		p := float64(percent) / 100
		if off := math.Abs(float64(in) - n*p); off > 5*math.Sqrt(n*p*(1-p)) {
			t.Errorf("%d %%: %d of %d devices", percent, in, n)
		}
	}
	if p := 1.0 / 16; math.Abs(float64(both)-n*p) > 5*math.Sqrt(n*p*(1-p)) {
		t.Errorf("%d of %d devices are in the rings of two versions", both, n)
	}
}

func TestOffer(t *testing.T) {
	one, two, three := published(1), published(2), published(3)
	forked := Published{1, two.Digest}
	canary := Line{Stable: one, Canary: two, Percent: 25}
	for name, c := range map[string]struct {
		line    Line
		v       Published
		percent uint32
		want    Line
		err     error
	}{
		"the first":            {Line{}, one, 5, Line{Stable: one}, nil},
		"a canary":             {Line{Stable: one}, two, 5, Line{Stable: one, Canary: two, Percent: 5}, nil},
		"wider":                {canary, two, 50, Line{Stable: one, Canary: two, Percent: 50}, nil},
		"as wide":              {canary, two, 25, canary, nil},
		"narrower":             {canary, two, 24, Line{}, ErrBackwards},
		"to everybody":         {canary, two, 100, Line{Stable: two}, nil},
		"a newer canary":       {canary, three, 25, Line{Stable: one, Canary: three, Percent: 25}, nil},
		"a newer one, for all": {canary, three, 100, Line{Stable: three}, nil},
		"an older canary":      {Line{Stable: one, Canary: three, Percent: 5}, two, 50, Line{}, ErrBackwards},
		"older, for all":       {Line{Stable: one, Canary: three, Percent: 5}, two, 100, Line{}, ErrBackwards},
		"the stable one":       {canary, one, 50, Line{}, ErrBackwards},
		"back":                 {Line{Stable: two}, one, 100, Line{}, ErrBackwards},
		"two of one number":    {Line{Stable: one}, forked, 100, Line{}, ErrBackwards},
		"the same again":       {Line{Stable: one}, one, 100, Line{Stable: one}, nil},
		"to fewer":             {Line{Stable: one}, one, 50, Line{}, ErrBackwards},
		"nobody":               {Line{Stable: one}, two, 0, Line{}, ErrPercent},
		"more than all":        {Line{Stable: one}, two, 101, Line{}, ErrPercent},
		"none":                 {Line{Stable: one}, Published{}, 5, Line{}, ErrBackwards},
	} {
		got, err := c.line.Offer(c.v, c.percent)
		if !errors.Is(err, c.err) || err == nil && got != c.want || err != nil && got != c.line {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	if l, err := canary.Release(three, 5); err != nil || l.Percent != 25 || l.Canary != three {
		t.Errorf("a release into a ring of 25 %%: %+v, %v", l, err)
	}
	if l, err := (Line{Stable: one}).Release(two, 5); err != nil || l.Percent != 5 {
		t.Errorf("a release: %+v, %v", l, err)
	}
}

// TestNeverBack: whatever is offered, in whatever order, no device is offered an older version than before.
func TestNeverBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var line Line
		has := map[uint64]uint64{}
		for range rapid.IntRange(1, 30).Draw(t, "steps") {
			v, percent := published(rapid.Uint64Range(0, 12).Draw(t, "version")), rapid.Uint32Range(0, 101).Draw(t, "percent")
			var err error
			if rapid.Bool().Draw(t, "release") {
				line, err = line.Release(v, percent)
			} else {
				line, err = line.Offer(v, percent)
			}
			if err == nil && line.For(device(0)).Number == 0 {
				t.Fatal("nothing is offered")
			}
			for i := range uint64(40) {
				if now := line.For(device(i)).Number; now < has[i] {
					t.Fatalf("device %d goes from %d to %d in %+v", i, has[i], now, line)
				} else {
					has[i] = now
				}
			}
		}
	})
}
