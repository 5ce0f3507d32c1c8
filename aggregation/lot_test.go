package aggregation

import (
	"encoding/hex"
	"math"
	"math/big"
	"math/rand/v2"
	"testing"
)

// lotOf is a round of which only the lot matters.
func lotOf(seed byte, threshold uint64, groups uint32) *Config {
	return &Config{literal: ConfigLiteral{Round: RoundID{Task: "demo", Round: 7}, Threshold: threshold, Groups: groups}, beacon: Digest{seed}}
}

func TestRule1_CoinOpensItsCommitmentOnly(t *testing.T) {
	seed := []byte("seed of a round's key, 32 bytes.")
	coin := coinOf(seed)
	key := RoundKey{Commit: commitCoin(coin)}
	if !key.Opens(coin) {
		t.Fatal("the coin does not open its commitment")
	}
	for bit := range 256 {
		other := coin
		other[bit/8] ^= 1 << (bit % 8)
		if key.Opens(other) {
			t.Fatalf("bit %d flipped: opens", bit)
		}
	}
	if coin == Digest(seed) || coin == commitCoin(coin) || coin != coinOf(seed) {
		t.Error("the coin is not a function of the seed of its own")
	}
}

// Every honest coin moves the beacon, as do task, round, plan, and the order of the coins; the shard does not.
func TestRule1_BeaconNeedsEveryCoin(t *testing.T) {
	id := RoundID{Task: "demo", Round: 7}
	roster := make([]MemberKey, 5)
	for j := range roster {
		roster[j].Coin = [32]byte{byte(j + 1)}
	}
	want := beacon(id, Digest{1}, roster)
	seen := map[Digest]string{want: "the round"}
	add := func(name string, d Digest) {
		if was, ok := seen[d]; ok {
			t.Errorf("%s has the beacon of %s", name, was)
		}
		seen[d] = name
	}
	for j := range roster {
		changed := append([]MemberKey{}, roster...)
		changed[j].Coin[31]++
		add("another coin", beacon(id, Digest{1}, changed))
	}
	add("swapped coins", beacon(id, Digest{1}, []MemberKey{roster[1], roster[0], roster[2], roster[3], roster[4]}))
	add("one coin less", beacon(id, Digest{1}, roster[:4]))
	add("another plan", beacon(id, Digest{2}, roster))
	add("another round", beacon(RoundID{Task: "demo", Round: 8}, Digest{1}, roster))
	add("another task", beacon(RoundID{Task: "demon", Round: 7}, Digest{1}, roster))
	if beacon(RoundID{Task: "demo", Round: 7, Shard: 3}, Digest{1}, roster) != want {
		t.Error("shards of a round have different beacons")
	}
	if got := hex.EncodeToString(want[:]); got != "3b5072acfe833647d5d1dab2365af18f823ea326d118534fae734f7ee557fae3" {
		t.Errorf("beacon %s", got)
	}
}

// The number of eligible ids is binomial: within 6.5 standard deviations, false rejection below 2^-33 for each line.
func TestRule1_EligibilityFollowsTheThreshold(t *testing.T) {
	const n = 20_000
	ids := someIDs(n)
	for _, wanted := range []uint32{0, 1, 10, 2_000, 10_000, 19_000, n} {
		c := lotOf(1, ThresholdFor(wanted, n), 1)
		count := 0
		for _, id := range ids {
			if c.Eligible(id) {
				count++
			}
		}
		p := float64(wanted) / n
		if diff := math.Abs(float64(count) - n*p); diff > 6.5*math.Sqrt(n*p*(1-p))+1 && wanted > 1 || wanted == n && count != n || wanted <= 1 && count > 15 {
			t.Errorf("%d wanted: %d eligible", wanted, count)
		}
	}
	// A higher threshold keeps whom a lower one admits; another beacon, task or round admits others.
	low, high := lotOf(1, 1<<62, 1), lotOf(1, 1<<63, 1)
	other, task, round := lotOf(2, 1<<62, 1), lotOf(1, 1<<62, 1), lotOf(1, 1<<62, 1)
	task.literal.Round.Task, round.literal.Round.Round = "demon", 8
	var differ [3]bool
	for _, id := range ids[:200] {
		if low.Eligible(id) && !high.Eligible(id) {
			t.Fatalf("%v is eligible under the lower threshold only", id)
		}
		for i, c := range []*Config{other, task, round} {
			differ[i] = differ[i] || c.Eligible(id) != low.Eligible(id)
		}
	}
	if differ != [3]bool{true, true, true} {
		t.Errorf("the lot does not depend on beacon, task, round: %v", differ)
	}
}

// ThresholdFor is exact: (t+1)/2^64 is wanted/size, rounded down to a multiple of 2^-64.
func TestThresholdForIsExact(t *testing.T) {
	for _, c := range [][2]uint32{{1, 3}, {1, 2}, {999, 1000}, {1, 1<<32 - 1}, {1<<32 - 2, 1<<32 - 1}} {
		want := new(big.Int).Lsh(big.NewInt(int64(c[0])), 64)
		want.Div(want, big.NewInt(int64(c[1]))).Sub(want, big.NewInt(1))
		if got := ThresholdFor(c[0], c[1]); got != want.Uint64() {
			t.Errorf("%d of %d: %d, want %v", c[0], c[1], got, want)
		}
	}
	if ThresholdFor(5, 5) != EveryDevice || ThresholdFor(6, 5) != EveryDevice || ThresholdFor(0, 5) != 0 {
		t.Error("all or none")
	}
}

// Chi-square over 7 shards: 6 degrees of freedom, false rejection 2^-30 at 54.7.
func TestRule11_ShardsAreEquallyLikely(t *testing.T) {
	const n, groups = 70_000, 7
	c := lotOf(3, EveryDevice, groups)
	var count [groups]float64
	for _, id := range someIDs(n) {
		count[c.ShardOf(id)]++
	}
	chi := 0.0
	for _, k := range count {
		chi += (k - n/groups) * (k - n/groups) / (n / groups)
	}
	if chi > 54.7 {
		t.Errorf("chi-square %.1f: %v", chi, count)
	}
	if lotOf(3, EveryDevice, 1).ShardOf(DeviceID{9}) != 0 {
		t.Error("one group has another shard than 0")
	}
	moved := 0
	for _, id := range someIDs(100) {
		if lotOf(4, EveryDevice, groups).ShardOf(id) != c.ShardOf(id) {
			moved++
		}
	}
	if moved < 50 {
		t.Errorf("another beacon moves %d of 100 devices", moved)
	}
}

// With n = 3·2^62 a quarter of the hashes lie in the incomplete run. Drawn again, each third is equally likely; taken
// mod n, the first third would get half of all. 6 standard deviations of 8192 draws, false rejection below 2^-28.
func TestRule11_NoModuloBias(t *testing.T) {
	const n, draws = 3 << 62, 8192
	random := rand.New(rand.NewPCG(1, 2))
	var count [3]int
	for range draws {
		v := lotBelow(n, labelShard, binaryOf(random.Uint64()))
		count[v>>62]++
	}
	for third, k := range count {
		if d := math.Abs(float64(k) - draws/3.0); d > 6*math.Sqrt(draws*2.0/9) {
			t.Errorf("third %d: %d of %d", third, k, draws)
		}
	}
}

func binaryOf(v uint64) []byte { return big.NewInt(0).SetUint64(v).FillBytes(make([]byte, 8)) }
