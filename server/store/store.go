package store

import (
	"context"
	"io"
	"math/big"
	"time"

	"tutti/privacy/ledger"
	"tutti/server/round"
)

// Key names a group of a round; where the whole round is meant, Shard is 0.
type Key struct {
	Task  string
	Round uint64
	Shard uint32 // group, from 0
}

// Store is the durable state of one server, or of several that share it. Its methods are safe for concurrent use. What a
// driver writes carries the Fence of its lease.
type Store interface {
	Rounds
	Uploads
	Log
	Registry
	Enrolments
	Blobs

	// Dir is this server's own directory; "" where there is none.
	Dir() string
	// Shared says whether other replicas may use the same state.
	Shared() bool
	// Watch gives a channel that gets an element after something was written, by this replica or another; several writes
	// may share one. The channel is the caller's own until ctx ends, and is never closed.
	Watch(ctx context.Context) <-chan struct{}
	Close() error

	Acquire(ctx context.Context, name, holder string, ttl time.Duration) (Lease, bool, error)
	Renew(ctx context.Context, l Lease, ttl time.Duration) (Lease, error)
	Release(ctx context.Context, l Lease) error

	Keep(ctx context.Context, fence Fence, task, name string, value []byte) error
	Kept(ctx context.Context, task, name string) (value []byte, found bool, err error)
	SetTaskState(ctx context.Context, fence Fence, task, state string) error
	TaskState(ctx context.Context, task string) (string, error)
	Tell(ctx context.Context, hs []Happened) error
	Happenings(ctx context.Context, task string, after uint64, limit int) ([]Happened, error)
}

// Rounds are the rounds and the budget's books.
type Rounds interface {
	Begin(ctx context.Context, fence Fence, now time.Time, r Round, rho *big.Rat, log ledger.Body) error
	Move(ctx context.Context, fence Fence, now time.Time, changes ...Change) error
	Round(ctx context.Context, k Key) (Round, bool, error)
	RoundGroups(ctx context.Context, k Key) ([]Round, error)
	RoundsBefore(ctx context.Context, task string, before uint64, limit int) ([]Round, error)
	Groups(ctx context.Context, k Key) (uint32, error)
	Unfinished(ctx context.Context) ([]Round, error)
	Fate(ctx context.Context, k Key) (Fate, bool, error)
	LastRound(ctx context.Context, task string) (uint64, error)
	Drops(ctx context.Context, k Key) (map[string]int, error)
	Budget(ctx context.Context, task string) (map[BudgetState]*big.Rat, error)
	Stream(ctx context.Context, task string) (Stream, bool, error)
}

// Uploads are the staged uploads of rounds and the sums over them.
type Uploads interface {
	OpenStaging(k Key, headerCap, vectorLen, slots int, taken []int) (*Staging, error)
	DropRound(k Key) error
	Stage(ctx context.Context, k Key, replica string, most int, us []Staged) ([]error, error)
	Uploads(ctx context.Context, k Key) ([]Staged, error)
	UploadsSince(ctx context.Context, k Key, seq uint64) ([]Staged, error)
	Upload(ctx context.Context, k Key, id round.ID) (Staged, bool, error)
	Header(ctx context.Context, k Key, id round.ID) ([]byte, error)
	Fold(ctx context.Context, fence Fence, k Key, ids []round.ID, want bool) error
	ToFold(ctx context.Context, k Key, replica string) ([]FoldRow, error)
	PutPartial(ctx context.Context, k Key, p Partial) error
	Partials(ctx context.Context, k Key) ([]Partial, error)
	SaveSum(ctx context.Context, fence Fence, k Key, sum []byte) error
	Sum(ctx context.Context, k Key) ([]byte, error)
	Uploaded(ctx context.Context, task string, first, last uint64) (map[round.ID]bool, error)
	DeviceSpent(ctx context.Context, task string, id round.ID) (rho *big.Rat, rounds int, err error)
	Participation(ctx context.Context, task string) (devices, most, total int, err error)
}

// Log is the transparency log.
type Log interface {
	Append(ctx context.Context, fence Fence, now time.Time, bodies ...ledger.Body) error
	Totals(task string) (ledger.Totals, bool)
	With(task string, round uint64, rho *big.Rat, stream ledger.Digest) (*big.Rat, bool)
	PlanRecord(ctx context.Context, task string, round uint64) (ledger.Record, bool, error)
	EndRecord(ctx context.Context, k Key) (ledger.Record, bool, error)
	LogSize() uint64
	Records(ctx context.Context, from uint64, each func(seq uint64, record []byte) error) error
	Hashes() ledger.Hashes
	Root(size uint64) (ledger.Digest, error)
	Proof(from, to uint64) ([][]byte, error)
}

// Registry is the published versions and the names that they go by.
type Registry interface {
	PutVersion(ctx context.Context, fence Fence, now time.Time, task string, v SignedVersion, log ledger.Body) error
	LatestVersion(ctx context.Context, task string) (SignedVersion, bool, error)
	Version(ctx context.Context, task string, number uint64) (SignedVersion, bool, error)
	Versions(ctx context.Context, task string, before uint64, limit int) ([]SignedVersion, error)
	SetAlias(ctx context.Context, fence Fence, task string, a Alias) error
	Aliases(ctx context.Context, task string) ([]Alias, error)
}

// Enrolments are the devices of a task and the tokens that let them in.
type Enrolments interface {
	AddTokens(ctx context.Context, now time.Time, task string, hashes [][32]byte) error
	Enrol(ctx context.Context, now time.Time, task string, hash [32]byte, id round.ID, public []byte) error
	EnrolledIDs(ctx context.Context, task string, n int) ([]round.ID, error)
	Enrolled(ctx context.Context, task string) (int, error)
}

// Blobs are contents by their SHA-256 digest.
type Blobs interface {
	PutBlob(content []byte) ([32]byte, error)
	Blob(digest [32]byte) ([]byte, error)
	OpenBlob(digest [32]byte) (io.ReaderAt, int64, io.Closer, error)
}

var _ Store = (*SQL)(nil)
