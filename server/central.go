package server

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/big"
	"strconv"

	"tutti/privacy/accounting"
	"tutti/privacy/central"
	"tutti/privacy/plan"
	"tutti/server/store"
)

// Where a plan leaves the noise to the server (plan.Central), it is added to the opened integers before anything else is
// done with them: nothing is decoded, digested, logged or kept without it, and the decision whether a sum is garbage is
// made on noised numbers, for a lost round is seen by everyone. The state of a stream is written in the transaction that
// publishes or loses the round: a crash before it leaves nothing that was released, and the sum is noised afresh.

// SeesSums is what a person must know of a task whose noise is central.
const SeesSums = "the operator sees sums without noise"

// beyond is how many standard deviations of noise a coordinate may lie outside what the devices' bounds allow: for 2^24
// coordinates, honest ones do with probability below 1e-25.
const beyond = 12

// addNoise gives the opened sum with the noise that the plan leaves to the server, and how far it may push a coordinate. The
// state of a stream is kept for the transaction that ends the round.
func (g *group) addNoise(sum []int64) (noised []int64, reach int64, err error) {
	c, m := g.plan.Central, g.plan.Mechanism
	if c == nil {
		return sum, 0, nil
	}
	defer clear(sum)
	if len(sum) < m.PaddedDim {
		return nil, 0, errors.New("a sum that is too short")
	}
	main, rest := sum[:m.PaddedDim], sum[m.PaddedDim:] // the metrics behind it carry the devices' noise
	deviation, err := centralDeviation(g.plan)
	if err != nil {
		return nil, 0, err
	}
	if c.Noise == plan.CentralBLT {
		noised, err = g.nextOfStream(main)
	} else {
		var z float64
		if z, err = strconv.ParseFloat(c.Z, 64); err == nil {
			noised, err = central.Gaussian(main, m.L2Bound, z)
		}
	}
	if err != nil {
		return nil, 0, fmt.Errorf("adding the operator's noise: %w", err)
	}
	return append(noised, rest...), int64(math.Ceil(beyond*deviation)) + 1, nil
}

// nextOfStream noises a sum with its round's row of the stream. Rows of rounds that ended without a sum are drawn and lost.
func (g *group) nextOfStream(sum []int64) ([]int64, error) {
	setting, err := streamSetting(g.plan)
	if err != nil {
		return nil, err
	}
	kept, found, err := g.s.st.Stream(g.ctx, g.key.Task)
	if err != nil {
		return nil, err
	}
	var stream *central.Stream
	if found && kept.ID == setting.ID {
		stream, err = central.ParseStream(kept.State, setting)
	} else {
		stream, err = central.NewStream(setting)
	}
	if err != nil {
		return nil, err
	}
	row := int(g.plan.Central.Index)
	if stream.Row() > row {
		return nil, fmt.Errorf("row %d of the stream of noise was drawn before: %w", row, store.ErrCorrupt)
	}
	for stream.Row() < row {
		if err := stream.Skip(); err != nil {
			return nil, err
		}
	}
	noised, err := stream.Next(sum)
	if err != nil {
		return nil, err
	}
	next := &store.Stream{ID: setting.ID, State: stream.Marshal()}
	g.mail.put(letter{do: func() { g.stream = next }})
	return noised, nil
}

func streamSetting(p plan.Plan) (central.Setting, error) {
	event, err := p.Event()
	if err != nil {
		return central.Setting{}, err
	}
	blt, ok := event.(accounting.BLTMF)
	if !ok {
		return central.Setting{}, errors.New("not a round of a stream")
	}
	return central.Setting{ID: p.Stream(), Event: blt, Bound: p.Mechanism.L2Bound, Dim: p.Mechanism.PaddedDim}, nil
}

// centralDeviation is the standard deviation of the server's noise on each coordinate, in grid units; 0: it adds none.
func centralDeviation(p plan.Plan) (float64, error) {
	switch {
	case p.Central == nil:
		return 0, nil
	case p.Central.Noise == plan.CentralBLT:
		setting, err := streamSetting(p)
		if err != nil {
			return 0, err
		}
		return setting.Deviation(int(p.Central.Index))
	}
	z, err := strconv.ParseFloat(p.Central.Z, 64)
	return central.Deviation(p.Mechanism.L2Bound, z), err
}

// centralNoise is the standard deviation, in the units of an update, of the server's noise on the result's sum, the devices'
// rounding included: every group has noise of its own.
func (r *RoundResult) centralNoise() float64 {
	deviation, err := centralDeviation(r.Plan)
	if err != nil {
		panic("server: an opened round without its noise: " + err.Error())
	}
	sums := 1
	if r.Groups != nil {
		sums = 0
		for _, g := range r.Groups {
			if g.N > 0 {
				sums++
			}
		}
	}
	return math.Hypot(deviation*math.Sqrt(float64(sums))/r.Plan.Mechanism.Scale(), r.Plan.Mechanism.NoiseOnSum(r.N))
}

// StreamEndedError says that all rounds are run that the stream of noise was planned for.
type StreamEndedError struct{ Rounds uint32 }

func (e *StreamEndedError) Error() string {
	return fmt.Sprintf("server: all %d rounds of the stream of noise are run", e.Rounds)
}

// placeInStream fills in which row of its stream a round is: the one after the last round's, whatever became of that one,
// if it belongs to the same stream; otherwise a stream begins.
func (s *Server) placeInStream(ctx context.Context, p *plan.Plan) error {
	if p.Central == nil || p.Central.Noise != plan.CentralBLT {
		return nil
	}
	last, found, err := s.st.Round(ctx, store.Key{Task: p.Task, Round: p.Round - 1})
	if err != nil || !found {
		return err
	}
	before, err := plan.Open(last.Plan, s.Operator())
	if err != nil {
		return err
	}
	if before.Central == nil || before.Central.Noise != plan.CentralBLT {
		return nil
	}
	p.Central.Index = before.Central.Index + 1
	switch {
	case p.Stream() != before.Stream():
		p.Central.Index = 0
	case p.Central.Index >= p.Central.Rounds:
		return &StreamEndedError{Rounds: p.Central.Rounds}
	}
	return nil
}

// checkCentral refuses noise that this server could not add.
func (s *Server) checkCentral(p plan.Plan) error {
	if p.Central == nil {
		return nil
	}
	deviation, err := centralDeviation(p)
	if err != nil {
		return fmt.Errorf("server: %w", err)
	}
	if most := float64(p.Mechanism.NMax)*float64(p.Mechanism.InputBound) + beyond*deviation; most > 1<<35 {
		return fmt.Errorf("server: noise of %.3g grid units on sums of up to %d devices is more than a sum carries", deviation, p.Mechanism.NMax)
	}
	return nil
}

// cost is what the round costs every device in it; nil: noise is off. A later round of a stream costs nothing more.
func (a *active) cost() *big.Rat {
	if a.rho == nil {
		return nil
	}
	return new(big.Rat).Set(a.rho)
}
