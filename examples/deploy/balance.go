// Command deploy is the load balancer of deploy.sh, where no other is installed: it hands each connection to the next of
// several servers that answers. Devices' TLS goes through it unopened.
//
//	go run ./examples/deploy -listen 127.0.0.1:7100 127.0.0.1:7101 127.0.0.1:7102 127.0.0.1:7103
package main

import (
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:7100", "where connections come in")
	flag.Parse()
	l, err := net.Listen("tcp", *listen)
	if err != nil || flag.NArg() == 0 {
		fmt.Fprintln(os.Stderr, "deploy: want -listen ADDRESS SERVER...:", err)
		os.Exit(1)
	}
	servers, next := flag.Args(), atomic.Uint64{}
	for {
		client, err := l.Accept()
		if err != nil {
			fmt.Fprintln(os.Stderr, "deploy:", err)
			os.Exit(1)
		}
		go func() {
			defer client.Close()
			for range servers { // one that is down is passed over
				server, err := net.DialTimeout("tcp", servers[next.Add(1)%uint64(len(servers))], time.Second)
				if err == nil {
					join(client, server)
					return
				}
			}
		}()
	}
}

// join copies both ways until either side ends.
func join(a, b net.Conn) {
	var both sync.WaitGroup
	one := func(to, from net.Conn) {
		io.Copy(to, from)
		to.Close()
		from.Close()
	}
	both.Go(func() { one(a, b) })
	both.Go(func() { one(b, a) })
	both.Wait()
}
