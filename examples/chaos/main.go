// Command chaos runs a whole Tutti as separate processes on this machine (a server, five committee nodes, forty devices),
// kills some of each in the middle of rounds, and then checks every opened sum against what it must be: noise is off and
// every history is known, so the sum over exactly the devices of the certified set can be recomputed by anyone.
//
//	go run ./examples/chaos
//
// It needs nothing but Go, cleans up after itself, also on Ctrl-C, and exits with 1 if a single sum is wrong.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"syscall"
	"time"
)

func main() {
	binary := flag.String("tutti", "", "a tutti that is built already (default: build one)")
	keep := flag.Bool("keep", false, "keep the working folder")
	patience := flag.Duration("patience", 5*time.Minute, "give up after this long")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	ctx, cancel := context.WithTimeout(ctx, *patience)
	err := chaos(ctx, *binary, *keep)
	cancel()
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "chaos:", err)
		os.Exit(1)
	}
}

func chaos(ctx context.Context, binary string, keep bool) error {
	dir, err := os.MkdirTemp("", "tutti-chaos-")
	if err != nil {
		return err
	}
	if keep {
		fmt.Println("working in", dir)
	} else {
		defer os.RemoveAll(dir)
	}
	if binary == "" {
		if binary, err = build(ctx, dir); err != nil {
			return err
		}
	}
	s := newStory(dir, binary)
	defer s.processes.killAll() // before the folder goes
	if err := s.play(ctx); err != nil {
		if errors.Is(ctx.Err(), context.Canceled) {
			return errors.New("stopped; every process is ended")
		}
		return err
	}
	s.say("every process has ended; now the books")
	rounds, err := s.check(ctx)
	if err != nil {
		return err
	}
	if err := s.tamper(ctx); err != nil {
		return err
	}
	return table(rounds)
}

// build makes the tutti of the module that this program belongs to.
func build(ctx context.Context, dir string) (string, error) {
	module := "tutti"
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Path != "" {
		module = info.Main.Path
	}
	binary := filepath.Join(dir, "tutti")
	if runtime.GOOS == "windows" {
		binary += ".exe"
	}
	begun := time.Now()
	cmd := exec.CommandContext(ctx, "go", "build", "-o", binary, module)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w: %s", err, out)
	}
	fmt.Printf("built tutti in %v\n", time.Since(begun).Round(time.Second))
	return binary, nil
}

// table prints what was found. One wrong sum is an error.
func table(rounds []checked) error {
	fmt.Printf("\n%-6s %-12s %8s  %-26s %17s  %-20s %s\n", "round", "kind", "devices", "killed while it ran", "largest deviation", "one missing would be", "verdict")
	wrong := 0
	for _, r := range rounds {
		verdict := "exact"
		if r.fault != "" {
			verdict = "WRONG: " + r.fault
			wrong++
		}
		fmt.Printf("%-6d %-12s %8d  %-26s %17.1e  %-20s %s\n", r.round, r.kind, r.devices, r.killed, r.deviation, fmt.Sprintf("%.1e or more", r.power), verdict)
	}
	if wrong > 0 {
		return fmt.Errorf("%d of %d sums are wrong", wrong, len(rounds))
	}
	fmt.Printf("\nAll %d sums are exact: each is the sum over the devices of its certified set, no more and no fewer.\n", len(rounds))
	fmt.Println("(A person with one film sends zeros after round 1: there, a missing one would show in the number of devices only.)")
	return nil
}
