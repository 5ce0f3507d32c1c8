package grpc

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net"
	"net/http"
	"net/url"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"connectrpc.com/vanguard"
	"connectrpc.com/vanguard/vanguardgrpc"
	"github.com/rs/cors"
	"google.golang.org/grpc/status"
)

// Web says who may use the listener for browsers.
type Web struct {
	// Origins are the pages whose scripts may speak to the server, such as https://shop.example. None: no page of another
	// origin may.
	Origins []string
}

// Check says what is wrong with it.
func (w Web) Check() error {
	for _, o := range w.Origins {
		if u, err := url.Parse(o); err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.Path != "" || strings.Contains(o, "*") {
			return fmt.Errorf("server: %q is not the origin of a page, such as https://shop.example", o)
		}
	}
	return nil
}

// ServeWeb answers devices in browsers on l, over HTTP/1.1 and HTTP/2 with TLS, until Stop or Drain: Connect, gRPC-Web and
// JSON in the protocol of Connect, for the same services as Serve.
func (s *Server) ServeWeb(l net.Listener, w Web) error {
	h, err := s.webHandler(w)
	if err != nil {
		l.Close()
		return err
	}
	web := &http.Server{
		Handler: h, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 16 << 10,
		TLSConfig: speaking(s.settings, "h2", "http/1.1"),
		ErrorLog:  s.log.StandardLogger(nil),
		HTTP2:     &http.HTTP2Config{MaxConcurrentStreams: 128, MaxReadFrameSize: 64 << 10},
	}
	s.mu.Lock()
	if s.stopped {
		s.mu.Unlock()
		l.Close()
		return nil
	}
	s.webs = append(s.webs, web)
	s.mu.Unlock()
	if err := web.ServeTLS(s.gate.listen(l), "", ""); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// speaking is a server's TLS for these protocols, also where it is made anew for every client.
func speaking(c *tls.Config, protocols ...string) *tls.Config {
	c = c.Clone()
	c.NextProtos = protocols
	if anew := c.GetConfigForClient; anew != nil {
		c.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
			fresh, err := anew(hello)
			if fresh != nil {
				fresh = fresh.Clone()
				fresh.NextProtos = protocols
			}
			return fresh, err
		}
	}
	return c
}

// webHandler is what stands before the services on the web: recovery, origins, the gate, caps on bodies and time, and the
// translation of protocols.
func (s *Server) webHandler(w Web) (http.Handler, error) {
	if err := w.Check(); err != nil {
		return nil, err
	}
	translated, err := vanguardgrpc.NewTranscoder(s.web, vanguard.WithDefaultServiceOptions(
		vanguard.WithTargetProtocols(vanguard.ProtocolGRPC), vanguard.WithTargetCodecs(vanguard.CodecProto), vanguard.WithNoTargetCompression(),
		vanguard.WithMaxMessageBufferBytes(uint32(2*s.limits.message()))))
	if err != nil {
		return nil, fmt.Errorf("server: %w", err)
	}
	origins := cors.New(cors.Options{
		AllowOriginFunc: func(origin string) bool {
			for _, o := range w.Origins {
				if strings.EqualFold(o, origin) {
					return true
				}
			}
			return false
		},
		AllowedMethods: []string{http.MethodPost},
		AllowedHeaders: []string{"Content-Type", "Connect-Protocol-Version", "Connect-Timeout-Ms", "Grpc-Timeout", "X-Grpc-Web", "X-User-Agent"},
		ExposedHeaders: []string{"Grpc-Status", "Grpc-Message", "Grpc-Status-Details-Bin", "Retry-After"},
		MaxAge:         7200,
	})
	return s.recovering(origins.Handler(s.gated(translated))), nil
}

// recovering turns a panic into an answer to one request.
func (s *Server) recovering(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			p := recover()
			if p == nil || p == http.ErrAbortHandler {
				return
			}
			s.log.Error("panic", "request", r.URL.Path, "panic", p, "stack", string(debug.Stack()))
			answerJSON(w, http.StatusInternalServerError, "internal", sentenceFailed, 0)
		}()
		w.Header().Set("X-Content-Type-Options", "nosniff")
		h.ServeHTTP(w, r)
	})
}

// longestStream is how long a stream on the web may take at most.
const longestStream = 30 * time.Minute

// gated passes requests through the gate, and bounds their bodies and their time.
func (s *Server) gated(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		leave, err := s.gate.enter(hostOf(r.RemoteAddr), isUpload(r.URL.Path), time.Now())
		if err != nil {
			after := retryOf(err)
			answerJSON(w, http.StatusTooManyRequests, "resource_exhausted", status.Convert(err).Message(), after)
			return
		}
		defer leave()
		control, limit := http.NewResponseController(w), s.limits.Call
		if streams[r.URL.Path] {
			limit = longestStream // the handler watches its progress
		}
		ctx, cancel := context.WithTimeout(r.Context(), limit)
		defer cancel()
		// The body is bounded in a copy of the request: net/http must find its own body in r, to see that a part of it was not
		// read, and not to take that part for the next request.
		bounded := r.WithContext(ctx)
		if !streams[r.URL.Path] {
			bounded.Body = http.MaxBytesReader(w, r.Body, int64(2*s.limits.message())) // base64 in JSON takes a third more
		}
		// What is set here holds for this request alone; where a protocol cannot, its own timeouts remain.
		_ = control.SetReadDeadline(time.Now().Add(limit))
		_ = control.SetWriteDeadline(time.Now().Add(limit))
		h.ServeHTTP(w, bounded)
		_ = control.SetReadDeadline(time.Time{})
		_ = control.SetWriteDeadline(time.Time{})
	})
}

// answerJSON is an error as Connect says it.
func answerJSON(w http.ResponseWriter, code int, name, message string, after time.Duration) {
	w.Header().Set("Content-Type", "application/json")
	if after > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(after.Seconds()))))
	}
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(map[string]string{"code": name, "message": message})
}
