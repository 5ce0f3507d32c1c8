package grpc

import (
	"container/list"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Limiter is a token bucket per key. It remembers a bounded number of keys, and forgets the one that was quiet for longest
// when another comes: a stranger is always served, and a flood of keys, each of which has a full bucket anyway, gains
// nothing by it.
type Limiter struct {
	rate  rate.Limit
	burst int
	most  int

	mu     sync.Mutex
	keys   map[string]*list.Element // of *bucket
	recent *list.List               // most recent first
}

type bucket struct {
	key string
	*rate.Limiter
	seen time.Time
}

// mostKeys bounds the memory of a Limiter, to some 40 MB.
const mostKeys = 1 << 17

// NewLimiter allows rate requests a second and bursts of burst, for each key by itself.
func NewLimiter(perSecond float64, burst int) *Limiter {
	return &Limiter{rate: rate.Limit(perSecond), burst: max(burst, 1), most: mostKeys, keys: map[string]*list.Element{}, recent: list.New()}
}

// Allow takes a token of the key's bucket; false if there is none.
func (l *Limiter) Allow(key string, now time.Time) bool { return l.Wait(key, now) == 0 }

// Wait takes a token of the key's bucket, or takes none and says after how long there is one.
func (l *Limiter) Wait(key string, now time.Time) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := l.keys[key]
	if e == nil {
		l.forget(now)
		e = l.recent.PushFront(&bucket{key: key, Limiter: rate.NewLimiter(l.rate, l.burst)})
		l.keys[key] = e
	}
	l.recent.MoveToFront(e)
	b := e.Value.(*bucket)
	b.seen = now
	if b.AllowN(now, 1) {
		return 0
	}
	missing := 1 - b.TokensAt(now)
	return max(time.Duration(missing/float64(l.rate)*float64(time.Second)), time.Millisecond)
}

// forget makes room for one more key, and drops a few whose buckets are full again.
func (l *Limiter) forget(now time.Time) {
	full := time.Duration(float64(l.burst)/float64(l.rate)*float64(time.Second)) + time.Second
	for range 4 {
		last := l.recent.Back()
		if last == nil || len(l.keys) < l.most && now.Sub(last.Value.(*bucket).seen) <= full {
			return
		}
		delete(l.keys, last.Value.(*bucket).key)
		l.recent.Remove(last)
	}
}

// Len is how many keys are remembered.
func (l *Limiter) Len() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.keys)
}

// hostOf is whom an address is counted for: an IPv4 address, or the 64 bits of an IPv6 address that a network gives to one
// customer, who may use all below them.
func hostOf(address string) string {
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return address
	}
	ip := at.Addr().Unmap().WithZone("")
	if ip.Is4() {
		return ip.String()
	}
	p, err := ip.Prefix(64)
	if err != nil {
		return address
	}
	return p.String()
}
