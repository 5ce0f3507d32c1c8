// Package aggregation sums vectors of many devices so that only the sum over one certified set can be opened.
//
// It is the one-shot protocol of the project's secure-aggregation design: every device masks its vector with an RLWE
// sample (package mask), shares the sample's key among a committee (package share), and is gone. The server adds
// masked vectors; a quorum of the committee signs one set of devices; each member then releases the sum of its shares
// over that set, once; and the server removes the summed mask. Section and rule numbers in comments refer to that design.
//
// The package is pure: no I/O, no clock, no goroutine, no global state. Randomness, identities and messages are
// arguments (HPKE's ephemeral keys excepted, which the standard library draws itself). In order of a round:
//
//	Enrolled.Sign                                     the enroller's word on who is a device, in the plan
//	Member.OpenRound, Member.Reveal -> NewConfig      fresh keys, then coins: the beacon, the lot and the shards
//	Member.Begin
//	Client.Seal -> VerifyHeader, VectorCheck          one upload a device; the server stages it
//	Header.ForMember -> Judge.Open, Member.Accept     every member judges every header, and answers its check
//	CheckShares -> Accumulator.Add                    before folding: whose shares are no sharing, and who lied about it
//	NewSet, Proposal -> Member.Sign -> Certify        one set
//	Member.Release -> Unmask                          one sum, wrong answers corrected and named
//
// Keys and coins are made once for a round; everything from Begin on is done for each of its shards.
package aggregation
