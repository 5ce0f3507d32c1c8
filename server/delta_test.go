package server

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"io"
	"math"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"tutti/model"
	"tutti/model/delta"
	"tutti/server/api"
)

// weightsOf is a blob of n weights that differ a little from one seed to the next.
func weightsOf(n, seed int) []byte {
	var b []byte
	for i := range n {
		x := math.Sin(float64(i)) + 1e-4*float64(seed)*math.Cos(float64(i*i))
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(float32(x)))
	}
	return b
}

// issue publishes a version of these weights.
func (w *world) issue(weights []byte) model.Version {
	w.t.Helper()
	v, err := w.server.Publish(w.t.Context(), Publication{Version: &model.Version{Items: sha256.Sum256([]byte("items")), Params: sha256.Sum256(weights)}, Blobs: [][]byte{weights}, Cause: "start"})
	w.must(err)
	return v
}

// getDelta asks for a delta as a device does.
func (w *world) getDelta(digest, base []byte) ([]byte, error) {
	stream, err := api.NewDevicesClient(w.conn).GetDelta(w.t.Context(), &api.GetDeltaRequest{Digest: digest, Base: base})
	w.must(err)
	var d []byte
	for {
		piece, err := stream.Recv()
		if err == io.EOF {
			return d, nil
		}
		if err != nil {
			return nil, err
		}
		if piece.GetOffset() != uint64(len(d)) {
			w.t.Fatalf("offset %d after %d bytes", piece.GetOffset(), len(d))
		}
		d = append(d, piece.GetData()...)
	}
}

// TestDeltas: what leads from any of the newest versions to a newer one is handed out, to the same bytes after a new start,
// and nothing else is compared.
func TestDeltas(t *testing.T) {
	w := newWorld(t, nil)
	const n = 200_000 // more than a message's 256 KiB
	var blobs [][]byte
	var versions []model.Version
	for seed := range 3 {
		blobs = append(blobs, weightsOf(n, seed))
		versions = append(versions, w.issue(blobs[seed]))
	}
	first := map[int][]byte{}
	for turn := range 2 {
		for from := range 2 {
			d, err := w.getDelta(versions[2].Params[:], versions[from].Params[:])
			w.must(err)
			got, err := delta.Decode(d, blobs[from], 4*n)
			w.must(err)
			if !bytes.Equal(got, blobs[2]) || len(d) >= len(blobs[2]) {
				t.Fatalf("from version %d: %d bytes", from+1, len(d))
			}
			if turn > 0 && !bytes.Equal(d, first[from]) {
				t.Fatal("other bytes after a new start")
			}
			first[from] = d
		}
		w.stop()
		w.open()
	}
	other := sha256.Sum256(weightsOf(n, 9))
	_, err := w.server.PutBlob(weightsOf(n, 9))
	w.must(err)
	for name, c := range map[string]struct {
		digest, base []byte
		code         codes.Code
	}{
		"an older version":             {versions[0].Params[:], versions[2].Params[:], codes.NotFound},
		"the same version":             {versions[1].Params[:], versions[1].Params[:], codes.NotFound},
		"a blob of no version":         {other[:], versions[1].Params[:], codes.NotFound},
		"from a blob of no version":    {versions[1].Params[:], other[:], codes.NotFound},
		"what is not there":            {make([]byte, 32), versions[1].Params[:], codes.NotFound},
		"from what is not there":       {versions[1].Params[:], make([]byte, 32), codes.NotFound},
		"a short digest":               {versions[1].Params[:31], versions[0].Params[:], codes.InvalidArgument},
		"from a digest that is short":  {versions[1].Params[:], nil, codes.InvalidArgument},
		"a version instead of weights": {digestOf(versions[1]), versions[0].Params[:], codes.NotFound},
	} {
		if _, err := w.getDelta(c.digest, c.base); status.Code(err) != c.code {
			t.Errorf("%s: %v, want %v", name, err, c.code)
		}
	}
}

func digestOf(v model.Version) []byte { d := v.Digest(); return d[:] }

// TestUselessDelta: where nothing is saved the answer is that there is none, and it is remembered.
func TestUselessDelta(t *testing.T) {
	w := newWorld(t, nil)
	noise := func(seed byte) []byte {
		var b []byte
		for h := sha256.Sum256([]byte{seed}); len(b) < 4096; h = sha256.Sum256(h[:]) {
			b = append(b, h[:]...)
		}
		return b
	}
	a, b := w.issue(noise(1)), w.issue(noise(2))
	for range 2 {
		if _, err := w.getDelta(b.Params[:], a.Params[:]); status.Code(err) != codes.NotFound {
			t.Fatal(err)
		}
	}
	if m := w.server.deltas.made[[2]model.Digest{b.Params, a.Params}]; !m.none {
		t.Error("it is compared again each time")
	}
}

// TestVersionIsABlob: a device that a version is not rolled out to can read what it is.
func TestVersionIsABlob(t *testing.T) {
	w := newWorld(t, nil)
	v := w.issue(weightsOf(10, 1))
	b, err := w.server.Blob(v.Digest())
	w.must(err)
	if got, err := model.ParseVersion(b); err != nil || got != v {
		t.Fatalf("%+v, %v", got, err)
	}
}
