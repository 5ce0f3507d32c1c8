package central

import (
	"fmt"
	"math"

	"tutti/privacy/accounting"
)

// Setting is what a stream's noise is made by. All rounds of a stream have the same.
type Setting struct {
	ID    [32]byte         // names the stream: plan.Stream of any of its rounds
	Event accounting.BLTMF // buffers, rounds, k, b and the multiplier z
	Bound int64            // B: L2 norm of one device's integers in one round
	Dim   int              // coordinates of a round's sum
}

// sigma is the standard deviation of the independent noise behind the stream: z*S(C)*B.
func (s Setting) sigma() (float64, error) {
	e := s.Event
	if s.Dim < 1 || s.Dim > maxDim || len(e.BLT.Theta) < 1 || len(e.BLT.Theta) > maxBuffers {
		return 0, fmt.Errorf("%w: a stream over %d coordinates with %d buffers", ErrInput, s.Dim, len(e.BLT.Theta))
	}
	if err := e.BLT.Valid(e.Rounds); err != nil {
		return 0, fmt.Errorf("%w: %w", ErrInput, err)
	}
	sensitivity, err := e.BLT.Sensitivity(e.Rounds, e.Participations, e.Separation)
	if err != nil {
		return 0, fmt.Errorf("%w: %w", ErrInput, err)
	}
	sigma, err := sigmaOf(s.Bound, e.Z)
	if err != nil || !(sigma*sensitivity <= maxSigma) {
		return 0, fmt.Errorf("%w: a multiplier of %g of a bound of %d", ErrInput, e.Z, s.Bound)
	}
	return sigma * sensitivity, nil
}

// Deviation is the standard deviation of the noise on each coordinate of the sum of a row, from 0: sigma times the norm of
// that row of C^-1.
func (s Setting) Deviation(row int) (float64, error) {
	sigma, err := s.sigma()
	if err != nil || row < 0 || row >= s.Event.Rounds {
		return 0, fmt.Errorf("%w: row %d of the stream", ErrInput, row)
	}
	square := 0.0
	for _, c := range s.Event.BLT.InverseCoefficients(row + 1) {
		square += c * c
	}
	return sigma * math.Sqrt(square), nil
}

// Stream is correlated noise over the rounds of a task, each row drawn once. Its buffers are as secret as the noise. It is
// for one goroutine.
type Stream struct {
	setting Setting
	sigma   float64
	row     int         // rows drawn
	buffers [][]float64 // by buffer, then by coordinate; grid units
}

// NewStream starts a stream.
func NewStream(s Setting) (*Stream, error) {
	sigma, err := s.sigma()
	if err != nil {
		return nil, err
	}
	st := &Stream{setting: s, sigma: sigma, buffers: make([][]float64, len(s.Event.BLT.Theta))}
	for j := range st.buffers {
		st.buffers[j] = make([]float64, s.Dim)
	}
	return st, nil
}

// Row is the number of rows drawn.
func (s *Stream) Row() int { return s.row }

// Next noises the sum of the next row and moves on. After an error the stream is as it was. The argument stays as it is;
// whoever opened the sum erases it.
func (s *Stream) Next(sum []int64) ([]int64, error) {
	if len(sum) != s.setting.Dim {
		return nil, fmt.Errorf("%w: a sum of %d coordinates in a stream of %d", ErrInput, len(sum), s.setting.Dim)
	}
	x, err := s.drawRow()
	if err != nil {
		return nil, err
	}
	out, err := add(sum, x)
	if err != nil {
		return nil, err
	}
	s.advance(x)
	return out, nil
}

// Skip draws a row that nothing is released with: of a round that was abandoned or lost. Not to see a row of the mechanism
// is post-processing of it; to leave its noise out would not be.
func (s *Stream) Skip() error {
	x, err := s.drawRow()
	if err != nil {
		return err
	}
	s.advance(x)
	return nil
}

// drawRow is the next row of C^-1 Z (arXiv 2408.08868, Algorithm 3): x_t = y_t - sum omega_j buf_j with fresh y_t.
func (s *Stream) drawRow() ([]float64, error) {
	if s.row >= s.setting.Event.Rounds {
		return nil, fmt.Errorf("%w: all %d rounds of the stream are drawn", ErrInput, s.row)
	}
	x, err := draw(s.setting.Dim, s.sigma)
	if err != nil {
		return nil, err
	}
	for j, buffer := range s.buffers {
		omega := s.setting.Event.BLT.Omega[j]
		for i, b := range buffer {
			x[i] -= omega * b
		}
	}
	return x, nil
}

// advance moves the buffers on: buf_j = theta_j buf_j + x_t.
func (s *Stream) advance(x []float64) {
	for j, buffer := range s.buffers {
		theta := s.setting.Event.BLT.Theta[j]
		for i := range buffer {
			buffer[i] = theta*buffer[i] + x[i]
		}
	}
	s.row++
}
