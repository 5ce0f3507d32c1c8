package operator

import (
	"context"
	"net"
	"strings"
	"testing"
	"time"

	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"tutti/server/api"
)

// TestNoTraceWithoutCollector: nothing is traced unless the environment asks for it, and then a nil Tracer does all of it.
func TestNoTraceWithoutCollector(t *testing.T) {
	t.Setenv(TraceSetting, "")
	tr, err := NewTracer(t.Context(), "films", "a", "devel")
	if tr != nil || err != nil {
		t.Fatalf("%v, %v", tr, err)
	}
	tr.Hear(morning, 1, RoundMoved, Told{To: "created"})
	if tr.GRPC() != nil || tr.Close() != nil {
		t.Error("traces")
	}
}

// TestRoundSpans: a round is a span with its phases below it, of all groups, at the times that were told.
func TestRoundSpans(t *testing.T) {
	kept := tracetest.NewInMemoryExporter()
	tr := newTracer("films", sdk.WithSyncer(scrubber{kept}))
	at := func(s int) time.Time { return morning.Add(time.Duration(s) * time.Second) }
	tr.Hear(at(0), 3, RoundMoved, Told{To: "created"})
	tr.Hear(at(2), 3, RoundMoved, Told{From: "created", To: "collecting"})
	tr.Hear(at(3), 3, RoundProgress, Told{Staged: 2})
	tr.Hear(at(9), 3, RoundMoved, Told{From: "collecting", To: "abandoned"})
	tr.Hear(at(10), 3, RoundEnded, Told{Staged: 2, Reason: "too_few_uploads"})
	tr.Hear(at(20), 4, RoundMoved, Told{From: "collecting", To: "frozen"}) // taken over from another replica
	tr.Hear(at(30), 5, RoundMoved, Told{To: "created"})
	spans := kept.GetSpans()
	var names []string
	for _, s := range spans {
		names = append(names, s.Name)
	}
	if got := strings.Join(names, ", "); got != "phase created, phase collecting, round, round" {
		t.Fatalf("%s", got)
	}
	whole := spans[2]
	if !whole.StartTime.Equal(at(0)) || !whole.EndTime.Equal(at(10)) || !spans[1].StartTime.Equal(at(2)) || !spans[1].EndTime.Equal(at(9)) || spans[1].Parent.SpanID() != whole.SpanContext.SpanID() || whole.Parent.IsValid() {
		t.Errorf("%+v", spans)
	}
	said := map[string]string{}
	for _, a := range whole.Attributes {
		said[string(a.Key)] = a.Value.String()
	}
	if said["tutti.task"] != "films" || said["tutti.round"] != "3" || said["tutti.staged"] != "2" || said["tutti.reason"] != "too_few_uploads" {
		t.Errorf("%v", said)
	}
}

// talkative is a service that names its caller in its error.
type talkative struct{ api.UnimplementedDevicesServer }

func (talkative) CheckIn(context.Context, *api.CheckInRequest) (*api.CheckInResponse, error) {
	return nil, status.Error(codes.PermissionDenied, "device c0ffee is not drawn")
}

// TestSpansNameNoDevice: a device that puts its identity everywhere that it can (key, trace, metadata, the name of a method) and a
// server that repeats it leave nothing of it in any span, and neither does its address.
func TestSpansNameNoDevice(t *testing.T) {
	kept := tracetest.NewInMemoryExporter()
	tr := newTracer("films", sdk.WithSyncer(scrubber{kept}))
	server := grpc.NewServer(tr.GRPC()...)
	api.RegisterDevicesServer(server, talkative{})
	on, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go server.Serve(on)
	defer server.Stop()
	conn, err := grpc.NewClient(on.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithUserAgent("c0ffee"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	const theirs = "00c0ffee00c0ffee00c0ffee00c0ffee"
	ctx := metadata.AppendToOutgoingContext(t.Context(), "traceparent", "00-"+theirs+"-00c0ffee00c0ffee-01", "baggage", "device=c0ffee", "device", "c0ffee")
	_, err = api.NewDevicesClient(conn).CheckIn(ctx, &api.CheckInRequest{Task: "films", PublicKey: []byte("c0ffee")})
	if status.Code(err) != codes.PermissionDenied {
		t.Fatal(err)
	}
	if err := conn.Invoke(ctx, "/tutti.v1.Devices/c0ffee", &api.CheckInRequest{}, &api.CheckInResponse{}); status.Code(err) != codes.Unimplemented {
		t.Fatal(err)
	}
	conn.Close()
	server.GracefulStop() // every call has its span then
	spans := kept.GetSpans()
	if len(spans) == 0 {
		t.Fatal("no span")
	}
	for _, s := range spans {
		text := s.Name + " " + s.Status.Description + " " + s.SpanContext.TraceID().String()
		for _, a := range s.Attributes {
			text += " " + string(a.Key) + "=" + a.Value.String()
		}
		if strings.Contains(text, "c0ffee") || strings.Contains(text, "127.0.0.1") || len(s.Events) > 0 || len(s.Links) > 0 || s.Parent.IsValid() {
			t.Errorf("%s, %v, %v", text, s.Events, s.Parent)
		}
	}
	if spans[0].Name != "tutti.v1.Devices/CheckIn" || len(spans[0].Attributes) < 2 {
		t.Errorf("%s %v", spans[0].Name, spans[0].Attributes)
	}
}
