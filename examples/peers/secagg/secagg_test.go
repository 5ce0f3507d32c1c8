package main

import (
	"bytes"
	"crypto/rand"
	"slices"
	"testing"
)

func TestSharesOfAKey(t *testing.T) {
	key := make([]byte, secret)
	rand.Read(key)
	shares, err := split(key, 9, 5)
	if err != nil {
		t.Fatal(err)
	}
	for _, points := range [][]int{{1, 2, 3, 4, 5}, {9, 3, 7, 1, 5}, {2, 4, 5, 6, 7, 8, 9}} {
		var some [][words]uint64
		for _, p := range points {
			some = append(some, shares[p-1])
		}
		got, err := combine(points, some)
		if err != nil || !bytes.Equal(got, key) {
			t.Errorf("points %v: %x, %v; want %x", points, got, err, key)
		}
		if got, err := combine(points[:4], some[:4]); err == nil && bytes.Equal(got, key) {
			t.Errorf("four points %v determine the key", points[:4])
		}
	}
}

func TestPairwiseMasksCancel(t *testing.T) {
	for _, n := range []int{5, 24} {
		if err := pairCheck(1001, n); err != nil {
			t.Errorf("%d devices: %v", n, err)
		}
	}
}

func TestMasksHide(t *testing.T) {
	a, b := make([]uint64, 3000), make([]uint64, 3000)
	if err := addMask(a, bytes.Repeat([]byte{1}, secret), false); err != nil {
		t.Fatal(err)
	}
	if err := addMask(b, bytes.Repeat([]byte{2}, secret), false); err != nil {
		t.Fatal(err)
	}
	seen := map[uint64]bool{}
	for _, w := range append(slices.Clone(a), b...) {
		if seen[w] { // 6000 words of 64 bits: probability below 2^-39
			t.Fatalf("word %x twice", w)
		}
		seen[w] = true
	}
}

func TestBGVSum(t *testing.T) {
	f, err := bgvFold(9000, 3, 3) // more than one ciphertext, the last not full
	if err != nil {
		t.Fatal(err)
	}
	if f.UpBytes < 4*9000*8 {
		t.Errorf("an upload of %d bytes holds no ciphertexts", f.UpBytes)
	}
}

func TestNumbers(t *testing.T) {
	var got []int
	if err := numbers(&got, "2^4, 100", 2, 1000); err != nil || !slices.Equal(got, []int{16, 100}) {
		t.Errorf("got %v, %v", got, err)
	}
	for _, bad := range []string{"", "1", "2^31", "2^-1", "x", "2^"} {
		if err := numbers(&got, bad, 2, 1000); err == nil {
			t.Errorf("%q passed", bad)
		}
	}
}

func TestScaleOfFew(t *testing.T) {
	o, err := parse([]string{"-scale", "-dim", "512", "-devices", "40", "-suite", "x25519"})
	if err != nil {
		t.Fatal(err)
	}
	r, err := o.round()
	if err != nil {
		t.Fatal(err)
	}
	if !r.Exact || r.Members != 6 || r.Summed != r.Fates[stays]+r.Fates[dropsAfter] || r.Summed == 40 || r.Summed < 20 {
		t.Errorf("%+v", r)
	}
}
