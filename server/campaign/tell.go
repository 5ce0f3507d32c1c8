package campaign

import (
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
func (c *Campaign) tell() error {
	if c.cfg.Log == nil || !c.cfg.Noise || len(c.counters) == 0 || c.cfg.Split.Telemetry.Sign() == 0 {
		return nil
	}
	c.cfg.Observer(Progress{Stage: StageTelemetry})
	rho, _ := c.cfg.Split.Telemetry.Float64()
	epsilon := math.Floor(1e6*math.Sqrt(2*rho/statements)) / 1e6 // epsilon-DP costs epsilon^2/2, rounded down
	reporter, err := telemetry.New(c.cfg.Log, c.cfg.Task)
	if err != nil {
		return err
	}
	scope := telemetry.Scope{Round: c.last, Times: len(c.counters)}
	counted := 0
	var millis []float64
	drops := map[string]int{}
	for _, n := range c.counters {
		counted += n.Counted
		millis = append(millis, n.UploadMillis...)
		for reason, k := range n.Drops {
			drops[reason] += k
		}
		drops[round.DropClosed.String()] += n.Late
		drops[round.DropCommittee.String()] += n.Refused
	}
	c.counters = nil // nothing is said twice: every statement is charged
	if _, err := reporter.Count(scope, "uploads_counted", counted, epsilon); err != nil {
		return err
	}
	if _, err := reporter.Histogram(scope, "uploads_dropped", buckets(drops), epsilon); err != nil {
		return err
	}
	_, err = reporter.Mean(scope, "upload_milliseconds", millis, telemetry.Range{Low: 0, High: 10_000, Step: 1}, epsilon)
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
