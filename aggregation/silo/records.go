package silo

import (
	"bytes"
	"crypto/ed25519"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/tuneinsight/lattigo/v5/mhe"
	"github.com/tuneinsight/lattigo/v5/ring/ringqp"
)

// ErrRecord reports durable state that is damaged or not this organisation's.
var ErrRecord = errors.New("silo: record")

// Record is one line of an organisation's durable state. A nil Value deletes the key. The records of one step are made durable
// together, before its message leaves. Those of "seed" and "shamir" are secret; a Record prints only its key.
//
//	silo/<task>/<round>/seed          the round's seed (secret)       Announce     until Join (t < N), Decrypt or Close
//	silo/<task>/<round>/announce      the announcement                Announce
//	silo/<task>/<round>/keyshare      view and key share              KeyShare
//	silo/<task>/<round>/shamir        share of the key (secret)       Join, t < N  until Decrypt or Close
//	silo/<task>/<round>/keys          name and collective public key  Join
//	silo/<task>/<round>/contribution  vector's digest, contribution   Contribute
//	silo/<task>/<round>/partial       proposal, partial decryption    Decrypt
//	silo/<task>/<round>/closed        nothing                         Decrypt, Close
type Record struct {
	Key   string
	Value []byte
}

const (
	recordSeed         = "seed"
	recordAnnounce     = "announce"
	recordKeyShare     = "keyshare"
	recordShamir       = "shamir"
	recordKeys         = "keys"
	recordContribution = "contribution"
	recordPartial      = "partial"
	recordClosed       = "closed"
)

func (p *Party) recordKey(name string) string {
	return fmt.Sprintf("silo/%s/%d/%s", p.cfg.literal.Task, p.cfg.literal.Round, name)
}

// record starts a value with what it belongs to, so that a value in the wrong place is noticed, and ends it with a checksum.
func (p *Party) record(name string, parts ...[]byte) Record {
	b := p.recordHead(name)
	for _, part := range parts {
		b = append(b, part...)
	}
	sum := hash(labelRecord, b)
	return Record{Key: p.recordKey(name), Value: append(b, sum[:]...)}
}

func (p *Party) recordHead(name string) []byte {
	b := append([]byte{byte(len(name))}, name...)
	b = append(b, p.cfg.digest[:]...)
	return binary.BigEndian.AppendUint16(b, uint16(p.index))
}

func (p *Party) erased(name string) Record { return Record{Key: p.recordKey(name)} }

// RestoreParty continues from the records of the round that are durable, in any order. Records of another configuration of the
// same round are refused: what an organisation has signed once, it does not begin again differently.
func RestoreParty(cfg *Config, index int, key ed25519.PrivateKey, records []Record) (*Party, error) {
	p, err := NewParty(cfg, index, key)
	if err != nil {
		return nil, err
	}
	values := map[string][]byte{}
	for _, r := range records {
		for _, name := range []string{recordSeed, recordAnnounce, recordKeyShare, recordShamir, recordKeys, recordContribution, recordPartial, recordClosed} {
			if r.Key == p.recordKey(name) && r.Value != nil {
				if values[name], err = p.recordBody(name, r.Value); err != nil {
					return nil, err
				}
			}
		}
	}
	if err := p.restore(values); err != nil {
		return nil, err
	}
	return p, nil
}

func (p *Party) recordBody(name string, b []byte) ([]byte, error) {
	end := len(b) - digestLen
	head := p.recordHead(name)
	if end < len(head) || hash(labelRecord, b[:end]) != Digest(b[end:]) || !bytes.Equal(b[:1+len(name)], head[:1+len(name)]) {
		return nil, fmt.Errorf("%w: %s is damaged", ErrRecord, name)
	}
	if !bytes.Equal(b[1+len(name):len(head)], head[1+len(name):]) {
		return nil, fmt.Errorf("%w: %s: %w", ErrRecord, name, RefuseOtherConfig)
	}
	return slices.Clone(b[len(head):end]), nil
}

func (p *Party) restore(values map[string][]byte) error {
	for _, step := range []struct {
		name   string
		length int // -1: any
		set    func([]byte) error
	}{
		{recordSeed, 32, func(b []byte) error { p.seed = b; return nil }},
		{recordAnnounce, p.cfg.lengthOf(kindAnnounce), func(b []byte) error { p.announcement = b; return nil }},
		{recordKeyShare, digestLen + p.cfg.lengthOf(kindKeyShare), func(b []byte) error {
			p.view, p.keyShare = Digest(b[:digestLen]), b[digestLen:]
			return nil
		}},
		{recordShamir, p.cfg.params.polyLen, p.restoreShamir},
		{recordKeys, digestLen + p.cfg.params.polyLen, p.restoreKeys},
		{recordContribution, digestLen + p.cfg.lengthOf(kindContribution), func(b []byte) error {
			p.vector, p.contribution = Digest(b[:digestLen]), b[digestLen:]
			return nil
		}},
		{recordPartial, -1, p.restorePartial},
		{recordClosed, 0, func([]byte) error { p.closed = true; return nil }},
	} {
		b, there := values[step.name]
		if !there {
			continue
		}
		if step.length >= 0 && len(b) != step.length {
			return fmt.Errorf("%w: %s has %d bytes", ErrRecord, step.name, len(b))
		}
		if err := step.set(b); err != nil {
			return fmt.Errorf("%w: %s: %w", ErrRecord, step.name, err)
		}
	}
	return p.consistent()
}

func (p *Party) restoreShamir(b []byte) error {
	pol, err := p.cfg.params.readPoly(b)
	clear(b)
	p.shamir = &mhe.ShamirSecretShare{Poly: ringqp.Poly{Q: pol}}
	return err
}

func (p *Party) restoreKeys(b []byte) error {
	pol, err := p.cfg.params.readPoly(b[digestLen:])
	if err != nil {
		return err
	}
	p.keys = Digest(b[:digestLen])
	p.public, err = p.cfg.publicKey(pol)
	return err
}

// restorePartial splits digest ‖ proposal ‖ partial decryption; the last has a fixed length.
func (p *Party) restorePartial(b []byte) error {
	end := len(b) - p.cfg.lengthOf(kindPartial)
	if end < digestLen {
		return fmt.Errorf("%d bytes", len(b))
	}
	asked, err := p.cfg.ParseProposal(b[digestLen:end])
	if err != nil {
		return err
	}
	if asked.digest != Digest(b[:digestLen]) {
		return errors.New("another proposal's digest")
	}
	p.proposal, p.partial = b[digestLen:end], b[end:]
	return nil
}

// consistent refuses a store that lost records: state that a step needs must be there, unless the round is over.
func (p *Party) consistent() error {
	if p.partial != nil {
		// the partial decryption ends the round whatever else the store has kept
		p.eraseSeed()
		p.shamir, p.closed = nil, true
	}
	switch {
	case p.keyShare != nil && p.announcement == nil,
		p.public != nil && p.keyShare == nil,
		p.contribution != nil && p.public == nil,
		p.announcement == nil && p.seed != nil:
		return fmt.Errorf("%w: an earlier step's record is missing", ErrRecord)
	case p.closed:
		return nil
	case p.announcement != nil && p.seed == nil && p.shamir == nil:
		return fmt.Errorf("%w: the round's secret is missing", ErrRecord)
	}
	return nil
}
