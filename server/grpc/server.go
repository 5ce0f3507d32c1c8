package grpc

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"time"

	"github.com/hashicorp/go-hclog"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"tutti/server/api"
)

// Limits bound what devices may ask of a server. Zero fields take the default in brackets.
type Limits struct {
	Uploads  int           // uploads under way at once [128]
	Header   int           // bytes of an upload's header [256 KiB]; the backend narrows it to what the round's committee makes of it
	Idle     time.Duration // silence after which an upload is given up [30 s]
	PerHost  float64       // requests a second of one network address, tokens of a burst of five seconds [500]
	PerIdent float64       // check-ins a second of one identity, burst of ten seconds [2]
}

// WithDefaults fills in what is zero.
func (l Limits) WithDefaults() Limits {
	if l.Uploads == 0 {
		l.Uploads = 128
	}
	if l.Header == 0 {
		l.Header = maxChunk
	}
	if l.Idle == 0 {
		l.Idle = 30 * time.Second
	}
	if l.PerHost == 0 {
		l.PerHost = 500
	}
	if l.PerIdent == 0 {
		l.PerIdent = 2
	}
	return l
}

// services is what the two services share.
type services struct {
	backend Backend
	limits  Limits
	log     hclog.Logger
	uploads chan struct{}
	hosts   *Limiter
}

// Server serves devices and readers of the log.
type Server struct {
	grpc   *grpc.Server
	health *health.Server
}

// NewServer makes the gRPC server. TLS 1.3 is required.
func NewServer(b Backend, settings *tls.Config, limits Limits, log hclog.Logger) (*Server, error) {
	if settings == nil || settings.MinVersion < tls.VersionTLS13 {
		return nil, errors.New("server: TLS 1.3 is required")
	}
	limits = limits.WithDefaults()
	shared := &services{backend: b, limits: limits, log: log, uploads: make(chan struct{}, limits.Uploads),
		hosts: NewLimiter(limits.PerHost, int(5*limits.PerHost)+1)}
	s := &Server{health: health.NewServer(), grpc: grpc.NewServer(
		grpc.Creds(credentials.NewTLS(settings)),
		grpc.MaxRecvMsgSize(max(maxChunk, limits.Header)+overhead),
		grpc.MaxConcurrentStreams(1024),
		grpc.MaxHeaderListSize(16<<10),
		grpc.ConnectionTimeout(20*time.Second),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: 30 * time.Second, Timeout: 10 * time.Second}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 20 * time.Second, PermitWithoutStream: true}),
		grpc.UnaryInterceptor(func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, h grpc.UnaryHandler) (any, error) {
			if err := shared.admit(ctx); err != nil {
				return nil, err
			}
			return h(ctx, req)
		}),
		grpc.StreamInterceptor(func(srv any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, h grpc.StreamHandler) error {
			if err := shared.admit(stream.Context()); err != nil {
				return err
			}
			return h(srv, stream)
		}),
	)}
	api.RegisterDevicesServer(s.grpc, devices{services: shared})
	api.RegisterLogServer(s.grpc, logService{services: shared})
	healthpb.RegisterHealthServer(s.grpc, s.health)
	return s, nil
}

// admit limits the requests of one network address, before anything is verified.
func (s *services) admit(ctx context.Context) error {
	p, ok := peer.FromContext(ctx)
	if !ok {
		return nil
	}
	host, _, err := net.SplitHostPort(p.Addr.String())
	if err != nil {
		host = p.Addr.String()
	}
	if !s.hosts.Allow(host, time.Now()) {
		return status.Error(codes.ResourceExhausted, "too many requests from this address")
	}
	return nil
}

// Serve answers until Stop or Drain.
func (s *Server) Serve(l net.Listener) error { return s.grpc.Serve(l) }

// Drain lets the requests under way end, for at most the given time, and stops answering.
func (s *Server) Drain(most time.Duration) {
	s.health.Shutdown()
	done := make(chan struct{})
	go func() {
		s.grpc.GracefulStop()
		close(done)
	}()
	timer := time.NewTimer(most)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
		s.grpc.Stop()
		<-done
	}
}

// Stop ends the requests under way.
func (s *Server) Stop() { s.grpc.Stop() }
