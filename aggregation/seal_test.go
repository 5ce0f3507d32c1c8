package aggregation

import (
	"crypto/ed25519"
	"errors"
	"slices"
	"testing"
)

// The device's own checks: nothing is sealed under anything it should refuse.
func TestSealRefuses(t *testing.T) {
	w := newWorld(t, testParams(8, 2, 10), 2)
	good := w.unit(0)
	stranger := newKey(w.random)
	for name, c := range map[string]struct {
		client func(*Client)
		base   Digest
		x      []int32
		bound  int64
		want   error
	}{
		"short":               {nil, Digest{2}, good[1:], 1000, ErrLength},
		"long":                {nil, Digest{2}, append(slices.Clone(good), 0), 1000, ErrLength},
		"bound mismatch":      {nil, Digest{2}, good, 999, ErrBound},
		"above the bound":     {nil, Digest{2}, []int32{0, 0, 0, 1001, 0, 0, 0, 0}, 1000, ErrBound},
		"below the bound":     {nil, Digest{2}, []int32{0, 0, 0, 0, 0, 0, 0, -1001}, 1000, ErrBound},
		"int32 minimum":       {nil, Digest{2}, []int32{-1 << 31, 0, 0, 0, 0, 0, 0, 0}, 1000, ErrBound},
		"unlisted base":       {nil, Digest{9}, good, 1000, ErrBase},
		"other enroller":      {func(c *Client) { c.Pins.Enroller = publicOf(stranger) }, Digest{2}, good, 1000, ErrRoster},
		"other committee":     {func(c *Client) { c.Pins.Roster[4] = publicOf(stranger) }, Digest{2}, good, 1000, ErrRoster},
		"smaller committee":   {func(c *Client) { c.Pins.Roster = c.Pins.Roster[:4] }, Digest{2}, good, 1000, ErrRoster},
		"no key":              {func(c *Client) { c.Key = nil }, Digest{2}, good, 1000, ErrEnrol},
		"randomness runs dry": {nil, Digest{2}, good, 1000, errDry},
	} {
		client := *w.devices[0]
		client.Pins.Roster = slices.Clone(client.Pins.Roster)
		if c.client != nil {
			c.client(&client)
		}
		random := dryAfter(0)
		if c.want != errDry {
			random = 1 << 20
		}
		if up, err := client.Seal(&random, w.cfg, c.base, c.x, c.bound); !errors.Is(err, c.want) || up != nil {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	unsigned := cloneLiteral(w.literal)
	unsigned.Roster[1].Key.Signature = make([]byte, ed25519.SignatureSize)
	if _, err := w.devices[0].Seal(w.random, w.config(unsigned), Digest{2}, good, 1000); !errors.Is(err, ErrRoster) {
		t.Errorf("a round key without its member's signature: %v", err)
	}
}

var errDry = errors.New("no more randomness")

// dryAfter is a source that fails after some bytes.
type dryAfter int

func (d *dryAfter) Read(b []byte) (int, error) {
	if *d < dryAfter(len(b)) {
		return 0, errDry
	}
	*d -= dryAfter(len(b))
	return len(b), nil
}
