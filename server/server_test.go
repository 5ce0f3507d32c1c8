package server

import (
	"context"
	"testing"

	"tutti/server/api"
)

func TestRoundGivesTheExactSum(t *testing.T) {
	w := newWorld(t, nil)
	for n := range uint64(2) {
		r := w.start(w.spec(6, 4, 8))
		var all []int
		for i := range 6 {
			d := w.device()
			d.await()
			d.seal(i)
			if got := d.deliver(); got != api.UploadState_UPLOAD_STATE_STAGED {
				t.Fatalf("upload is %v", got)
			}
			all = append(all, i)
		}
		r.wait(t)
		if r.err != nil {
			t.Fatal(r.err)
		}
		exact(t, r.result, all)
		if _, err := w.server.Publish(context.Background(), Publication{Round: r.result}); err != nil {
			t.Fatal(err)
		}
		if r.result.Round != n+1 || r.result.Counters.Counted != 6 {
			t.Fatalf("round %d, counters %+v", r.result.Round, r.result.Counters)
		}
	}
	if got := w.server.st.LogSize(); got != 5 { // task, 2 plans, 2 rounds
		t.Fatalf("the log has %d records", got)
	}
}
