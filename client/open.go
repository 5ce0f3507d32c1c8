package client

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"

	"tutti/client/history"
)

// Errors that an app tells apart.
var (
	ErrClosed  = errors.New("client: the device is closed")
	ErrNoModel = errors.New("client: there is no model yet: Contribute fetches one when there is a network")
)

// Device is one user's device. Its methods are safe for concurrent use;
// Recommend does not wait for a Contribute that trains or talks.
type Device struct {
	opts   Options
	sealer sealer
	codec  *history.Codec

	key ed25519.PrivateKey // the device's identity, from the state's seed

	turn sync.Mutex // held by Contribute, DryRun, Forget, Close

	mu      sync.Mutex // holds what follows, and the store
	st      state
	held    *held // changed by whoever holds turn too
	events  []Event
	records uint64 // number of the next history record
	closed  bool
}

// Open wakes a device up, or makes a new one where the store is empty.
// ErrTampered says that the store does not belong to the key, or was changed.
func Open(o Options) (*Device, error) {
	o, err := o.complete()
	if err != nil {
		return nil, err
	}
	d := &Device{opts: o}
	if d.sealer, err = newSealer(o.Key, o.Rand); err != nil {
		return nil, err
	}
	if d.codec, err = history.NewCodec(o.Key, o.Rand); err != nil {
		return nil, err
	}
	if err := d.load(); err != nil {
		return nil, err
	}
	return d, nil
}

func (d *Device) load() error {
	sealed, err := d.opts.Store.State()
	if err != nil {
		return err
	}
	first, records, err := d.opts.Store.History()
	if err != nil {
		return err
	}
	if sealed == nil {
		if len(records) > 0 {
			return fmt.Errorf("%w: there is a history, and no state", ErrTampered)
		}
		fresh, err := newState(d.opts.Policy.Task, d.opts.Rand)
		if err != nil {
			return err
		}
		d.key = fresh.key()
		return d.save(fresh)
	}
	if d.st, err = d.sealer.open(sealed); err != nil {
		return err
	}
	if d.st.task != d.opts.Policy.Task {
		return fmt.Errorf("client: the store belongs to task %q, the policy to %q", d.st.task, d.opts.Policy.Task)
	}
	d.key = d.st.key()
	if err := d.readHeld(); err != nil {
		return err
	}
	d.records = first + uint64(len(records))
	if d.records < d.st.records {
		return fmt.Errorf("%w: history records are gone", ErrTampered)
	}
	return d.readHistory(first, records)
}

func (d *Device) readHistory(first uint64, records [][]byte) error {
	for i, r := range records {
		events, err := d.codec.Open(first+uint64(i), r)
		if err != nil {
			return fmt.Errorf("%w: %w", ErrTampered, err)
		}
		d.events = append(d.events, events...)
	}
	return d.retain()
}

// save makes next the device's state, durably; on an error the state stays as
// it was. The caller holds mu, or owns the device alone.
func (d *Device) save(next state) error {
	next.records = d.records
	sealed, err := d.sealer.seal(&next)
	if err != nil {
		return err
	}
	if err := d.opts.Store.SaveState(sealed); err != nil {
		return err
	}
	d.st = next
	return nil
}

// Record writes down what the user did, in one durable record. An event
// without a time happened now.
func (d *Device) Record(events ...Event) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return ErrClosed
	}
	events = slices.Clone(events)
	for i := range events {
		if events[i].Time == 0 {
			events[i].Time = d.opts.Now().Unix()
		}
		if err := events[i].Check(); err != nil {
			return err
		}
	}
	for part := range slices.Chunk(events, history.MaxRecordEvents) {
		record, err := d.codec.Seal(d.records, part)
		if err != nil {
			return err
		}
		if err := d.opts.Store.AppendHistory(record); err != nil {
			return err
		}
		d.records++
		d.events = append(d.events, part...)
	}
	return d.retain()
}

// retain drops what the retention no longer keeps. It rewrites the history only
// when a quarter more than MaxEvents has come together, or something is too old.
func (d *Device) retain() error {
	r := d.opts.Retention
	kept := r.Keep(d.events, d.opts.Now().Unix())
	aged := len(history.Retention{MaxAge: r.MaxAge}.Keep(d.events, d.opts.Now().Unix())) < len(d.events)
	full := r.MaxEvents > 0 && len(d.events) > r.MaxEvents+r.MaxEvents/4
	if !aged && !full {
		return nil
	}
	var records [][]byte
	for part := range slices.Chunk(kept, history.MaxRecordEvents) {
		record, err := d.codec.Seal(d.records+uint64(len(records)), part)
		if err != nil {
			return err
		}
		records = append(records, record)
	}
	if err := d.opts.Store.RewriteHistory(d.records, records); err != nil {
		return err
	}
	d.records += uint64(len(records))
	d.events = slices.Clone(kept)
	return nil
}

// Forget erases everything that the device keeps: history, identity, budget,
// models. The device is closed then; opening the store again makes a new one,
// which needs a new token to enrol.
func (d *Device) Forget() error {
	d.turn.Lock()
	defer d.turn.Unlock()
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return ErrClosed
	}
	if err := d.opts.Store.Erase(); err != nil {
		return fmt.Errorf("client: not everything could be erased: %w", err)
	}
	return d.close()
}

// Close waits for a Contribute to end, and lets go of the store.
func (d *Device) Close() error {
	d.turn.Lock()
	defer d.turn.Unlock()
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return nil
	}
	return d.close()
}

func (d *Device) close() error {
	d.closed = true
	clear(d.key)
	d.let(nil)
	d.st, d.events = state{}, nil
	return d.opts.Store.Close()
}

// public is the device's public key.
func (d *Device) public() ed25519.PublicKey { return d.key.Public().(ed25519.PublicKey) }

// Format hides the device: it holds its user's history.
func (d *Device) Format(f fmt.State, _ rune) { io.WriteString(f, "client.Device(redacted)") }
