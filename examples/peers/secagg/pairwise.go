package main

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
)

// Pairwise masks: the protocol of Bonawitz and others (CCS 2017, figure 4, semi-honest server) on the graph of SecAgg+ (Bell and
// others, CCS 2020): every device agrees on a mask with each of k neighbours, adds one of its own, and shares the keys of both
// among the neighbours. Written to be as fast as Go allows: AES-128-CTR with the processor's instructions, blocks that stay in
// cache, and two coordinates in a 64-bit word, so that a mask mod 2^64 covers two at once and one addition adds both.

// pairDevice is one device. Its neighbours are numbered 0..k-1 by itself; the order of a pair decides who adds and who subtracts.
type pairDevice struct {
	number  int
	channel *ecdh.PrivateKey // the paper's c
	mask    *ecdh.PrivateKey // the paper's s
	own     [secret]byte     // the paper's b
	sealed  [][words]uint64  // shares of mask's key by neighbour
	seeds   [][words]uint64  // shares of own by neighbour
	keys    [][]byte         // of the channel to each neighbour
}

// pairPublic is what a device shows its neighbours.
type pairPublic struct {
	number        int
	channel, mask *ecdh.PublicKey
}

func (d *pairDevice) public() pairPublic {
	return pairPublic{d.number, d.channel.PublicKey(), d.mask.PublicKey()}
}

// advertise is round 0.
func advertise(number int) (*pairDevice, error) {
	d := &pairDevice{number: number}
	var err error
	if d.channel, err = ecdh.X25519().GenerateKey(rand.Reader); err != nil {
		return nil, err
	}
	if d.mask, err = ecdh.X25519().GenerateKey(rand.Reader); err != nil {
		return nil, err
	}
	_, err = rand.Read(d.own[:])
	return d, err
}

func agree(own *ecdh.PrivateKey, other *ecdh.PublicKey) ([]byte, error) {
	z, err := own.ECDH(other)
	if err != nil {
		return nil, err
	}
	key := sha256.Sum256(z)
	return key[:], nil
}

func threshold(k int) int { return k/2 + 1 }

// shareKeys is round 1: a ciphertext for every neighbour, with a share of each key.
func (d *pairDevice) shareKeys(neighbours []pairPublic) (sealed [][]byte, err error) {
	k := len(neighbours)
	if d.sealed, err = split(d.mask.Bytes(), k, threshold(k)); err != nil {
		return nil, err
	}
	if d.seeds, err = split(d.own[:], k, threshold(k)); err != nil {
		return nil, err
	}
	d.keys = make([][]byte, k)
	for i, n := range neighbours {
		if d.keys[i], err = agree(d.channel, n.channel); err != nil {
			return nil, err
		}
		c, err := sealTo(d.keys[i], d.number, n.number, d.sealed[i], d.seeds[i])
		if err != nil {
			return nil, err
		}
		sealed = append(sealed, c)
	}
	return sealed, nil
}

func channelCipher(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key[:16])
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// nonce keeps the two directions of a channel apart; a channel carries one message each way.
func nonce(from, to int) []byte {
	var b [12]byte
	binary.LittleEndian.PutUint32(b[:], uint32(from))
	binary.LittleEndian.PutUint32(b[4:], uint32(to))
	return b[:]
}

func sealTo(key []byte, from, to int, a, b [words]uint64) ([]byte, error) {
	aead, err := channelCipher(key)
	if err != nil {
		return nil, err
	}
	plain := make([]byte, 0, 2*shareLen+aead.Overhead())
	for _, w := range append(a[:], b[:]...) {
		plain = binary.LittleEndian.AppendUint64(plain, w)
	}
	return aead.Seal(plain[:0], nonce(from, to), plain, nil), nil
}

// maskVector is round 2: it opens the neighbours' ciphertexts and adds its own and k pairwise masks to x, packed, in place.
func (d *pairDevice) maskVector(x []uint64, neighbours []pairPublic, sealed [][]byte) error {
	for i, n := range neighbours {
		aead, err := channelCipher(d.keys[i])
		if err != nil {
			return err
		}
		if _, err := aead.Open(nil, nonce(n.number, d.number), sealed[i], nil); err != nil {
			return err
		}
	}
	if err := addMask(x, d.own[:], false); err != nil {
		return err
	}
	for _, n := range neighbours {
		key, err := agree(d.mask, n.mask)
		if err != nil {
			return err
		}
		if err := addMask(x, key, d.number > n.number); err != nil {
			return err
		}
	}
	return nil
}

const maskBlock = 1 << 10 // words that are expanded at a time, 8 KiB

// addMask adds the expansion of key to x, or subtracts it.
func addMask(x []uint64, key []byte, subtract bool) error {
	block, err := aes.NewCipher(key[:16])
	if err != nil {
		return err
	}
	var zero, stream [8 * maskBlock]byte
	var iv [aes.BlockSize]byte
	ctr := cipher.NewCTR(block, iv[:])
	for part := range slices.Chunk(x, maskBlock) {
		s := stream[:8*len(part)]
		ctr.XORKeyStream(s, zero[:len(s)])
		if subtract {
			for i := range part {
				part[i] -= binary.LittleEndian.Uint64(s[8*i:])
			}
		} else {
			for i := range part {
				part[i] += binary.LittleEndian.Uint64(s[8*i:])
			}
		}
	}
	return nil
}

// packPairs puts two coordinates into each word; their offset makes them positive, so the lower never borrows from the upper.
func packPairs(x []int32, offset int32) []uint64 {
	out := make([]uint64, (len(x)+1)/2)
	for i, v := range x {
		out[i/2] |= uint64(uint32(v+offset)) << (32 * (i % 2))
	}
	return out
}

func unpackPairs(sum []uint64, dim int, offset int64) []int64 {
	out := make([]int64, dim)
	for i := range out {
		out[i] = int64(uint32(sum[i/2]>>(32*(i%2)))) - offset
	}
	return out
}

// recoverOwn removes the own mask of a device that is in the sum.
func recoverOwn(sum []uint64, points []int, shares [][words]uint64) error {
	key, err := combine(points, shares)
	if err != nil {
		return err
	}
	return addMask(sum, key, true)
}

// recoverDropped removes the pairwise masks that the neighbours of a dropped device added for it.
func recoverDropped(sum []uint64, number int, points []int, shares [][words]uint64, neighbours []pairPublic) error {
	raw, err := combine(points, shares)
	if err != nil {
		return err
	}
	own, err := ecdh.X25519().NewPrivateKey(raw)
	if err != nil {
		return err
	}
	for _, n := range neighbours {
		key, err := agree(own, n.mask)
		if err != nil {
			return err
		}
		if err := addMask(sum, key, number > n.number); err != nil { // what the device itself would have added
			return err
		}
	}
	return nil
}

// pairCheck runs a small whole round on the complete graph with every fourth device dropped after it shared its keys, and compares sums.
func pairCheck(dim, n int) error {
	devices, publics := make([]*pairDevice, n), make([]pairPublic, n)
	for i := range devices {
		var err error
		if devices[i], err = advertise(i); err != nil {
			return err
		}
		publics[i] = devices[i].public()
	}
	others := func(i int) []pairPublic { return append(slices.Clone(publics[:i]), publics[i+1:]...) }
	place := func(i, at int) int { // of device i among the neighbours of device at
		if i > at {
			return i - 1
		}
		return i
	}
	sealed := make([][][]byte, n)
	for i, d := range devices {
		var err error
		if sealed[i], err = d.shareKeys(others(i)); err != nil {
			return err
		}
	}
	sum, plain, present := make([]uint64, (dim+1)/2), make([]int64, dim), 0
	dropped := func(i int) bool { return i%4 == 3 }
	for i, d := range devices {
		if dropped(i) {
			continue
		}
		var mine [][]byte
		for _, o := range others(i) {
			mine = append(mine, sealed[o.number][place(i, o.number)])
		}
		values := input(uint64(i), dim)
		x := packPairs(values, inputBound)
		if err := d.maskVector(x, others(i), mine); err != nil {
			return err
		}
		for j := range x {
			sum[j] += x[j]
		}
		addTo(plain, values)
		present++
	}
	for i, d := range devices {
		points, shares, own := []int{}, [][words]uint64{}, d.seeds
		if dropped(i) {
			own = d.sealed
		}
		for _, o := range others(i) {
			if at := place(o.number, i); !dropped(o.number) && len(points) < threshold(n-1) {
				points, shares = append(points, at+1), append(shares, own[at])
			}
		}
		var err error
		if dropped(i) {
			var alive []pairPublic
			for _, o := range others(i) {
				if !dropped(o.number) {
					alive = append(alive, o)
				}
			}
			err = recoverDropped(sum, i, points, shares, alive)
		} else {
			err = recoverOwn(sum, points, shares)
		}
		if err != nil {
			return err
		}
	}
	if !slices.Equal(unpackPairs(sum, dim, int64(present)*inputBound), plain) {
		return errors.New("pairwise masks do not cancel")
	}
	return nil
}

// pairFigures are the costs of k neighbours at one dimension.
type pairFigures struct {
	Neighbours     int     `json:"neighbours"`
	ClientSeconds  float64 `json:"client_seconds"`
	UpBytes        int     `json:"up_bytes"`
	AddSeconds     float64 `json:"server_add_seconds"`
	PresentSeconds float64 `json:"server_present_seconds"` // to remove one device's own mask
	DroppedSeconds float64 `json:"server_dropped_seconds"` // to remove one dropped device's pairwise masks
}

// pairwise measures one device among k neighbours, and the server's work for it.
func pairwise(dim, k, repeats int) (f pairFigures, err error) {
	f.Neighbours = k
	neighbours := make([]*pairDevice, k)
	publics := make([]pairPublic, k)
	for i := range neighbours {
		if neighbours[i], err = advertise(i + 1); err != nil {
			return f, err
		}
		publics[i] = neighbours[i].public()
	}
	values := input(0, dim)
	packed := packPairs(values, inputBound)
	var x []uint64
	var device *pairDevice
	var sealed [][]byte
	for range repeats {
		// Rounds 0 and 1, then the neighbours' messages, which are not this device's work, then round 2.
		var before, after float64
		if before, err = processor(func() (err error) {
			if device, err = advertise(k / 2); err == nil { // the number is a neighbour's too; here it only decides signs
				sealed, err = device.shareKeys(publics)
			}
			return err
		}); err != nil {
			return f, err
		}
		incoming := make([][]byte, k)
		for i, n := range neighbours {
			if incoming[i], err = sealTo(device.keys[i], n.number, device.number, device.sealed[i], device.seeds[i]); err != nil {
				return f, err
			}
		}
		x = slices.Clone(packed)
		if after, err = processor(func() error { return device.maskVector(x, publics, incoming) }); err != nil {
			return f, err
		}
		f.ClientSeconds = least(f.ClientSeconds, before+after)
	}
	f.UpBytes = 8*len(x) + 2*32 + k*(4+len(sealed[0])) + k*(4+shareLen) // vector, keys, ciphertexts, the shares of round 3
	return f, f.server(x, device, publics, repeats)
}

func (f *pairFigures) server(x []uint64, device *pairDevice, publics []pairPublic, repeats int) error {
	points := make([]int, threshold(f.Neighbours))
	for i := range points {
		points[i] = i + 1
	}
	sum := make([]uint64, len(x))
	for range max(repeats, 5) {
		t, err := processor(func() error {
			for i, v := range x {
				sum[i] += v
			}
			return nil
		})
		if err != nil {
			return err
		}
		f.AddSeconds = least(f.AddSeconds, t)
		if t, err = processor(func() error { return recoverOwn(sum, points, device.seeds[:len(points)]) }); err != nil {
			return err
		}
		f.PresentSeconds = least(f.PresentSeconds, t)
	}
	for range max(1, repeats/2) {
		t, err := processor(func() error {
			return recoverDropped(sum, device.number, points, device.sealed[:len(points)], publics)
		})
		if err != nil {
			return fmt.Errorf("recovery: %w", err)
		}
		f.DroppedSeconds = least(f.DroppedSeconds, t)
	}
	return nil
}
