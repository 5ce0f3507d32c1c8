package client

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"time"

	"tutti/client/history"
	"tutti/privacy/plan"
)

// Event is something that the user did; see package history.
type Event = history.Event

// Key is the app's secret for what the device keeps; see package history.
type Key = history.Key

// Options say whose device it is. Policy, Key, Store and Shared are required.
type Options struct {
	Policy    plan.Policy // what the device accepts; its keys never come from the server
	Key       Key         // seals history and state
	Store     Store       // owned by the device until Close
	Shared    *Shared     // catalogue and models
	Transport Transport   // nil: offline, the device records and recommends only
	Token     string      // one-time token of the first enrolment

	// Attest gets what the server's attestor wants to see of this device's key, at the first enrolment; the app's own
	// backend makes it, say. nil: nothing is shown.
	Attest func(ctx context.Context, task string, publicKey []byte) ([]byte, error)

	OptOut    bool              // fetch models, send nothing
	Retention history.Retention // zero: DefaultRetention
	Learner   Learner           // nil: Lesson.Learn

	Rand io.Reader        // cryptographic; nil: crypto/rand
	Now  func() time.Time // nil: time.Now
}

// DefaultRetention keeps the newest 4,096 events.
var DefaultRetention = history.Retention{MaxEvents: 4096}

func (o Options) complete() (Options, error) {
	switch {
	case o.Policy.Task == "" || len(o.Policy.Task) > maxTask:
		return o, errors.New("client: the policy names no task")
	case !verifyKey(o.Policy.Operator) || !verifyKey(o.Policy.Enroller):
		return o, errors.New("client: the policy does not pin the operator's and the enroller's keys")
	case o.Key.IsZero():
		return o, errors.New("client: no key for what the device keeps")
	case o.Store == nil || o.Shared == nil:
		return o, errors.New("client: no store, or nothing shared")
	}
	if o.Retention == (history.Retention{}) {
		o.Retention = DefaultRetention
	}
	if o.Rand == nil {
		o.Rand = rand.Reader
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return o, nil
}
