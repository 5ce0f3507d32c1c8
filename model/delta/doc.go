// Package delta says how one blob becomes another of the same length: what a device downloads that already has the
// version before.
//
// # Format 1
//
// All integers are big-endian.
//
//	8 bytes   "tuttidlt"
//	1 byte    format, 1
//	1 byte    form: 0 bits, 1 steps
//	2 bytes   exponent e of the steps, a signed integer; 0 with bits
//	8 bytes   length n of the result, and of the base
//	32 bytes  SHA-256 of the base
//	32 bytes  SHA-256 of the result
//	rest      four planes of ceil(n/4) bytes, a DEFLATE stream (RFC 1951)
//
// Base and result are read as words of 32 bits, little-endian as safetensors has them, the last one filled up with zeros.
// Word i of the delta is a difference d, zigzag-coded (2d, or -2d-1 where d is negative), and plane k holds byte k of all
// words, the least significant first. What the difference means is the form:
//
//   - bits: words are ordered as the float32 are that they hold (the sign's bit turned over, all bits of the negative
//     turned over), and d is the result's place minus the base's, modulo 2^32. Every pair of blobs has this form.
//   - steps: the result is float32(float64(base) + d 2^e), rounded to nearest even, where d is not 0, and the base where
//     it is. A pair has this form only where it holds for every word; Snap makes weights for which it does.
//
// Bits of two float32 that training has moved are random below the first few: such a delta is about four fifths of the
// blob. Weights that were moved in steps of an eighth of a round's change, most of which is noise, need six bits or so each.
package delta
