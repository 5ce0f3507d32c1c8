package registry

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
)

// ringDomain separates the draw of a ring from every other hash of the same ids.
const ringDomain = "tutti/rollout/v1"

// Everybody is the share of a finished roll-out, in percent.
const Everybody = 100

// In says whether a device is in the ring that starts from a version: percent of all devices, drawn by SHA-256. It is
// monotone: who is in for one percentage is in for every larger one.
func In(device [16]byte, from [32]byte, percent uint32) bool {
	h := sha256.New()
	h.Write([]byte(ringDomain))
	h.Write(from[:])
	h.Write(device[:])
	place := binary.BigEndian.Uint64(h.Sum(nil))
	hundredths, _ := bits.Mul64(place, Everybody) // floor(100 place / 2^64), 0 to 99
	return hundredths < uint64(percent)
}

// Published is a version by number and digest.
type Published struct {
	Number uint64
	Digest [32]byte
}

// Line is what a task offers. The zero Line offers nothing.
type Line struct {
	Stable  Published
	Canary  Published // Number 0: nothing is being rolled out
	Percent uint32    // of the devices that the canary is offered to, 1 to 99; 0 without one
}

// Errors of a roll-out.
var (
	ErrBackwards = errors.New("a roll-out only goes forward: to go back, publish the older content as a new version")
	ErrPercent   = errors.New("a roll-out wants 1 to 100 percent of the devices")
)

// For is the version that a device is offered.
func (l Line) For(device [16]byte) Published {
	if l.Rolling() && In(device, l.Stable.Digest, l.Percent) {
		return l.Canary
	}
	return l.Stable
}

// Rolling says whether a canary is being rolled out.
func (l Line) Rolling() bool { return l.Canary.Number > l.Stable.Number && l.Percent > 0 }

// Offer rolls a version out to percent of the devices; at 100 it becomes the stable one. The first version is for
// everybody, whatever the percentage. While the stable version stays, neither the canary's number nor the percentage falls.
func (l Line) Offer(v Published, percent uint32) (Line, error) {
	switch {
	case percent < 1 || percent > Everybody:
		return l, fmt.Errorf("%w: not %d", ErrPercent, percent)
	case v.Number == 0 || v.Number < l.Stable.Number || v.Number == l.Stable.Number && v.Digest != l.Stable.Digest:
		return l, fmt.Errorf("%w: version %d after %d", ErrBackwards, v.Number, l.Stable.Number)
	case l.Rolling() && v.Number < l.Canary.Number:
		return l, fmt.Errorf("%w: version %d, and %d is with %d %% of the devices", ErrBackwards, v.Number, l.Canary.Number, l.Percent)
	case percent == Everybody || l.Stable.Number == 0:
		return Line{Stable: v}, nil
	case v.Number == l.Stable.Number:
		return l, fmt.Errorf("%w: all devices are offered version %d", ErrBackwards, v.Number)
	case l.Rolling() && percent < l.Percent:
		return l, fmt.Errorf("%w: %d %% of the devices, and %d %% have it", ErrBackwards, percent, l.Percent)
	}
	return Line{Stable: l.Stable, Canary: v, Percent: percent}, nil
}

// Release offers a version that was just published, the newest: to the ring as it is, or to a new one of start percent.
func (l Line) Release(v Published, start uint32) (Line, error) {
	if l.Rolling() {
		start = max(start, l.Percent)
	}
	return l.Offer(v, start)
}
