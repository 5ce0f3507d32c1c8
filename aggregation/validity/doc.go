// Package validity proves that a device's masked vector is well formed and that the Euclidean norm of its plaintext is bounded,
// and shows the server and the committee nothing else about it. It is a check of integrity against devices: for the server's own
// good, and for nobody's privacy. Symbols are those of the secure-aggregation design.
//
// # What is proven
//
// A device with key s sends words w. The server lifts them, v = round(w·q/P), and x = v - A·s mod q, centred, is what its vector
// is without the mask: Δ·m + e and a rounding error for an honest one, anything for another. The key is shared over Z_q itself,
// so that linear functions of s mod q are linear functions of shares. The device proves
//
//	|<r_t, x> mod q| <= B   for t = 1..128,     B = ceil(β·(Δ·R + noise)/√2)
//
// for vectors r_t in {-1, 0, 1}^d that are drawn after x is fixed, zero with probability 1/2 and either sign with 1/4. R bounds
// the norm of the integer vector m; "noise" the norm of e and of the rounding, 20·(√d + 8), which Δ = 2^16 dwarfs.
//
// # Why that bounds the norm (soundness of the projections)
//
// Let S = <r, x>. One projection passes with probability
//
//   - at most 1/2 if |x_j| > 2B for some j, whatever the rest is, also for x_j near q/2. Given the rest, S = y + {0, x_j, -x_j}. If y
//     lies in [-B, B], then y ± x_j do not, for two points of [-B, B] differ by at most 2B mod q: 1/2 passes at most. If y does not,
//     only y ± x_j can: 1/4 + 1/4. (Without zeros, x_j = (q±1)/2 and y near q/2 would pass always.)
//   - at most 26/32 if |x| > √2·B. Where no sum leaves (-q/2, q/2), S is a sum of 2d signs with coefficients x_j/2 of norm |x|/√2 > B, and a
//     sum of signs reaches its norm, on either side, with probability at least 2·6/64 (Dvořák and Klein, arXiv 2104.10005). Their
//     conjecture is 2·7/64, which three coordinates of B attain, and which Hollom and Portier (arXiv 2306.07811) prove as we recall; no
//     claim here rests on it.
//   - also where sums wrap, all |x_j| <= 2B and 64·B <= q. Up to |x| = q/8 a sum wraps into [-B, B] with less than 2^-80 (Hoeffding).
//     Beyond, take coordinates J with norm just below q/8. The characteristic function of an entry, cos²(θ/2), is not negative, nor is
//     the transform of the triangle Λ of half-width 3B, so that E Λ(S - a) <= E Λ(S) <= E Λ(S_J): neither a shift nor further coordinates
//     help a device. With cos²u <= exp(-u²) for |θ| <= π/2B and 1 beyond, E Λ(S_J) <= 0.34, and P(|S| <= B) <= 3/2 of it < 26/32.
//
// So a vector of norm beyond √2·B = β·(Δ·R + noise) passes all of them with at most (26/32)^128 < 2^-38, as far as we know the worst
// are three coordinates of B with (25/32)^128 = 2^-45, and one with a coordinate beyond 2B passes with 2^-128. A vector with many coordinates behaves like a Gaussian one, for which the
// same norm passes with 2^-70, and 2^-40 is reached at 0.77·β·R, 2^-128 at 1.48·β·R. Tests count small cases exhaustively and
// these rates by simulation.
//
// The entries follow from hashes, so a device can try: each try costs it a hash and the few entries that its vector meets, about
// a microsecond. 2^38 tries are three core-days, 2^45 a core-year, and give it one vector a little beyond √2·B; 2^60 do not give it
// twice that norm in many coordinates.
//
// β is the slack that an honest device of the full norm needs. Refused by chance, a try
//
//	β          3      3.5     4       5        6         8 (default)
//	spread x   29 %   5.8 %   0.8 %   7e-5     3e-7      2e-13
//	any x      -      -       9 %     1e-3     4e-6      3e-12 = 2t·exp(-β²/2)
//	2^-40 at   2.3R   2.7R    3.1R    3.9R     4.6R      6.2R      (spread)
//	2^-38 at   3R     3.5R    4R      5R       6R        8R        (any x)
//
// A retry takes a fresh first challenge (a new nonce) and new bits; vector, key and shares may stay, for nothing of a failed try
// was sent. But the challenge that is finally sent then tells that x passes it, which a vector of other norm would do with
// another probability: a leak of the failure rate's size, to be added to the delta of differential privacy. The default makes it
// 2^-38 for whatever vector, without retries; slacks below 6 are for rounds that claim no differential privacy.
//
// # What the bound is worth
//
// The vector includes the device's share of distributed noise, of norm σ·√d. Where d is far beyond the number of devices this
// dominates R, and an attacker has all of β·R for a direction of its own. The check refuses garbage, vectors boosted beyond the
// slack, and overflow; it does not refuse a flipped sign, or any other vector within the norm.
// Neither the key need be short, nor x a multiple of Δ up to noise: a sum of checked vectors decodes to the rounded sum of x/Δ
// under any keys, which is what mask.UnmaskProven gives, where mask.Unmask would refuse a sum for one such vector.
//
// # The proof
//
// Two commitments, two challenges:
//
//	commitment 1  vecHash, and Commit(salt_j, j, share j of the key) of all members j; salts of 256 bits, for nothing else
//	challenge 1   first = H(cfg, id, nonce, vecHash, commitments)     gives r_t
//	commitment 2  envelopes: key shares, salts, shares g_{t,i} of the bits of L_t + B, blinds
//	challenge 2   second = H(first, root of the envelopes)            gives χ_t, ψ_{t,i} in Z_q, K times
//	signed        digest_i, over all of it and over α*
//
// L_t = <r_t, x> is <r_t, v> - <Aᵀr_t, s>. Its bits have the weights 1, 2, 4, ..., and the last one 2B + 1 - 2^(n-1), so that
// they reach exactly 0..2B. Bits are shared by polynomials g of degree c with the bit at -1; key words, ρ of them in a
// polynomial f_w of degree below c+ρ, lie at the slots -1..-ρ. With r* = Σ_t χ_t·r_t, α* = Aᵀr*, α_w(X) the polynomial through
// α* at the slots and ℓ(X) the one that is 1 at -1 and 0 at the others, both of degree ρ-1, member j answers the values at j, K
// of each, of
//
//	H = b_H + Σ_w α_w·f_w + ℓ·Σ_t χ_t Σ_i W_i·g_{t,i}     degree c+2ρ-2    Σ over slots = <r*, v> + B·Σ_t χ_t
//	Q = b_Q + Σ ψ_{t,i}·(g_{t,i}² - g_{t,i})               degree 2c        Q(-1) = 0
//	R = b_R + Σ ψ_{t,i}·g_{t,i}                            degree c
//
// b_H is a random polynomial of its degree whose values at the slots sum to zero, b_Q one that is zero at -1, b_R any. Answers
// are a word of a Reed-Solomon code: wrong ones are corrected and named, with e to spare for each 2e answers beyond max(2c,
// c+2ρ-2) + 1, those that the sharing check named included.
//
// Soundness: let U be honest members whose answers were not named, at least Need = max(2c, c+2ρ-2) + 1 of them. Their words of f and
// g, and so the key, are fixed before the challenges that test them, and their answers determine the polynomials. If the g of U are not
// of degree c, R fails except for a fraction 1/q of the ψ; if some g(-1) is no bit, Q; if bits do not add up to L_t + B, H, for a
// fraction 1/q of the χ. Blinds of another value are an offset that is fixed before χ and ψ, and change none of these odds. K
// repetitions make q^-K <= 2^-92 for one U; a device that spoils the shares of some members leaves the choice of U open, so that all of
// them count: C(m, e) <= 36 at m = 9, hence 2^-86 in all. That the f_w are of degree below c+ρ on U is the sharing check's to find.
// With b members who collude with the device, u answers that were not named hold u - b honest ones: all is as said while u - b >=
// Need, which at m = 9, c = ρ = 2, b = 2 means seven, and nine answers always leave. Beyond, they can help the device to pass, with whatever
// vector, as a test shows; nobody's privacy depends on it.
//
// Zero knowledge, against the server and c members: c shares of every polynomial are uniform; H, Q and R are uniform among the
// polynomials of their degree with the known value and with the c members' values, which are independent of each other (tested
// for every c-subset); so are the sharing check's. Commitments, under salts that nobody else sees, are random strings to who does not
// ask the oracle for a salt. So words of c members, answers of all and commitments can be simulated from w, for which the bounds hold,
// and that is all that is learnt beside: that every |L_t| <= B, which is so for any honest vector but for 2^-38. α and the value of H
// are functions of w and public hashes, α goes with the upload for the members' sake. A member answers one digest_i, that is one
// second challenge and one α, the one that the device signed: with another α, the server would learn a linear function of the
// key, which is why the device signs it and members answer no other.
//
// # Cost
//
// At m = 9, c = ρ = 2, q of 46 bits, R = 10^5: 37 bits a projection, 4748 words in each envelope beside the key's 1024, that is
// 28 kB a member and 256 kB in all; 24.6 kB of α*, once from the device and once to each member; 6 words of answer. CPU time per
// device, on one core of a busy two-core machine, beside Mask's:
//
//	d                2^12      2^15      2^17      2^20
//	Mask             0.3 ms    1.1 ms    5.5 ms    40 ms
//	Prove + State    2.3 ms    5.0 ms    15 ms     140 ms    the device
//	State + Verify   0.8 ms    2.7 ms    9 ms      86 ms     the server
//	Answer           0.1 ms                                  a member, whatever d
//
// So a device pays three times its mask again, and sends a header of 337 kB instead of 38 kB (379 instead of 47 with post-quantum
// envelopes): at d = 2^12 sixteen times its
// vector, at 2^20 a sixteenth of it. The server checks some 700 vectors of 2^20, or 6,000 of 2^17, a minute and core, where
// folding one takes a millisecond. A member judges a header in 0.35 to 0.6 ms instead of 0.12 ms, envelope and answer included. It is
// affordable for thousands of devices up to d = 2^17 and for hundreds at 2^20; beyond that it is a matter of cores, for devices
// are independent. It is off by default.
//
// # Family
//
// Random projections against wrap-around and distributed zero knowledge on secret-shared inputs are PINE's (Rothblum, Omri, Chen
// and Talwar, arXiv 2311.10237), whose ±1/0 entries and 1/2 these are; it then proves the norm itself by a quadratic proof over
// shares of the whole vector. Here only a key of 2048 words is shared, the vector never is, and the projections serve for the
// norm too, at the price of β. Bounding a norm by a few hundred projections goes back to Johnson and Lindenstrauss; mod q, with
// this distribution, see Gentry, Halevi and Lyubashevsky (Eurocrypt 2022) and EIFFeL and ACORN for aggregation. Proofs by linear
// and quadratic checks on shares are Boneh, Boyle, Corrigan-Gibbs, Gilboa and Ishai's (Crypto 2019); Shamir shares of low degree
// multiply locally, so that no proof string for the quadratic part is needed.
package validity
