// Package mask hides vectors of small integers under RLWE samples so that masks, and only sums of them, can be removed.
package mask

import (
	"errors"
)

var (
	ErrDimension = errors.New("mask: dimension")
	ErrOverflow  = errors.New("mask: sum domain overflow")
	ErrModulus   = errors.New("mask: modulus")
	ErrMargin    = errors.New("mask: decoding margin")
	ErrPacking   = errors.New("mask: packed vector")
)

// Limits of any parameter set.
const (
	MaxDim   = 1 << 26
	MaxCount = 1 << 20   // devices in one sum
	MaxBound = 1<<31 - 1 // |x_j| of one device
)

// Profile chooses the ring degree.
type Profile uint8

const (
	Standard Profile = 1 // N = 2048, log q <= 53
	High     Profile = 2 // N = 4096, q of 60 bits
)

// Sigma is the width of secret and noise, in halves: 13 is 6.5.
type Sigma uint8

// Tail is the largest |value| that the sampler gives.
func (s Sigma) Tail() int { return 87 }

type Literal struct {
	LogN, LogT, LogP int
	Q                uint64
	Sigma            Sigma
	Dim, Count       int
}

type Params struct{ l Literal }

func Choose(profile Profile, dim, count int, bound int64) (Literal, error) {
	return Literal{}, errors.New("not yet")
}

func NewParams(l Literal) (*Params, error)               { return nil, errors.New("not yet") }
func (p *Params) N() int                                 { return 1 << p.l.LogN }
func (p *Params) WordBits() int                          { return p.l.LogP }
func (p *Params) PackedLen() int                         { return (p.l.Dim*p.l.LogP + 7) / 8 }
func (p *Params) PaddingBits() uint8                     { return uint8(8*p.PackedLen() - p.l.Dim*p.l.LogP) }
func (p *Params) Fold(sums []uint64, vec []byte) error   { return errors.New("not yet") }
func (p *Params) Unfold(sums []uint64, vec []byte) error { return errors.New("not yet") }
func (p *Params) Pack(dst []byte, words []uint64)        {}
