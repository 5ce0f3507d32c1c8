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

// A round key on the wire: suite, length of the public key (big-endian), public key, commitment to the coin, signature.
func marshalKey(k aggregation.RoundKey) []byte {
	b := append([]byte{byte(k.Suite)}, binary.BigEndian.AppendUint16(nil, uint16(len(k.Public)))...)
	return append(append(append(b, k.Public...), k.Commit[:]...), k.Signature...)
}

// ParseKey reads a round key as OpenRound answers it.
func ParseKey(b []byte) (aggregation.RoundKey, error) {
	var k aggregation.RoundKey
	if len(b) < 3 || len(b) != 3+int(binary.BigEndian.Uint16(b[1:]))+len(k.Commit)+ed25519.SignatureSize {
		return k, fmt.Errorf("committee: a round key of %d bytes", len(b))
	}
	end := len(b) - ed25519.SignatureSize
	k.Suite, k.Public, k.Signature = aggregation.Suite(b[0]), bytes.Clone(b[3:end-len(k.Commit)]), bytes.Clone(b[end:])
	copy(k.Commit[:], b[end-len(k.Commit):])
	return k, nil
}

// Check words on the wire: 8 bytes each, big-endian.
func marshalWords(words []uint64) []byte {
	b := make([]byte, 0, 8*len(words))
	for _, w := range words {
		b = binary.BigEndian.AppendUint64(b, w)
	}
	return b
}

func parseWords(b []byte) ([]uint64, error) {
	if len(b)%8 != 0 {
		return nil, fmt.Errorf("committee: check words of %d bytes", len(b))
	}
	words := make([]uint64, len(b)/8)
	for i := range words {
		words[i] = binary.BigEndian.Uint64(b[8*i:])
	}
	return words, nil
}
