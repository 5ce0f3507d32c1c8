package main

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"tutti/server"
)

// TestServingEnds: a listener that fails ends the command with its reason; one that is stopped does not.
func TestServingEnds(t *testing.T) {
	s := newServing()
	ctx, stop := s.watch(t.Context())
	defer stop()
	s.run("a stopped one", func() error { return nil })
	s.run("a closed one", func() error { return server.ErrClosed })
	select {
	case <-ctx.Done():
		t.Fatal("it ended")
	case <-time.After(20 * time.Millisecond):
	}
	if err := reasonOf(ctx, nil); err != nil {
		t.Error(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.run("answering devices", func() error { _, err := l.Accept(); return err })
	l.Close()
	<-ctx.Done()
	if err := reasonOf(ctx, ctx.Err()); err == nil || errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "answering devices stopped") {
		t.Errorf("%v", err)
	}
	other := errors.New("something else")
	if err := reasonOf(ctx, other); err != other {
		t.Errorf("%v", err)
	}
	parent, cancel := context.WithCancel(t.Context())
	cancel()
	ctx, stop = newServing().watch(parent)
	defer stop()
	if err := reasonOf(ctx, context.Canceled); err != context.Canceled {
		t.Errorf("stopped by the person: %v", err)
	}
}
