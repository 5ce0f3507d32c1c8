// Command load measures one aggregation server under many real devices: each has a key, an enrolment and a policy of its
// own, verifies what it is shown, clips, noises, seals and uploads over a TLS connection of its own. Server, committee and
// devices are three processes, so that what is said of the server's memory is the server's alone.
//
//	go run ./examples/load                                  one round of 1,000 devices at d = 2^17
//	go run ./examples/load -devices 10000                   of 10,000
//	go run ./examples/load -devices 100 -rounds 1000 -d 4096 -plot memory.svg
//	                                                        a thousand rounds: does the server's memory grow?
//	go run ./examples/load -devices 1000 -hostile 50        beside fifty connections that crawl and fifty that send garbage
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	"time"
)

// setting is what the three processes agree on.
type setting struct {
	Dir      string
	Devices  int
	Rounds   int
	D        int // padded dimension of the vector
	Pad      int // of it: coordinates that carry noise only
	Hostile  int
	Workers  int
	Patience time.Duration
}

func main() {
	var s setting
	flag.IntVar(&s.Devices, "devices", 1000, "devices that take part in every round")
	flag.IntVar(&s.Rounds, "rounds", 1, "rounds, one after the other")
	flag.IntVar(&s.D, "d", 1<<17, "coordinates of the masked vector, a multiple of 4096")
	flag.IntVar(&s.Hostile, "hostile", 0, "connections that crawl, and as many that send garbage")
	flag.IntVar(&s.Workers, "workers", 16, "devices awake at a time")
	flag.DurationVar(&s.Patience, "patience", 2*time.Hour, "give up after this long")
	plot := flag.String("plot", "", "draw the server's memory over the rounds into this SVG")
	asJSON := flag.Bool("json", false, "print the figures as JSON")
	role := flag.String("role", "", "internal: what this process is")
	file := flag.String("setting", "", "internal: the setting's file")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var err error
	switch *role {
	case "server":
		err = child(*file, func(s setting) error { return serve(ctx, s) })
	case "committee":
		err = child(*file, func(s setting) error { return sit(ctx, s) })
	default:
		var f figures
		if f, err = measure(ctx, s); err == nil {
			err = f.tell(s, *asJSON, *plot)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "load:", err)
		os.Exit(1)
	}
}

func child(file string, run func(setting) error) error {
	b, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var s setting
	if err := json.Unmarshal(b, &s); err != nil {
		return err
	}
	return run(s)
}

func (s *setting) check() error {
	s.Pad = 1024
	if s.D >= 1<<16 {
		s.Pad = 1 << 15
	}
	switch {
	case s.Devices < 20 || s.Rounds < 1 || s.Workers < 1 || s.Hostile < 0:
		return errors.New("at least 20 devices, one round and one worker are needed")
	case s.D%4096 != 0 || s.D <= s.Pad:
		return fmt.Errorf("-d %d is not a multiple of 4096 above %d", s.D, s.Pad)
	}
	return nil
}

// measure runs everything and gives what was seen.
func measure(ctx context.Context, s setting) (f figures, err error) {
	if err = s.check(); err != nil {
		return f, err
	}
	ctx, cancel := context.WithTimeout(ctx, s.Patience)
	defer cancel()
	debug.SetGCPercent(50)
	if s.Dir, err = os.MkdirTemp("", "tutti-load-"); err != nil {
		return f, err
	}
	defer os.RemoveAll(s.Dir)
	t, err := newTown(s)
	if err != nil {
		return f, err
	}
	defer t.close()
	if err = t.start(ctx); err != nil {
		return f, err
	}
	return t.play(ctx)
}
