package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// stage starts the processes of a group and lets them compete.
type stage struct {
	plan
	dir        string // of what is built for the occasion
	ours, slow string // this program, and without AVX-512
	preload    string // library that opens MKL's fast path on AMD, or none
	report     report
}

func newStage(p plan) (*stage, error) {
	dir, err := os.MkdirTemp("", "tutti-step-")
	if err != nil {
		return nil, err
	}
	s := &stage{plan: p, dir: dir}
	if s.ours, err = os.Executable(); err != nil {
		return nil, err
	}
	if !p.plainMKL {
		s.preload = mklAsOnIntel(dir)
	}
	if p.avx2 {
		s.slow = filepath.Join(dir, "without-avx512")
		build := exec.Command("go", "build", "-tags", "noavx512", "-o", s.slow, "tutti/examples/peers/step")
		build.Stderr = os.Stderr
		if err := build.Run(); err != nil {
			return nil, fmt.Errorf("building without AVX-512: %w", err)
		}
	}
	return s, nil
}

func (s *stage) close() { os.RemoveAll(s.dir) }

// mklAsOnIntel builds the library of one function that MKL asks whether the processor is Intel's. On AMD, MKL chooses slower
// loops than the processor can run; the peer is to be at its best. Without AMD or a C compiler: none.
func mklAsOnIntel(dir string) string {
	info, err := os.ReadFile("/proc/cpuinfo")
	if err != nil || !strings.Contains(string(info), "AuthenticAMD") {
		return ""
	}
	library := filepath.Join(dir, "intel.so")
	cc := exec.Command("cc", "-shared", "-fPIC", "-o", library, "-x", "c", "-")
	cc.Stdin = strings.NewReader("int mkl_serv_intel_cpu_true(void) { return 1; }\n")
	if cc.Run() != nil {
		return ""
	}
	return library
}

// environment puts a peer at its best: as many threads as asked for that do not spin when they wait, freed memory kept
// instead of given back to the system and fetched again (worth up to a third), MKL's fast path.
func (s *stage) environment(g group) []string {
	n := strconv.Itoa(g.threads)
	env := []string{
		"OMP_NUM_THREADS=" + n, "MKL_NUM_THREADS=" + n, "OPENBLAS_NUM_THREADS=" + n, "OMP_WAIT_POLICY=passive",
		"MALLOC_MMAP_MAX_=0", "MALLOC_TRIM_THRESHOLD_=100000000000", "MALLOC_TOP_PAD_=100000000", "TORCH_LOGS=-all",
	}
	if s.preload != "" {
		env = append(env, "LD_PRELOAD="+s.preload)
	}
	if g.avx2 {
		env = append(env, "ATEN_CPU_CAPABILITY=avx2", "MKL_ENABLE_INSTRUCTIONS=AVX2", "ONEDNN_MAX_CPU_ISA=AVX2", "OPENBLAS_CORETYPE=Haswell")
	}
	return env
}

func (s *stage) startOurs(g group) (*process, error) {
	program := s.ours
	if g.avx2 {
		program = s.slow
	}
	return start("ours", nil, program, "-worker", strconv.Itoa(g.threads))
}

// peer is a PyTorch and what it can do.
type peer struct {
	*process
	hello  answer
	python string
}

func (s *stage) startPeers(g group) ([]peer, error) {
	var all []peer
	for _, python := range s.pythons {
		if err := exec.Command(python, "-c", "import torch, numpy").Run(); err != nil {
			fmt.Fprintf(os.Stderr, "%s has no torch: %v\n", python, err)
			continue
		}
		p, err := s.startPeer(g, python)
		if err != nil {
			return all, err
		}
		all = append(all, p)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("no Python with torch: see examples/peers/README.md, -python says where it is")
	}
	return all, nil
}

func (s *stage) startPeer(g group, python string) (peer, error) {
	p, err := start(python, s.environment(g), python, s.peer)
	if err != nil {
		return peer{}, err
	}
	hello, err := p.must(ask{Op: "hello"})
	if err != nil {
		return peer{}, err
	}
	if strings.Contains(hello.BLAS, "MKL") && s.preload != "" {
		hello.BLAS += " as on Intel"
	}
	p.label = "PyTorch " + hello.Version
	return peer{p, hello, python}, nil
}

// group measures all cells of a group.
func (s *stage) group(ctx context.Context, g group) error {
	ours, err := s.startOurs(g)
	if err != nil {
		return err
	}
	defer ours.close()
	hello, err := ours.must(ask{Op: "hello"})
	if err != nil {
		return err
	}
	s.report.contestant("ours", hello, g)
	peers, err := s.startPeers(g)
	defer func() {
		for _, p := range peers {
			p.close()
		}
	}()
	if err != nil {
		return err
	}
	for _, p := range peers {
		s.report.contestant(p.label, p.hello, g)
	}
	for _, c := range g.cells {
		for _, dropout := range g.dropouts {
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := s.cell(ours, peers, g, c, dropout); err != nil {
				return fmt.Errorf("%s: %w", c, err)
			}
		}
	}
	return nil
}
