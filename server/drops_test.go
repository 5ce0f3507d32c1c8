package server

import (
	"testing"
	"time"

	"tutti/server/round"
)

// TestDropsCountDevices: noise on what is said of drops is sized for one of each device and round, so a device that is
// turned away again and again counts once, and not at all when it came through in the end.
func TestDropsCountDevices(t *testing.T) {
	w := newWorld(t, nil)
	r := w.start(w.spec(3, 2, 5))
	stubborn, unlucky := w.device(), w.device()
	for i, d := range []*device{stubborn, unlucky} {
		d.await()
		d.seal(i)
	}
	header, err := stubborn.sealed.Header.Marshal()
	w.must(err)
	for range 4 {
		stubborn.sendRaw(1, header, nil, 1) // a vector of the wrong length
		unlucky.sendRaw(1, []byte("no header"), nil, 1)
	}
	for range 2 {
		unlucky.die()
	}
	for range 500 {
		if w.server.round.groups[0].drops()[round.DropDied.String()] > 0 {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	drops := w.server.round.groups[0].drops()
	if drops[round.DropVector.String()] != 1 || drops[round.DropHeader.String()] != 1 || drops[round.DropDied.String()] != 1 {
		t.Errorf("two devices and no header: %v", drops)
	}
	unlucky.deliver()
	late := []*device{w.device(), w.device()}
	for i, d := range late {
		d.await()
		d.seal(2 + i)
		d.deliver()
	}
	r.wait(t)
	w.must(r.err)
	exact(t, r.result, []int{1, 2, 3})
	if got := r.result.Counters.Drops; got[round.DropDied.String()] != 0 || got[round.DropVector.String()] != 1 {
		t.Errorf("drops: %v", got)
	}
	w.publish(r.result)
}
