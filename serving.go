package main

import (
	"context"
	"errors"
	"fmt"

	"tutti/server"
)

// serving are the listeners of a command. The first that ends by itself ends the command, with its reason.
type serving struct{ failed chan error }

func newServing() serving { return serving{make(chan error, 1)} }

// run serves in the background; what names it in the error.
func (s serving) run(what string, serve func() error) {
	go func() {
		err := serve()
		if err == nil || errors.Is(err, server.ErrClosed) { // it was stopped
			return
		}
		select {
		case s.failed <- fmt.Errorf("%s stopped: %w", what, err):
		default:
		}
	}()
}

// watch is a context that ends when a listener does; call stop when nothing is watched any more.
func (s serving) watch(ctx context.Context) (watched context.Context, stop func()) {
	watched, cancel := context.WithCancelCause(ctx)
	go func() {
		select {
		case err := <-s.failed:
			cancel(err)
		case <-watched.Done():
		}
	}()
	return watched, func() { cancel(nil) }
}

// reasonOf is err, or what ended the watched context where that is why.
func reasonOf(watched context.Context, err error) error {
	if cause := context.Cause(watched); cause != nil && !errors.Is(cause, context.Canceled) && (err == nil || errors.Is(err, context.Canceled)) {
		return cause
	}
	return err
}
