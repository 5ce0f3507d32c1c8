// Package store keeps what a server must not lose: one SQLite database (WAL, synchronous=FULL) and a directory.
//
//	<dir>/tutti.db            rounds, uploads, budget, log, versions, enrolments, tokens
//	<dir>/blobs/ab/cdef...    content-addressed: model parameters, statistics, chosen items
//	<dir>/rounds/<task>/<n>/  staged uploads and the partial sum of an open round
//
// Every change is one transaction with its log records; a change of a round compares the round's version first. Files
// are durable before the transaction that names them, and are removed after the transaction that no longer needs them,
// so that a crash leaves garbage at worst, which Open removes.
package store
