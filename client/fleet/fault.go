package fleet

import (
	"bytes"
	"context"
	"errors"
	"math"
	"time"

	"tutti/client"
	"tutti/model"
)

// Fault is what goes wrong with a device in a round.
type Fault uint8

// The faults. Devices that die wake up again when they are asked the next time,
// with the memory that they had written.
const (
	None            Fault = iota
	DieBeforeUpload       // dies after sealing, before the first byte is sent
	DieMidUpload          // dies in the middle of the stream
	DieAfterUpload        // dies before it hears the answer
	LearnNaN              // learns numbers that are not finite
	LearnHuge             // learns numbers far beyond any clip
	SendGarbage           // sends a vector that is not the one it signed
	SendShort             // sends half of the vector
	faults
)

var faultNames = [faults]string{"none", "die_before_upload", "die_mid_upload", "die_after_upload", "learn_nan", "learn_huge", "send_garbage", "send_short"}

// String is the fault's label.
func (f Fault) String() string {
	if f < faults {
		return faultNames[f]
	}
	return "unknown"
}

// errDied ends a device that a fault kills.
var errDied = errors.New("fleet: the device died here")

// partSender is a transport that can break an upload off; client/transport is one.
type partSender interface {
	UploadPart(ctx context.Context, u client.Upload, n int) error
}

// faulty is a transport on which one device's upload goes wrong.
type faulty struct {
	client.Transport
	fault Fault
}

func (f faulty) Upload(ctx context.Context, u client.Upload) (client.Receipt, error) {
	switch f.fault {
	case DieBeforeUpload:
		return client.Receipt{}, errDied
	case DieMidUpload:
		if p, ok := f.Transport.(partSender); ok {
			if err := p.UploadPart(ctx, u, len(u.Vector)/2); err != nil {
				return client.Receipt{}, err
			}
		}
		return client.Receipt{}, errDied
	case DieAfterUpload:
		if _, err := f.Transport.Upload(ctx, u); err != nil {
			return client.Receipt{}, err
		}
		return client.Receipt{}, errDied
	case SendGarbage:
		u.Vector = bytes.Clone(u.Vector)
		for i := range u.Vector {
			u.Vector[i] ^= 0x5a
		}
	case SendShort:
		u.Vector = u.Vector[:len(u.Vector)/2]
	}
	return f.Transport.Upload(ctx, u)
}

// spoilt is a learner whose numbers go wrong.
func (f Fault) spoilt(learn client.Learner) client.Learner {
	var bad float32
	switch f {
	case LearnNaN:
		bad = float32(math.NaN())
	case LearnHuge:
		bad = 1e30
	default:
		return learn
	}
	return func(ctx context.Context, l client.Lesson) (model.Update, error) {
		values := make([]float32, l.Plan.Mechanism.Dim)
		for i := range values {
			values[i] = bad
		}
		return model.NewStatistic(values), nil
	}
}

// backoff waits before attempt number n (from 1) at something that failed.
func backoff(ctx context.Context, n int) error {
	return sleep(ctx, min(time.Duration(n)*50*time.Millisecond, time.Second))
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
