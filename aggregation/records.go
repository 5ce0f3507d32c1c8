package aggregation

import (
	"errors"
	"fmt"
)

// ErrRecord reports durable state of a member that is damaged or not its own.
var ErrRecord = errors.New("aggregation: member record")

// Record is one line of a member's durable state. A nil Value deletes the key.
// Values of "key/" records are secret; a Record prints only its key.
//
//	key/<task>/<round>/0                   seed of round key and coin (secret)  OpenRound   until the last shard is over
//	list/<task>/<round>/0                  which round keys were shown          Reveal      until the last shard is over
//	config/<task>/<round>/<shard>          canonical Config                     Begin       until Abandon
//	accepted/<task>/<round>/<shard>/<seq>  one batch of entries                 Accept      until Release, Abandon
//	signed/<task>/<round>/<shard>          set signature                        Sign
//	abandoned/<task>/<round>/<shard>       abandon signature                    Abandon
//	answer/<task>/<round>/<shard>          the answer                           Release
//	horizon/<task>                         first round still served             Forget
//
// Forget removes all but the horizon for rounds before it.
type Record struct {
	Key   string
	Value []byte
}

const (
	kindKey       = "key"
	kindList      = "list"
	kindConfig    = "config"
	kindAccepted  = "accepted"
	kindSigned    = "signed"
	kindAbandoned = "abandoned"
	kindAnswer    = "answer"
	kindHorizon   = "horizon"
)

const (
	maxRecordLen = 64 << 20
	maxBatch     = 1 << 20
)

func recordKey(kind string, id RoundID) string { return kind + "/" + id.String() }

// record starts a value with its kind and round, so that a value under a wrong key is noticed.
func record(kind string, id RoundID) *writer {
	w := newWriter(labelRecord, 256)
	w.bytes([]byte(kind))
	id.write(w)
	return w
}

func (r *memberRound) keyRecord() Record {
	w := record(kindKey, r.id)
	w.raw(r.plan[:])
	w.u8(uint8(r.suite))
	w.raw(r.seed)
	return Record{recordKey(kindKey, r.id), w.b}
}

func (r *memberRound) listRecord() Record {
	w := record(kindList, r.id)
	w.raw(r.list[:])
	return Record{recordKey(kindList, r.id), w.b}
}

func (s *memberShard) configRecord() Record {
	w := record(kindConfig, s.id)
	w.bytes(s.cfg.encoded)
	return Record{recordKey(kindConfig, s.id), w.b}
}

// batchRecord appends a batch of new entries to the shard's list of batches.
func (s *memberShard) batchRecord(entries []Entry) Record {
	w := record(kindAccepted, s.id)
	w.u32(uint32(len(entries)))
	for _, e := range entries {
		w.raw(e.ID[:])
		w.raw(e.Digest[:])
	}
	key := fmt.Sprintf("%s/%08d", recordKey(kindAccepted, s.id), len(s.batches))
	s.batches = append(s.batches, key)
	return Record{key, w.b}
}

func (s *memberShard) signedRecord() Record {
	w := record(kindSigned, s.id)
	w.raw(s.signed.SetDigest[:])
	w.raw(s.signed.Signature)
	return Record{recordKey(kindSigned, s.id), w.b}
}

// abandonedRecord of a void round speaks for all shards.
func (s *memberShard) abandonedRecord(void bool) Record {
	w := record(kindAbandoned, s.id)
	flag := uint8(0)
	if void {
		flag = 1
	}
	w.u8(flag)
	w.raw(s.abandoned.Signature)
	return Record{recordKey(kindAbandoned, s.id), w.b}
}

func (s *memberShard) answerRecord() Record {
	w := record(kindAnswer, s.id)
	w.bytes(s.answer.Marshal())
	return Record{recordKey(kindAnswer, s.id), w.b}
}

func horizonRecord(task string, horizon uint64) Record {
	id := RoundID{Task: task, Round: horizon}
	return Record{kindHorizon + "/" + task, record(kindHorizon, id).b}
}
