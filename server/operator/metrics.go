package operator

import (
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"tutti/privacy/plan"
	"tutti/server/round"
)

// Every metric, by name. Labels come from closed sets: states, phases, reasons of package round, the configured addresses of
// the committee. None ever names a device. All are made of one View, so that every replica gives the same numbers; what is
// the replica's own (certificate, disk, memory, whether it drives) is told by the scrape's own "instance".
var (
	metricView          = describe("tutti_view_ok", "1: the numbers below are of now; 0: they could not be read, and are missing")
	metricState         = describe("tutti_task_state", "1 for the state that the task is in", "state")
	metricPrivacy       = describe("tutti_privacy_on", "0: no noise is added, nothing is claimed")
	metricRounds        = describe("tutti_rounds_total", "Rounds that ended", "outcome")
	metricAbandoned     = describe("tutti_rounds_abandoned_total", "Rounds of which nothing was opened, by reason", "reason")
	metricFailed        = describe("tutti_rounds_failed_in_a_row", "Rounds since the last published one that ended without a sum")
	metricCounted       = describe("tutti_uploads_counted_total", "Uploads in published sums ("+Counts+")")
	metricDropped       = describe("tutti_uploads_dropped_total", "Uploads that were dropped, by reason, over the rounds that the store still tells of ("+Counts+")", "reason")
	metricParticipation = describe("tutti_participation_ratio", "Devices counted in the last round over those that it wanted ("+Counts+")")
	metricLow           = describe("tutti_participation_low_rounds", "Last rounds in a row that counted fewer than half of the devices that they wanted")
	metricLastRound     = describe("tutti_last_round_timestamp_seconds", "When the last round ended; when the task was opened, before the first")
	metricCollect       = describe("tutti_round_collect_seconds", "How long the newest round takes, or took, uploads at most")
	metricOpen          = describe("tutti_round_open", "1: a round is under way")
	metricNumber        = describe("tutti_round_number", "Number of the newest round")
	metricStaged        = describe("tutti_round_staged", "Uploads that the round under way has got ("+Counts+")")
	metricAccepted      = describe("tutti_round_accepted", "Of them: accepted by the committee ("+Counts+")")
	metricGoal          = describe("tutti_round_goal", "Devices that the newest round wants, or wanted")
	metricPhase         = describe("tutti_round_phase_seconds", "How long rounds were in a phase", "phase")
	metricBudget        = describe("tutti_epsilon_budget", "Epsilon of the whole task; absent without a bound")
	metricSpent         = describe("tutti_epsilon_spent", "Epsilon that is spent")
	metricUsed          = describe("tutti_budget_used_ratio", "Share of the budget, in rho, that is spent, reserved or held")
	metricLeft          = describe("tutti_budget_rounds_left", "Rounds that the budget bears yet, at the cost of the last ones; absent before two rounds")
	metricStop          = describe("tutti_budget_stop_timestamp_seconds", "When the budget is spent, at this pace; absent before two rounds")
	metricMeter         = describe("tutti_noise_meter_ratio", "Noise that the last round measured over what was promised; absent where none was measured")
	metricMeterZ        = describe("tutti_noise_meter_z", "Standard errors between the two")
	metricQuality       = describe("tutti_quality", "What the devices told of the model in the last round that asked, with differential privacy: the value, and the ends of its 95 % interval", "metric", "bound")
	metricNode          = describe("tutti_committee_node_up", "0: the committee node does not answer", "node")
	metricNodeWrong     = describe("tutti_committee_node_wrong_total", "Answers of the node that the others' corrected", "node")
	metricCertificate   = describe("tutti_certificate_expiry_seconds", "How long the listener's certificate is valid yet; absent without one")
	metricDiskFree      = describe("tutti_disk_free_bytes", "Free space on the data directory's disk")
	metricDisk          = describe("tutti_disk_bytes", "Size of the data directory's disk")
	metricReplicas      = describe("tutti_replicas", "Servers that gave a sign of life lately")
	metricDrives        = describe("tutti_drives", "1: this server drives the rounds")
	metricLease         = describe("tutti_lease_token", "Newest token of the lease of the server that drives")
	metricEnrolled      = describe("tutti_devices_enrolled", "Devices that are enrolled ("+Counts+")")
	metricLog           = describe("tutti_log_records", "Records of the transparency log")
	metricLogOK         = describe("tutti_log_ok", "0: the log's own check failed")
)

// described are all of them, in order.
var described []*prometheus.Desc

// named are their names, in the same order.
var named []string

func describe(name, help string, labels ...string) *prometheus.Desc {
	d := prometheus.NewDesc(name, help, labels, nil)
	described, named = append(described, d), append(named, name)
	return d
}

// Metrics are the names of all metrics that /metrics tells beside those of the Go runtime and of the process.
func Metrics() []string { return slices.Clone(named) }

// collector makes metrics of a view.
type collector struct {
	source Source
	log    hclog.Logger
}

// viewTimeout bounds how long a scrape waits for the store.
const viewTimeout = 5 * time.Second

// metricsHandler serves /metrics from a registry of its own.
func metricsHandler(source Source, log hclog.Logger) (http.Handler, error) {
	r := prometheus.NewRegistry()
	for _, c := range []prometheus.Collector{collector{source, log}, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{})} {
		if err := r.Register(c); err != nil {
			return nil, err
		}
	}
	return promhttp.HandlerFor(r, promhttp.HandlerOpts{ErrorLog: log.StandardLogger(&hclog.StandardLoggerOptions{ForceLevel: hclog.Warn}), MaxRequestsInFlight: 4}), nil
}

// Describe implements prometheus.Collector.
func (c collector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range described {
		out <- d
	}
}

// sink takes metrics.
type sink chan<- prometheus.Metric

func (s sink) gauge(d *prometheus.Desc, x float64, labels ...string) {
	s <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, x, labels...)
}

func (s sink) count(d *prometheus.Desc, n int, labels ...string) {
	s <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(n), labels...)
}

// Collect implements prometheus.Collector.
func (c collector) Collect(out chan<- prometheus.Metric) {
	s := sink(out)
	ctx, cancel := context.WithTimeout(context.Background(), viewTimeout)
	defer cancel()
	v, err := c.source.View(ctx)
	if err != nil {
		c.log.Warn("metrics", "error", err)
		s.gauge(metricView, 0)
		return
	}
	s.gauge(metricView, 1)
	for _, state := range []State{Running, Paused, Stopped, Finished} {
		s.gauge(metricState, float64(boolInt(v.State == state)), string(state))
	}
	s.gauge(metricPrivacy, float64(boolInt(v.Privacy.On)))
	s.gauge(metricEnrolled, float64(v.Devices.Enrolled))
	s.rounds(v)
	s.budget(v)
	s.quality(v)
	s.machines(v)
}

func (s sink) rounds(v *View) {
	t := v.Totals
	s.count(metricRounds, t.Published, round.Published.String())
	s.count(metricRounds, t.Abandoned, round.Abandoned.String())
	s.count(metricRounds, t.Lost, round.Lost.String())
	counts := map[string]int{}
	for _, r := range t.Abandons {
		counts[r.Label] += r.Count
	}
	for _, r := range abandonReasons() {
		s.count(metricAbandoned, counts[r.String()], r.String())
	}
	clear(counts)
	for _, r := range t.Refused {
		counts[r.Label] += r.Count
	}
	for _, r := range round.DropReasons() {
		s.count(metricDropped, counts[r.String()], r.String())
	}
	s.gauge(metricFailed, float64(t.InARow))
	s.count(metricCounted, t.Counted)
	low := slices.IndexFunc(v.Rounds, func(r Round) bool { return r.participation() >= warnParticipation })
	if low < 0 {
		low = len(v.Rounds)
	}
	s.gauge(metricLow, float64(low))
	last := v.Opened
	if len(v.Rounds) > 0 {
		r := v.Rounds[0]
		last = r.Ended
		s.gauge(metricParticipation, r.participation())
	}
	s.gauge(metricLastRound, seconds(last))
	s.open(v)
	for _, h := range t.Phases {
		buckets := map[float64]uint64{}
		for i, bound := range h.Bounds {
			buckets[bound] = h.Counts[i]
		}
		s <- prometheus.MustNewConstHistogram(metricPhase, h.Count, h.Sum, buckets, h.Name)
	}
}

func (s sink) open(v *View) {
	o := v.Open
	s.gauge(metricOpen, float64(boolInt(o != nil)))
	switch {
	case o != nil:
		s.gauge(metricNumber, float64(o.Number))
		s.gauge(metricGoal, float64(o.Goal))
		s.gauge(metricCollect, max(0, o.Deadline.Sub(o.Opened).Seconds()))
	case len(v.Rounds) > 0:
		r := v.Rounds[0]
		s.gauge(metricNumber, float64(r.Number))
		s.gauge(metricGoal, float64(r.Goal))
		s.gauge(metricCollect, r.Collect)
	default:
		s.gauge(metricNumber, 0)
	}
	if o == nil {
		o = &Open{}
	}
	s.gauge(metricStaged, float64(o.Staged))
	s.gauge(metricAccepted, float64(o.Accepted))
}

// participation is the share of the wanted devices that were counted.
func (r Round) participation() float64 {
	if r.Goal == 0 {
		return 0
	}
	return float64(r.Counted) / float64(r.Goal)
}

func seconds(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }

func (s sink) budget(v *View) {
	b := v.Budget
	if !b.Bounded {
		return
	}
	s.gauge(metricBudget, b.Epsilon)
	s.gauge(metricSpent, b.Spent.Epsilon)
	s.gauge(metricUsed, 1-b.Left)
	if b.Forecast.Known {
		s.gauge(metricLeft, float64(b.Forecast.Rounds))
		s.gauge(metricStop, seconds(b.Forecast.Stop))
	}
}

func (s sink) quality(v *View) {
	for _, r := range v.Rounds {
		if r.Meter != nil {
			s.gauge(metricMeter, r.Meter.Ratio)
			s.gauge(metricMeterZ, r.Meter.Z)
			break
		}
	}
	if len(v.Quality) == 0 {
		return
	}
	names := slices.Concat(plan.MetricsBasic.Names(), plan.MetricsGroups.Names(), plan.MetricsClip.Names())
	for _, f := range v.Quality[0].Figures {
		if slices.Contains(names, f.Name) {
			s.gauge(metricQuality, f.Value, f.Name, "value")
			s.gauge(metricQuality, f.Low, f.Name, "low")
			s.gauge(metricQuality, f.High, f.Name, "high")
		}
	}
}

func (s sink) machines(v *View) {
	for _, n := range v.Nodes {
		s.gauge(metricNode, float64(boolInt(n.Up)), n.Address)
		s.count(metricNodeWrong, n.Wrong, n.Address)
	}
	if c := v.Machine.Certificate; c != nil {
		s.gauge(metricCertificate, c.Sub(v.At).Seconds())
	}
	if v.Machine.DiskTotal > 0 {
		s.gauge(metricDiskFree, float64(v.Machine.DiskFree))
		s.gauge(metricDisk, float64(v.Machine.DiskTotal))
	}
	drives := false
	for _, r := range v.Replicas {
		drives = drives || r.Answers && r.Drives
	}
	s.gauge(metricReplicas, float64(len(v.Replicas)))
	s.gauge(metricDrives, float64(boolInt(drives)))
	for _, l := range v.Leases {
		s.gauge(metricLease, float64(l.Token))
		break
	}
	s.gauge(metricLog, float64(v.Log.Size))
	s.gauge(metricLogOK, float64(boolInt(v.Log.Verdict.State != "failed")))
}
