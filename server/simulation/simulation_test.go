package simulation

import (
	"os"
	"strconv"
	"testing"
	"time"
)

func play(t *testing.T, x *shelf, n uint64) {
	ends := map[string]int{}
	began := time.Now()
	for seed := range n {
		res := x.play(New(seed), Sound, nil)
		if res.Broken != nil {
			t.Fatalf("seed %d: %v", seed, res.Broken)
		}
		for e, n := range res.Ends {
			ends[e] += n
		}
	}
	t.Log(ends, time.Since(began))
}

func count(v string, n uint64) uint64 {
	if m, err := strconv.ParseUint(os.Getenv(v), 10, 64); err == nil {
		return m
	}
	return n
}

func TestMemory(t *testing.T)   { play(t, memory(), count("TUTTI_SIM", 2000)) }
func TestSQLite(t *testing.T)   { play(t, sqlite(t), count("TUTTI_SIM_SQL", 50)) }
func TestPostgres(t *testing.T) { play(t, postgres(t), count("TUTTI_SIM_SQL", 50)) }
