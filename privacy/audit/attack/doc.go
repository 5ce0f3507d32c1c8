// Package attack attacks the protections one after another: an unsummed update, a noise share alone, the sum, floating
// point noise, devices that send no noise, dropout, malicious plans, poisoned vectors, copied random generators, and
// membership in the released model. Each attack first runs against an arm without the protection, where it has to
// succeed, and then against the real packages (mechanism, aggregation, plan). What comes of it is an audit.Section.
//
// The verdict of a section is pass where the protected arm stays within what theory or the section's stated limit
// allows, fail where it does not, and broken where the attack did not even succeed without protection: such a test shows
// nothing.
//
// The package is pure: randomness is a seed or an io.Reader, there is no clock and no file. The noise of the experiments
// comes from seeded AES streams, so that the same seed gives the same figures; nothing that runs here protects anybody.
// Only what a caller passes as a reader (Clones) is real randomness.
package attack
