package main

import (
	"bufio"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"tutti/model"
	"tutti/model/dataset"
	"tutti/model/stats"
	"tutti/privacy/mechanism"
	"tutti/privacy/plan"
	"tutti/server"
	"tutti/server/committee"
	wire "tutti/server/grpc"
	"tutti/server/keys"
)

const (
	task    = "load"
	members = 5
)

func (s setting) certs() keys.Files {
	dir := filepath.Join(s.Dir, "tls")
	return keys.Files{CA: filepath.Join(dir, "ca.pem"), Cert: filepath.Join(dir, "server.pem"), Key: filepath.Join(dir, "server.key")}
}

func (s setting) node(i int) string { return filepath.Join(s.Dir, fmt.Sprintf("node%d", i+1)) }
func (s setting) server() string    { return filepath.Join(s.Dir, "server") }
func (s setting) nMin() int         { return s.Devices * 7 / 10 }
func (s setting) nMax() int         { return s.Devices * 13 / 10 }

// rhoRound is what a round costs: the noise is that of a real task of as many rounds.
func (s setting) rhoRound() *big.Rat { return big.NewRat(1, int64(4*s.Rounds)) }

func (s setting) catalogue() *dataset.Catalogue {
	items := make([]dataset.Item, s.D-s.Pad)
	for i := range items {
		items[i] = dataset.Item{ID: int64(i + 1), Title: fmt.Sprint("item ", i)}
	}
	return dataset.NewCatalogue(items)
}

// roster is the identities of the nodes.
func (s setting) roster() ([]ed25519.PublicKey, error) {
	var out []ed25519.PublicKey
	for i := range members {
		key, err := committee.Key(s.node(i))
		if err != nil {
			return nil, err
		}
		out = append(out, key.Public().(ed25519.PublicKey))
	}
	return out, nil
}

// sit is the committee's process.
func sit(ctx context.Context, s setting) error {
	own, err := server.LoadKeys(s.server())
	if err != nil {
		return err
	}
	roster, err := s.roster()
	if err != nil {
		return err
	}
	serving, err := keys.MutualTLS(s.certs())
	if err != nil {
		return err
	}
	for i := range members {
		n, err := committee.Open(committee.Config{Dir: s.node(i), Operator: own.Operator.Public().(ed25519.PublicKey),
			Enroller: own.Enroller.Public().(ed25519.PublicKey), Roster: roster})
		if err != nil {
			return err
		}
		defer n.Close()
		w, err := committee.NewServer(n, serving)
		if err != nil {
			return err
		}
		l, err := listen()
		if err != nil {
			return err
		}
		defer w.Stop()
		go w.Serve(l) // ends with Stop
		say(l.Addr().String())
	}
	say("ready")
	<-ctx.Done()
	return nil
}

// serve is the server's process: it runs the rounds and tells its memory after each.
func serve(ctx context.Context, s setting) error {
	roster, err := s.roster()
	if err != nil {
		return err
	}
	var addresses []string
	b, err := os.ReadFile(filepath.Join(s.Dir, "nodes.json"))
	if err == nil {
		err = json.Unmarshal(b, &addresses)
	}
	if err != nil {
		return err
	}
	serving, err := keys.ServerTLS(s.certs())
	if err != nil {
		return err
	}
	dialling, err := keys.ClientTLS(s.certs())
	if err != nil {
		return err
	}
	const soon = 50 * time.Millisecond
	cfg := server.Config{Dir: s.server(), Task: task, Purpose: "load", Budget: big.NewRat(1, 1), Delta: "1e-07", TLS: serving, Asked: 1000,
		Limits: wire.Limits{PerHost: 1e6, PerIdent: 1e3, Uploads: 2048}, Pace: server.Pace{NoRound: soon, Full: soon, Counted: soon}, Enrolled: s.Devices}
	for i, a := range addresses {
		cfg.Committee = append(cfg.Committee, committee.Peer{Address: a, Identity: roster[i], TLS: dialling})
	}
	srv, err := server.Open(cfg)
	if err != nil {
		return err
	}
	defer srv.Close()
	l, err := listen()
	if err != nil {
		return err
	}
	go srv.Serve(l) // ends with Close
	tokens, err := srv.Tokens(ctx, s.Devices)
	if err == nil {
		err = os.WriteFile(filepath.Join(s.Dir, "tokens"), []byte(strings.Join(tokens, "\n")), 0o600)
	}
	if err != nil {
		return err
	}
	tokens = nil
	say(l.Addr().String())
	items := s.catalogue().Digest()
	for range s.Rounds {
		if err := oneRound(ctx, srv, s, items); err != nil {
			return err
		}
	}
	srv.Finish()
	<-ctx.Done()
	return nil
}

func oneRound(ctx context.Context, srv *server.Server, s setting, items model.Digest) error {
	m, err := mechanism.Design(mechanism.Literal{Dim: s.D - s.Pad, Clip: 1, NMin: s.nMin(), NMax: s.nMax(), Colluders: (s.nMax() + 19) / 20,
		Rho: s.rhoRound(), Noise: true, Pad: s.Pad})
	if err != nil {
		return err
	}
	r, err := srv.RunRound(ctx, server.RoundSpec{Kind: plan.Popularity, Goal: s.Devices, Mechanism: m, Items: items, Collect: time.Hour})
	if err != nil {
		return err
	}
	p, err := stats.NewPopularity(r.Sum.Values, 0)
	if err != nil {
		return err
	}
	blob := p.Marshal()
	_, err = srv.Publish(ctx, server.Publication{Round: r, Cause: "round", Blobs: [][]byte{blob},
		Version: &model.Version{Items: items, Popularity: sha256.Sum256(blob)}})
	if err != nil {
		return err
	}
	line, err := json.Marshal(newSample(r))
	say(string(line))
	return err
}

// town is the three processes as the devices' one sees them.
type town struct {
	setting
	commands []*exec.Cmd
	lines    *bufio.Scanner // of the server
	server   *exec.Cmd
	address  string
}

func newTown(s setting) (*town, error) {
	if _, err := keys.DevCerts(filepath.Join(s.Dir, "tls"), time.Now()); err != nil {
		return nil, err
	}
	if _, err := server.LoadKeys(s.server()); err != nil {
		return nil, err
	}
	if _, err := s.roster(); err != nil {
		return nil, err
	}
	b, err := json.Marshal(s)
	if err == nil {
		err = os.WriteFile(filepath.Join(s.Dir, "setting.json"), b, 0o600)
	}
	return &town{setting: s}, err
}

func (t *town) start(ctx context.Context) error {
	_, lines, err := t.spawn(ctx, "committee")
	if err != nil {
		return err
	}
	var addresses []string
	for lines.Scan() && lines.Text() != "ready" {
		addresses = append(addresses, lines.Text())
	}
	if len(addresses) != members {
		return errors.New("the committee did not start")
	}
	b, err := json.Marshal(addresses)
	if err == nil {
		err = os.WriteFile(filepath.Join(t.Dir, "nodes.json"), b, 0o600)
	}
	if err != nil {
		return err
	}
	if t.server, t.lines, err = t.spawn(ctx, "server"); err != nil {
		return err
	}
	if !t.lines.Scan() {
		return errors.New("the server did not start")
	}
	t.address = t.lines.Text()
	return nil
}

func (t *town) spawn(ctx context.Context, role string) (*exec.Cmd, *bufio.Scanner, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, nil, err
	}
	cmd := exec.CommandContext(ctx, self, "-role", role, "-setting", filepath.Join(t.Dir, "setting.json"))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, nil, err
	}
	t.commands = append(t.commands, cmd)
	return cmd, bufio.NewScanner(out), cmd.Start()
}

func (t *town) close() {
	for _, c := range t.commands {
		if c.Process != nil {
			c.Process.Kill()
			c.Wait()
		}
	}
}

// say tells the parent a line.
func say(line string) { fmt.Println(line) }
