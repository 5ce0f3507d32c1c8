package mask

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// transcriptParams are the rings whose uploads the battery judges: two blocks of N = 4096 in pairs, four of N = 2048.
func transcriptParams(t *testing.T) []*Params {
	return []*Params{
		params(t, Standard, 8192, 1<<14, 1<<15-1), params(t, Standard, 8192, 2, 1<<28-1), params(t, High, 8192, 1<<14, 1<<15-1),
		params(t, Paired, 16384, 1<<14, 1<<15-1), params(t, Paired, 16384, 1<<10, 1<<18),
	}
}

// False rejection: below 2^-24 in all, see batteryX.
func TestT2_8_RealUploadsShowNoTrace(t *testing.T) {
	for _, p := range transcriptParams(t) {
		public, sum := fresh(t), make([]int64, p.n)
		var list []specimen
		for _, x := range batteryInputs(p.literal.Dim, int32(p.literal.Bound)) {
			key := fresh(t)
			list = append(list, maskSpecimen(t, p, public, key, fresh(t), x, none))
			for i, c := range NewSecret(p, key).Coefficients() {
				sum[i] += c
			}
		}
		if findings := append(battery(p, list), p.keyFindings(sum, len(list))...); len(findings) > 0 {
			t.Errorf("%+v: %q", p.literal, findings)
		}
	}
}

// The battery finds every flaw in every one of 10 attempts, on every ring. Without noise it does more than that: division gives the key.
func TestT2_8_BatteryRejectsItsControls(t *testing.T) {
	t.Parallel()
	for _, p := range transcriptParams(t) {
		inputs := batteryInputs(p.literal.Dim, int32(p.literal.Bound))
		for name, f := range map[string]flaw{"s = 0": zeroKey, "s reused": reusedKey, "e = 0": noNoise, "mask removed": noMask} {
			for attempt := range 10 {
				public, key := fresh(t), fresh(t)
				list := []specimen{maskSpecimen(t, p, public, key, fresh(t), inputs[attempt%8], f)}
				if f == reusedKey {
					list = append(list, maskSpecimen(t, p, public, key, fresh(t), inputs[(attempt+3)%8], f))
				}
				if findings := battery(p, list); len(findings) == 0 {
					t.Errorf("profile %d, %s: attempt %d passes the battery", p.literal.Profile, name, attempt)
				}
				if f == noNoise && !slices.Equal(p.solveByDivision(list[0]), NewSecret(p, key).Coefficients()) {
					t.Errorf("profile %d: division does not give the key", p.literal.Profile)
				}
			}
		}
	}
}

// Secrets drawn from {-1, 0, 1}: the battery sees it in the released sum of two keys, and that sum shows why it matters: about 2/9
// of its words are ±2 and give both addends away. The sum of two Gaussian keys is never at the end of its range, 2·87, where
// alone it would do so: probability below 2^-200.
func TestT2_8_TernarySecretsAreRejected(t *testing.T) {
	for _, p := range []*Params{params(t, Standard, 2048, 1<<14, 1<<15-1), params(t, Paired, 8192, 1<<14, 1<<15-1)} {
		rng := rand.New(rand.NewChaCha8(fresh(t)))
		ternary, gaussian := make([]int64, p.n), make([]int64, p.n)
		for range 2 {
			for i, c := range NewSecret(p, fresh(t)).Coefficients() {
				gaussian[i] += c
				ternary[i] += int64(rng.IntN(3) - 1)
			}
		}
		if findings := p.keyFindings(ternary, 2); len(findings) == 0 {
			t.Error("ternary keys pass the battery")
		}
		if findings := p.keyFindings(gaussian, 2); len(findings) > 0 {
			t.Error(findings)
		}
		given := func(sum []int64, limit int64) (n int) {
			for _, c := range sum {
				if c == 2*limit || c == -2*limit {
					n++
				}
			}
			return n
		}
		// 2/9·N words ± 8 deviations of at most sqrt(N)/2: two-sided probability below 2^-49
		if n, want := given(ternary, 1), float64(p.n)*2/9; math.Abs(float64(n)-want) > 4*math.Sqrt(float64(p.n)) {
			t.Errorf("%d of %d words of a ternary sum give both keys away, expected %.0f", n, p.n, want)
		}
		if n := given(gaussian, int64(p.literal.Sigma.Tail())-1); n > 0 {
			t.Errorf("%d words of a Gaussian sum give both keys away", n)
		}
	}
}

// T2.10: the released key sum of U opens U only. Every single upload, and U less each device, decoded under it gives numbers that look
// uniform mod T: their top bytes (e^-24 for each of 40), and those in the input range, 2^16/2^30 of 40·N: 5 and 20 are expected,
// 26 and 53 or more have probability below 2^-35 (Poisson).
func TestT2_10_KeySumOpensNothingElse(t *testing.T) {
	for _, c := range []struct {
		p     *Params
		small int
	}{{profileS(t, 2048), 25}, {params(t, Paired, 8192, 1<<14, 1<<15-1), 52}} {
		p, small := c.p, 0
		const n = 20
		input := func(i, j int) int32 { return int32(i+j)%1000 - 500 }
		key, sums, _ := cohort(t, p, n, input)
		for i := range n {
			x := make([]int32, p.literal.Dim)
			for j := range x {
				x[j] = input(i, j)
			}
			wire := make([]byte, p.PackedLen())
			if err := p.Mask(wire, [32]byte{9}, NewSecret(p, seedOf(1, uint64(i))), seedOf(2, uint64(i)), x); err != nil {
				t.Fatal(err)
			}
			single, rest := make([]uint64, p.literal.Dim), slices.Clone(sums)
			p.Fold(single, wire)
			p.Unfold(rest, wire)
			for _, s := range [][]uint64{single, rest} {
				if got, err := p.Unmask([32]byte{9}, key, s, n); err == nil {
					t.Errorf("device %d opens: %v", i, got[:4])
				}
				decoded := decodeAnything(p, key, s)
				if chi, limit := topByteChi(decoded, p.literal.LogT); chi > limit {
					t.Errorf("device %d decodes unevenly: %.0f > %.0f", i, chi, limit)
				}
				for _, v := range decoded {
					if v+1<<15 < 1<<16 {
						small++
					}
				}
			}
		}
		if small > c.small {
			t.Errorf("profile %d: %d coefficients in the input range", p.literal.Profile, small)
		}
	}
}

// decodeAnything decodes the first block mod T without Unmask's checks; the input range [-2^15, 2^15) becomes one around 0.
func decodeAnything(p *Params, key []int64, sums []uint64) []uint64 {
	s, block, out := make([]uint64, p.blockDim()), make([]uint64, p.blockDim()), make([]int64, p.blockDim())
	p.toNTT(s, key)
	p.maskOf(block, newExpander(p, [32]byte{9}), s)
	if p.pair != nil {
		p.pair.decode(out, sums, block)
	} else {
		p.decode(out, sums, block)
	}
	words := make([]uint64, len(out))
	for i, v := range out {
		words[i] = uint64(v) & (1<<p.literal.LogT - 1)
	}
	return words
}

// T2.11: the same input twice gives different wires; two devices with swapped inputs give the server the same sum, and no statistic
// of their wires that could name the pairing: over 1,000 runs the sign of (wire_1 - wire_2)·(x_1 - x_2) is right 500 times,
// off by more than 110 with probability below 2^-34 (7 standard deviations).
func TestT2_11_SwappedInputs(t *testing.T) {
	t.Parallel()
	for _, p := range []*Params{params(t, Standard, 2048, 4, 1000), params(t, Paired, 2048, 4, 1000)} {
		testSwappedInputs(t, p)
	}
}

func testSwappedInputs(t *testing.T, p *Params) {
	t.Helper()
	rng := rand.New(rand.NewPCG(2, 11))
	random := func() (seed [32]byte) {
		for i := range 4 {
			binary.LittleEndian.PutUint64(seed[8*i:], rng.Uint64())
		}
		return seed
	}
	xs := [2][]int32{make([]int32, 2048), make([]int32, 2048)}
	for j := range xs[0] {
		xs[0][j], xs[1][j] = int32(j%2001-1000), int32(1000-j%2001)
	}
	right := 0
	for run := range 1000 {
		public := random()
		swap := rng.IntN(2)
		var wires [2][]uint64
		for i := range wires {
			s := NewSecret(p, random())
			packed := make([]byte, p.PackedLen())
			if err := p.Mask(packed, public, s, random(), xs[i^swap]); err != nil {
				t.Fatal(err)
			}
			wires[i] = make([]uint64, 2048)
			p.Fold(wires[i], packed)
		}
		statistic := 0.0
		for j := range xs[0] {
			d := int64((wires[0][j]-wires[1][j])<<(64-p.WordBits())) >> (64 - p.WordBits())
			statistic += float64(d) * float64(xs[0][j]-xs[1][j])
		}
		if (statistic > 0) == (swap == 0) {
			right++
		}
		if run == 0 {
			again := make([]byte, p.PackedLen())
			if err := p.Mask(again, public, NewSecret(p, random()), random(), xs[swap]); err != nil {
				t.Fatal(err)
			}
			other := make([]uint64, 2048)
			p.Fold(other, again)
			for j := range other {
				if other[j] == wires[0][j] && other[(j+1)%2048] == wires[0][(j+1)%2048] {
					t.Fatal("two seals of one input share wires")
				}
			}
		}
	}
	if right < 390 || right > 610 {
		t.Errorf("the pairing is guessed %d times of 1000", right)
	}
}
