package fleet

import (
	"context"
	"maps"
	"sync"
	"sync/atomic"

	"tutti/client"
)

// Counters are what the fleet has done so far.
type Counters struct {
	Enrolled, Asked, Retried              int64
	Contributed, Waiting, Refused, Failed int64
	Died                                  int64            // of the failed: those that a fault killed
	Reasons                               map[string]int64 // of the refused, by label
	Uploads, UploadBytes                  int64            // sent, whole or in part
	BlobBytes                             int64            // fetched
}

type counters struct {
	enrolled, asked, retried              atomic.Int64
	contributed, waiting, refused, failed atomic.Int64
	died, uploads, uploadBytes, blobBytes atomic.Int64

	mu      sync.Mutex
	reasons map[string]int64
}

// Counters is a snapshot.
func (f *Fleet) Counters() Counters {
	c := &f.counts
	c.mu.Lock()
	defer c.mu.Unlock()
	return Counters{Enrolled: c.enrolled.Load(), Asked: c.asked.Load(), Retried: c.retried.Load(),
		Contributed: c.contributed.Load(), Waiting: c.waiting.Load(), Refused: c.refused.Load(), Failed: c.failed.Load(),
		Died: c.died.Load(), Reasons: maps.Clone(c.reasons),
		Uploads: c.uploads.Load(), UploadBytes: c.uploadBytes.Load(), BlobBytes: c.blobBytes.Load()}
}

func (c *counters) outcome(o client.Outcome, fault Fault) {
	switch o.Kind {
	case client.Contributed:
		c.contributed.Add(1)
	case client.Waiting, client.NothingToDo:
		c.waiting.Add(1)
	case client.Refused:
		c.refused.Add(1)
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.reasons == nil {
			c.reasons = map[string]int64{}
		}
		c.reasons[o.Label()]++
	case client.Failed:
		c.failed.Add(1)
		if fault >= DieBeforeUpload && fault <= DieAfterUpload {
			c.died.Add(1)
		}
	}
}

// counting is a transport that counts what goes over it.
type counting struct {
	client.Transport
	counts *counters
}

func (c counting) Upload(ctx context.Context, u client.Upload) (client.Receipt, error) {
	c.counts.uploads.Add(1)
	c.counts.uploadBytes.Add(int64(len(u.Header) + len(u.Vector)))
	return c.Transport.Upload(ctx, u)
}

func (c counting) Blob(ctx context.Context, digest [32]byte, limit int64) ([]byte, error) {
	b, err := c.Transport.Blob(ctx, digest, limit)
	c.counts.blobBytes.Add(int64(len(b)))
	return b, err
}

func (c counting) Delta(ctx context.Context, digest, base [32]byte, limit int64) ([]byte, error) {
	b, err := c.Transport.Delta(ctx, digest, base, limit)
	c.counts.blobBytes.Add(int64(len(b)))
	return b, err
}
