package grpc

import (
	"context"
	"errors"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"tutti/server/store"
)

// statusOf maps every error to a gRPC status; the message of one that is the server's own trouble stays in its log.
func (s *services) statusOf(what string, err error) error {
	if err == nil {
		return nil
	}
	if _, ok := status.FromError(err); ok {
		return err
	}
	for _, m := range []struct {
		err  error
		code codes.Code
	}{
		{ErrUnauthenticated, codes.Unauthenticated},
		{ErrClock, codes.Unauthenticated},
		{ErrDenied, codes.PermissionDenied},
		{ErrBad, codes.InvalidArgument},
		{ErrNone, codes.NotFound},
		{ErrBusy, codes.ResourceExhausted},
		{context.Canceled, codes.Canceled},
		{context.DeadlineExceeded, codes.DeadlineExceeded},
	} {
		if errors.Is(err, m.err) {
			return status.Error(m.code, err.Error())
		}
	}
	s.log.Error("request failed", "request", what, "error", err)
	if errors.Is(err, store.ErrFull) || errors.Is(err, store.ErrReadOnly) || errors.Is(err, store.ErrClosed) {
		return status.Error(codes.Unavailable, "the server cannot store anything now, try again later")
	}
	return status.Error(codes.Internal, "the server failed; its log says why")
}
