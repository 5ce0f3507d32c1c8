package grpc

import "time"

// Limits bound what devices may ask of a server. Zero fields take the default in brackets.
//
// What a server holds for devices at most, whatever they do: Conns connections (64 KiB of buffers each), Calls requests
// (each at most one message, of a chunk and a header, and 64 KiB of what is still to be read), of which one address has at
// most half, and Resting interrupted uploads (their header, and a slot on disk).
type Limits struct {
	Uploads  int           // uploads that are sent at once [128]
	Header   int           // bytes of an upload's header [256 KiB]; the backend narrows it to what the round's committee makes of it
	Idle     time.Duration // silence after which an upload or a download is given up [30 s]
	PerHost  float64       // requests a second of one network address (IPv6: of one /64), tokens of a burst of five seconds [500]
	PerIdent float64       // check-ins a second of one identity, burst of ten seconds [2]

	Calls   int           // requests under way at once [2048]
	Conns   int           // connections at once, of one address at most half [16384]
	Call    time.Duration // for a request that is one message [30 s]
	Slowest int           // bytes a second that an upload has to come at, over all of it [4096]
	Resting int           // interrupted uploads whose place is kept [256]
	Rest    time.Duration // for how long [1 min]
	Drain   time.Duration // that requests under way have to end when the server stops [5 s]
	Reflect bool          // offer gRPC reflection, for people with grpcurl
}

// WithDefaults fills in what is zero.
func (l Limits) WithDefaults() Limits {
	for _, d := range []struct {
		p *int
		v int
	}{{&l.Uploads, 128}, {&l.Header, maxChunk}, {&l.Calls, 2048}, {&l.Conns, 16384}, {&l.Slowest, 4096}, {&l.Resting, 256}} {
		if *d.p == 0 {
			*d.p = d.v
		}
	}
	for _, d := range []struct {
		p *time.Duration
		v time.Duration
	}{{&l.Idle, 30 * time.Second}, {&l.Call, 30 * time.Second}, {&l.Rest, time.Minute}, {&l.Drain, 5 * time.Second}} {
		if *d.p == 0 {
			*d.p = d.v
		}
	}
	if l.PerHost == 0 {
		l.PerHost = 500
	}
	if l.PerIdent == 0 {
		l.PerIdent = 2
	}
	return l
}

// message is the most bytes of one message: a header and a chunk.
func (l Limits) message() int { return maxChunk + l.Header + overhead }
