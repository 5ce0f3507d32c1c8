package mechanism

import "math"

// clipSlack keeps the rounding to float32 from lifting a norm above the clip.
const clipSlack = 1 - 1.0/(1<<22)

// Clipped is an update with an L2 norm of at most its clip. Only Clip makes
// one that is not empty. The data sits behind a pointer, so that even a
// struct that holds a Clipped in a private field prints an address only.
type Clipped struct {
	data *clippedData
}

type clippedData struct {
	values []float32 // length d, every value finite
	clip   float64   // the c that it was clipped to
	within bool      // the update's norm was at most c
}

// Clip returns a copy of update scaled to an L2 norm of at most c, in
// float64. An update that holds a NaN or an infinity, or whose norm is zero,
// becomes all zeros: it is still sent and still noised, so that what is sent
// does not tell. A c that is not positive and finite gives zeros as well;
// Encode then refuses the vector, because no valid Params has such a clip.
func Clip(update []float32, c float64) Clipped {
	x := Clipped{data: &clippedData{values: make([]float32, len(update)), clip: c}}
	square := 0.0 // at most 2^24 * (3.5e38)^2 < 1e85: finite exactly if every value is
	for _, v := range update {
		square += float64(float64(v) * float64(v)) // not fused: same bits everywhere
	}
	norm := math.Sqrt(square)
	if math.IsNaN(norm) || math.IsInf(norm, 0) || norm == 0 || !(c > 0) || math.IsInf(c, 0) {
		x.data.within = norm == 0 && c > 0
		return x
	}
	x.data.within = norm <= c
	factor := 1.0
	if norm > c*clipSlack {
		factor = c / norm * clipSlack
	}
	for i, v := range update {
		x.data.values[i] = float32(float64(v) * factor)
	}
	return x
}

// Len returns the number of coordinates.
func (x Clipped) Len() int {
	if x.data == nil {
		return 0
	}
	return len(x.data.values)
}

// Within reports whether the update's norm was at most c, the clip bit of
// adaptive clipping (arXiv 1905.03871): as private as the update, it may leave
// the device only in a sum with noise. It is false for an update that held a
// NaN or an infinity.
func (x Clipped) Within() bool { return x.data != nil && x.data.within }

// Copy is a copy of the vector, for a device that keeps it, sealed, until a round takes it. It is not private.
func (x Clipped) Copy() []float32 {
	if x.data == nil {
		return nil
	}
	return append([]float32(nil), x.data.values...)
}

// Erase overwrites the vector with zeros, once it has been encoded.
func (x Clipped) Erase() {
	if x.data != nil {
		clear(x.data.values)
		x.data.within = false
	}
}
