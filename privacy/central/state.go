package central

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
)

// ErrState says that bytes are not the state of the stream that they should continue.
var ErrState = errors.New("not the state of this stream of noise")

const (
	maxBuffers = 8
	stateHead  = "tutti/central/stream/v1"
)

// Marshal is the stream as canonical bytes: domain, name, rows drawn, buffers, coordinates, then the buffers as IEEE 754
// numbers, all big-endian. Whoever reads them can take the noise off what was released: they stay where the sums are.
func (s *Stream) Marshal() []byte {
	b := make([]byte, 0, stateSize(len(s.buffers), s.setting.Dim))
	b = append(append(b, stateHead...), s.setting.ID[:]...)
	b = binary.BigEndian.AppendUint32(b, uint32(s.row))
	b = append(b, byte(len(s.buffers)))
	b = binary.BigEndian.AppendUint32(b, uint32(s.setting.Dim))
	for _, buffer := range s.buffers {
		for _, x := range buffer {
			b = binary.BigEndian.AppendUint64(b, math.Float64bits(x))
		}
	}
	return b
}

func stateSize(buffers, dim int) int { return len(stateHead) + 32 + 4 + 1 + 4 + 8*buffers*dim }

// ParseStream continues a stream from its bytes. They must be what Marshal wrote for a stream of the same setting;
// otherwise the error wraps ErrState.
func ParseStream(b []byte, setting Setting) (*Stream, error) {
	sigma, err := setting.sigma()
	if err != nil {
		return nil, err
	}
	n := len(setting.Event.BLT.Theta)
	if len(b) != stateSize(n, setting.Dim) || string(b[:len(stateHead)]) != stateHead {
		return nil, fmt.Errorf("%w: %d bytes", ErrState, len(b))
	}
	b = b[len(stateHead):]
	if [32]byte(b[:32]) != setting.ID {
		return nil, fmt.Errorf("%w: it is of another stream", ErrState)
	}
	row := binary.BigEndian.Uint32(b[32:])
	if uint64(row) > uint64(setting.Event.Rounds) || int(b[36]) != n || binary.BigEndian.Uint32(b[37:]) != uint32(setting.Dim) {
		return nil, fmt.Errorf("%w: row %d", ErrState, row)
	}
	b = b[41:]
	s := &Stream{setting: setting, sigma: sigma, row: int(row), buffers: make([][]float64, n)}
	for j := range s.buffers {
		s.buffers[j] = make([]float64, setting.Dim)
		for i := range s.buffers[j] {
			x := math.Float64frombits(binary.BigEndian.Uint64(b))
			if !(math.Abs(x) <= maxSum) {
				return nil, fmt.Errorf("%w: a buffer holds %g", ErrState, x)
			}
			s.buffers[j][i], b = x, b[8:]
		}
	}
	return s, nil
}

const redacted = "central.Stream(redacted)"

// String redacts: the buffers are noise.
func (*Stream) String() string { return redacted }

// GoString redacts.
func (*Stream) GoString() string { return redacted }

// Format redacts under every verb.
func (*Stream) Format(f fmt.State, _ rune) { io.WriteString(f, redacted) }

// LogValue redacts.
func (*Stream) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalJSON refuses.
func (*Stream) MarshalJSON() ([]byte, error) {
	return nil, errors.New("central: a stream is not for JSON")
}
