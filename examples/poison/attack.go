package main

import (
	"math"
	"math/rand/v2"
)

// attack is what an attacker sends instead of its update.
type attack uint8

const (
	honest attack = iota
	boost
	boostMax
	flip
	backdoor
)

var attacks = []attack{boost, boostMax, flip, backdoor}

// String is the attack's name.
func (a attack) String() string {
	return [...]string{"none", "boost", "boost max", "flip", "backdoor"}[a]
}

// boostTimes is how far beyond the clip the careless attacker goes.
const boostTimes = 100

// attackers draws who attacks: a share of the devices, rounded up.
func attackers(devices int, share float64, seed uint64) []bool {
	bad := make([]bool, devices)
	for _, i := range rand.New(rand.NewPCG(seed, 0xbad)).Perm(devices)[:int(math.Ceil(share*float64(devices)))] {
		bad[i] = true
	}
	return bad
}

// send makes an attacker's vector of its clipped honest one and, for the backdoor, of the one that pushes the target.
// longest is the most that the norm check lets pass, in clips; infinite without a check.
func (a attack) send(own, push []float32, clip, longest float64) []float32 {
	switch a {
	case boost:
		return scaled(own, -boostTimes*clip)
	case boostMax:
		return scaled(own, -math.Min(boostTimes, longest*(1-1e-6))*clip)
	case flip:
		return scaled(own, -clip)
	case backdoor:
		return scaled(push, clip)
	}
	return own
}

// scaled is x at the given signed length; zeros stay zeros.
func scaled(x []float32, length float64) []float32 {
	out := make([]float32, len(x))
	if n := norm(x); n > 0 {
		for i, v := range x {
			out[i] = float32(float64(v) * (length / n))
		}
	}
	return out
}

func norm(x []float32) float64 {
	square := 0.0
	for _, v := range x {
		square += float64(v) * float64(v)
	}
	return math.Sqrt(square)
}
