package campaign

import (
	"context"
	"errors"
	"fmt"
	"time"

	"tutti/model"
	"tutti/model/blend"
	"tutti/model/optim"
	"tutti/model/seqrec"
	"tutti/privacy/plan"
	"tutti/privacy/telemetry"
	"tutti/server"
)

// Server is what a campaign needs of the aggregation server; *server.Server is one.
type Server interface {
	RunRound(ctx context.Context, spec server.RoundSpec) (*server.RoundResult, error)
	Resume(ctx context.Context) (*server.RoundResult, error)
	Publish(ctx context.Context, p server.Publication) (model.Version, error)
	Version() (model.Version, bool)
	Blob(digest [32]byte) ([]byte, error)
	PutBlob(content []byte) ([32]byte, error)
	Kept(ctx context.Context, name string) ([]byte, bool, error)
	Keep(ctx context.Context, name string, value []byte) error
	Planned(ctx context.Context, opening time.Time) error
}

// Config is what a task learns, and how.
type Config struct {
	Server Server
	Log    telemetry.Ledger // nil: no statement about participation is made
	Task   string

	Items  model.Digest // of the catalogue
	Public blend.Public // its public columns
	Spec   blend.Spec   // the Transformer

	Split   plan.Split    // how the budget is spent; its Goal, n_min, n_max and t_c hold with noise off too
	Noise   bool          // false: privacy visibly off, in plan, log and report
	Collect time.Duration // how long a round takes uploads at most

	Clip      float64            // L2 bound of a model update; of the first one, where it adapts
	Training  plan.Training      // of a device
	Optimiser optim.ServerConfig // of the server
	Distil    Distillation
	Weight    float64 // of the Transformer in the served blend, in [0, 1]
	Seed      uint64  // of the initial weights

	AdaptiveClip bool // the clip follows from the clip bits that Split.Measure asks
	// LastClip is what the log says of the newest model round, see server.Server.LastClip; nil: a campaign that begins
	// again begins with Clip.
	LastClip func(context.Context) (clip, within float64, err error)

	// Rollbacks counts the versions that brought an older content back, see server.Server.Rollbacks; nil: there are none.
	Rollbacks func(context.Context) (int, error)

	NewEngine func(*seqrec.Model) seqrec.Engine // what distils
	Observer  func(Progress)                    // nil: nobody listens; called by the campaign's goroutine
	Retries   int                               // how often a round that was abandoned or lost is run anew

	// Pause is how long the first of them waits, doubled with each in a row that came to nothing, up to LongestPause; 0: not at all.
	Pause, LongestPause time.Duration

	// Staleness is how many versions behind the newest an update of a model round may have started: above 0 rounds are
	// buffered-asynchronous (see doc.go).
	Staleness uint32
}

// Progress is what a campaign says of itself; rounds speak through the server's own events.
type Progress struct {
	Stage   Stage
	Step    int // of Steps, within the stage; with the publication of a model round, the rounds before it
	Steps   int
	Loss    float64       // while distilling
	Version model.Version // with a publication
	Parts   blend.Parts   // what the version is made of
	Metrics []plan.Figure // what the devices told in the round, if they were asked
	Clip    float64       // with the publication of a model round: the clip of the next one, where it adapts
	Err     error         // why a round is run anew
	Until   time.Time     // with Err: when
}

// Stage is where a campaign stands.
type Stage uint8

// The stages, in their order.
const (
	StagePopularity Stage = iota
	StageTransitions
	StageDistil
	StageModel
	StageTelemetry
	StageDone
)

// String is the stage's label.
func (s Stage) String() string {
	return [...]string{"popularity", "transitions", "distil", "model", "telemetry", "done"}[s]
}

func (c Config) check() error {
	switch {
	case c.Server == nil || c.NewEngine == nil:
		return errors.New("campaign: a server and an engine are needed")
	case c.Split.Goal < 1:
		return errors.New("campaign: the budget is not split yet: see plan.PlanSplit")
	case c.Staleness > plan.MaxStale:
		return fmt.Errorf("campaign: updates %d versions behind, at most %d", c.Staleness, plan.MaxStale)
	case c.Pause < 0 || c.LongestPause < c.Pause:
		return errors.New("campaign: the longest pause is shorter than the first")
	case !(c.Weight >= 0 && c.Weight <= 1):
		return errors.New("campaign: the blend's weight is not in [0, 1]")
	}
	return nil
}
