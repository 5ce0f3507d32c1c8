// Package store keeps what a server must not lose. Store is the interface; SQL keeps it in SQLite (WAL, synchronous=FULL), for
// one server, or in PostgreSQL, for any number of replicas; Memory keeps it in memory, for simulations. One suite of tests
// runs over all of them.
//
//	<dir>/tutti.db            SQLite: rounds, uploads, budget, log, versions, enrolments, tokens
//	<dir>/blobs/ab/cdef...    content-addressed: model parameters, statistics, chosen items; elsewhere by Options.Blobs
//	<dir>/rounds/<task>/<n>/  uploads of an open round that this server staged
//
// Every change is one transaction with its log records; a change of a round compares the round's version first, and what
// a task's driver writes carries the fencing token of its lease. Writes are serial in PostgreSQL too, by one advisory lock,
// and share commits where they come together. Files are durable before the transaction that names them, and are removed
// after the transaction that no longer needs them, so that a crash leaves garbage at worst, which Open removes.
package store
