package operator

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
)

// Services are what the operator's listener serves.
type Services struct {
	Source  Source
	Control Control
	Report  Reporter
	Auth    Auth
	Pages   http.Handler        // the dashboard, which asks for tokens itself; nil: none
	GRPC    []grpc.ServerOption // more of them: for traces
	Log     hclog.Logger
}

// Listener answers operators: gRPC, /metrics, and the dashboard, on one port.
type Listener struct {
	http *http.Server
	grpc *grpc.Server
	log  hclog.Logger
	stop context.CancelFunc
}

// bodyPatience is how long a request's body may take: every one is small, and nobody keeps a connection by not sending it.
var bodyPatience = 10 * time.Second

// NewListener makes a listener. settings is nil for plain HTTP, which only a loopback address may have: tokens travel on it.
func NewListener(s Services, settings *tls.Config) (*Listener, error) {
	if s.Log == nil {
		s.Log = hclog.NewNullLogger()
	}
	metrics, err := metricsHandler(s.Source, s.Log)
	if err != nil {
		return nil, err
	}
	l := &Listener{grpc: newGRPC(s), log: s.Log}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", s.Auth.Guard(metrics))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("ok\n")) })
	if s.Pages != nil {
		mux.Handle("/", s.Pages)
	}
	ctx, stop := context.WithCancel(context.Background())
	l.stop = stop
	l.http = &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.ProtoMajor == 2 && strings.HasPrefix(r.Header.Get("Content-Type"), "application/grpc") {
				if _, err := s.Auth.bearer(r.Header.Get("Authorization")); err != nil {
					refuse(w, err)
					return
				}
				l.grpc.ServeHTTP(w, r)
				return
			}
			if r.ContentLength != 0 {
				_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyPatience))
			}
			mux.ServeHTTP(w, r)
		}),
		TLSConfig: settings, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 16 << 10,
		BaseContext: func(net.Listener) context.Context { return ctx },
		ErrorLog:    s.Log.StandardLogger(&hclog.StandardLoggerOptions{InferLevels: true}),
	}
	l.http.Protocols = new(http.Protocols)
	l.http.Protocols.SetHTTP1(true)
	l.http.Protocols.SetHTTP2(settings != nil)
	l.http.Protocols.SetUnencryptedHTTP2(settings == nil)
	return l, nil
}

// refuse answers a call that brings no token, before its message is read: a stranger keeps nothing open.
func refuse(w http.ResponseWriter, err error) {
	w.Header().Set("Content-Type", "application/grpc")
	w.Header().Set("Grpc-Status", strconv.Itoa(int(codes.Unauthenticated)))
	w.Header().Set("Grpc-Message", url.PathEscape(err.Error()))
}

// Serve answers until Close. Another end is told in the log too.
func (l *Listener) Serve(on net.Listener) error {
	var err error
	if l.http.TLSConfig != nil {
		err = l.http.ServeTLS(on, "", "")
	} else {
		err = l.http.Serve(on)
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	l.log.Error("the operator is not answered any more", "address", on.Addr().String(), "error", err)
	return err
}

// Close ends the streams, lets the other requests under way end, for at most a second, and stops answering.
func (l *Listener) Close() error {
	l.stop()
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	err := l.http.Shutdown(ctx)
	if err != nil {
		err = l.http.Close()
	}
	l.grpc.Stop()
	return err
}

// Loopback says whether an address to listen on is reachable from this machine alone.
func Loopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}
