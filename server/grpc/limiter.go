package grpc

import (
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Limiter is a token bucket per key. Keys that have been quiet long enough for their bucket to be full are forgotten.
type Limiter struct {
	rate  rate.Limit
	burst int

	mu    sync.Mutex
	keys  map[string]*bucket
	swept time.Time
}

type bucket struct {
	*rate.Limiter
	seen time.Time
}

// mostKeys bounds the memory of a Limiter; beyond it strangers wait for a sweep.
const mostKeys = 1 << 17

// NewLimiter allows rate requests a second and bursts of burst, for each key by itself.
func NewLimiter(perSecond float64, burst int) *Limiter {
	return &Limiter{rate: rate.Limit(perSecond), burst: burst, keys: map[string]*bucket{}}
}

// Allow takes a token of the key's bucket; false if there is none.
func (l *Limiter) Allow(key string, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	full := time.Duration(float64(l.burst)/float64(l.rate)*float64(time.Second)) + time.Second
	if now.Sub(l.swept) > full {
		for k, b := range l.keys {
			if now.Sub(b.seen) > full {
				delete(l.keys, k)
			}
		}
		l.swept = now
	}
	b := l.keys[key]
	if b == nil {
		if len(l.keys) >= mostKeys {
			return false
		}
		b = &bucket{Limiter: rate.NewLimiter(l.rate, l.burst)}
		l.keys[key] = b
	}
	b.seen = now
	return b.AllowN(now, 1)
}
