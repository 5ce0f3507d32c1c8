package transport

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"tutti/client"
)

// explain turns a gRPC error into a sentence that says what to do. gRPC hides
// why a connection failed in its status message, so this one file reads it.
func (t *Conn) explain(ctx context.Context, doing string, err error) error {
	s := status.Convert(err)
	if s.Code() == codes.Canceled && errors.Is(context.Cause(ctx), errSilent) {
		s = status.New(codes.DeadlineExceeded, errSilent.Error())
	}
	switch s.Code() {
	case codes.Canceled:
		return fmt.Errorf("%s: %w", doing, context.Canceled)
	case codes.DeadlineExceeded:
		return fmt.Errorf("%s: no answer from %s in time: %w", doing, t.address, errors.Join(client.ErrUnavailable, context.DeadlineExceeded))
	case codes.Unavailable:
		return fmt.Errorf("%s: %s: %w", doing, t.connectionTrouble(s.Message()), client.ErrUnavailable)
	case codes.ResourceExhausted:
		return fmt.Errorf("%s: the server is busy (%s): %w", doing, s.Message(), client.ErrUnavailable)
	case codes.Unimplemented:
		return fmt.Errorf("%s: %s does not offer the service of devices; is it a tutti server?", doing, t.address)
	case codes.PermissionDenied, codes.Unauthenticated:
		return fmt.Errorf("%s: the server refused: %s: %w", doing, s.Message(), client.ErrNotAllowed)
	case codes.NotFound:
		return fmt.Errorf("%s: the server has no such thing: %s: %w", doing, s.Message(), client.ErrNotFound)
	}
	return fmt.Errorf("%s: the server answered %s: %s", doing, s.Code(), s.Message())
}

// connectionTrouble says in words why there is no connection.
func (t *Conn) connectionTrouble(message string) string {
	for _, known := range []struct{ mark, sentence string }{
		{"certificate signed by unknown authority", "the certificate of %s is not signed by the authority that was given; check the CA file"},
		{"certificate has expired", "the certificate of %s has expired, or this machine's clock is wrong"},
		{"certificate is valid for", "the certificate of %s is for another name; check the address or the server name"},
		{"doesn't contain any IP SANs", "the certificate of %s is for a name, not for an address; give the server name"},
		{"first record does not look like a TLS handshake", "%s does not speak TLS"},
		{"tls:", "%s and this device do not agree on TLS"},
		{"connection refused", "nothing listens at %s; is the server running?"},
		{"name resolver error", "the name in %s is not known; check the address"},
		{"no such host", "the name in %s is not known; check the address"},
		{"network is unreachable", "there is no network on the way to %s"},
		{"connection reset", "%s broke the connection"},
		{"EOF", "%s broke the connection"},
	} {
		if strings.Contains(message, known.mark) {
			return fmt.Sprintf(known.sentence, t.address)
		}
	}
	return fmt.Sprintf("no connection to %s (%s)", t.address, message)
}
