// Package round is the coordinator of one aggregation round as a pure machine: Step(now, input) returns effects, and
// the shell that owns the machine carries them out. It holds no key, no vector and no clock.
//
// # Lifecycle (design/server.md)
//
//	CREATED -> COLLECTING -> FROZEN -> CERTIFIED -> RELEASED -> APPLIED -> PUBLISHED
//	   |           |            |          |
//	   +-----------+------------+          +-> LOST(reason): the charge stays
//	               |
//	               v
//	         ABANDONED(reason): nothing was opened; freed once a quorum of members has signed it
//
// # Order of the release (architecture rule 4)
//
// The shell reserves the budget and logs the plan before it makes the machine. Then every Effects is carried out in the
// order of its fields: Persist first, in one durable transaction, then Send, Work and Events. A shell whose Persist
// fails stops, and resumes later from what is durable: Resume asks again, members repeat their answers, and no second
// set is ever proposed.
//
//   - before COLLECTING: every member's key, then, with all keys shown to all of them, every member's coin;
//   - Work Check: the members' words on a batch are compared before any of it is folded;
//   - close collection: uploads are no longer taken, outstanding verdicts and checks are waited for;
//   - Work Assemble: the partial sum is made to hold exactly U;
//   - Persist FROZEN with U, Q and that sum: only now are members asked to sign U;
//   - Persist CERTIFIED with a quorum of signatures and the charge: only now are members asked to release;
//   - Work Unmask, then Persist RELEASED with the answers: the sum can be made again from what is stored;
//   - the shell decodes and optimises, then APPLIED and PUBLISHED follow.
package round
