package aggregation

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
)

// DeviceID names a device: the first 16 bytes of SHA-256 of its Ed25519 public key.
type DeviceID [16]byte

// IDOf returns the name of the device that holds the key.
func IDOf(public ed25519.PublicKey) DeviceID {
	sum := sha256.Sum256(public)
	return DeviceID(sum[:16])
}

// String is the id in hexadecimal.
func (id DeviceID) String() string { return hex.EncodeToString(id[:]) }

// Compare orders ids bytewise.
func (id DeviceID) Compare(other DeviceID) int { return bytes.Compare(id[:], other[:]) }

// Enrol is the enroller's signature over (label, task, device key): its word that one device, not many, holds the key (rule 1).
func Enrol(enroller ed25519.PrivateKey, task string, device ed25519.PublicKey) []byte {
	return signDigest(enroller, labelEnrol, enrolDigest(task, device))
}

// VerifyEnrolment reports whether the enroller vouched for the device's key in the task.
func VerifyEnrolment(enroller ed25519.PublicKey, task string, device ed25519.PublicKey, enrolment []byte) bool {
	return verifyDigest(enroller, labelEnrol, enrolDigest(task, device), enrolment)
}

func enrolDigest(task string, device ed25519.PublicKey) Digest {
	w := newWriter(labelEnrol, 8+len(task)+len(device))
	w.bytes([]byte(task))
	w.bytes(device)
	return hash(labelEnrol, w.b)
}
