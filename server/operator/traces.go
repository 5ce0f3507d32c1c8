package operator

import (
	"context"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc"
	grpccodes "google.golang.org/grpc/codes"
	health "google.golang.org/grpc/health/grpc_health_v1"

	"tutti/server/api"
)

// TraceSetting is the environment variable without which nothing is traced: where an OpenTelemetry collector listens.
const TraceSetting = "OTEL_EXPORTER_OTLP_ENDPOINT"

// Tracer makes spans of rounds, of their phases, and of calls, for OpenTelemetry. A span says which task and round it is of, and
// which call; it never says which device: whatever attribute is not in a closed list is left out before a span leaves, with
// the addresses, events and links that libraries put into it, and no caller's own trace is joined.
type Tracer struct {
	provider *sdk.TracerProvider
	tracer   trace.Tracer
	task     string

	mu     sync.Mutex
	number uint64
	round  trace.Span
	inside context.Context
	phases map[int]phased // of the groups, since when
}

// NewTracer traces to the collector that the environment names (the variables of the OpenTelemetry specification apply); nil
// if it names none.
func NewTracer(ctx context.Context, task, replica, release string) (*Tracer, error) {
	if os.Getenv(TraceSetting) == "" {
		return nil, nil
	}
	out, err := otlptracegrpc.New(ctx)
	if err != nil {
		return nil, err
	}
	about := resource.NewSchemaless(attribute.String("service.name", "tutti-server"), attribute.String("service.version", release), attribute.String("service.instance.id", replica))
	return newTracer(task, sdk.WithBatcher(scrubber{out}), sdk.WithResource(about)), nil
}

func newTracer(task string, options ...sdk.TracerProviderOption) *Tracer {
	p := sdk.NewTracerProvider(options...)
	return &Tracer{provider: p, tracer: p.Tracer("tutti/server"), task: task}
}

// Close sends what is left.
func (t *Tracer) Close() error {
	if t == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	return t.provider.Shutdown(ctx)
}

// GRPC are what a gRPC server needs to trace its calls; none for a nil Tracer.
func (t *Tracer) GRPC() []grpc.ServerOption {
	if t == nil {
		return nil
	}
	return []grpc.ServerOption{grpc.StatsHandler(otelgrpc.NewServerHandler(otelgrpc.WithTracerProvider(t.provider), otelgrpc.WithMeterProvider(noop.NewMeterProvider()),
		otelgrpc.WithPropagators(propagation.NewCompositeTextMapPropagator())))}
}

// Hear makes spans of what is told, in order, by the replica that drives.
func (t *Tracer) Hear(at time.Time, number uint64, name string, told Told) {
	if t == nil || number == 0 {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	switch name {
	case RoundMoved:
		t.move(at, number, told)
	case RoundEnded:
		if t.round != nil && t.number == number {
			t.round.SetAttributes(attribute.Int("tutti.staged", told.Staged), attribute.Int("tutti.counted", told.Devices), attribute.Int("tutti.late", told.Late))
			if told.Reason != "" {
				t.round.SetAttributes(attribute.String("tutti.reason", told.Reason))
				t.round.SetStatus(codes.Error, "")
			}
			t.end(at)
		}
	}
}

func (t *Tracer) move(at time.Time, number uint64, told Told) {
	if t.round == nil || t.number != number { // it begins, or this replica took it over
		t.end(at)
		t.number, t.phases = number, map[int]phased{}
		t.inside, t.round = t.tracer.Start(context.Background(), "round", trace.WithTimestamp(at), trace.WithNewRoot(),
			trace.WithAttributes(attribute.String("tutti.task", t.task), attribute.Int64("tutti.round", int64(number))))
	}
	if was, found := t.phases[told.Group]; found {
		_, span := t.tracer.Start(t.inside, "phase "+was.name, trace.WithTimestamp(was.since),
			trace.WithAttributes(attribute.String("tutti.task", t.task), attribute.Int64("tutti.round", int64(number)), attribute.Int("tutti.group", told.Group), attribute.String("tutti.phase", was.name)))
		span.End(trace.WithTimestamp(at))
	}
	t.phases[told.Group] = phased{told.To, at}
}

// end ends the round's span, if one is open.
func (t *Tracer) end(at time.Time) {
	if t.round != nil {
		t.round.End(trace.WithTimestamp(at))
		t.round = nil
	}
}

// mayLeave are the attributes that a span may have: names of calls and codes, and our own, none of which is of a device.
var mayLeave = []string{"rpc.system", "rpc.system.name", "rpc.service", "rpc.method", "rpc.grpc.status_code", "rpc.response.status_code",
	"tutti.task", "tutti.round", "tutti.group", "tutti.phase", "tutti.staged", "tutti.counted", "tutti.late", "tutti.reason"}

// scrubber lets spans out with nothing but what may leave.
type scrubber struct{ sdk.SpanExporter }

// ExportSpans implements sdk.SpanExporter.
func (s scrubber) ExportSpans(ctx context.Context, spans []sdk.ReadOnlySpan) error {
	out := make([]sdk.ReadOnlySpan, len(spans))
	for i, span := range spans {
		out[i] = scrubbed{span}
	}
	return s.SpanExporter.ExportSpans(ctx, out)
}

// scrubbed is a span without what may not leave.
type scrubbed struct{ sdk.ReadOnlySpan }

func (s scrubbed) Attributes() []attribute.KeyValue {
	return slices.DeleteFunc(slices.Clone(s.ReadOnlySpan.Attributes()), func(a attribute.KeyValue) bool {
		return !slices.Contains(mayLeave, string(a.Key)) || strings.HasPrefix(string(a.Key), "rpc.") && a.Value.Type() == attribute.STRING && !ours[a.Value.AsString()]
	})
}

func (s scrubbed) Events() []sdk.Event { return nil }

func (s scrubbed) Links() []sdk.Link { return nil }

// Status keeps the code: descriptions are what the server told a device.
func (s scrubbed) Status() sdk.Status { return sdk.Status{Code: s.ReadOnlySpan.Status().Code} }

// Name is that of a method that we serve, or of a round: whoever calls a method that does not exist could name it as it likes.
func (s scrubbed) Name() string {
	name := s.ReadOnlySpan.Name()
	if name == "round" || strings.HasPrefix(name, "phase ") || ours[name] {
		return name
	}
	return "call"
}

// ours are the values that the attributes of a call may have: systems, codes, and the services and methods that we serve. A
// caller can ask for any other, in words of its own.
var ours = func() map[string]bool {
	all := map[string]bool{"grpc": true}
	for c := grpccodes.OK; c <= grpccodes.Unauthenticated; c++ {
		all[c.String()] = true
	}
	for _, s := range []grpc.ServiceDesc{api.Devices_ServiceDesc, api.Log_ServiceDesc, api.Operator_ServiceDesc, health.Health_ServiceDesc} {
		all[s.ServiceName] = true
		for _, m := range s.Methods {
			all[m.MethodName], all[s.ServiceName+"/"+m.MethodName] = true, true
		}
		for _, m := range s.Streams {
			all[m.StreamName], all[s.ServiceName+"/"+m.StreamName] = true, true
		}
	}
	return all
}()
