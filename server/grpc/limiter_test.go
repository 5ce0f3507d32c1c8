package grpc

import (
	"fmt"
	"testing"
	"time"
)

func TestLimiter(t *testing.T) {
	l := NewLimiter(2, 5)
	now := time.Unix(1000, 0)
	count := func(key string, at time.Time) (n int) {
		for range 20 {
			if l.Allow(key, at) {
				n++
			}
		}
		return n
	}
	if got := count("a", now); got != 5 {
		t.Errorf("a burst of %d, want 5", got)
	}
	if got := count("b", now); got != 5 {
		t.Errorf("another key pays: %d", got)
	}
	if got := count("a", now.Add(time.Second)); got != 2 {
		t.Errorf("%d a second later, want 2", got)
	}
	for i := range 1000 {
		l.Allow(fmt.Sprint(i), now.Add(time.Second))
	}
	for i := range 300 {
		l.Allow(fmt.Sprint("later", i), now.Add(time.Minute))
	}
	if l.Len() != 300 {
		t.Errorf("%d keys are remembered after a quiet minute, of them 300 new ones", l.Len())
	}
}

// TestLimiterSaysWhen: whoever waits as long as it was told gets through, and nobody who waits less.
func TestLimiterSaysWhen(t *testing.T) {
	l := NewLimiter(2, 1)
	now := time.Unix(1000, 0)
	if wait := l.Wait("a", now); wait != 0 {
		t.Fatalf("the first waits %v", wait)
	}
	wait := l.Wait("a", now)
	if wait <= 490*time.Millisecond || wait > 500*time.Millisecond {
		t.Fatalf("the second waits %v", wait)
	}
	if l.Allow("a", now.Add(wait-time.Millisecond)) || !l.Allow("a", now.Add(wait)) {
		t.Error("what was told does not hold")
	}
}

// TestFloodOfAddresses: a network that asks from ever new addresses is remembered in bounded memory, and neither a
// stranger nor a known device pays for it.
func TestFloodOfAddresses(t *testing.T) {
	l := NewLimiter(1, 2)
	l.most = 1000
	now := time.Unix(1000, 0)
	l.Allow("known", now)
	for i := range 100_000 {
		if !l.Allow(hostOf(fmt.Sprintf("[2001:db8:%x:%x::1]:99", i>>16, i&0xffff)), now) {
			t.Fatal("a first request was refused")
		}
		if i%500 == 0 {
			l.Allow("known", now)
		}
	}
	if l.Len() > l.most {
		t.Errorf("%d keys", l.Len())
	}
	if l.Allow("known", now) {
		t.Error("the flood gave a known key a new bucket")
	}
	if !l.Allow("stranger", now) {
		t.Error("a stranger is turned away")
	}
}

func TestHostOf(t *testing.T) {
	for address, want := range map[string]string{
		"192.0.2.7:443":              "192.0.2.7",
		"[::ffff:192.0.2.7]:443":     "192.0.2.7",
		"[2001:db8:1:2:3:4:5:6]:443": "2001:db8:1:2::/64",
		"[2001:db8:1:2:ffff::]:9":    "2001:db8:1:2::/64",
		"[fe80::1%eth0]:9":           "fe80::/64",
		"bufconn":                    "bufconn",
	} {
		if got := hostOf(address); got != want {
			t.Errorf("%s: %s, want %s", address, got, want)
		}
	}
}
