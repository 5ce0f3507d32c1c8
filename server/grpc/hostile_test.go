package grpc

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"tutti/client"
	"tutti/server/api"
)

// loris opens an upload and sends a byte of it now and then, until ctx ends; it begins anew whenever it is thrown out.
func loris(ctx context.Context, d api.DevicesClient, seed byte) {
	header, vector := vectorOf(1<<20, seed)
	for ctx.Err() == nil {
		stream, err := d.Upload(ctx)
		if err == nil {
			err = stream.Send(&api.UploadRequest{Part: &api.UploadRequest_Header{Header: &api.UploadHeader{Task: "films", Round: 1, Header: header, VectorBytes: uint64(len(vector))}}})
		}
		for at := 0; err == nil && ctx.Err() == nil; at++ {
			err = stream.Send(&api.UploadRequest{Part: &api.UploadRequest_Chunk{Chunk: api.Chunk(uint64(at), vector[at:at+1])}})
			time.Sleep(20 * time.Millisecond)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// garbage sends noise: to the port, inside TLS, and in well-formed calls.
func garbage(ctx context.Context, s *site, d api.DevicesClient, settings *tls.Config) {
	noise := make([]byte, 64<<10)
	rand.Read(noise)
	for n := 0; ctx.Err() == nil; n++ {
		switch n % 4 {
		case 0:
			if c, err := net.DialTimeout("tcp", s.address, time.Second); err == nil {
				c.Write(noise)
				c.Close()
			}
		case 1:
			c := settings.Clone()
			c.NextProtos = []string{"h2"}
			if c, err := tls.Dial("tcp", s.address, c); err == nil {
				c.Write(noise)
				c.Close()
			}
		case 2:
			d.PutChunk(ctx, &api.PutChunkRequest{Header: &api.UploadHeader{Task: string(rune('a' + n%26)), Header: noise[:32], VectorBytes: 1 << 62},
				Chunk: &api.VectorChunk{Offset: uint64(n), Data: noise[:n%1000]}})
		case 3:
			d.CheckIn(ctx, &api.CheckInRequest{PublicKey: noise})
		}
	}
}

// TestHonestBesideHostile: slow senders and senders of noise do not keep honest devices from finishing, and what the server
// holds for all of them stays small.
func TestHonestBesideHostile(t *testing.T) {
	s := newSite(t, Limits{PerHost: 1e6, Uploads: 16, Idle: time.Second, Slowest: 1 << 20, Resting: 8, Rest: 200 * time.Millisecond})
	ctx, cancel := context.WithCancel(t.Context())
	var hostile sync.WaitGroup
	settings := s.tls()
	for i := range 12 {
		d := s.devices()
		hostile.Go(func() { loris(ctx, d, byte(100+i)) })
	}
	for range 4 {
		d := s.devices()
		hostile.Go(func() { garbage(ctx, s, d, settings) })
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	var honest sync.WaitGroup
	const devices = 24
	var staged atomic.Int32
	for i := range devices {
		c := s.dial(s.address)
		honest.Go(func() {
			header, vector := vectorOf(600_000, byte(i))
			for range 20 {
				r, err := c.Upload(ctx, client.Upload{Task: "films", Round: 1, Header: header, Vector: vector, Again: true})
				if err == nil && r.State == client.UploadStaged {
					staged.Add(1)
					return
				}
				wait := 20 * time.Millisecond
				if l := client.Later(nil); errors.As(err, &l) { // in a test nobody waits for minutes
					wait = min(l.RetryAfter(), 200*time.Millisecond)
				}
				time.Sleep(wait)
			}
		})
	}
	honest.Wait()
	runtime.GC()
	runtime.ReadMemStats(&after)
	if staged.Load() != devices {
		t.Errorf("%d of %d honest devices finished", staged.Load(), devices)
	}
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 128<<20 { // clients and their vectors included
		t.Errorf("the heap grew by %d MB", grown>>20)
	}
	cancel()
	hostile.Wait()
	eventually(t, "nothing is held any more", func() bool {
		_, under, _ := s.desk.count()
		g := s.server.gate
		g.mu.Lock()
		defer g.mu.Unlock()
		return under == 0 && g.calls == 0 && g.uploads == 0
	})
}

// TestDrainLosesNothing: a server that stops while uploads are under way has kept every one that it acknowledged, and
// devices on connections that were told to go find the next server.
func TestDrainLosesNothing(t *testing.T) {
	for range 3 {
		s := newSite(t, Limits{PerHost: 1e6})
		next := newSite(t, Limits{PerHost: 1e6})
		var all sync.WaitGroup
		acknowledged := make([]string, 40)
		conns := []client.Transport{s.dial(s.address), s.dial(s.address)}
		for i := range acknowledged {
			c := conns[i%2]
			all.Go(func() {
				header, vector := vectorOf(300_000, byte(i))
				if r, err := c.Upload(t.Context(), client.Upload{Task: "films", Round: 1, Header: header, Vector: vector}); err == nil && r.State == client.UploadStaged {
					acknowledged[i] = string(header)
				} else if r, err := next.dial(next.address).Upload(t.Context(), client.Upload{Task: "films", Round: 1, Header: header, Vector: vector, Again: true}); err != nil || r.State != client.UploadStaged {
					t.Errorf("at the next server: %+v, %v", r, err)
				}
			})
		}
		eventually(t, "some are staged", func() bool { _, _, staged := s.desk.count(); return staged > 3 })
		s.server.Drain(5 * time.Second)
		if err := <-s.served; err != nil {
			t.Errorf("serving: %v", err)
		}
		all.Wait()
		for i, header := range acknowledged {
			if header != "" && s.desk.staged[header] != 1 {
				t.Errorf("upload %d was acknowledged and is lost", i)
			}
		}
		if _, under, _ := s.desk.count(); under != 0 {
			t.Errorf("%d uploads are under way at a server that has stopped", under)
		}
	}
}

// TestDeadlines: a stalled request is ended by the server whatever the client does, at every stage of it.
func TestDeadlines(t *testing.T) {
	s := newSite(t, Limits{PerHost: 1e6, Call: 200 * time.Millisecond, Idle: 200 * time.Millisecond, Slowest: 1 << 30})
	d := s.devices()
	ended := func(what string, err error, want ...codes.Code) {
		t.Helper()
		for _, c := range want {
			if status.Code(err) == c {
				return
			}
		}
		t.Errorf("%s: %v", what, err)
	}
	s.desk.checkIn = func(CheckIn) (Answer, error) { time.Sleep(time.Second); return Answer{}, context.DeadlineExceeded }
	_, err := d.CheckIn(t.Context(), &api.CheckInRequest{})
	ended("a call whose handler takes too long", err, codes.DeadlineExceeded, codes.Canceled)

	conn := s.raw()
	desc := api.Devices_ServiceDesc.Streams[0]
	silent, err := conn.NewStream(t.Context(), &desc, api.Devices_CheckIn_FullMethodName) // a unary call that never sends its message
	if err != nil {
		t.Fatal(err)
	}
	ended("a call without a message", silent.RecvMsg(new(api.CheckInResponse)), codes.DeadlineExceeded, codes.Canceled, codes.Internal)

	up, err := d.Upload(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ended("an upload without a header", up.RecvMsg(new(api.UploadResponse)), codes.DeadlineExceeded)

	s.desk.blob = make([]byte, 8<<20)
	blob, err := d.GetBlob(t.Context(), &api.GetBlobRequest{Digest: make([]byte, 32)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := blob.Recv(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a download that nobody reads is over", func() bool {
		g := s.server.gate
		g.mu.Lock()
		defer g.mu.Unlock()
		return g.calls == 0
	})
	for err == nil {
		_, err = blob.Recv()
	}
	ended("a download that nobody reads", err, codes.DeadlineExceeded, codes.Canceled)

	header, vector := vectorOf(1<<20, 1)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	slow, err := d.Upload(ctx)
	if err != nil {
		t.Fatal(err)
	}
	slow.Send(&api.UploadRequest{Part: &api.UploadRequest_Header{Header: &api.UploadHeader{Task: "films", Header: header, VectorBytes: 1 << 20}}})
	go func() {
		for at := uint64(0); slow.Send(&api.UploadRequest{Part: &api.UploadRequest_Chunk{Chunk: api.Chunk(at, vector[at:at+1])}}) == nil; at++ {
			time.Sleep(20 * time.Millisecond) // never silent, ever too slow
		}
	}()
	err = slow.RecvMsg(new(api.UploadResponse))
	if status.Code(err) != codes.DeadlineExceeded || reason(err) != api.ReasonSlow {
		t.Errorf("an upload of one byte after the other: %v", err)
	}
}

// TestGateCounts: connections and requests have bounds, one address has half of each, what is refused says when to come
// again, and everything that came in has left in the end.
func TestGateCounts(t *testing.T) {
	s := newSite(t, Limits{PerHost: 1e6, Conns: 8, Calls: 8})
	block := make(chan struct{})
	s.desk.checkIn = func(CheckIn) (Answer, error) { <-block; return Answer{Wait: WaitNoRound}, nil }
	d := s.devices()
	var all sync.WaitGroup
	var refused, answered atomic.Int32
	for range 20 {
		all.Go(func() {
			_, err := d.CheckIn(t.Context(), &api.CheckInRequest{})
			switch {
			case err == nil:
				answered.Add(1)
			case reason(err) == api.ReasonBusy && retryOf(err) > 0:
				refused.Add(1)
			default:
				t.Error(err)
			}
		})
	}
	eventually(t, "the rest is refused", func() bool { return refused.Load() == 16 })
	close(block)
	all.Wait()
	if answered.Load() != 4 {
		t.Errorf("%d answered, half of 8 may be", answered.Load())
	}
	var conns []net.Conn
	open := 0
	for range 10 {
		c, err := net.Dial("tcp", s.address)
		if err != nil {
			t.Fatal(err)
		}
		conns = append(conns, c)
	}
	for _, c := range conns {
		c.SetReadDeadline(time.Now().Add(300 * time.Millisecond))
		var timeout net.Error
		if _, err := c.Read(make([]byte, 1)); errors.As(err, &timeout) && timeout.Timeout() { // left open, waiting for a handshake
			open++
		}
	}
	if open > 3 { // one is the device's
		t.Errorf("%d connections of one address are open", open+1)
	}
	for _, c := range conns {
		c.Close()
	}
	eventually(t, "all have left", func() bool {
		g := s.server.gate
		g.mu.Lock()
		defer g.mu.Unlock()
		return g.conns == 1 && g.calls == 0 && len(g.hosts) == 1
	})
	if _, err := d.CheckIn(t.Context(), &api.CheckInRequest{}); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

// TestRefusalsAreObeyed: what the server says to wait is what the SDK tells the device, and never less.
func TestRefusalsAreObeyed(t *testing.T) {
	s := newSite(t, Limits{PerHost: 0.1}) // one request, and one in ten seconds
	c := s.dial(s.address)
	var err error
	for range 3 {
		_, err = c.CheckIn(t.Context(), client.CheckInRequest{})
	}
	var l client.Later
	if !errors.As(err, &l) || !errors.Is(err, client.ErrUnavailable) || l.RetryAfter() < 5*time.Second || l.RetryAfter() > 16*time.Second {
		t.Errorf("%v", err)
	}
}

// TestRefusedForEver: who goes on asking where nothing is granted loses the connection.
func TestRefusedForEver(t *testing.T) {
	s := newSite(t, Limits{PerHost: 0.01})
	d := s.devices()
	for i := range 20 * mostRefusals {
		if _, err := d.CheckIn(t.Context(), &api.CheckInRequest{}); status.Code(err) == codes.Unavailable {
			if i < mostRefusals/2 {
				t.Errorf("after %d", i)
			}
			return
		}
	}
	t.Error("the connection lasts")
}

func TestPanicIsOneAnswer(t *testing.T) {
	s := newSite(t, Limits{PerHost: 1e6})
	s.desk.panics = true
	d := s.devices()
	if _, err := d.CheckIn(t.Context(), &api.CheckInRequest{}); status.Code(err) != codes.Internal || reason(err) != api.ReasonFailed {
		t.Errorf("%v", err)
	}
	s.desk.panics = false
	if _, err := d.CheckIn(t.Context(), &api.CheckInRequest{}); err != nil {
		t.Error(err)
	}
}

// FuzzPutChunk: whatever comes as a header and a chunk, the handler answers, holds nothing that it did not take, and what is
// staged is what its header names.
func FuzzPutChunk(f *testing.F) {
	header, vector := vectorOf(40, 1)
	f.Add("films", uint64(1), header, uint64(40), []byte(nil), uint64(0), vector, uint32(0), true)
	f.Add("films", uint64(1), header, uint64(40), digestOf(header), uint64(0), vector[:10], uint32(1), false)
	f.Fuzz(func(t *testing.T, task string, number uint64, header []byte, total uint64, digest []byte, offset uint64, data []byte, crc uint32, right bool) {
		desk := newDesk()
		limits := Limits{Rest: time.Hour}.WithDefaults()
		d := devices{services: &services{backend: desk, limits: limits, transfers: newTransfers(limits)}}
		c := &api.VectorChunk{Offset: offset, Data: data, Crc32C: crc}
		if right {
			c = api.Chunk(offset, data)
		}
		for range 2 {
			a, err := d.PutChunk(context.Background(), &api.PutChunkRequest{Header: &api.UploadHeader{Task: task, Round: number, Header: header, VectorBytes: total, Digest: digest}, Chunk: c})
			if err == nil && a.GetState() == 0 && a.GetOffset() > total {
				t.Fatal(fmt.Sprint(a))
			}
		}
		d.transfers.close()
		if _, under, _ := desk.count(); under != 0 {
			t.Fatalf("%d are held", under)
		}
	})
}
