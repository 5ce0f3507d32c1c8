package client

import (
	"encoding/binary"

	"tutti/aggregation"
)

// What a device signs when it speaks to the server, and what it wants signed.
// Canonical bytes: the domain behind its length, then the fields in order,
// integers big-endian, byte strings behind a uint32 length. The server builds
// the same bytes to verify.

const (
	enrollDomain  = "tutti/enroll/v1"
	checkInDomain = "tutti/checkin/v1"
	versionDomain = "tutti/version/v1"
)

// Protocol is the newest protocol version that this package speaks; it speaks the
// one before too, as a server does. Version 2 has plans of format 4, whose updates
// may start from several versions, and two retry windows with an offer.
const Protocol = 2

// modelFormat is the newest format of model versions that this package reads.
const modelFormat = 1

// suites are the envelopes that this package can seal for.
var suites = []uint32{uint32(aggregation.SuiteX25519), uint32(aggregation.SuiteMLKEM768X25519)}

// speaks says whether an answer is of a protocol version that this package speaks;
// too old, it is the server that has to be updated.
func speaks(version uint32) (ok, tooOld bool) {
	version = max(version, 1) // version 1 did not say
	return version == Protocol || version == Protocol-1, version < Protocol-1
}

// EnrollMessage is what a device signs to show that it holds the key it wants
// enrolled: domain, task, token.
func EnrollMessage(task, token string) []byte {
	b := appendField(nil, enrollDomain)
	b = appendField(b, task)
	return appendField(b, token)
}

// CheckInMessage is what a device signs when it checks in: domain, task, public
// key, time, log size.
func CheckInMessage(task string, publicKey []byte, time int64, logSize uint64) []byte {
	b := appendField(nil, checkInDomain)
	b = appendField(b, task)
	b = appendField(b, string(publicKey))
	b = binary.BigEndian.AppendUint64(b, uint64(time))
	return binary.BigEndian.AppendUint64(b, logSize)
}

// VersionMessage is what the operator signs to publish a version: domain,
// canonical version.
func VersionMessage(version []byte) []byte {
	return appendField(appendField(nil, versionDomain), string(version))
}

func appendField(b []byte, s string) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(len(s)))
	return append(b, s...)
}
