package grpc

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/reflection"

	"tutti/server/api"
)

// services is what the services share.
type services struct {
	backend   Backend
	limits    Limits
	log       hclog.Logger
	gate      *gate
	transfers *transfers
}

// Server serves devices and readers of the log: over gRPC (Serve), and for browsers over HTTP (ServeWeb).
type Server struct {
	*services
	grpc     *grpc.Server
	web      *grpc.Server // the same services behind HTTP: stopping ends its requests where HTTP has let them end first
	health   *health.Server
	settings *tls.Config

	mu      sync.Mutex
	webs    []*http.Server
	stopped bool
}

// connectionAge is after how long a connection is asked to end and come again, so that replicas share the devices, and
// connectionGrace what its requests have then.
const connectionAge, connectionGrace = 30 * time.Minute, 5 * time.Minute

// NewServer makes the gRPC server. TLS 1.3 is required.
func NewServer(b Backend, settings *tls.Config, limits Limits, log hclog.Logger, more ...grpc.ServerOption) (*Server, error) {
	if settings == nil || settings.MinVersion < tls.VersionTLS13 {
		return nil, errors.New("server: TLS 1.3 is required")
	}
	limits = limits.WithDefaults()
	shared := &services{backend: b, limits: limits, log: log, gate: newGate(limits), transfers: newTransfers(limits)}
	common := append([]grpc.ServerOption{grpc.MaxRecvMsgSize(limits.message()), grpc.WaitForHandlers(true),
		grpc.UnaryInterceptor(shared.unary), grpc.StreamInterceptor(shared.stream)}, more...)
	common = common[:len(common):len(common)]
	s := &Server{services: shared, settings: settings, health: health.NewServer(), web: grpc.NewServer(common...), grpc: grpc.NewServer(append(common,
		grpc.Creds(credentials.NewTLS(settings)),
		grpc.MaxConcurrentStreams(256),
		grpc.MaxHeaderListSize(16<<10),
		grpc.ConnectionTimeout(20*time.Second),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: 30 * time.Second, Timeout: 10 * time.Second,
			MaxConnectionIdle: 15 * time.Minute, MaxConnectionAge: connectionAge, MaxConnectionAgeGrace: connectionGrace}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 20 * time.Second, PermitWithoutStream: true}),
		grpc.InTapHandle(shared.gate.tap))...)}
	for _, g := range []*grpc.Server{s.grpc, s.web} {
		api.RegisterDevicesServer(g, devices{services: shared})
		api.RegisterLogServer(g, logService{services: shared})
		healthpb.RegisterHealthServer(g, s.health)
		if limits.Reflect {
			reflection.Register(g)
		}
	}
	return s, nil
}

// Serve answers until Stop or Drain.
func (s *Server) Serve(l net.Listener) error { return s.grpc.Serve(s.gate.listen(l)) }

// Drain stops answering: new connections and requests are refused at once (connections are told to go away), those under
// way have the given time to end. Interrupted uploads lose their place.
func (s *Server) Drain(most time.Duration) {
	s.health.Shutdown()
	ctx, cancel := context.WithTimeout(context.Background(), most)
	defer cancel()
	var all sync.WaitGroup
	for _, web := range s.stopWebs() {
		all.Go(func() {
			if web.Shutdown(ctx) != nil {
				web.Close()
			}
		})
	}
	all.Go(func() {
		done := make(chan struct{})
		go func() {
			s.grpc.GracefulStop()
			close(done)
		}()
		select {
		case <-done:
		case <-ctx.Done():
			s.grpc.Stop()
			<-done
		}
	})
	all.Wait()
	s.web.Stop()
	s.transfers.close()
}

// Stop ends the requests under way.
func (s *Server) Stop() {
	for _, web := range s.stopWebs() {
		web.Close()
	}
	s.grpc.Stop()
	s.web.Stop()
	s.transfers.close()
}

func (s *Server) stopWebs() []*http.Server {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopped = true
	return s.webs
}
