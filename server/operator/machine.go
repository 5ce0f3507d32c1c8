package operator

import (
	"crypto/tls"
	"runtime/metrics"
	"time"

	"tutti/server/keys"
)

// ThisMachine gives how the machine of this process does: the disk of dir, and the certificate of the listener that devices
// speak to, which may be nil.
func ThisMachine(dir string, listener *tls.Config, started time.Time, release string) func() Machine {
	return func() Machine {
		m := Machine{Started: started, Release: release, Memory: memory()}
		m.DiskFree, m.DiskTotal = disk(dir)
		if listener != nil {
			if end, found := keys.Expires(listener); found {
				m.Certificate = &end
			}
		}
		return m
	}
}

// memory is what the Go runtime holds of the system's memory.
func memory() uint64 {
	s := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	metrics.Read(s)
	return s[0].Value.Uint64() - s[1].Value.Uint64()
}
