package server

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"tutti/server/round"
	"tutti/server/store"
)

// TestThreeReplicas: devices talk to another replica at every call, and one replica drives; the others refuse to.
func TestThreeReplicas(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 3, 20*time.Second)
	r := c.play(c.spare[:6], nil)
	if r.Survived != 6 {
		t.Errorf("%d of 6 devices are in the sum", r.Survived)
	}
	leader, ctx := c.driver(), context.Background()
	for _, m := range c.members {
		if m == leader {
			continue
		}
		if _, err := m.server.RunRound(ctx, c.spec); !errors.Is(err, ErrFollower) {
			t.Errorf("a follower runs a round: %v", err)
		}
		if _, err := m.server.Resume(ctx); !errors.Is(err, ErrFollower) {
			t.Errorf("a follower resumes: %v", err)
		}
		if _, err := m.server.Publish(ctx, Publication{}); !errors.Is(err, ErrFollower) {
			t.Errorf("a follower publishes: %v", err)
		}
		if err := m.server.CloseCollection(); !errors.Is(err, ErrFollower) {
			t.Errorf("a follower closes the collection: %v", err)
		}
		for n := 0; ; n++ { // it hears of it in a moment
			if v, found := m.server.Version(); found && v.Number == 1 {
				break
			} else if n > 500 {
				t.Fatalf("a follower serves version %d, %v", v.Number, found)
			}
			time.Sleep(10 * time.Millisecond)
		}
	}
	c.play(c.spare[:6], nil)
	c.once()
}

// TestDriverDiesAtEveryTransition kills the replica that drives before and after every transition; another one finishes the
// round, and the dead one comes back for the next. Three of four transitions are for the long run (TUTTI_LONG).
func TestDriverDiesAtEveryTransition(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 3, time.Second)
	states := []round.State{round.Created, round.Collecting, round.Frozen, round.Certified, round.Released, round.Applied, round.Published}
	for i, from := range states[:len(states)-1] {
		for j, when := range []string{"before", "after"} {
			if os.Getenv("TUTTI_LONG") == "" && (2*i+j)%4 != 2 {
				continue
			}
			point := fmt.Sprintf("%s %v->%v", when, from, states[i+1])
			began := time.Now()
			dead := c.killAt(point)
			r := c.play(c.spare[:6], nil)
			died := <-dead
			died.start()
			t.Logf("%-28s round %d, %d devices, %v", point, r.Round, r.Survived, time.Since(began).Round(time.Millisecond))
		}
	}
	c.once()
}

// killAt has whoever comes to that point of a round die there, once. The channel tells who did, when it is dead.
func (c *cluster) killAt(point string) <-chan *member {
	dead := make(chan *member, 1)
	var once sync.Once
	for _, m := range c.members {
		m.mu.Lock()
		m.fault = func(at string) error {
			if at != point {
				return nil
			}
			died := false
			once.Do(func() {
				died = true
				m.silence()
				go func() {
					m.kill()
					dead <- m
				}()
			})
			if died {
				return errDied
			}
			return nil
		}
		m.mu.Unlock()
	}
	return dead
}

// TestReplicaDiesEachRound kills one of three replicas in the middle of every round, whichever it is: three rounds, or fifty
// in the long run. All rounds publish, and the sums are exact.
func TestReplicaDiesEachRound(t *testing.T) {
	t.Parallel()
	rounds := 3
	if os.Getenv("TUTTI_LONG") != "" {
		rounds = 50
	}
	c := newCluster(t, 3, time.Second)
	began, lost, drivers := time.Now(), 0, 0
	for k := range rounds {
		var dead *member
		r := c.play(c.spare[:6], func() {
			c.untilStaged(1 + k%4)
			dead = c.members[k%3]
			if dead == c.driver() {
				drivers++
			}
			dead.kill()
		})
		lost += 6 - int(r.Survived)
		dead.start()
	}
	c.once()
	t.Logf("%d rounds in %v; one of three replicas died in each, %d times the one that drove; %d of %d uploads were lost with it",
		rounds, time.Since(began).Round(time.Second), drivers, lost, 6*rounds)
}

// untilStaged waits until the round under way has so many uploads, wherever they are; or has more than it can have.
func (c *cluster) untilStaged(n int) {
	c.t.Helper()
	for range 3000 {
		s, ctx := c.anyone(), context.Background()
		last, err := s.st.LastRound(ctx, "test")
		c.must(err)
		k := store.Key{Task: "test", Round: last}
		fate, found, err := s.st.Fate(ctx, k)
		c.must(err)
		if us, err := s.st.Uploads(ctx, k); err == nil && found && len(us) >= n && !fate.State.Ended() {
			return
		}
		time.Sleep(2 * time.Millisecond)
	}
	c.t.Fatalf("there are never %d uploads", n)
}

// TestLeadEndsWithItsWork: whoever is done gives the lease back, and the next one leads at once.
func TestLeadEndsWithItsWork(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1, time.Second)
	c.members[0].kill() // its own work never ends
	s, err := Open(c.members[0].cfg)
	c.must(err)
	defer s.Close()
	for range 3 {
		times, leads := 0, errors.New("done")
		if err := s.Lead(t.Context(), func(context.Context) error { times++; return leads }); err != leads || times != 1 || s.Leading() {
			t.Fatalf("work ran %d times and gave %v, leading %v", times, err, s.Leading())
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	err = s.Lead(ctx, func(inner context.Context) error {
		cancel()
		<-inner.Done()
		return nil
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("a lead that was called off gave %v", err)
	}
}
