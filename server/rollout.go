package server

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"tutti/model"
	"tutti/privacy/ledger"
	"tutti/privacy/plan"
	"tutti/server/registry"
	"tutti/server/round"
	"tutti/server/store"
)

// The names of a line's two versions. Without a stable one the newest version is for everybody, and no name is written.
// Each step of a line is one write, so that a crash leaves the line before or the one after it.
const (
	aliasStable = "stable"
	aliasCanary = "canary"
)

// Errors of Rollback and Rollout.
var (
	ErrRoundOpen  = errors.New("server: a round is under way: wait for its end, or abandon it")
	ErrNoVersion  = errors.New("server: there is no such version")
	ErrOtherShape = errors.New("server: the version is made of other parts than the newest: what devices train would not fit it")
)

// RolledOut: a version is offered to a share of the devices. RolloutStopped: it was measured to be worse, and is taken back.
type (
	RolledOut struct {
		Version uint64
		Percent uint32
		Why     string
	}
	RolloutStopped struct {
		Version, Stable uint64
		Why             string
	}
)

func (RolledOut) event()      {}
func (RolloutStopped) event() {}

func (e RolledOut) String() string {
	if e.Percent == registry.Everybody {
		return fmt.Sprintf("Version %d is offered to all devices: %s", e.Version, e.Why)
	}
	return fmt.Sprintf("Version %d is offered to %d %% of the devices: %s", e.Version, e.Percent, e.Why)
}

func (e RolloutStopped) String() string {
	return fmt.Sprintf("The roll-out of version %d is stopped, and version %d is published anew: %s", e.Version, e.Stable, e.Why)
}

// offers are the versions that devices are offered.
type offers struct {
	line           registry.Line
	named          bool // by aliases; else the newest version is for everybody
	stable, canary *store.SignedVersion
}

// offered is the version that a device is offered; nil before the first.
func (s *Server) offered(id round.ID) *store.SignedVersion {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch o := s.offers; {
	case !o.named:
		return s.version
	case o.canary != nil && o.line.For(id) == o.line.Canary:
		return o.canary
	default:
		return o.stable
	}
}

// readOffers reads what the aliases say.
func (s *Server) readOffers(ctx context.Context) error {
	aliases, err := s.st.Aliases(ctx, s.cfg.Task)
	if err != nil {
		return err
	}
	s.mu.Lock()
	before := s.offers
	s.mu.Unlock()
	var o offers
	for _, a := range aliases {
		switch a.Name {
		case aliasStable:
			o.named = true
			o.line.Stable.Number = a.Number
		case aliasCanary:
			o.line.Canary.Number, o.line.Percent = a.Number, a.Percent
		}
	}
	if !o.named {
		return nil
	}
	if o.stable, err = s.versionOf(ctx, o.line.Stable.Number, before); err != nil {
		return err
	}
	o.line.Stable.Digest = o.stable.Digest
	if !o.line.Rolling() {
		o.line.Canary, o.line.Percent = registry.Published{}, 0
	} else if o.canary, err = s.versionOf(ctx, o.line.Canary.Number, before); err != nil {
		return err
	} else {
		o.line.Canary.Digest = o.canary.Digest
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.offers = o
	return nil
}

// versionOf reads a version that is named, unless it is at hand.
func (s *Server) versionOf(ctx context.Context, number uint64, at offers) (*store.SignedVersion, error) {
	for _, v := range []*store.SignedVersion{at.stable, at.canary} {
		if v != nil && v.Number == number {
			return v, nil
		}
	}
	v, found, err := s.st.Version(ctx, s.cfg.Task, number)
	if err == nil && !found {
		err = fmt.Errorf("%w: %d", ErrNoVersion, number)
	}
	return &v, err
}

// Line is what devices are offered.
func (s *Server) Line() registry.Line {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.offers.named && s.version != nil {
		return registry.Line{Stable: publishedAs(s.version)}
	}
	return s.offers.line
}

func publishedAs(v *store.SignedVersion) registry.Published {
	return registry.Published{Number: v.Number, Digest: v.Digest}
}

// setLine writes the step to a line, and offers it.
func (s *Server) setLine(ctx context.Context, t *term, to registry.Line, why string) error {
	from := s.Line()
	s.mu.Lock()
	named := s.offers.named
	s.mu.Unlock()
	set := func(name string, v uint64, percent uint32, note string) error {
		return s.st.SetAlias(ctx, t.fence(), s.cfg.Task, store.Alias{Name: name, Number: v, Percent: percent, Since: s.cfg.Clock(), Note: note})
	}
	said := RolledOut{to.Stable.Number, registry.Everybody, why}
	if to.Stable != from.Stable || !named {
		note := why
		if to.Rolling() {
			note = "where the roll-out began"
		}
		if err := set(aliasStable, to.Stable.Number, registry.Everybody, note); err != nil {
			return s.fenced(t, err)
		}
	}
	if to.Rolling() {
		if err := set(aliasCanary, to.Canary.Number, to.Percent, why); err != nil {
			return s.fenced(t, err)
		}
		said.Version, said.Percent = to.Canary.Number, to.Percent
	}
	if err := s.readOffers(ctx); err != nil {
		return err
	}
	s.observe(said)
	return nil
}

// advance offers the newest version, after a look at how the one before did. staged says that a round of the model made the
// newest; what was made otherwise is for everybody. The caller holds turn. What cannot be written now is made up for by the
// next call: until then devices are offered what they were.
func (s *Server) advance(ctx context.Context, t *term, staged bool) error {
	latest := s.latest()
	if latest == nil || !s.stages() {
		return nil
	}
	var line registry.Line
	if s.isNamed() { // else devices have the newest version already
		line = s.Line()
	}
	if latest.Number <= max(line.Stable.Number, line.Canary.Number) {
		return nil
	}
	why, start := "it was published", s.cfg.Rollout.Start
	if line.Rolling() {
		d, err := s.judge(ctx, line)
		if err != nil {
			return err
		}
		why = d.Why
		switch d.Action {
		case registry.Stop:
			s.observe(RolloutStopped{line.Canary.Number, line.Stable.Number, d.Why})
			_, err := s.rollback(ctx, t, line.Stable.Number, d.Why)
			return err
		case registry.Widen:
			if line, err = line.Offer(line.Canary, d.Percent); err != nil {
				return err
			}
			if !line.Rolling() {
				if err := s.setLine(ctx, t, line, why); err != nil {
					return err
				}
				why = "it was published"
			}
		}
	}
	if !staged {
		start = registry.Everybody
	}
	line, err := line.Release(publishedAs(latest), start)
	if err != nil {
		return err
	}
	return s.setLine(ctx, t, line, why)
}

// stages says whether versions have names: where they are rolled out in steps, and where they once were.
func (s *Server) stages() bool { return s.cfg.Rollout.Staged() || s.isNamed() }

func (s *Server) isNamed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.offers.named
}

// judge decides on the canary from what the log says of it and of the stable version.
func (s *Server) judge(ctx context.Context, line registry.Line) (registry.Decision, error) {
	found, err := s.figures(ctx)
	if err != nil {
		return registry.Decision{}, err
	}
	stable := line.Stable.Number // where it was not measured, the newest before it that was
	for ; stable > 0 && found[stable] == nil; stable-- {
	}
	return s.cfg.Rollout.Decide(found[stable], found[line.Canary.Number], line.Percent), nil
}

// figures are what the log says of each version by what rounds measured that started from it. One that brought an older
// content back is known by the older one's.
func (s *Server) figures(ctx context.Context) (map[uint64][]registry.Measured, error) {
	bases, found := map[uint64]uint64{}, map[uint64][]registry.Measured{}
	err := s.Ledger().Records(ctx, 0, func(r ledger.Record) error {
		switch b := r.Body.(type) {
		case *ledger.Plan:
			if b.Task == s.cfg.Task && b.What == plan.Model.String() {
				p, err := plan.Parse(b.Bytes)
				if err != nil {
					return err
				}
				bases[b.Round] = p.BaseNumber
			}
		case *ledger.Round:
			if base := bases[b.Round]; base > 0 && b.Task == s.cfg.Task && b.Outcome == ledger.Published {
				if m := registry.Measure(figuresOf(b.Metrics)); len(m) > 0 {
					found[base] = m
				}
			}
		case *ledger.Version:
			if older, is := rolledBackTo(b.Cause); is && b.Task == s.cfg.Task && found[older] != nil {
				found[b.Number] = found[older]
			}
		}
		return nil
	})
	return found, err
}

// figuresOf reads rows of the log back; one that cannot be read is left out.
func figuresOf(rows []ledger.Row) []plan.Figure {
	var out []plan.Figure
	for _, row := range rows {
		f := plan.Figure{Name: row.Label}
		ok := true
		for _, x := range []struct {
			text string
			to   *float64
		}{{row.Value, &f.Value}, {row.Low, &f.Low}, {row.High, &f.High}} {
			var err error
			*x.to, err = strconv.ParseFloat(x.text, 64)
			ok = ok && err == nil
		}
		if ok {
			out = append(out, f)
		}
	}
	return out
}

const rollbackCause = "rollback to "

func rolledBackTo(cause string) (number uint64, is bool) {
	text, is := strings.CutPrefix(cause, rollbackCause)
	if !is {
		return 0, false
	}
	number, err := strconv.ParseUint(text, 10, 64)
	return number, err == nil
}

// Rollback publishes the content of an older version as a new one, for everybody, and ends a roll-out. Devices never go
// back in number, and the log says what happened. note says why. No round may be under way.
func (s *Server) Rollback(ctx context.Context, number uint64, note string) (published uint64, err error) {
	s.turn.Lock()
	defer s.turn.Unlock()
	t := s.leading()
	if t == nil {
		return 0, ErrFollower
	}
	s.mu.Lock()
	busy := s.round != nil
	s.mu.Unlock()
	if busy {
		return 0, ErrRoundOpen
	}
	return s.rollback(ctx, t, number, note)
}

func (s *Server) rollback(ctx context.Context, t *term, number uint64, why string) (uint64, error) {
	older, found, err := s.st.Version(ctx, s.cfg.Task, number)
	if err != nil {
		return 0, fmt.Errorf("server: %w", err)
	}
	latest, published := s.Version()
	if !found || !published {
		return 0, fmt.Errorf("%w: %d", ErrNoVersion, number)
	}
	v, err := model.ParseVersion(older.Version)
	if err != nil {
		return 0, fmt.Errorf("server: version %d: %w", number, err)
	}
	if v.Spec != latest.Spec || v.Layout != latest.Layout || v.Items != latest.Items || v.Params.IsZero() != latest.Params.IsZero() ||
		v.Popularity.IsZero() != latest.Popularity.IsZero() || v.Transitions.IsZero() != latest.Transitions.IsZero() {
		return 0, fmt.Errorf("%w: version %d", ErrOtherShape, number)
	}
	v, signed, err := s.sign(v)
	if err != nil {
		return 0, fmt.Errorf("server: %w", err)
	}
	record := &ledger.Version{Task: s.cfg.Task, Number: v.Number, Parent: v.Parent, Digest: signed.Digest, Cause: rollbackCause + strconv.FormatUint(number, 10)}
	if err := s.st.PutVersion(ctx, t.fence(), s.cfg.Clock(), s.cfg.Task, *signed, record); err != nil {
		return 0, s.fenced(t, fmt.Errorf("server: %w", err))
	}
	s.offerVersion(signed)
	s.observe(Published{Version: v.Number, Cause: record.Cause})
	if !s.stages() {
		return v.Number, nil
	}
	line, err := s.Line().Offer(publishedAs(signed), registry.Everybody)
	if err == nil {
		err = s.setLine(ctx, t, line, record.Cause+": "+why)
	}
	return v.Number, err
}

// Rollout offers a version to more of the devices, in percent, or to all of them. note says why.
func (s *Server) Rollout(ctx context.Context, number uint64, percent uint32, note string) error {
	s.turn.Lock()
	defer s.turn.Unlock()
	t := s.leading()
	if t == nil {
		return ErrFollower
	}
	v, found, err := s.st.Version(ctx, s.cfg.Task, number)
	if err != nil {
		return fmt.Errorf("server: %w", err)
	}
	if !found {
		return fmt.Errorf("%w: %d", ErrNoVersion, number)
	}
	line, err := s.Line().Offer(publishedAs(&v), percent)
	if err != nil {
		return fmt.Errorf("server: %w", err)
	}
	if line == s.Line() {
		return nil
	}
	if note == "" {
		note = "the operator wished it"
	}
	return s.setLine(ctx, t, line, note)
}

// Rollbacks counts the versions that brought an older content back.
func (s *Server) Rollbacks(ctx context.Context) (n int, err error) {
	err = s.Ledger().Records(ctx, 0, func(r ledger.Record) error {
		if b, is := r.Body.(*ledger.Version); is && b.Task == s.cfg.Task {
			if _, back := rolledBackTo(b.Cause); back {
				n++
			}
		}
		return nil
	})
	return n, err
}
