package campaign

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"math"
	"slices"

	"tutti/privacy/telemetry"
	"tutti/server/round"
)

// statements is how many statements the telemetry share is divided among.
const statements = 3

// tell makes the statements about participation that a report may hold, each charged to the budget: how many uploads
// counted, why others did not, how long an upload took. Without noise nothing is said: exact numbers would leave.
func (c *Campaign) tell(ctx context.Context) error {
	if c.cfg.Log == nil || !c.cfg.Noise || c.tally.Rounds == 0 || c.cfg.Split.Telemetry.Sign() == 0 {
		return nil
	}
	c.cfg.Observer(Progress{Stage: StageTelemetry})
	rho, _ := c.cfg.Split.Telemetry.Float64()
	epsilon := math.Floor(1e6*math.Sqrt(2*rho/statements)) / 1e6 // epsilon-DP costs epsilon^2/2, rounded down
	reporter, err := telemetry.New(c.cfg.Log, c.cfg.Task)
	if err != nil {
		return err
	}
	said := c.tally
	none, err := json.Marshal(tally{})
	if err != nil {
		return err
	}
	if err := c.cfg.Server.Keep(ctx, keptTally, none); err != nil { // first: nothing is said twice, every statement is charged
		return err
	}
	c.tally = tally{}
	scope := telemetry.Scope{Round: said.Last, Times: said.Rounds}
	uploads, err := reporter.Count(scope, "uploads_counted", said.Counted, epsilon)
	if err != nil {
		return err
	}
	if _, err := reporter.Histogram(scope, "uploads_dropped", buckets(said.Drops), epsilon); err != nil {
		return err
	}
	scope.Contributors = uploads.Rows[0].Value / float64(scope.Times) // as told: what is said next must not depend on the exact number
	return latency(reporter, scope, said.millis(), epsilon)
}

// latency says how long an upload took: the median and what 95 % stayed below where devices suffice for
// epsilon, else the mean.
func latency(reporter *telemetry.Reporter, scope telemetry.Scope, millis []float64, epsilon float64) error {
	_, err := reporter.Quantiles(scope, "upload_milliseconds_quantiles", millis, uploadRange, []float64{0.5, 0.95}, epsilon)
	if errors.Is(err, telemetry.ErrFewContributors) {
		_, err = reporter.Mean(scope, "upload_milliseconds", millis, uploadRange, epsilon)
	}
	return err
}

// buckets lists every reason there is, zeros too: which labels stand there must not depend on the data.
func buckets(drops map[string]int) []telemetry.Bucket {
	for _, reason := range round.DropReasons() {
		drops[reason.String()] += 0
	}
	var all []telemetry.Bucket
	for _, label := range slices.Sorted(maps.Keys(drops)) {
		all = append(all, telemetry.Bucket{Label: label, Count: drops[label]})
	}
	return all
}
