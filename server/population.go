package server

import (
	"context"
	"fmt"
	"time"

	"tutti/aggregation"
	"tutti/server/store"
)

// population is the list behind a plan's population, found again by its size: the first so many devices that enrolled.
// The last one is kept, since most rounds have the population of the one before.
func (s *Server) population(p aggregation.Population) (*aggregation.Enrolled, error) {
	s.mu.Lock()
	known := s.people
	s.mu.Unlock()
	if known == nil || known.Size() != int(p.Size) {
		ids, err := s.st.EnrolledIDs(s.ctx, s.cfg.Task, int(p.Size))
		if err != nil {
			return nil, err
		}
		if known, err = aggregation.NewEnrolled(ids); err != nil {
			return nil, err
		}
		s.mu.Lock()
		s.people = known
		s.mu.Unlock()
	}
	if known.Root() != p.Root {
		return nil, fmt.Errorf("the devices that are enrolled are not those of the plan: %w", store.ErrCorrupt)
	}
	return known, nil
}

// freeze has the enroller sign for the devices that are enrolled now: they alone may take part in the round that opens.
func (s *Server) freeze(ctx context.Context) (aggregation.Population, error) {
	n, err := s.st.Enrolled(ctx, s.cfg.Task)
	if err != nil {
		return aggregation.Population{}, err
	}
	s.mu.Lock()
	people := s.people
	s.mu.Unlock()
	if people == nil || people.Size() != n {
		ids, err := s.st.EnrolledIDs(ctx, s.cfg.Task, n)
		if err != nil {
			return aggregation.Population{}, err
		}
		if people, err = aggregation.NewEnrolled(ids); err != nil {
			return aggregation.Population{}, err
		}
		s.mu.Lock()
		s.people = people
		s.mu.Unlock()
	}
	return people.Sign(s.keys.Enroller, s.cfg.Task), nil
}

// EnrolledError says that too few devices are enrolled to open a round: its sum would hide nobody, or it could not reach
// its goal.
type EnrolledError struct{ Have, Want int }

func (e *EnrolledError) Error() string {
	return fmt.Sprintf("server: %d of the %d devices that a round needs are enrolled", e.Have, e.Want)
}

// DefaultAsked is how many devices the lot makes eligible for each that is wanted: many are busy, offline or empty.
const DefaultAsked = 2

// Threshold is the lot's, for a round that wants goal devices of a population: asked times as many are eligible on average,
// and all of them where there are no more. The fewer are eligible, the fewer corrupt ones can be in a sum
// (privacy/plan, Colluders).
func Threshold(asked, goal, population int) uint64 {
	return aggregation.ThresholdFor(uint32(min(asked*goal, population)), uint32(population))
}

// devicesWanted is how many devices must be enrolled before a round opens.
func (s *Server) devicesWanted(spec RoundSpec) int {
	want := s.cfg.Enrolled
	if want == 0 {
		want = spec.Goal
	}
	return max(want, s.cfg.Groups*spec.Mechanism.NMin)
}

// enrolledEvery is how often a round that waits for devices counts them.
const enrolledEvery = 50 * time.Millisecond

// awaitDevices waits until enough devices are enrolled for a round; when ctx ends first, an *EnrolledError is beside its
// error.
func (s *Server) awaitDevices(ctx context.Context, want int) error {
	for said := -1; ; {
		have, err := s.st.Enrolled(ctx, s.cfg.Task)
		if err != nil || have >= want {
			return err
		}
		if have != said {
			s.observe(Waiting{Enrolled: have, Want: want})
			said = have
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", &EnrolledError{Have: have, Want: want}, ctx.Err())
		case <-s.ctx.Done():
			return ErrClosed
		case <-time.After(enrolledEvery):
		}
	}
}
