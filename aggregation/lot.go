package aggregation

import (
	"encoding/binary"
	"math/bits"
)

// Labels of the round's lot: coins, beacon, eligibility and shard.
const (
	labelCoinSeed = "tutti/agg/v1/coinseed"
	labelCoin     = "tutti/agg/v1/coin"
	labelBeacon   = "tutti/agg/v1/beacon"
	labelEligible = "tutti/agg/v1/eligible"
	labelShard    = "tutti/agg/v1/shard"
)

// MaxGroups bounds the shards of a round: 4096 groups of the 2^20 devices that one ring takes are more than the
// 2^31-1 devices that a population counts.
const MaxGroups = 1 << 12

// EveryDevice is the threshold under which every id is eligible.
const EveryDevice = 1<<64 - 1

// coinOf derives the member's coin from the seed of its round; the round's key pair has a label of its own, so that
// showing the coin leaves the key secret.
func coinOf(seed []byte) [32]byte { return hash(labelCoinSeed, seed) }

// commitCoin is what a member publishes beside its round key, before any coin is shown.
func commitCoin(coin [32]byte) Digest { return hash(labelCoin, coin[:]) }

// Opens reports whether the coin is the one that the round key committed its member to.
func (k RoundKey) Opens(coin [32]byte) bool { return commitCoin(coin) == k.Commit }

// beacon is H(label, task, round, plan, coins in the order of the roster).
//
// Each member fixed its coin by commitment before it saw another's, and the plan, hence population and threshold,
// before that: with one honest member nobody chooses the beacon. Who reveals last may withhold its coin and so throw
// a beacon away; that costs the whole round, visibly, and CorruptQuantile's level leaves room for such retries.
func beacon(round RoundID, plan Digest, roster []MemberKey) Digest {
	w := newWriter(labelBeacon, 128+32*len(roster))
	w.bytes([]byte(round.Task))
	w.u64(round.Round)
	w.raw(plan[:])
	w.u16(uint16(len(roster)))
	for _, m := range roster {
		w.raw(m.Coin[:])
	}
	return hash(labelBeacon, w.b)
}

// Beacon is the round's public randomness: the same for all shards, chosen by nobody.
func (c *Config) Beacon() Digest { return c.beacon }

// Eligible reports whether the lot lets the id take part in the round (rule 1):
// the first eight bytes of H(label, beacon, task, round, id) do not exceed the threshold.
func (c *Config) Eligible(id DeviceID) bool {
	w := newWriter(labelEligible, 128)
	w.raw(c.beacon[:])
	w.bytes([]byte(c.literal.Round.Task))
	w.u64(c.literal.Round.Round)
	w.raw(id[:])
	lot := hash(labelEligible, w.b)
	return binary.BigEndian.Uint64(lot[:8]) <= c.literal.Threshold
}

// ShardOf is the id's one shard, H(beacon, id) mod Groups, so that neither device nor server chooses it (rule 11).
// Every shard is equally likely.
func (c *Config) ShardOf(id DeviceID) uint32 {
	return uint32(lotBelow(uint64(c.literal.Groups), labelShard, c.beacon[:], id[:]))
}

// ThresholdFor is the threshold under which an expected `wanted` of `size` devices are eligible; EveryDevice when
// all of them are wanted. The number eligible in a round is binomial.
func ThresholdFor(wanted, size uint32) uint64 {
	if wanted >= size {
		return EveryDevice
	}
	if wanted == 0 {
		return 0
	}
	share, _ := bits.Div64(uint64(wanted), 0, uint64(size))
	return share - 1
}

// lotBelow is H(label, parts, draw) mod n, every value equally likely: first eight bytes of the hash that fall into
// the incomplete last run of 2^64 are drawn again, with the next draw number.
func lotBelow(n uint64, label string, parts ...[]byte) uint64 {
	if n == 1 {
		return 0
	}
	_, excess := bits.Div64(1, 0, n) // 2^64 mod n
	for draw := uint32(0); ; draw++ {
		var b [4]byte
		binary.BigEndian.PutUint32(b[:], draw)
		lot := hash(label, append(parts[:len(parts):len(parts)], b[:])...)
		if v := binary.BigEndian.Uint64(lot[:8]); v <= EveryDevice-excess {
			return v % n
		}
	}
}
