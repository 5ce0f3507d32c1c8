package committee

import (
	"net"
	"testing"
)

// serve answers on a free port.
func serve(t *testing.T, s *Server) (address string, done chan struct{}) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done = make(chan struct{})
	go func() {
		defer close(done)
		s.Serve(l)
	}()
	return l.Addr().String(), done
}
