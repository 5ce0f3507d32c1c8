package operator

import (
	"encoding/json"
	"time"

	"tutti/server/store"
)

// Names of what happens, as the store keeps it. The set is closed.
const (
	RoundOpened    = "opened"
	RoundProgress  = "progress"
	RoundMoved     = "moved" // a group of the round went into another phase
	RoundClosing   = "closing"
	RoundFrozen    = "frozen"
	RoundCertified = "certified"
	SumOpened      = "sum_opened"
	RoundPublished = "published"
	RoundAbandoned = "abandoned"
	RoundFreed     = "freed"
	RoundLost      = "lost"
	RoundEnded     = "ended" // with what became of the uploads
	NodeAway       = "node_away"
	NodeBack       = "node_back"
	NodeDoubted    = "node_doubted"
	NodeWrong      = "node_wrong"
	Waiting        = "waiting"
	Failing        = "failing"
	ReplicaSeen    = "replica_seen"
	ReplicaDrives  = "replica_drives"
	ReplicaLeft    = "replica_left"
	Asked          = "asked" // an operator asked for something
	OtherNews      = "news"  // Words alone
)

// Told is what a happening carries, beside its name, time, round and group: of all these fields those that its name has.
// It is counts and words, and names no device.
type Told struct {
	Words      string         `json:"words"`
	Group      int            `json:"group,omitempty"` // from 1; 0: the whole round
	Groups     int            `json:"groups,omitempty"`
	Kind       string         `json:"kind,omitempty"`
	From       string         `json:"from,omitempty"` // phases
	To         string         `json:"to,omitempty"`
	Reason     string         `json:"reason,omitempty"` // label
	Node       string         `json:"node,omitempty"`   // address
	Replica    string         `json:"replica,omitempty"`
	Token      uint64         `json:"token,omitempty"` // of the lease
	Goal       int            `json:"goal,omitempty"`
	Staged     int            `json:"staged,omitempty"`
	Accepted   int            `json:"accepted,omitempty"`
	Devices    int            `json:"devices,omitempty"`
	Late       int            `json:"late,omitempty"`
	Drops      map[string]int `json:"drops,omitempty"`
	Version    uint64         `json:"version,omitempty"`
	Cause      string         `json:"cause,omitempty"`
	Complaints int            `json:"complaints,omitempty"`
	Wrong      int            `json:"wrong,omitempty"`
	Certified  bool           `json:"certified,omitempty"`
	Seconds    float64        `json:"seconds,omitempty"`
	Ask        string         `json:"ask,omitempty"` // one of Ask...
	Percent    int            `json:"percent,omitempty"`
	Note       string         `json:"note,omitempty"` // why it was asked
}

// What an operator may ask of the replica that drives.
const (
	AskClose    = "close"
	AskAbandon  = "abandon"
	AskRollback = "rollback"
	AskRollout  = "rollout"
)

// Happened is what the store keeps of something that happened.
func (t Told) Happened(at time.Time, task string, round uint64, name string) (store.Happened, error) {
	data, err := json.Marshal(t)
	return store.Happened{At: at, Task: task, Round: round, Name: name, Data: data}, err
}

// maxTold bounds what is read of one happening.
const maxTold = 64 << 10

// ReadTold reads a happening; whoever wrote it may be another release.
func ReadTold(h store.Happened) (Told, bool) {
	var t Told
	if len(h.Data) > maxTold {
		return t, false
	}
	return t, json.Unmarshal(h.Data, &t) == nil
}
