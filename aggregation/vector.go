package aggregation

import (
	"fmt"
)

// VectorCheck verifies a masked vector while its chunks stream in: length, hash, canonical padding.
type VectorCheck struct {
	want Digest
	size int
	seen int
	last byte
	pad  uint8 // bits of the last byte that must be zero
	hash interface {
		Write([]byte) (int, error)
		Sum([]byte) []byte
	}
}

// NewVectorCheck expects the vector that a verified header announced.
func NewVectorCheck(cfg *Config, h *Header) *VectorCheck {
	return &VectorCheck{want: h.VecHash, size: cfg.params.VectorLen(), pad: cfg.params.mask.PaddingBits(), hash: newVectorHash()}
}

// Write takes the next chunk, in order. It refuses bytes beyond the vector's length.
func (v *VectorCheck) Write(chunk []byte) (int, error) {
	if len(chunk) > v.size-v.seen {
		return 0, fmt.Errorf("%w: more than %d bytes", ReasonVector, v.size)
	}
	if len(chunk) == 0 {
		return 0, nil
	}
	v.seen += len(chunk)
	v.last = chunk[len(chunk)-1]
	return v.hash.Write(chunk)
}

// Close passes judgement: nil means that every byte is the signed one and every word is in range.
func (v *VectorCheck) Close() error {
	if v.seen != v.size {
		return fmt.Errorf("%w: %d bytes of %d", ReasonVector, v.seen, v.size)
	}
	if v.pad != 0 && v.last>>(8-v.pad) != 0 {
		return fmt.Errorf("%w: padding is not zero", ReasonVector)
	}
	var got Digest
	v.hash.Sum(got[:0])
	if got != v.want {
		return fmt.Errorf("%w: hash differs", ReasonVector)
	}
	return nil
}

// VerifyVector is VectorCheck for a vector that is already whole.
func VerifyVector(cfg *Config, h *Header, vector []byte) error {
	v := NewVectorCheck(cfg, h)
	if _, err := v.Write(vector); err != nil {
		return err
	}
	return v.Close()
}
