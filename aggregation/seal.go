package aggregation

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
)

// Errors of Seal: the input is not what the round's parameters say.
var (
	ErrLength = errors.New("aggregation: vector length")
	ErrBound  = errors.New("aggregation: input bound")
	ErrBase   = errors.New("aggregation: base version")
	ErrEnrol  = errors.New("aggregation: enrolment")
)

// Client is a device's standing in a task: what it needs to seal, and to refuse.
type Client struct {
	Key       ed25519.PrivateKey
	Enrolment []byte
	Pins      Pins
}

// Seal masks x and shares the mask's key among the committee: everything a device sends in a round (section 3, step 1).
//
// x has Dim coordinates with |x_j| <= bound, and bound must be the round's Bound: Seal refuses anything else
// (ErrLength, ErrBound), an unlisted base (ErrBase), a roster or enroller other than the pinned ones (ErrRoster)
// and an enrolment that servers would refuse (ErrEnrol). random gives key, noise, share randomness and nonce;
// all but the nonce are erased before Seal returns. Call it once per round: two seals of one vector are two contributions.
func (c *Client) Seal(random io.Reader, cfg *Config, base Digest, x []int32, bound int64) (*Upload, error) {
	if err := c.check(cfg, base, x, bound); err != nil {
		return nil, err
	}
	return nil, errors.New("not yet")
}

func (c *Client) check(cfg *Config, base Digest, x []int32, bound int64) error {
	p := cfg.params
	if len(x) != p.Dim() {
		return fmt.Errorf("%w: %d coordinates, the round has %d", ErrLength, len(x), p.Dim())
	}
	if bound != p.Bound() {
		return fmt.Errorf("%w: encoded for %d, the round has %d", ErrBound, bound, p.Bound())
	}
	for _, v := range x {
		if int64(v) > bound || int64(v) < -bound {
			return fmt.Errorf("%w: a coordinate leaves it", ErrBound)
		}
	}
	if !cfg.AllowsBase(base) {
		return fmt.Errorf("%w: not in the round's list", ErrBase)
	}
	if len(c.Key) != ed25519.PrivateKeySize {
		return fmt.Errorf("%w: device key of %d bytes", ErrEnrol, len(c.Key))
	}
	if err := cfg.Verify(c.Pins); err != nil {
		return err
	}
	if !VerifyEnrolment(c.Pins.Enroller, cfg.literal.Round.Task, c.Key.Public().(ed25519.PublicKey), c.Enrolment) {
		return fmt.Errorf("%w: the enroller did not sign this key for task %s", ErrEnrol, cfg.literal.Round.Task)
	}
	return nil
}
