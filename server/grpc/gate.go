package grpc

import (
	"context"
	"net"
	"sync"
	"time"

	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/tap"

	"tutti/server/api"
)

// gate admits connections and requests before anything of them is read: by number, by address and by rate. The listener and
// the tap of gRPC, and the handler of the web, all pass through the one gate of a server.
type gate struct {
	limits Limits
	rates  *Limiter

	mu      sync.Mutex
	conns   int
	calls   int
	uploads int
	hosts   map[string]*host // of those that have a connection or a request
}

// host is what one address holds.
type host struct{ conns, calls int }

func newGate(l Limits) *gate {
	return &gate{limits: l, rates: NewLimiter(l.PerHost, int(5*l.PerHost)+1), hosts: map[string]*host{}}
}

// most of what one address may hold of n.
func most(n int) int { return max(1, n/2) }

func (g *gate) host(name string) *host {
	h := g.hosts[name]
	if h == nil {
		h = new(host)
		g.hosts[name] = h
	}
	return h
}

func (g *gate) settle(name string, h *host) {
	if h.conns == 0 && h.calls == 0 {
		delete(g.hosts, name)
	}
}

// enter admits a request, or says with a status why not; leave ends it.
func (g *gate) enter(name string, upload bool, now time.Time) (leave func(), err error) {
	if wait := g.rates.Wait(name, now); wait > 0 {
		return nil, refusal(api.ReasonRate, "too many requests from this address", wait)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	h := g.host(name)
	switch {
	case g.calls >= g.limits.Calls, h.calls >= most(g.limits.Calls):
		g.settle(name, h)
		return nil, refusal(api.ReasonBusy, "too many requests at once", busyFor)
	case upload && g.uploads >= g.limits.Uploads:
		g.settle(name, h)
		return nil, refusal(api.ReasonBusy, "too many uploads at once", busyFor)
	}
	g.calls++
	h.calls++
	if upload {
		g.uploads++
	}
	return sync.OnceFunc(func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.calls--
		h.calls--
		if upload {
			g.uploads--
		}
		g.settle(name, h)
	}), nil
}

// busyFor is how long a caller is told to wait where the server has too much to do.
const busyFor = 2 * time.Second

// isUpload says whether a method carries a vector.
func isUpload(method string) bool {
	return method == api.Devices_Upload_FullMethodName || method == api.Devices_PutChunk_FullMethodName
}

// tap admits a request of gRPC when its headers are in and none of its messages is.
func (g *gate) tap(ctx context.Context, info *tap.Info) (context.Context, error) {
	p, ok := peer.FromContext(ctx)
	if !ok {
		return ctx, nil
	}
	leave, err := g.enter(hostOf(p.Addr.String()), isUpload(info.FullMethodName), time.Now())
	from, known := p.Addr.(origin)
	if err != nil {
		if known {
			from.conn.refused()
		}
		return ctx, err
	}
	if known {
		from.conn.served()
	}
	context.AfterFunc(ctx, leave) // the stream's end
	return g.limits.watch(ctx, info.FullMethodName), nil
}

// listen makes a listener pass the gate: a connection too many is closed at once.
func (g *gate) listen(l net.Listener) net.Listener { return &guardedListener{Listener: l, gate: g} }

type guardedListener struct {
	net.Listener
	gate *gate
}

func (l *guardedListener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if guarded := l.gate.connect(c); guarded != nil {
			return guarded, nil
		}
		c.Close()
	}
}

func (g *gate) connect(c net.Conn) net.Conn {
	name := hostOf(c.RemoteAddr().String())
	g.mu.Lock()
	defer g.mu.Unlock()
	h := g.host(name)
	if g.conns >= g.limits.Conns || h.conns >= most(g.limits.Conns) {
		g.settle(name, h)
		return nil
	}
	g.conns++
	h.conns++
	return &guardedConn{Conn: c, left: sync.OnceFunc(func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.conns--
		h.conns--
		g.settle(name, h)
	})}
}

// guardedConn leaves the gate when it is closed. Whoever goes on asking where nothing is granted loses the connection:
// gRPC keeps some bytes for every request that the tap refuses until its connection ends.
type guardedConn struct {
	net.Conn
	left func()

	mu       sync.Mutex
	refusals int
}

const mostRefusals = 1000

func (c *guardedConn) Close() error {
	c.left()
	return c.Conn.Close()
}

// RemoteAddr leads from a request to its connection.
func (c *guardedConn) RemoteAddr() net.Addr { return origin{c.Conn.RemoteAddr(), c} }

type origin struct {
	net.Addr
	conn *guardedConn
}

func (c *guardedConn) refused() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.refusals++; c.refusals == mostRefusals {
		go c.Close() // not under the locks of the transport that asks
	}
}

func (c *guardedConn) served() {
	c.mu.Lock()
	c.refusals = max(0, c.refusals-1)
	c.mu.Unlock()
}
