package share

// mul is a·b mod p for a, b < p.
func mul(a, b uint64) uint64 { return reduce(a * b) }

// reduce brings any 63-bit number below p, without a branch: 2^31 = 1 mod p.
func reduce(v uint64) uint64 {
	v = v&P + v>>31
	v = v&P + v>>31
	v -= P
	return v + P&uint64(int64(v)>>63)
}

// dot is Σ row·values mod p for up to 2^30 terms below p.
func dot(row, values []uint64) uint32 {
	sum := uint64(0)
	values = values[:len(row)]
	for i, r := range row {
		v := r * values[i]
		sum += v&P + v>>31
	}
	return uint32(reduce(sum))
}

// inverse is a^(p-2), for public a.
func inverse(a uint64) uint64 {
	result := uint64(1)
	for e := uint64(P - 2); e > 0; e >>= 1 {
		if e&1 == 1 {
			result = mul(result, a)
		}
		a = mul(a, a)
	}
	return result
}

// lagrange returns the weights that take values at the distinct nodes xs to the value at x.
func lagrange(xs []uint64, x uint64) []uint64 {
	row := make([]uint64, len(xs))
	for i, xi := range xs {
		num, den := uint64(1), uint64(1)
		for k, xk := range xs {
			if k != i {
				num = mul(num, (x+P-xk)%P)
				den = mul(den, (xi+P-xk)%P)
			}
		}
		row[i] = mul(num, inverse(den))
	}
	return row
}
