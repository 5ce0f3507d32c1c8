// Package registry decides which device is offered which version, and when a roll-out goes on or stops. It is pure: what is
// published, what was measured and who asks are arguments.
//
// A Line is what a task offers: one stable version to everybody, and, while a newer one is rolled out, a canary to a share
// of the devices, the ring. Who is in the ring follows from the device, the stable version and the share alone (In); a
// larger share holds everyone that a smaller one held. The number of the version that a device is offered never falls: the
// canary's number and the share only grow while the stable version stays, and a new stable version is at least as new as
// the canary.
//
// How good a version is, the rounds tell that start from it: their devices foretell what they did last with it, and add up
// what came of it with noise (privacy/plan, Metrics). Policy.Decide compares those figures of the canary with those of the
// stable version.
package registry
