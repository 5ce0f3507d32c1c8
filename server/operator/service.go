package operator

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"math"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"tutti/server/api"
)

// service answers operators' tools.
type service struct {
	api.UnimplementedOperatorServer
	source  Source
	control Control
	report  Reporter
}

// writing are the calls that change something.
var writing = map[string]bool{
	api.Operator_Pause_FullMethodName: true, api.Operator_Resume_FullMethodName: true, api.Operator_Stop_FullMethodName: true,
	api.Operator_CloseRound_FullMethodName: true, api.Operator_Abandon_FullMethodName: true,
	api.Operator_Rollback_FullMethodName: true, api.Operator_Rollout_FullMethodName: true,
}

// maxMessage bounds what is received: no request is large.
const maxMessage = 64 << 10

// newGRPC makes the gRPC server of a task's operators.
func newGRPC(s Services) *grpc.Server {
	out := grpc.NewServer(append([]grpc.ServerOption{
		grpc.MaxRecvMsgSize(maxMessage),
		grpc.UnaryInterceptor(func(ctx context.Context, req any, info *grpc.UnaryServerInfo, h grpc.UnaryHandler) (any, error) {
			if _, err := s.admit(ctx, info.FullMethod); err != nil {
				return nil, err
			}
			return h(ctx, req)
		}),
		grpc.StreamInterceptor(func(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, h grpc.StreamHandler) error {
			who, err := s.admit(stream.Context(), info.FullMethod)
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(stream.Context(), who.Expires.Sub(s.Auth.Clock()))
			defer cancel()
			if err = h(srv, bounded{stream, ctx}); errors.Is(ctx.Err(), context.DeadlineExceeded) && stream.Context().Err() == nil {
				return status.Error(codes.Unauthenticated, "the token has expired")
			}
			return err
		}),
	}, s.GRPC...)...)
	api.RegisterOperatorServer(out, &service{source: s.Source, control: s.Control, report: s.Report})
	return out
}

// bounded is a stream that ends with its token.
type bounded struct {
	grpc.ServerStream
	ctx context.Context
}

func (b bounded) Context() context.Context { return b.ctx }

// admit checks the token of a call.
func (s Services) admit(ctx context.Context, method string) (Who, error) {
	md, _ := metadata.FromIncomingContext(ctx)
	header := ""
	if all := md.Get("authorization"); len(all) > 0 {
		header = all[0]
	}
	who, err := s.Auth.bearer(header)
	switch {
	case err != nil:
		return who, status.Error(codes.Unauthenticated, err.Error())
	case writing[method] && !who.Write:
		return who, status.Error(codes.PermissionDenied, "this token may only look: tutti task token --write makes one that may change the task")
	case writing[method]:
		s.Log.Info("an operator asks", "who", who.Name, "method", method)
	}
	return who, nil
}

// failed is an error as the caller sees it.
func failed(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, ErrNoRound), errors.Is(err, ErrStopped), errors.Is(err, ErrBusy):
		return status.Error(codes.FailedPrecondition, err.Error())
	case errors.Is(err, ErrVersion):
		return status.Error(codes.NotFound, err.Error())
	case errors.Is(err, ErrShare):
		return status.Error(codes.InvalidArgument, err.Error())
	case errors.Is(err, ErrUnsupported):
		return status.Error(codes.Unimplemented, err.Error())
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return status.FromContextError(err).Err()
	}
	return status.Error(codes.Internal, err.Error())
}

func (s *service) Status(ctx context.Context, _ *api.StatusRequest) (*api.StatusResponse, error) {
	b, err := s.view(ctx)
	return &api.StatusResponse{View: b}, err
}

func (s *service) view(ctx context.Context) ([]byte, error) {
	v, err := s.source.View(ctx)
	if err != nil {
		return nil, failed(err)
	}
	b, err := json.Marshal(v)
	return b, failed(err)
}

const defaultPage, maxPage = 50, 200

// paged gives the JSON of those of xs that are below before, newest first.
func paged[T any](xs []T, number func(T) uint64, before uint64, limit uint32) (out [][]byte, err error) {
	if before == 0 {
		before = math.MaxUint64
	}
	if limit == 0 {
		limit = defaultPage
	}
	for _, x := range xs {
		if number(x) >= before || len(out) >= min(int(limit), maxPage) {
			continue
		}
		b, err := json.Marshal(x)
		if err != nil {
			return nil, err
		}
		out = append(out, b)
	}
	return out, nil
}

func (s *service) Rounds(ctx context.Context, r *api.RoundsRequest) (*api.RoundsResponse, error) {
	v, err := s.source.View(ctx)
	if err != nil {
		return nil, failed(err)
	}
	out, err := paged(v.Rounds, func(x Round) uint64 { return x.Number }, r.Before, r.Limit)
	return &api.RoundsResponse{Rounds: out}, failed(err)
}

func (s *service) Versions(ctx context.Context, r *api.VersionsRequest) (*api.VersionsResponse, error) {
	v, err := s.source.View(ctx)
	if err != nil {
		return nil, failed(err)
	}
	out, err := paged(v.Versions, func(x Version) uint64 { return x.Number }, r.Before, r.Limit)
	return &api.VersionsResponse{Versions: out}, failed(err)
}

// watchEvery spaces the statuses of a stream.
const watchEvery = time.Second

func (s *service) Watch(r *api.WatchRequest, stream grpc.ServerStreamingServer[api.WatchResponse]) error {
	ctx := stream.Context()
	changed := s.source.Changed(ctx)
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	after, shown := r.After, []byte(nil)
	for {
		hs, err := s.source.Happenings(ctx, after, maxPage)
		if err != nil {
			return failed(err)
		}
		for _, h := range hs {
			after = h.Seq
			b, err := json.Marshal(h)
			if err != nil {
				return failed(err)
			}
			if err := stream.Send(&api.WatchResponse{Happening: b}); err != nil {
				return err
			}
		}
		if len(hs) == maxPage {
			continue
		}
		if r.Views {
			b, err := s.view(ctx)
			if err != nil {
				return err
			}
			if !bytes.Equal(b, shown) {
				shown = b
				if err := stream.Send(&api.WatchResponse{View: b}); err != nil {
					return err
				}
			}
		}
		select { // at most once in a while, and then when there is something
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if !r.Views {
			select {
			case <-ctx.Done():
				return nil
			case <-changed:
			}
		}
	}
}

// piece bounds the pieces of a report.
const piece = 128 << 10

// pieces sends what is written to it.
type pieces struct {
	stream grpc.ServerStreamingServer[api.ReportResponse]
}

func (p pieces) Write(b []byte) (int, error) {
	n := len(b)
	for len(b) > 0 {
		k := min(len(b), piece)
		if err := p.stream.Send(&api.ReportResponse{Ledger: bytes.Clone(b[:k])}); err != nil {
			return 0, err
		}
		b = b[k:]
	}
	return n, nil
}

func (s *service) Report(_ *api.ReportRequest, stream grpc.ServerStreamingServer[api.ReportResponse]) error {
	note, err := s.report.Report(stream.Context(), pieces{stream})
	if err != nil {
		return failed(err)
	}
	return stream.Send(&api.ReportResponse{Checkpoint: note})
}

func (s *service) Pause(ctx context.Context, _ *api.PauseRequest) (*api.PauseResponse, error) {
	return &api.PauseResponse{}, failed(s.control.Pause(ctx))
}

func (s *service) Resume(ctx context.Context, _ *api.ResumeRequest) (*api.ResumeResponse, error) {
	return &api.ResumeResponse{}, failed(s.control.Resume(ctx))
}

func (s *service) Stop(ctx context.Context, _ *api.StopRequest) (*api.StopResponse, error) {
	return &api.StopResponse{}, failed(s.control.Stop(ctx))
}

func (s *service) CloseRound(ctx context.Context, r *api.CloseRoundRequest) (*api.CloseRoundResponse, error) {
	return &api.CloseRoundResponse{}, failed(s.control.CloseRound(ctx, r.Round))
}

func (s *service) Abandon(ctx context.Context, r *api.AbandonRequest) (*api.AbandonResponse, error) {
	return &api.AbandonResponse{}, failed(s.control.Abandon(ctx, r.Round))
}

// maxNote bounds why somebody did something, in bytes.
const maxNote = 1 << 10

const wrongNote = "a note is one line of at most 1024 bytes, without control characters"

// goodNote says whether a note may be shown as it is, on a page and in a terminal.
func goodNote(note string) bool {
	return len(note) <= maxNote && utf8.ValidString(note) && !strings.ContainsFunc(note, func(r rune) bool { return !unicode.IsPrint(r) })
}

func (s *service) Rollback(ctx context.Context, r *api.RollbackRequest) (*api.RollbackResponse, error) {
	if !goodNote(r.Note) {
		return nil, status.Error(codes.InvalidArgument, wrongNote)
	}
	n, err := s.control.Rollback(ctx, r.Version, r.Note)
	return &api.RollbackResponse{Version: n}, failed(err)
}

func (s *service) Rollout(ctx context.Context, r *api.RolloutRequest) (*api.RolloutResponse, error) {
	if !goodNote(r.Note) {
		return nil, status.Error(codes.InvalidArgument, wrongNote)
	}
	if r.Percent > 100 {
		return nil, status.Error(codes.InvalidArgument, ErrShare.Error())
	}
	return &api.RolloutResponse{}, failed(s.control.Rollout(ctx, r.Version, int(r.Percent), r.Note))
}
