package client

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"testing"

	"tutti/privacy/plan"
)

func someHeld() *held {
	return &held{round: 7, number: 3, base: plan.Digest{1}, items: plan.Digest{2}, training: plan.Training{Steps: 1, Batch: 2, MaxLen: 3, LearningRate: "0.5", Optimizer: "sgd"},
		clip: 0.3, time: 1_790_000_000, norm: 1.25, loss: math.NaN(), values: []float32{0.125, -0.25, 0}}
}

// FuzzDecodeHeld: any bytes give an error, or an update that writes back to the same bytes.
func FuzzDecodeHeld(f *testing.F) {
	good := someHeld().encode()
	f.Add(good)
	f.Add(good[:len(good)-1])
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := decodeHeld(b)
		if err != nil {
			return
		}
		if again := h.encode(); !bytes.Equal(again, b) {
			t.Fatalf("%x is read, and written as %x", b, again)
		}
	})
}

func TestHeldIsRedacted(t *testing.T) {
	h := someHeld()
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%d", "%x"} {
		if s := fmt.Sprintf(verb, *h); strings.Contains(s, "125") || s != redactedHeld {
			t.Errorf("%s prints %q", verb, s)
		}
	}
	if h.LogValue().String() != redactedHeld {
		t.Error("it is logged")
	}
	if b, err := json.Marshal(h); err == nil {
		t.Errorf("written as %s", b)
	}
}

// TestUsed: after which answers an update is done with.
func TestUsed(t *testing.T) {
	for _, c := range []struct {
		r    Receipt
		want bool
	}{
		{Receipt{State: UploadStaged}, true}, {Receipt{State: UploadCounted}, true},
		{Receipt{State: UploadLate}, false}, {Receipt{State: UploadAbandoned}, false}, {Receipt{State: UploadUnknown}, false},
		{Receipt{State: UploadRejected, Reason: RejectRoundFull}, false}, {Receipt{State: UploadRejected, Reason: RejectRoundClosed}, false},
		{Receipt{State: UploadRejected, Reason: RejectNoSuchRound}, false}, {Receipt{State: UploadRejected, Reason: RejectNorm}, true},
		{Receipt{State: UploadRejected, Reason: RejectHeader}, true}, {Receipt{State: UploadRejected, Reason: RejectConflict}, true},
	} {
		if used(c.r) != c.want {
			t.Errorf("%v, %v: %v", c.r.State, c.r.Reason, !c.want)
		}
	}
}
