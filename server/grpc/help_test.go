package grpc

import (
	"crypto/sha256"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/status"
)

func digestOf(b []byte) []byte {
	d := sha256.Sum256(b)
	return d[:]
}

// reason is what a status says why.
func reason(err error) string {
	for _, d := range status.Convert(err).Details() {
		if i, ok := d.(*errdetails.ErrorInfo); ok {
			return i.GetReason()
		}
	}
	return ""
}
