package grpc

import (
	"context"

	"google.golang.org/grpc"

	"tutti/server/api"
)

type logService struct {
	api.UnimplementedLogServer
	*services
}

func (l logService) Checkpoint(ctx context.Context, _ *api.CheckpointRequest) (*api.CheckpointResponse, error) {
	note, err := l.backend.Checkpoint(ctx)
	if err != nil {
		return nil, l.statusOf("checkpoint", err)
	}
	return &api.CheckpointResponse{Checkpoint: note}, nil
}

func (l logService) Consistency(ctx context.Context, r *api.ConsistencyRequest) (*api.ConsistencyResponse, error) {
	proof, err := l.backend.Consistency(ctx, r.GetFrom(), r.GetTo())
	if err != nil {
		return nil, l.statusOf("consistency", err)
	}
	return &api.ConsistencyResponse{Proof: proof}, nil
}

func (l logService) Entries(r *api.EntriesRequest, stream grpc.ServerStreamingServer[api.EntriesResponse]) error {
	err := l.backend.Records(stream.Context(), r.GetFrom(), func(seq uint64, record []byte) error {
		return stream.Send(&api.EntriesResponse{Seq: seq, Record: record})
	})
	return l.statusOf("entries", err)
}
