package grpc

import (
	"context"
	"errors"
	"runtime/debug"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"tutti/server/api"
)

var errSlow = errors.New("the time for this request is over")

type watchKey struct{}

// watched is the deadline of one request, which progress moves.
type watched struct {
	timer *time.Timer
	idle  time.Duration
}

// watch gives a request its deadline, from before its first message is read: a request that is one message has a time in
// all, a stream has a time for every step.
func (l Limits) watch(ctx context.Context, method string) context.Context {
	w := &watched{idle: l.Call}
	if method == api.Devices_Upload_FullMethodName {
		w.idle = 2 * l.Idle // the handler's own word on silence comes first, and says more
	} else if streams[method] {
		w.idle = l.Idle
	}
	ctx, cancel := context.WithCancelCause(ctx)
	w.timer = time.AfterFunc(w.idle, func() { cancel(errSlow) })
	context.AfterFunc(ctx, func() {
		w.timer.Stop()
		cancel(nil)
	})
	return context.WithValue(ctx, watchKey{}, w)
}

// streams are the methods whose deadline moves with their progress.
var streams = func() map[string]bool {
	out := map[string]bool{"/grpc.health.v1.Health/Watch": true}
	for _, d := range []grpc.ServiceDesc{api.Devices_ServiceDesc, api.Log_ServiceDesc} {
		for _, s := range d.Streams {
			out["/"+d.ServiceName+"/"+s.StreamName] = true
		}
	}
	return out
}()

// progress moves the deadline of a stream.
func progress(ctx context.Context) {
	if w, ok := ctx.Value(watchKey{}).(*watched); ok {
		w.timer.Reset(w.idle)
	}
}

// ended says that a failed request failed because its time was over.
func ended(ctx context.Context, err error) error {
	if err != nil && errors.Is(context.Cause(ctx), errSlow) && !isReasoned(err) {
		return withReason(codes.DeadlineExceeded, api.ReasonSlow, errSlow.Error(), 0)
	}
	return err
}

// moving is a stream whose every message is progress.
type moving struct {
	grpc.ServerStream
	ctx context.Context
}

func (s moving) Context() context.Context { return s.ctx }

func (s moving) SendMsg(m any) error {
	err := s.ServerStream.SendMsg(m)
	progress(s.ctx)
	return err
}

func (s moving) RecvMsg(m any) error {
	err := s.ServerStream.RecvMsg(m)
	progress(s.ctx)
	return err
}

// unary and stream are the interceptors: a deadline where the tap has set none (requests from the web), and a panic is an
// answer to one request, not the end of all.
func (s *services) unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, h grpc.UnaryHandler) (answer any, err error) {
	ctx, stop := s.deadline(ctx, info.FullMethod)
	defer stop()
	defer s.recovered(info.FullMethod, &err)
	answer, err = h(ctx, req)
	return answer, ended(ctx, err)
}

func (s *services) stream(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, h grpc.StreamHandler) (err error) {
	ctx, stop := s.deadline(stream.Context(), info.FullMethod)
	defer stop()
	defer s.recovered(info.FullMethod, &err)
	return ended(ctx, h(srv, moving{stream, ctx}))
}

func (s *services) deadline(ctx context.Context, method string) (context.Context, func()) {
	if _, has := ctx.Value(watchKey{}).(*watched); has {
		return ctx, func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	return s.limits.watch(ctx, method), cancel
}

func (s *services) recovered(method string, err *error) {
	if p := recover(); p != nil {
		s.log.Error("panic", "request", method, "panic", p, "stack", string(debug.Stack()))
		*err = withReason(codes.Internal, api.ReasonFailed, sentenceFailed, 0)
	}
}

func isReasoned(err error) bool {
	s, ok := status.FromError(err)
	return ok && len(s.Details()) > 0
}
