package grpc

import (
	"context"
	mathrand "math/rand/v2"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"tutti/client"
	"tutti/client/transport"
	"tutti/server/api"
)

// TestUploadsSurviveCuts cuts the connection of an upload at random places: it arrives whole, and is not sent again from
// its beginning but from the last chunk that came whole.
func TestUploadsSurviveCuts(t *testing.T) {
	s := newSite(t, Limits{PerHost: 1e6})
	const size = 9*transport.ChunkBytes + 1234
	const cuts = 4          // as many as the client takes without a word of the server in between
	const around = 96 << 10 // of a connection: handshake, the header twice, frames
	for seed := range 5 {
		r := mathrand.New(mathrand.NewPCG(7, uint64(seed)))
		var places []int64
		for range cuts {
			places = append(places, 1+r.Int64N(3*transport.ChunkBytes))
		}
		p := newProxy(t, s.address, places...)
		header, vector := vectorOf(size, byte(seed))
		c := s.dial(p.address)
		got, err := c.Upload(t.Context(), client.Upload{Task: "films", Round: 1, Header: header, Vector: vector})
		if err != nil || got.State != client.UploadStaged {
			t.Fatalf("seed %d: %+v, %v", seed, got, err)
		}
		c.Close()
		eventually(t, "the proxy has counted", func() bool { n, _ := p.total(); return n >= size })
		sent, made := p.total()
		if most := int64(size + cuts*transport.ChunkBytes + made*around); sent > most {
			t.Errorf("seed %d: %d bytes over %d connections for a vector of %d, at most %d", seed, sent, made, size, most)
		}
		t.Logf("seed %d: vector %d, cut %d times, sent %d (%+.1f %%)", seed, size, made-1, sent, 100*float64(sent-size)/size)
	}
	if begun, under, staged := s.desk.count(); begun != 5 || under != 0 || staged != 5 {
		t.Errorf("%d begun, %d under way, %d staged: an interrupted upload began anew", begun, under, staged)
	}
}

func (s *site) put(d api.DevicesClient, h *api.UploadHeader, c *api.VectorChunk) (*api.PutChunkResponse, error) {
	s.t.Helper()
	return d.PutChunk(s.t.Context(), &api.PutChunkRequest{Header: h, Chunk: c})
}

// TestChunkByChunk sends an upload in single calls, with every call repeated, a damaged chunk, chunks out of order, and the
// digest of the header in its place.
func TestChunkByChunk(t *testing.T) {
	s := newSite(t, Limits{PerHost: 1e6})
	d := s.devices()
	header, vector := vectorOf(3*maxChunk+10, 1)
	h := &api.UploadHeader{Task: "films", Round: 1, Header: header, VectorBytes: uint64(len(vector))}
	short := &api.UploadHeader{Task: "films", Round: 1, VectorBytes: uint64(len(vector)), Digest: digestOf(header)}
	if _, err := s.put(d, short, nil); reason(err) != api.ReasonUnknown {
		t.Errorf("the digest of an upload that has not begun: %v", err)
	}
	if a, err := s.put(d, h, nil); err != nil || a.GetOffset() != 0 || a.GetState() != 0 {
		t.Fatalf("at the beginning: %v, %v", a, err)
	}
	for at := 0; at < len(vector); at += maxChunk {
		piece := vector[at:min(at+maxChunk, len(vector))]
		damaged := api.Chunk(uint64(at), piece)
		damaged.Crc32C ^= 1
		if _, err := s.put(d, short, damaged); status.Code(err) != codes.DataLoss || reason(err) != api.ReasonChecksum {
			t.Errorf("a damaged chunk: %v", err)
		}
		if a, err := s.put(d, short, api.Chunk(uint64(at)+1, piece[1:])); err != nil || a.GetOffset() != uint64(at) {
			t.Errorf("a chunk that is not the next one: %v, %v", a, err)
		}
		last := at+maxChunk >= len(vector)
		for again := range 2 {
			if last && again > 0 {
				short = h // what is staged is known by its header
			}
			a, err := s.put(d, short, api.Chunk(uint64(at), piece))
			if err != nil || a.GetOffset() != uint64(at+len(piece)) || (a.GetState() == api.UploadState_UPLOAD_STATE_STAGED) != last {
				t.Errorf("chunk at %d: %v, %v", at, a, err)
			}
		}
	}
	if begun, under, staged := s.desk.count(); begun != 1 || under != 0 || staged != 1 || s.desk.staged[string(header)] != 1 {
		t.Errorf("%d begun, %d under way, %d staged", begun, under, staged)
	}
}

// TestDamagedChunkOfAStream is rejected by itself: the device goes on from there.
func TestDamagedChunkOfAStream(t *testing.T) {
	s := newSite(t, Limits{PerHost: 1e6})
	d := s.devices()
	header, vector := vectorOf(2*maxChunk, 2)
	stream, err := d.Upload(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	h := &api.UploadHeader{Task: "films", Round: 1, Header: header, VectorBytes: uint64(len(vector))}
	bad := api.Chunk(maxChunk, vector[maxChunk:])
	bad.Data = append([]byte{bad.Data[0] ^ 1}, bad.Data[1:]...)
	for _, m := range []*api.UploadRequest{{Part: &api.UploadRequest_Header{Header: h}}, {Part: &api.UploadRequest_Chunk{Chunk: api.Chunk(0, vector[:maxChunk])}},
		{Part: &api.UploadRequest_Chunk{Chunk: bad}}} {
		if err := stream.Send(m); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := stream.CloseAndRecv(); status.Code(err) != codes.DataLoss || reason(err) != api.ReasonChecksum {
		t.Fatalf("a damaged chunk: %v", err)
	}
	if a, err := s.put(d, h, nil); err != nil || a.GetOffset() != maxChunk {
		t.Fatalf("afterwards: %v, %v", a, err)
	}
	if got, err := s.dial(s.address).Upload(t.Context(), client.Upload{Task: "films", Round: 1, Header: header, Vector: vector, Again: true}); err != nil || got.State != client.UploadStaged {
		t.Fatalf("%+v, %v", got, err)
	}
	if begun, _, _ := s.desk.count(); begun != 1 {
		t.Errorf("begun %d times", begun)
	}
}

// TestRestIsBounded: of many interrupted uploads the newest keep their place, none for longer than it may, and an upload
// that lost its place begins anew.
func TestRestIsBounded(t *testing.T) {
	s := newSite(t, Limits{PerHost: 1e6, Resting: 3, Rest: 300 * time.Millisecond})
	d := s.devices()
	headers := make([]*api.UploadHeader, 6)
	for i := range headers {
		header, vector := vectorOf(1000, byte(i))
		headers[i] = &api.UploadHeader{Task: "films", Round: 1, Header: header, VectorBytes: 1000}
		if a, err := s.put(d, headers[i], api.Chunk(0, vector[:400])); err != nil || a.GetOffset() != 400 {
			t.Fatalf("%v, %v", a, err)
		}
	}
	if n := s.server.Resting(); n != 3 {
		t.Errorf("%d rest", n)
	}
	if _, under, _ := s.desk.count(); under != 3 {
		t.Errorf("%d under way", under)
	}
	if a, err := s.put(d, headers[0], nil); err != nil || a.GetOffset() != 0 {
		t.Errorf("one that was displaced stands at %v, %v", a, err)
	}
	if a, err := s.put(d, headers[5], nil); err != nil || a.GetOffset() != 400 {
		t.Errorf("the newest stands at %v, %v", a, err)
	}
	eventually(t, "all places are free again", func() bool { _, under, _ := s.desk.count(); return under == 0 && s.server.Resting() == 0 })
	if a, err := s.put(d, headers[5], nil); err != nil || a.GetOffset() != 0 {
		t.Errorf("afterwards it stands at %v, %v", a, err)
	}
}

// TestAskingTakesOver: a device whose old connection is still open on the server's side goes on over a new one.
func TestAskingTakesOver(t *testing.T) {
	s := newSite(t, Limits{PerHost: 1e6})
	d := s.devices()
	header, vector := vectorOf(2*maxChunk, 3)
	h := &api.UploadHeader{Task: "films", Round: 1, Header: header, VectorBytes: uint64(len(vector))}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	old, err := d.Upload(ctx)
	if err != nil {
		t.Fatal(err)
	}
	old.Send(&api.UploadRequest{Part: &api.UploadRequest_Header{Header: h}})
	old.Send(&api.UploadRequest{Part: &api.UploadRequest_Chunk{Chunk: api.Chunk(0, vector[:maxChunk])}})
	eventually(t, "the upload is under way", func() bool { _, under, _ := s.desk.count(); return under == 1 })
	a, err := s.put(d, h, nil)
	if err != nil || a.GetOffset()%maxChunk != 0 {
		t.Fatalf("%v, %v", a, err)
	}
	if err := old.RecvMsg(new(api.UploadResponse)); status.Code(err) != codes.Aborted || reason(err) != api.ReasonSuperseded {
		t.Errorf("the old stream: %v", err)
	}
	for at := a.GetOffset(); err == nil && a.GetState() == 0; at = a.GetOffset() {
		a, err = s.put(d, h, api.Chunk(at, vector[at:at+maxChunk]))
	}
	if begun, _, _ := s.desk.count(); err != nil || a.GetState() != api.UploadState_UPLOAD_STATE_STAGED || begun != 1 {
		t.Errorf("%v, %v", a, err)
	}
}
