package grpc

import (
	"context"
	"errors"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/types/known/durationpb"

	"tutti/server/api"
	"tutti/server/store"
)

const (
	sentenceFull   = "the server cannot store anything now, try again later"
	sentenceFailed = "the server failed; its log says why"
	fullFor        = 5 * time.Minute  // how long a device is told to wait for a full disk
	awayFor        = 10 * time.Second // and for a database
)

// mapped is what a backend's errors are on the wire, the more special ones first.
var mapped = []struct {
	err    error
	code   codes.Code
	reason string
}{
	{ErrTokenUsed, codes.PermissionDenied, api.ReasonTokenUsed},
	{ErrToken, codes.PermissionDenied, api.ReasonToken},
	{ErrAttestation, codes.PermissionDenied, api.ReasonAttestation},
	{ErrCertificate, codes.PermissionDenied, api.ReasonCertificate},
	{ErrClock, codes.Unauthenticated, api.ReasonClock},
	{ErrUnauthenticated, codes.Unauthenticated, api.ReasonEnrolment},
	{ErrDenied, codes.PermissionDenied, api.ReasonEnrolment},
	{ErrTask, codes.NotFound, api.ReasonTask},
	{ErrNone, codes.NotFound, api.ReasonMissing},
	{ErrBad, codes.InvalidArgument, api.ReasonMalformed},
	{ErrBusy, codes.ResourceExhausted, api.ReasonBusy},
}

// statusOf maps every error to a gRPC status; the message of one that is the server's own trouble stays in its log.
func (s *services) statusOf(what string, err error) error {
	if err == nil {
		return nil
	}
	if _, ok := status.FromError(err); ok {
		return err
	}
	var later *TryLater
	if errors.As(err, &later) {
		return refusal(later.reason(), later.Error(), later.After)
	}
	for _, m := range mapped {
		if errors.Is(err, m.err) {
			after := time.Duration(0)
			if m.code == codes.ResourceExhausted {
				after = busyFor
			}
			return withReason(m.code, m.reason, err.Error(), after)
		}
	}
	switch {
	case errors.Is(err, context.Canceled):
		return status.Error(codes.Canceled, err.Error())
	case errors.Is(err, context.DeadlineExceeded):
		return status.Error(codes.DeadlineExceeded, err.Error())
	}
	if errors.Is(err, store.ErrClosed) {
		return withReason(codes.Unavailable, api.ReasonStopping, "the server is stopping", busyFor)
	}
	s.log.Error("request failed", "request", what, "error", err)
	if errors.Is(err, store.ErrUnavailable) {
		return withReason(codes.Unavailable, api.ReasonDatabase, "the server cannot reach its database now", awayFor)
	}
	if errors.Is(err, store.ErrFull) || errors.Is(err, store.ErrReadOnly) {
		return withReason(codes.Unavailable, api.ReasonFull, sentenceFull, fullFor)
	}
	return withReason(codes.Internal, api.ReasonFailed, sentenceFailed, 0)
}

// refusal says that there is too much to do, and when to try again.
func refusal(reason, message string, after time.Duration) error {
	return withReason(codes.ResourceExhausted, reason, message, max(after, time.Millisecond))
}

// withReason is a status with its reason, and where after is not 0 with when to try again.
func withReason(code codes.Code, reason, message string, after time.Duration) error {
	details := []protoadapt.MessageV1{protoadapt.MessageV1Of(&errdetails.ErrorInfo{Reason: reason, Domain: api.Domain})}
	if after > 0 {
		details = append(details, protoadapt.MessageV1Of(&errdetails.RetryInfo{RetryDelay: durationpb.New(after)}))
	}
	plain := status.New(code, message)
	if full, err := plain.WithDetails(details...); err == nil {
		return full.Err()
	}
	return plain.Err()
}

// retryOf is when a status says to try again; 0 if it does not.
func retryOf(err error) time.Duration {
	for _, d := range status.Convert(err).Details() {
		if i, ok := d.(*errdetails.RetryInfo); ok {
			return i.GetRetryDelay().AsDuration()
		}
	}
	return 0
}
