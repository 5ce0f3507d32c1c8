// Package simulation plays a whole server against faults, from one seed: devices, several replicas that share one store, a
// committee, a network that loses, repeats, delays and reorders, and processes that crash, stand still or lose their
// database at any write. Time is virtual. The machine (server/round) and the store (server/store) are the real ones;
// members, devices and the shell of a replica are models of them, which is why a schedule takes about a millisecond.
//
// Device i uploads the unit vector e_i under a toy mask (design/server.md, test 1), so that an opened sum must be the 0/1
// indicator of the certified set: a 2 is a replay, anything else a lost mask.
//
// # What is checked, after every step
//
//   - sum: an opened sum is exact;
//   - set: at most one set of a (task, round, group) is proposed, certified and opened;
//   - budget: what is charged only grows, every certified round is charged, and no member is asked to release before that;
//   - fence: a write of a replica that does not hold the lease changes nothing, and one replica holds it at a time;
//   - told: a device that is told COUNTED is in the certified set, one that is told LATE, REJECTED or ABANDONED is not;
//   - log: the records are exactly what happened, and stand when it is durable;
//   - end: every round ends once faults stop.
//
// A schedule is a list of operations (Schedule.Ops), made from the seed. One that breaks an invariant is made smaller
// until no operation can be left out, and frozen as a file in testdata.
//
//	go test ./server/simulation                               # about 20 seconds' worth
//	TUTTI_SIM=100000 go test -timeout 1h ./server/simulation  # that many schedules in memory
package simulation
