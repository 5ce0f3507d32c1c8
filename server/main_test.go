package server

import (
	"testing"

	"go.uber.org/goleak"
)

// What central noise is linked with starts a goroutine of its log when the program starts.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("github.com/golang/glog.(*fileSink).flushDaemon"))
}
