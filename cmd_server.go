package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"tutti/model"
	"tutti/model/dataset"
	"tutti/privacy/accounting"
	"tutti/privacy/plan"
	"tutti/privacy/report"
	"tutti/server"
	"tutti/server/campaign"
	"tutti/server/committee"
	"tutti/server/keys"
	"tutti/server/operator"
	"tutti/server/registry"
	"tutti/server/store"
)

func (a *app) serverCommand() *cobra.Command {
	var f serverFlags
	cmd := &cobra.Command{
		Use:   "server",
		Short: "Run the aggregation server: it runs the task's rounds and can open only their sums",
		Long: `Runs the rounds of a task that tutti server init made, publishes what comes of them. It can be
stopped at any moment; the next start continues. tutti report writes the report once it is stopped.

With --db any number of servers work on one task and one PostgreSQL database, behind any load balancer: give each a data
directory of its own with the same keys, setup.json and task.json in it. All of them answer devices; one of them at a time
runs the rounds, and another goes on where it dies.`,
		Example: `  tutti server init --dir server-data --goal 40 --node 127.0.0.1:7201=5f3c… --node 127.0.0.1:7202=77aa… --node 127.0.0.1:7203=09be… --catalogue movies
  tutti server --dir server-data --listen 127.0.0.1:7100 --certs certs --catalogue movies
  tutti server --dir replica2 --db postgres://tutti@db/tutti --listen 127.0.0.1:7102 --certs certs --catalogue movies`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			f.anyOperator = !cmd.Flags().Changed("operator")
			return a.runServer(cmd.Context(), f)
		},
	}
	cmd.PersistentFlags().StringVar(&f.dir, "dir", "server-data", "the server's data directory")
	cmd.PersistentFlags().StringVar(&f.catalogue, "catalogue", "", "folder with the list of items (movies.csv, movies.dat or u.item)")
	cmd.PersistentFlags().StringVar(&f.db, "db", "", "PostgreSQL that servers of one task share, postgres://... (default: $"+dbSetting+", or SQLite in the data directory)")
	cmd.PersistentFlags().StringVar(&f.blobs, "blobs", "", "where models are kept: dir:PATH, db: or s3://BUCKET/PREFIX?endpoint=... (default: $"+blobsSetting+", or beside the database)")
	cmd.Flags().DurationVar(&f.lease, "lease", 5*time.Second, "with --db: how long the server that runs the rounds may be silent before another one does")
	cmd.Flags().IntVar(&f.canary, "canary", registry.Everybody, "percent of the devices that a new model goes to first; where it is measured to be as good it goes on to 25 and then to all, and where it is worse the one before is published anew (tutti task rollout goes on by hand)")
	cmd.Flags().StringVar(&f.listen, "listen", "127.0.0.1:7100", "address to answer devices on")
	cmd.Flags().StringVar(&f.operator, "operator", "127.0.0.1:7180", "address to answer the operator on: tutti status, tutti task, /metrics for Prometheus; with TLS where it is not a loopback address; off: nowhere")
	cmd.Flags().StringVar(&f.certs, "certs", "certs", "folder with ca.pem, server.pem, server.key (tutti dev-certs makes one)")
	cmd.Flags().BoolVar(&f.exit, "exit", false, "end when the last round is published, instead of serving the model on")
	cmd.Flags().BoolVar(&f.keepSums, "keep-sums", false, "keep every opened sum, so that an auditor can recompute what was made of it")
	f.wire.bind(cmd)
	cmd.AddCommand(a.serverInitCommand(&f))
	return cmd
}

type serverFlags struct {
	dir, catalogue, listen, certs string
	db, blobs                     string
	operator                      string
	trace                         *operator.Tracer
	anyOperator                   bool // another port will do where that one is taken
	lease                         time.Duration
	canary                        int
	exit, keepSums                bool
	wire                          wireFlags
}

// A database's address may hold a password, which is better kept out of command lines.
const dbSetting, blobsSetting = "TUTTI_DB", "TUTTI_BLOBS"

// stores are the database and the place of blobs.
func (f serverFlags) stores() (db, blobs string) {
	return cmp.Or(f.db, os.Getenv(dbSetting)), cmp.Or(f.blobs, os.Getenv(blobsSetting))
}

// setup is what init writes and every later start reads; task.json beside it is for devices and committee nodes.
type setup struct {
	Purpose string `json:"purpose"`
	Recipe  recipe `json:"recipe"`
	Nodes   int    `json:"nodes,omitempty"` // committee nodes that the server runs itself; none where somebody else runs them
}

func (a *app) serverInitCommand(f *serverFlags) *cobra.Command {
	s := setup{Recipe: recipe{Size: sizeSmall, Noise: true}}
	t := taskFile{Corrupt: 1}
	var nodes []string
	var tokens int
	cmd := &cobra.Command{
		Use:   "init",
		Short: "Make the keys, the task file and the enrolment tokens of a new task",
		Long: `Writes task.json, which devices and committee nodes pin (hand it out by a way of your own), setup.json, and tokens.txt
(one-time, one a device, mode 0600). The budget cannot be changed later: a new budget is a new task.

An operator without a committee may be trusted instead: with --trust central the devices clip and mask, and the operator
opens the sum and adds the noise, with --trust central-mf noise that is correlated over the model rounds. It then sees sums
without noise; the claim is towards those who see what is released. Without --node the server runs three nodes itself.`,
		Example: "  tutti server init --dir server-data --goal 40 --tokens 60 --node 127.0.0.1:7201=5f3c… --node 127.0.0.1:7202=77aa… --node 127.0.0.1:7203=09be… --catalogue movies\n  tutti server init --trust central --goal 100 --participations 8 --separation 2 --clip adaptive --catalogue movies",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.initServer(cmd.Context(), *f, s, t, nodes, tokens)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&t.Task, "task", "task", "name: 1 to 64 of a-z 0-9 . _ -")
	flags.StringVar(&s.Purpose, "purpose", "recommendations", "why the task exists; logged and reported")
	flags.StringArrayVar(&nodes, "node", nil, "committee node ADDRESS=KEY (tutti committee key prints it); one for each node")
	flags.IntVar(&t.Corrupt, "corrupt", 1, "nodes assumed to collude with the server")
	flags.IntVar(&s.Recipe.Goal, "goal", 100, "devices wanted in a round")
	flags.IntVar(&s.Recipe.Groups, "groups", 1, "sums that every round is split into by lot, each with noise of its own; needs many devices")
	flags.StringVar(&s.Recipe.Combine, "combine", "", "how the groups' means become one: median, trimmed, or the mean over all devices")
	flags.Float64Var(&s.Recipe.Epsilon, "epsilon", 8, "the privacy budget of the whole task")
	flags.IntVar(&s.Recipe.Rounds, "rounds", automatic, "model rounds; -1: as the planner advises")
	flags.StringVar(&s.Recipe.Size, "model", sizeSmall, "small (a few thousand numbers over public features) or table (a learned row per item)")
	flags.IntVar(&s.Recipe.Most, "participations", 0, "rounds that a device takes part in at most: the fewer, the more each may cost (default: all)")
	flags.IntVar(&s.Recipe.Apart, "separation", 0, "model rounds from one that a device is in to its next (default: 1; with central-mf as many as the devices allow)")
	flags.StringVar(&s.Recipe.Metrics, "metrics", string(plan.MetricsAuto), "what model rounds measure on the devices, with noise of its own: off, basic (quality, loss), groups (and by groups of devices), or auto (basic where it says something)")
	flags.StringVar(&s.Recipe.Clip, "clip", clipFixed, "bound of an update: fixed, or adaptive (follows the devices' norms, which they tell through the sum)")
	flags.StringVar(&s.Recipe.Mode, "mode", modeSync, "how model rounds take updates: sync, or buffered (also those of slow devices, from a few versions before the newest, weighted down)")
	flags.IntVar(&s.Recipe.Stale, "staleness", 0, "versions behind the newest that an update of a buffered round may have started from (default: 4)")
	flags.DurationVar(&s.Recipe.Collect, "collect", 10*time.Minute, "how long a round takes uploads at most")
	flags.Uint64Var(&s.Recipe.Seed, "seed", 1, "of the initial weights")
	flags.StringVar(&s.Recipe.Trust, "trust", "distributed", "who adds the noise: distributed (every device), central or central-mf (the operator, who then sees sums without noise)")
	flags.BoolVar(&t.NoiseOff, "privacy-off", false, "no noise, for tests of sums; the report says so in red")
	flags.BoolVar(&t.CheckNorm, "check-norm", false, "have devices prove that their uploads are not too long, at some cost to them and to the server")
	flags.BoolVar(&t.Classical, "classical", false, "smaller envelopes that a quantum computer could open one day")
	flags.IntVar(&tokens, "tokens", 0, "enrolment tokens to make (default: twice the goal)")
	return cmd
}

func (a *app) initServer(ctx context.Context, f serverFlags, s setup, t taskFile, nodes []string, tokens int) error {
	s.Recipe.Noise = !t.NoiseOff
	if _, err := s.Recipe.trust(); err != nil {
		return err
	}
	t.Trust = s.Recipe.trusted()
	if t.NoiseOff && t.Trust != "" {
		return usageError("--trust %s and --privacy-off: nobody would add noise", t.Trust)
	}
	if tokens == 0 {
		tokens = 2 * s.Recipe.Goal
	}
	s.Recipe.People = tokens
	for _, n := range nodes {
		address, key, found := strings.Cut(n, "=")
		if !found {
			return usageError("--node %q: want ADDRESS=KEY", n)
		}
		t.Committee = append(t.Committee, taskNode{Address: address, Key: key})
	}
	if len(nodes) == 0 && t.central() {
		var err error
		if t.Committee, err = ownNodes(f.dir); err != nil {
			return err
		}
		s.Nodes = len(t.Committee)
	} else if len(nodes) < 3 {
		return usageError("a committee of %d nodes: at least three are needed", len(nodes))
	}
	catalogue, err := readCatalogue(f.catalogue)
	if err != nil {
		return err
	}
	w, err := planned(s.Recipe, catalogue)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(f.dir, 0o700); err != nil {
		return err
	}
	own, err := server.LoadKeys(f.dir)
	if err != nil {
		return err
	}
	t.Operator, t.Enroller = hex.EncodeToString(publicOf(own.Operator)), hex.EncodeToString(publicOf(own.Enroller))
	t.Items = model.Digest(catalogue.Digest()).String()
	t.MinCohort, t.Devices, t.Delta, t.Participations = w.split.NMin, s.Recipe.Goal, w.split.Delta, uint32(max(0, s.Recipe.Most))
	t.MaxClip = s.Recipe.maxClip()
	if s.Recipe.Noise {
		t.Budget = accounting.FormatRho(w.split.Rho)
	}
	if _, err := t.policy(); err != nil {
		return &exitError{exitUsage, err}
	}
	return a.makeTask(ctx, f, t, s, tokens, w)
}

// ownNodes makes the identities of three committee nodes that the server runs beside itself: masks without anybody who keeps
// the operator from opening them.
func ownNodes(dir string) ([]taskNode, error) {
	var out []taskNode
	for i := range 3 {
		key, err := committee.Key(nodeDir(dir, i))
		if err != nil {
			return nil, err
		}
		l, err := listenOn("127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		out = append(out, taskNode{Address: l.Addr().String(), Key: hex.EncodeToString(publicOf(key))})
		defer l.Close() // all three stay taken until they are chosen
	}
	return out, nil
}

// startOwnNodes starts them; what it gives closes them.
func (a *app) startOwnNodes(dir string, s setup, t taskFile, certs keys.Files) (*deployment, error) {
	d := &deployment{task: t, certs: certs, serving: newServing()}
	for i := range s.Nodes {
		l, err := listenOn(t.Committee[i].Address)
		if err == nil {
			err = a.startNode(d, nodeDir(dir, i), l)
		}
		if err != nil {
			d.Close()
			return nil, err
		}
	}
	return d, nil
}

// makeTask opens the task's log, and writes setup.json, task.json and the tokens. A task that the server would not open
// leaves no file behind.
func (a *app) makeTask(ctx context.Context, f serverFlags, t taskFile, s setup, n int, w taskPlan) error {
	dir := f.dir
	setupFile, err := createFresh(filepath.Join(dir, "setup.json"))
	if err != nil {
		return err
	}
	defer setupFile.Close()
	srv, err := a.openTask(f, s, t)
	if err != nil {
		setupFile.Close()
		os.Remove(setupFile.Name())
		return err
	}
	defer srv.Close()
	enc := json.NewEncoder(setupFile)
	enc.SetIndent("", "  ")
	if err := enc.Encode(s); err != nil {
		return err
	}
	if err := t.write(filepath.Join(dir, "task.json")); err != nil {
		return err
	}
	path := filepath.Join(dir, "tokens.txt")
	if err := writeTokens(ctx, srv, path, n); err != nil {
		return err
	}
	advice := w.split.Sentences
	if t.NoiseOff {
		advice = []string{"PRIVACY IS OFF: no noise is added, nothing is claimed. Masks are on."}
	}
	if a.json {
		return a.emit(map[string]any{"task": t, "advice": advice, "tokens": path})
	}
	for _, sentence := range advice {
		fmt.Fprintln(a.out, sentence)
	}
	fmt.Fprintf(a.out, "%s: hand it to devices and committee nodes. %s: %d tokens, one a device.\n", filepath.Join(dir, "task.json"), path, n)
	return nil
}

// openTask opens the data directory without serving anybody.
func (a *app) openTask(f serverFlags, s setup, t taskFile) (*server.Server, error) {
	c, err := a.serverConfig(f, s, t)
	if err != nil {
		return nil, err
	}
	return server.Open(c)
}

func writeTokens(ctx context.Context, srv *server.Server, path string, n int) error {
	tokens, err := srv.Tokens(ctx, n)
	if err != nil {
		return err
	}
	file, err := createFresh(path)
	if err != nil {
		return err
	}
	defer file.Close()
	_, err = io.WriteString(file, strings.Join(tokens, "\n")+"\n")
	return err
}

func readCatalogue(path string) (*dataset.Catalogue, error) {
	if path == "" {
		return nil, usageError("--catalogue is needed: a folder with movies.csv, movies.dat or u.item")
	}
	c, err := dataset.LoadCatalogue(os.DirFS(path))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return c, nil
}

// offline is a server's data directory opened without serving anybody.
type offline struct {
	server *server.Server
	keys   server.Keys
	task   taskFile
	setup  setup
}

func readSetup(dir string) (setup, taskFile, error) {
	var s setup
	data, err := os.ReadFile(filepath.Join(dir, "setup.json"))
	if err != nil {
		return s, taskFile{}, fmt.Errorf("%s holds no task (tutti server init makes one): %w", dir, err)
	}
	if err := json.Unmarshal(data, &s); err != nil {
		return s, taskFile{}, fmt.Errorf("%s: setup.json: %w", dir, err)
	}
	t, err := readTaskFile(filepath.Join(dir, "task.json"))
	return s, t, err
}

func (a *app) serverConfig(f serverFlags, s setup, t taskFile) (server.Config, error) {
	c := server.Config{Dir: f.dir, Lease: f.lease, Rollout: registry.Policy{Start: uint32(f.canary)}, Task: t.Task, Trust: t.Trust, Purpose: s.Purpose, Corrupt: t.Corrupt, Delta: t.Delta, Suite: t.suite(), Enrolled: t.Devices, CheckNorm: t.CheckNorm,
		Participations: t.Participations,
		Groups:         s.Recipe.Groups, Combine: server.Combine(s.Recipe.Combine), Offline: true, Log: a.logger("server")}
	c.DB, c.Blobs = f.stores()
	roster, err := t.roster()
	if err != nil {
		return c, err
	}
	if t.Budget != "" {
		if c.Budget, err = accounting.ParseRho(t.Budget); err != nil {
			return c, err
		}
	}
	nobody := &tls.Config{MinVersion: tls.VersionTLS13, RootCAs: x509.NewCertPool()} // offline: no node is talked to
	for i, n := range t.Committee {
		c.Committee = append(c.Committee, committee.Peer{Address: n.Address, Identity: roster[i], TLS: nobody})
	}
	return c, nil
}

func openOffline(a *app, dir string) (*offline, error) {
	s, t, err := readSetup(dir)
	if err != nil {
		return nil, err
	}
	own, err := server.LoadKeys(dir)
	if err != nil {
		return nil, err
	}
	srv, err := a.openTask(serverFlags{dir: dir}, s, t)
	if err != nil {
		return nil, err
	}
	return &offline{server: srv, keys: own, task: t, setup: s}, nil
}

func (o *offline) statement(out string) statement {
	return statement{
		task: o.task.Task, directory: out,
		setting: report.Setting{Devices: uint64(o.setup.Recipe.Goal), SelfEnrolled: true, CommitteeOneRoof: o.setup.Nodes > 0, Data: "behaviour on the devices of " + o.setup.Purpose},
	}
}

func (a *app) runServer(ctx context.Context, f serverFlags) error {
	s, t, err := readSetup(f.dir)
	if err != nil {
		return err
	}
	catalogue, err := t.catalogue(f.catalogue)
	if err != nil {
		return err
	}
	w, err := planned(s.Recipe, catalogue)
	if err != nil {
		return err
	}
	c, err := a.serverConfig(f, s, t)
	if err != nil {
		return err
	}
	certs := certFiles(f.certs)
	hint := fmt.Sprintf("(tutti dev-certs --out %s makes certificates for a trial)", f.certs)
	if err := f.wire.apply(&c, certs); errors.As(err, new(*exitError)) {
		return err
	} else if err != nil {
		return fmt.Errorf("%w %s", err, hint)
	}
	if c.Committee, err = peers(t, certs); err != nil {
		return fmt.Errorf("%w %s", err, hint)
	}
	own, err := a.startOwnNodes(f.dir, s, t, certs)
	if err != nil {
		return err
	}
	defer own.Close()
	u := a.newUI()
	defer u.close()
	words := newWords(u)
	c.Offline, c.Observer, c.KeepSums = false, words.server, f.keepSums
	c.Pace = server.Pace{NoRound: 2 * time.Second, Full: 2 * time.Second, Counted: 2 * time.Second, Finished: time.Minute}
	if c.Trace, err = operator.NewTracer(ctx, t.Task, f.listen, release()); err != nil {
		return fmt.Errorf("$%s: %w", operator.TraceSetting, err)
	}
	defer c.Trace.Close()
	f.trace = c.Trace
	l, err := listenOn(f.listen)
	if err != nil {
		return err
	}
	srv, err := server.Open(c)
	if err != nil {
		l.Close()
		return err
	}
	defer srv.Close()
	own.serving.run("answering devices", func() error { return srv.Serve(l) })
	ctx, unwatch := own.serving.watch(ctx)
	defer unwatch()
	t.warn(a.err)
	u.say("task %s: devices are answered on %s", t.Task, l.Addr())
	if web, err := f.wire.serve(srv, c); err != nil {
		return err
	} else if web != nil {
		u.say("devices in browsers are answered on https://%s", web)
	}
	operatorKeys, err := server.LoadKeys(f.dir)
	if err != nil {
		return err
	}
	page, quiet, err := a.startOperator(ctx, srv, f, t, operatorKeys, c.TLS)
	if err != nil {
		return err
	}
	defer quiet()
	if page != "" {
		u.say("the dashboard is on %s; tutti task token --dir %s makes a token to log in with", page, f.dir)
	}
	err = srv.Lead(ctx, func(ctx context.Context) error {
		if c.DB != "" {
			u.say("this server runs the rounds now")
		}
		return a.runCampaign(ctx, srv, t, s, w, words)
	})
	stopped := errors.Is(err, server.ErrStopped)
	if err != nil && !stopped {
		return reasonOf(ctx, err)
	}
	what := "all rounds are run"
	if stopped {
		what = "the task was stopped by its operator, and devices are told that it is over"
	}
	u.say(what+"; write the report with: tutti report --dir %s", f.dir)
	if f.exit {
		return nil
	}
	<-ctx.Done()
	return reasonOf(ctx, nil)
}

// runCampaign runs the recipe, waiting for the committee, or the database, where it is not there.
func (a *app) runCampaign(ctx context.Context, srv *server.Server, t taskFile, s setup, w taskPlan, words *words) error {
	c, err := campaign.New(s.Recipe.campaign(srv, t.Task, w.catalogue.Digest(), w.public, w.spec, w.split, words.campaign))
	if err != nil {
		return err
	}
	for said := ""; ; {
		err := c.Run(ctx)
		var missing *server.CommitteeError
		var spent *server.BudgetError
		switch {
		case err == nil:
			srv.Finish()
			return nil
		case errors.Is(err, server.ErrStopped):
			srv.Finish()
			return err
		case errors.As(err, &spent):
			return refusedError(err)
		case !errors.As(err, &missing) && !errors.Is(err, store.ErrUnavailable):
			return err
		}
		if now := err.Error(); now != said {
			words.ui.say("waiting: %v", err)
			said = now
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(2 * time.Second):
		}
	}
}
