package committee

import (
	"bytes"
	"crypto/ed25519"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"

	"tutti/aggregation"
	"tutti/server/api"
)

// maxMessage bounds a request: a certificate over the largest set.
const maxMessage = aggregation.MaxSetLen + 1<<20

// Server serves a node over gRPC.
type Server struct{ grpc *grpc.Server }

// NewServer makes the gRPC server of a node. settings come from keys.MutualTLS or from the node's own authority; TLS
// 1.3 is required.
func NewServer(n *Node, settings *tls.Config) (*Server, error) {
	if settings == nil || settings.MinVersion < tls.VersionTLS13 {
		return nil, errors.New("committee: TLS 1.3 is required")
	}
	s := grpc.NewServer(
		grpc.Creds(credentials.NewTLS(settings)),
		grpc.MaxRecvMsgSize(maxMessage),
		grpc.MaxSendMsgSize(1<<20),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: 30 * time.Second, Timeout: 10 * time.Second}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 10 * time.Second, PermitWithoutStream: true}),
	)
	api.RegisterCommitteeServer(s, service{n: n})
	healthpb.RegisterHealthServer(s, health.NewServer())
	return &Server{grpc: s}, nil
}

// Serve answers until Stop.
func (s *Server) Serve(l net.Listener) error { return s.grpc.Serve(l) }

// Stop ends the requests under way and stops answering.
func (s *Server) Stop() { s.grpc.Stop() }

// A round key on the wire: suite, length of the public key (big-endian), public key, signature.
func marshalKey(k aggregation.RoundKey) []byte {
	b := append([]byte{byte(k.Suite)}, binary.BigEndian.AppendUint16(nil, uint16(len(k.Public)))...)
	return append(append(b, k.Public...), k.Signature...)
}

func parseKey(b []byte) (aggregation.RoundKey, error) {
	if len(b) < 3 || len(b) != 3+int(binary.BigEndian.Uint16(b[1:]))+ed25519.SignatureSize {
		return aggregation.RoundKey{}, fmt.Errorf("committee: a round key of %d bytes", len(b))
	}
	end := len(b) - ed25519.SignatureSize
	return aggregation.RoundKey{Suite: aggregation.Suite(b[0]), Public: bytes.Clone(b[3:end]), Signature: bytes.Clone(b[end:])}, nil
}

// ParseKey reads a round key as OpenRound answers it.
func ParseKey(b []byte) (aggregation.RoundKey, error) { return parseKey(b) }
