package main

import (
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"
	"net"
	"path/filepath"
	"time"

	"tutti/privacy/accounting"
	"tutti/server"
	"tutti/server/committee"
	wire "tutti/server/grpc"
	"tutti/server/keys"
)

// deployment is a whole Tutti on this machine's loopback: one aggregation server and a committee, each with keys, a
// store and a listener of its own. It is what the demo runs; in earnest each node belongs to another party.
type deployment struct {
	server  *server.Server
	address string
	task    taskFile
	certs   keys.Files

	serving serving

	nodes []*committee.Node
	wires []*committee.Server
}

// deploymentSpec is what a deployment is made for.
type deploymentSpec struct {
	dir      string
	task     string
	purpose  string
	members  int // m
	corrupt  int // c
	goal     int
	minimum  int // n_min
	budget   *big.Rat
	delta    string
	trust    string  // who adds the noise, see taskFile
	maxClip  float64 // 0: any
	observer func(server.Event)
}

// deploy starts everything and returns when it answers.
func (a *app) deploy(spec deploymentSpec) (d *deployment, err error) {
	d = &deployment{serving: newServing()}
	defer func() {
		if err != nil {
			d.Close()
		}
	}()
	if d.certs, err = keys.DevCerts(filepath.Join(spec.dir, "certs"), time.Now()); err != nil {
		return nil, err
	}
	own, err := server.LoadKeys(filepath.Join(spec.dir, "server"))
	if err != nil {
		return nil, err
	}
	d.task = taskFile{
		Task: spec.task, Operator: hex.EncodeToString(publicOf(own.Operator)), Enroller: hex.EncodeToString(publicOf(own.Enroller)),
		Corrupt: spec.corrupt, MinCohort: spec.minimum, Devices: spec.goal, Delta: spec.delta, NoiseOff: spec.budget == nil, Trust: spec.trust, MaxClip: spec.maxClip,
	}
	if spec.budget != nil {
		d.task.Budget = accounting.FormatRho(spec.budget)
	}
	listeners := make([]net.Listener, spec.members)
	for i := range listeners {
		if listeners[i], err = listenOn("127.0.0.1:0"); err != nil {
			return nil, err
		}
		key, err := committee.Key(nodeDir(spec.dir, i))
		if err != nil {
			return nil, err
		}
		d.task.Committee = append(d.task.Committee, taskNode{Address: listeners[i].Addr().String(), Key: hex.EncodeToString(publicOf(key))})
	}
	for i, l := range listeners {
		if err := a.startNode(d, nodeDir(spec.dir, i), l); err != nil {
			return nil, err
		}
	}
	return d, a.startServer(d, spec)
}

func nodeDir(dir string, i int) string { return filepath.Join(dir, fmt.Sprintf("committee%d", i+1)) }

func publicOf(key ed25519.PrivateKey) ed25519.PublicKey { return key.Public().(ed25519.PublicKey) }

// startNode starts one committee node as its own server.
func (a *app) startNode(d *deployment, dir string, l net.Listener) error {
	node, err := a.openNode(d.task, dir, d.task.MinCohort)
	if err != nil {
		return err
	}
	d.nodes = append(d.nodes, node)
	settings, err := keys.MutualTLS(d.certs)
	if err != nil {
		return err
	}
	w, err := committee.NewServer(node, settings)
	if err != nil {
		return err
	}
	d.wires = append(d.wires, w)
	d.serving.run("committee node "+l.Addr().String(), func() error { return w.Serve(l) })
	return nil
}

// peers are the committee nodes as the server reaches them.
func peers(t taskFile, certs keys.Files) ([]committee.Peer, error) {
	roster, err := t.roster()
	if err != nil {
		return nil, err
	}
	settings, err := keys.ClientTLS(certs)
	if err != nil {
		return nil, err
	}
	all := make([]committee.Peer, len(roster))
	for i, n := range t.Committee {
		all[i] = committee.Peer{Address: n.Address, Identity: roster[i], TLS: settings}
	}
	return all, nil
}

func (a *app) startServer(d *deployment, spec deploymentSpec) error {
	nodes, err := peers(d.task, d.certs)
	if err != nil {
		return err
	}
	settings, err := keys.ServerTLS(d.certs)
	if err != nil {
		return err
	}
	d.server, err = server.Open(server.Config{
		Dir: filepath.Join(spec.dir, "server"), Task: spec.task, Trust: spec.trust, Purpose: spec.purpose,
		Committee: nodes, Corrupt: spec.corrupt, Budget: spec.budget, Delta: spec.delta,
		Suite: d.task.suite(), Enrolled: d.task.Devices, TLS: settings, Limits: crowd(), Log: a.logger("server"), Observer: spec.observer,
		Pace: server.Pace{NoRound: 100 * time.Millisecond, Full: time.Second, Counted: 100 * time.Millisecond},
	})
	if err != nil {
		return err
	}
	l, err := listenOn("127.0.0.1:0")
	if err != nil {
		return err
	}
	d.address = l.Addr().String()
	d.serving.run("answering devices", func() error { return d.server.Serve(l) })
	return nil
}

// crowd loosens the limits per address: all devices of this machine share one.
func crowd() wire.Limits {
	return wire.Limits{PerHost: 1e6, PerIdent: 50}
}

// Close ends all of it; what is on disk stays.
func (d *deployment) Close() error {
	var errs []error
	if d.server != nil {
		errs = append(errs, d.server.Close())
	}
	for _, w := range d.wires {
		w.Stop()
	}
	for _, n := range d.nodes {
		errs = append(errs, n.Close())
	}
	return errors.Join(errs...)
}
