package client

import (
	"encoding/binary"
	"errors"
)

// The upload that waits for its receipt: domain, round, header, vector. It is
// masked already, and it is sent again byte for byte.
const pendingDomain = "tutti/client/pending/v1"

var errPending = errors.New("client: not a pending upload")

func encodePending(u Upload) []byte {
	b := make([]byte, 0, 4+len(pendingDomain)+8+4+len(u.Header)+len(u.Vector))
	b = appendField(b, pendingDomain)
	b = binary.BigEndian.AppendUint64(b, u.Round)
	b = appendField(b, string(u.Header))
	return append(b, u.Vector...)
}

func decodePending(task string, b []byte) (Upload, error) {
	head := 4 + len(pendingDomain)
	if len(b) < head+8+4 || string(b[:head]) != string(appendField(nil, pendingDomain)) {
		return Upload{}, errPending
	}
	u := Upload{Task: task, Round: binary.BigEndian.Uint64(b[head:])}
	length := binary.BigEndian.Uint32(b[head+8:])
	rest := b[head+12:]
	if uint64(length) > uint64(len(rest)) {
		return Upload{}, errPending
	}
	u.Header, u.Vector = rest[:length:length], rest[length:]
	return u, nil
}
