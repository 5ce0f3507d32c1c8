// Package silo is the optional cross-silo mode: 3 to 20 organisations add up vectors of integers, and only the sum is ever opened.
//
// It is lattigo's multiparty BGV (packages mhe and schemes/bgv; Mouchet et al., eprint 2020/304 and 2022/780): a collective public key
// that nobody holds the secret of, ciphertexts that anyone can add, a decryption in which t of the N organisations take part. There is
// no dealer, and the key is fresh in every round. The package is a pure protocol: no I/O, no clock, no goroutine.
//
// # Order of calls
//
//	all N         Announce                 -> announcement    sign the configuration, show a fresh X-Wing key
//	all N         KeyShare(announcements)  -> key share       part of the public key; with t < N sealed shares of the secret one
//	all N         Join(key shares)                            derive the collective key
//	n_min or more Contribute(vector)       -> contribution    ⌈d/N⌉ ciphertexts
//	aggregator    Tally.Add, Propose       -> proposal        the sum, whose contributions are in it, which t decrypt
//	those t       Tally.Add, Decrypt       -> partial         once: erases the round's secrets
//	anyone        Opening.Add, Combine     -> []int64
//
// Each message carries the digest of the configuration and its organisation's Ed25519 signature, and has one encoding of one length.
// Records are durable before a message leaves. A step asked again in the same words, also after a restart, gives the same bytes;
// anything else is refused by a Refusal.
//
// # What is promised, to whom
//
// The aggregator may do what it likes and may see everything that up to c organisations see. The organisations keep to the protocol
// (mhe is secure against passive parties; it has no proofs that shares and ciphertexts are well made). Then the vectors of the others
// stay hidden but for one sum over at least n_min >= c+2 of them:
//
//   - An organisation decrypts one ciphertext per round, for one fixed active set of exactly t. A second decryption would give the key
//     away (SECURITY.md of lattigo v6). Two sums would need two sets of t; since 2t > N+c they share an honest organisation.
//   - It believes no proposal: it adds the contributions up itself, compares list and sum with its own, and looks for its own bytes.
//     That costs what the aggregator pays: 0.1 s for each contribution of 2^20 coordinates.
//   - Nobody shows a part of the key before all N have signed the same configuration; the key shares name the list of announcements.
//
// Not promised: anything against an organisation that deviates. A contribution made on purpose to carry the secret key into the sum, or
// a key share chosen after seeing the others', breaks secrecy. A vector beyond the bound is noticed only when the sum shows it
// (ErrRange). An organisation that falls silent within the active set stops the round (all t must answer): a new round, with a new
// configuration, is the only way on. A store put back to an earlier state lets an organisation decrypt twice: do not restore backups of
// a running round. Where devices rather than organisations take part, use the parent package.
//
// # Numbers
//
// Choose derives all numbers from the Model, and NewParams checks them before any key exists:
// (t-1)/2 > N·M, so that sums decode centred; log2 Q within the 128-bit table at the ring degree (ternary secrets, sigma 3.2);
// t·(13 sigma_sum + t_active (2^f + 6 sigma)) + N·M <= Q/16. With 2^15 as bound and κ = 56:
//
//	d = 2^17, 3 of 3     ring 2^13, log Q 110, flood 2^82   contribution  3.67 MB, partial 1.84 MB (28 and 14 bytes a coordinate)
//	d = 2^20, 13 of 20   ring 2^13, log Q 120, flood 2^88   contribution 33.6 MB, partial 16.8 MB, key share 2.8 MB
//
// An opened coefficient beyond Q/16 is ErrNoise: partial decryptions that do not fit give an error, never a wrong sum.
//
// CPU time of one of 3 organisations, one goroutine on an AMD EPYC (Zen 4), the least of four runs of the steps of BenchmarkRound
// ("go test -run '^$' -bench . ./aggregation/silo" gives wall time):
//
//	             contribute   add one contribution   sum's digest   decrypt   combine
//	d = 2^17          41 ms                  10 ms           6 ms     17 ms     11 ms
//	d = 2^20         362 ms                 101 ms          62 ms    139 ms     85 ms
//
// So an organisation that decrypts a sum of 20 contributions of 2^20 coordinates spends 2.2 s, of which 2.1 s on making sure of the sum.
// A contribution leaves a device of the parent package in 70 ms and 5.3 MB: this mode is for few and well-connected parties.
//
// # Randomness and the library
//
// The caller gives randomness for the round's seed (Announce) and the flood (Decrypt); secret key, Shamir polynomials and X-Wing key
// follow from the seed by SHA-256 and AES-256-CTR. Where lattigo offers no argument its own samplers draw, from BLAKE2b keyed by
// crypto/rand: the errors of the key shares and of the ciphertexts, the ternary v of a ciphertext, a small Gaussian in the partial
// decryption. They are not constant in time; whoever can time an organisation's own processor is outside this mode's claim.
// X-Wing encapsulations draw from the standard library. Defects of v5.0.7, each with a test:
//
//   - ring.UniformSampler.AtLevel gives randomness out twice: not called here, nor by what is called (the common polynomial and
//     public-key encryption do without; Shamir polynomials are our own). TestUniformSamplerAtLevel, TestNoRandomnessTwice.
//   - ring.GaussianSampler does not reduce when 6 sigma > q_i: such a sigma is ErrFlood. TestT323FloodBeyondThePrimeAndOtherNumbers.
//   - It panics near sigma 2^62: 6 sigma < q_i < 2^60 stays below. TestGaussianNear2to62.
//   - It returns q for "-0": residues are reduced when written and refused unreduced when read. TestMinusZero, TestResidueQ.
//   - It has 31 bits of randomness whatever sigma is: a wide Gaussian takes few values with gaps of about sigma/2^23 between them, and
//     noise of a sum (2^10 to 2^13) added to it can be read in the gaps. As flooding, for which mhe.KeySwitch takes it, it hides nothing.
//     Hence the flood here is our own: uniform from [-2^f, 2^f), with 2^-κ >= padded coordinates · E|noise of the sum| / 2^(f+1) as
//     statistical distance. mhe's Gaussian stays beside it with sigma 4. TestGaussianHasGaps, TestFloodIsUniform.
//
// # Why not CKKS
//
// Float vectors under CKKS (lattigo schemes/ckks, the same ring and Q of 110 bits, d = 2^17, same machine) cost the same 28 bytes a
// coordinate when packed as coefficients, 56 as real slots; encode and encrypt 102 ms against 38 ms; decrypt and decode 79 ms against
// 9 ms. The flood, which CKKS needs all the more because its result is approximate (eprint 2020/1533), leaves an error of 2^-14 on values
// of ±1 at a scale of 2^95: no better than BGV on integers of ±2^15, which is exact. Noise for differential privacy is integer here, and
// a sum that is off by an error is not the one that was accounted for. So there is no CKKS.
package silo
