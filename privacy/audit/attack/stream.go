package attack

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"encoding/binary"
	"math"
)

// stream is AES-256-CTR under a hash of seed, label and number: the reproducible randomness of an experiment.
type stream struct{ ctr cipher.Stream }

func newStream(seed uint64, label string, number int) *stream {
	h := sha256.New()
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], seed)
	binary.BigEndian.PutUint64(b[8:], uint64(number))
	h.Write(b[:])
	h.Write([]byte(label))
	block, err := aes.NewCipher(h.Sum(nil))
	if err != nil {
		panic("attack: AES-256 refused a 32-byte key: " + err.Error())
	}
	return &stream{cipher.NewCTR(block, make([]byte, aes.BlockSize))}
}

// Read implements io.Reader.
func (s *stream) Read(b []byte) (int, error) {
	clear(b)
	s.ctr.XORKeyStream(b, b)
	return len(b), nil
}

func (s *stream) uint64() uint64 {
	var b [8]byte
	_, _ = s.Read(b[:])
	return binary.LittleEndian.Uint64(b[:])
}

// unit is uniform in (0, 1) on the grid of 2^-53.
func (s *stream) unit() float64 {
	for {
		if k := s.uint64() >> 11; k != 0 {
			return float64(k) * 0x1p-53
		}
	}
}

// normal is a standard normal variate by Box and Muller.
func (s *stream) normal() float64 {
	return math.Sqrt(-2*math.Log(s.unit())) * math.Cos(2*math.Pi*s.unit())
}

// below is uniform in [0, n), to within n/2^64.
func (s *stream) below(n int) int { return int(s.uint64() % uint64(n)) }

func (s *stream) coin() bool { return s.uint64()&1 == 1 }

// halves is a random half of n places, exactly n/2 of them.
func (s *stream) halves(n int) []bool {
	in := make([]bool, n)
	for i := range n / 2 {
		in[i] = true
	}
	for i := n - 1; i > 0; i-- {
		j := s.below(i + 1)
		in[i], in[j] = in[j], in[i]
	}
	return in
}
