package mechanism

// DecodeNoised is DecodeSum for a sum to which a trusted aggregator has added noise that may push a coordinate by reach grid
// units beyond what the devices' bounds allow. The noise meter reads nothing: the devices added none.
func (c *Codec) DecodeNoised(sum []int64, n int, reach int64) (Decoded, error) {
	if n < 1 || reach < 0 || reach > MaxSumLimit {
		return Decoded{}, ErrMismatch
	}
	wide := *c // shares the buffers
	wide.params.InputBound = min(c.params.InputBound+(reach+int64(n)-1)/int64(n), MaxSumLimit/int64(n))
	return wide.DecodeSum(sum, n)
}
