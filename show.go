package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"sync/atomic"
	"time"

	"tutti/client"
	"tutti/client/fleet"
	"tutti/client/transport"
	"tutti/model"
	"tutti/model/blend"
	"tutti/model/dataset"
	"tutti/privacy/plan"
	"tutti/privacy/report"
	"tutti/server"
	"tutti/server/campaign"
)

// show is one run of the demo.
type show struct {
	app    *app
	ui     *ui
	flags  demoFlags
	source string

	data   *dataset.Dataset
	split  dataset.Split
	public blend.Public
	spec   blend.Spec
	budget plan.Split

	quality *quality
	live    *quality // on a sample, while it runs
	words   *words
	started blend.Parts // as distilled, before any model round
	last    blend.Parts
	begun   time.Time // of the model rounds
	late    atomic.Int64
	result  demoResult
	verdict report.Result

	deployed *deployment
	served   *served // nil without --serve
}

// demoResult is the demo as one JSON document.
type demoResult struct {
	Data            string           `json:"data"`
	Devices         int              `json:"devices"`
	Items           int              `json:"items"`
	Trainable       int              `json:"trainable_numbers"`
	Advice          []string         `json:"advice"`
	Privacy         string           `json:"privacy"`
	Epsilon         float64          `json:"epsilon,omitempty"`
	Delta           string           `json:"delta"`
	RhoSpent        string           `json:"rho_spent"`
	Quality         []qualityRow     `json:"quality"`
	ModelRounds     float64          `json:"model_rounds_added_ndcg10"`
	Recommendations []recommendation `json:"recommendations"`
	Report          string           `json:"report"`
	Verdict         string           `json:"verdict"`
	Mode            string           `json:"mode"`
	ModelSeconds    float64          `json:"model_rounds_seconds"` // from the start of the first model round to the last version
	LateUpdates     int64            `json:"late_updates"`         // that the server took, from a version before the newest
	Seconds         float64          `json:"seconds"`
}

// liveUsers is how many users the quality is measured on while the demo runs.
const liveUsers = 610

const demoTask = "demo"

func newShow(a *app, u *ui, f demoFlags, ds *dataset.Dataset, source string) (*show, error) {
	if f.Goal = f.cohort; f.Goal == 0 {
		f.Goal = len(ds.Users)
	}
	if f.Goal > len(ds.Users) {
		return nil, usageError("--cohort %d, and there are %d devices", f.Goal, len(ds.Users))
	}
	f.People = len(ds.Users)
	if f.user < 0 || f.user >= len(ds.Users) {
		return nil, usageError("--user %d: there are %d people", f.user, len(ds.Users))
	}
	s := &show{app: a, ui: u, flags: f, source: source, data: ds, split: dataset.LeaveOneOut(ds)}
	p, err := planned(f.recipe, ds.Catalogue)
	if err != nil {
		return nil, err
	}
	s.public, s.spec, s.budget = p.public, p.spec, p.split
	s.quality = newQuality(ds, s.split)
	s.live = newQuality(ds, s.split)
	s.live.test = s.live.test[:min(len(s.live.test), liveUsers)]
	s.words = newWords(u)
	if !(f.slow >= 0 && f.slow < 1) {
		return nil, usageError("--slow %g: a share of the devices, from 0 to below 1", f.slow)
	}
	s.result = demoResult{Mode: cmp.Or(f.Mode, modeSync), Data: source, Devices: len(ds.Users), Items: ds.Catalogue.Len(), Trainable: p.dim, Delta: s.budget.Delta}
	if f.Noise {
		s.result.Advice = s.budget.Sentences
	}
	return s, nil
}

// run starts everything, trains, measures and reports.
func (s *show) run(ctx context.Context, dir string) error {
	s.introduce()
	spec := deploymentSpec{
		dir: dir, task: demoTask, purpose: "demonstration: recommend from behaviour that stays on devices",
		members: 5, corrupt: 1, goal: s.flags.Goal, minimum: s.budget.NMin, delta: s.budget.Delta, trust: s.flags.trusted(), maxClip: s.flags.maxClip(), observer: s.words.server,
	}
	if s.flags.Noise {
		spec.budget = s.budget.Rho
	}
	d, err := s.app.deploy(spec)
	if err != nil {
		return err
	}
	s.deployed = d
	if s.flags.serve {
		if s.served, err = s.app.serveDashboard(d, dir); err != nil {
			return err
		}
		link, err := s.served.link()
		if err != nil {
			return err
		}
		s.ui.say("Watch it: %s\n  (the link lets one browser in, once)", link)
	}
	ctx, unwatch := d.serving.watch(ctx)
	defer unwatch()
	return reasonOf(ctx, s.steps(ctx, d, dir))
}

// steps is what the demo does with its servers.
func (s *show) steps(ctx context.Context, d *deployment, dir string) error {
	devices, close, err := s.devices(ctx, d)
	if err != nil {
		return err
	}
	defer close()
	if err := s.train(ctx, d, devices); err != nil {
		return err
	}
	if err := s.compare(ctx); err != nil {
		return err
	}
	if err := s.recommend(ctx, devices); err != nil {
		return err
	}
	return s.report(ctx, d, dir)
}

// stay leaves the dashboard open until the person ends the program.
func (s *show) stay(ctx context.Context) error {
	link, err := s.served.link()
	if err != nil {
		return err
	}
	s.ui.say("The dashboard stays open until Ctrl-C: %s\n  (the link lets one browser in, once)", link)
	<-ctx.Done()
	return nil
}

// close ends what run started.
func (s *show) close() {
	s.served.close()
	if s.deployed != nil {
		s.deployed.Close()
	}
}

func (s *show) introduce() {
	s.ui.say("%d people with %d items, %s: each history stays on its own device.", len(s.data.Users), s.data.Catalogue.Len(), s.source)
	if s.flags.Noise {
		for _, sentence := range s.budget.Sentences {
			s.ui.say("  %s", sentence)
		}
		if s.budget.Trust != plan.TrustDevices {
			s.ui.say("%s", s.ui.red("TRUSTED OPERATOR: "+server.SeesSums+"."))
		}
	} else {
		s.ui.say("%s", s.ui.red("PRIVACY IS OFF: no noise is added, nothing is claimed. Masks are on."))
	}
}

// devices makes the fleet and enrols it.
func (s *show) devices(ctx context.Context, d *deployment) (*fleet.Fleet, func(), error) {
	policy, err := d.task.policy()
	if err != nil {
		return nil, nil, err
	}
	shared, err := client.NewShared(client.SharedConfig{Catalogue: s.data.Catalogue, Public: s.public, NewEngine: graphEngine})
	if err != nil {
		return nil, nil, err
	}
	conn, err := transport.Dial(transport.Config{Address: d.address, CAFile: d.certs.CA})
	if err != nil {
		return nil, nil, err
	}
	tokens, err := d.server.Tokens(ctx, len(s.data.Users))
	if err != nil {
		conn.Close()
		return nil, nil, err
	}
	f, err := fleet.New(fleet.Config{
		Policy: policy, Shared: shared, Transport: conn, Histories: s.split.Train, Tokens: tokens,
		Cohort: func(p plan.Plan) int {
			if p.Separation > 1 { // many rest
				return len(s.data.Users)
			}
			return int(p.Goal)
		},
		Seed: s.flags.Seed, Observer: s.hear, Learner: s.slowly(),
	})
	if err == nil {
		begun := time.Now()
		err = f.Enrol(ctx)
		s.ui.say("%d devices enrolled, 5 committee nodes and a server answer on loopback over TLS (%s).", f.Len(), time.Since(begun).Round(time.Millisecond))
	}
	if err != nil {
		conn.Close()
		return nil, nil, err
	}
	return f, func() { conn.Close() }, nil
}

// hear counts the updates that were behind.
func (s *show) hear(e fleet.Event) {
	if a, ok := e.(fleet.Answered); ok && a.Outcome.Staleness > 0 {
		s.late.Add(1)
	}
	s.words.fleet(e)
}

// slowly is what makes some of the devices take long to train; nil without them. Which ones follows from the seed.
func (s *show) slowly() func(device int) client.Learner {
	if s.flags.slow == 0 {
		return nil
	}
	chosen := map[int]bool{}
	order := rand.New(rand.NewPCG(s.flags.Seed, 77)).Perm(len(s.data.Users))
	for _, i := range order[:int(s.flags.slow*float64(len(order)))] {
		chosen[i] = true
	}
	return func(device int) client.Learner {
		if !chosen[device] {
			return nil
		}
		return func(ctx context.Context, l client.Lesson) (model.Update, error) {
			if l.Plan.Kind == plan.Model {
				select {
				case <-time.After(s.flags.slowFor):
				case <-ctx.Done():
					return model.Update{}, ctx.Err()
				}
			}
			return l.Learn(ctx)
		}
	}
}

// train runs the campaign while the fleet follows it.
func (s *show) train(ctx context.Context, d *deployment, devices *fleet.Fleet) error {
	items := s.data.Catalogue.Digest()
	cfg := s.flags.recipe.campaign(d.server, demoTask, items, s.public, s.spec, s.budget, s.progress)
	cfg.Pause, cfg.LongestPause = 200*time.Millisecond, 2*time.Second
	c, err := campaign.New(cfg)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	followed := make(chan error, 1)
	go func() {
		follow := devices.Run
		if s.flags.slow > 0 || s.flags.Mode == modeBuffered { // each at its own speed
			follow = devices.Follow
		}
		err := follow(ctx)
		followed <- err
		if err != nil {
			cancel() // without devices no round can end
		}
	}()
	err = c.Run(ctx)
	d.server.Finish()
	if err == nil {
		err = devices.Settle(ctx)
	}
	cancel()
	if failed := <-followed; failed != nil && !errors.Is(failed, context.Canceled) {
		return failed
	}
	s.last, s.result.LateUpdates = c.Parts(), s.late.Load()
	spent := d.server.Ledger().Totals().Spent
	s.result.RhoSpent = spent.FloatString(6)
	return err
}

// progress is told where the campaign stands; after each version it measures what is served.
func (s *show) progress(p campaign.Progress) {
	s.words.campaign(p)
	if p.Version.Number == 0 || p.Stage == campaign.StageDone {
		return
	}
	if p.Stage == campaign.StageDistil {
		s.started, s.begun = p.Parts, time.Now()
	}
	if p.Stage == campaign.StageModel {
		s.result.ModelSeconds = time.Since(s.begun).Seconds()
	}
	if p.Stage == campaign.StageModel && !due(p.Step+1, p.Steps) {
		return
	}
	whole, _, _, err := heads(p.Parts)
	if err != nil {
		s.ui.say("cannot measure version %d: %v", p.Version.Number, err)
		return
	}
	row, err := s.live.add(fmt.Sprintf("version %d", p.Version.Number), true, whole)
	if err != nil {
		s.ui.say("cannot measure version %d: %v", p.Version.Number, err)
		return
	}
	s.ui.say("  quality of version %d: NDCG@10 %.4f, HR@10 %.4f (%d users)", p.Version.Number, row.NDCG, row.HR, row.Users)
}

// due picks the model rounds after which quality is measured: all of a few, a dozen of many.
func due(round, rounds int) bool { return round == rounds || round%max(1, rounds/12) == 0 }

// report writes and verifies the report.
func (s *show) report(ctx context.Context, d *deployment, dir string) error {
	own, err := server.LoadKeys(filepath.Join(dir, "server"))
	if err != nil {
		return err
	}
	s.verdict, err = writeReport(ctx, d.server, own, statement{
		task: demoTask, directory: s.flags.out, utility: s.quality.utility(),
		setting: report.Setting{Devices: uint64(len(s.data.Users)), SelfEnrolled: true, CommitteeOneRoof: true, Data: s.source},
		extra:   []string{"This was a demonstration: server, committee and devices ran in one process on one machine."},
	})
	if err != nil {
		return err
	}
	s.result.Report = filepath.Join(s.flags.out, "report.json")
	s.result.Verdict = verdictLine(s.verdict)
	s.result.Quality = s.quality.rows
	return nil
}
