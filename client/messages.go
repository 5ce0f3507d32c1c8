package client

import "encoding/binary"

// What a device signs when it speaks to the server, and what it wants signed.
// Canonical bytes: the domain behind its length, then the fields in order,
// integers big-endian, byte strings behind a uint32 length. The server builds
// the same bytes to verify.

const (
	enrollDomain  = "tutti/enroll/v1"
	checkInDomain = "tutti/checkin/v1"
	versionDomain = "tutti/version/v1"
)

// Protocol is the newest protocol version that this package speaks.
const Protocol = 1

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
