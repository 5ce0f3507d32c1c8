// Package fleet is many devices in one process: for the demo, for simulations
// and for load and fault tests. Each device is a client.Device with an identity,
// a memory and a policy of its own; it wakes up when it is asked, does what a
// phone would do, and goes back to sleep. They share what a process may share:
// the catalogue, models, codecs, engines, and one connection.
//
// The seed decides which devices are asked, and nothing else: noise, masks,
// keys and nonces come from the system's randomness.
package fleet
