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
//	Member.OpenRound -> NewConfig -> Client.Seal -> VerifyHeader, VectorCheck -> Header.ForMember -> Member.Begin, Accept
//	-> Accumulator.Add -> NewSet, Proposal -> Member.Sign -> Certify -> Member.Release -> Unmask
package aggregation
