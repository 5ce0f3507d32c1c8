package campaign

import (
	"context"
	"math"
	"strconv"

	"tutti/privacy/mechanism"
	"tutti/privacy/plan"
)

// Adaptive clipping (Andrew, Thakkar, McMahan, Ramaswamy, arXiv 1905.03871, algorithm 1): the devices tell through the
// secure sum, with noise, whether their updates were within the clip, and the next clip moves towards the norm that
// half of them have.
const (
	clipQuantile = 0.5 // gamma
	clipRate     = 0.2 // eta: a round moves the clip by a factor of e^(+-0.1) at most
	clipRange    = 8   // it stays between an eighth and eight times the one that the task began with
	clipDigits   = 4   // significant, so that it reads well in a plan
)

// MaxClip is the largest clip that adaptive clipping from first on reaches: what devices bound it with.
func MaxClip(first float64) float64 { return clipRange * first }

// NextClip is the clip after a round whose clip was now, in which the given share of devices was within it; as it was
// where they were not asked (NaN).
func NextClip(now, within, first float64) float64 {
	next, err := mechanism.NextClip(now, clipRate, clipQuantile, within)
	if err != nil {
		return now
	}
	rounded, err := strconv.ParseFloat(strconv.FormatFloat(next, 'g', clipDigits, 64), 64)
	if err != nil {
		return now
	}
	return min(max(rounded, first/clipRange), MaxClip(first))
}

// clip is that of the next model round. A campaign that begins again reads the last one from the log, so that it goes on
// as if it had not stopped.
func (c *Campaign) clip(ctx context.Context) (float64, error) {
	if !c.cfg.AdaptiveClip || c.rounds == 0 {
		return c.cfg.Clip, nil
	}
	if c.lastClip == 0 && c.cfg.LastClip != nil {
		clip, within, err := c.cfg.LastClip(ctx)
		if err != nil {
			return 0, err
		}
		c.lastClip, c.within = clip, within
	}
	if c.lastClip == 0 {
		return c.cfg.Clip, nil
	}
	return NextClip(c.lastClip, c.within, c.cfg.Clip), nil
}

// clipped remembers what a published model round told about its clip.
func (c *Campaign) clipped(p plan.Plan, figures []plan.Figure) {
	c.lastClip, c.within = p.Mechanism.Clip, math.NaN()
	for _, f := range figures {
		if f.Name == plan.MetricsClip.Names()[0] {
			c.within = f.Value
		}
	}
}
