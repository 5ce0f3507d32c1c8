package main

import (
	"context"
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"tutti/server"
	"tutti/server/dashboard"
	"tutti/server/keys"
	"tutti/server/operator"
	"tutti/server/store"
)

// Where a running server's operator finds it: files in the data directory, for its owner alone.
const (
	operatorAddress = "operator.json"  // address of the listener
	operatorToken   = "operator.token" // for reading: tutti status, Prometheus
)

// Tokens for reading are made anew before they end.
const (
	tokenValid = 90 * 24 * time.Hour
	tokenRenew = 30 * 24 * time.Hour
	tokenEvery = 24 * time.Hour
)

// reachable is what operator.json says.
type reachable struct {
	Address string `json:"address"`
	TLS     bool   `json:"tls"`
	CA      string `json:"ca,omitempty"` // PEM file that signed the certificate
}

// startOperator answers operators, and gives the dashboard's address, if there is one; end ends that.
func (a *app) startOperator(ctx context.Context, srv *server.Server, f serverFlags, t taskFile, own server.Keys, devices *tls.Config) (page string, end func(), err error) {
	if f.operator == "" || f.operator == "off" {
		return "", func() {}, nil
	}
	settings, where := (*tls.Config)(nil), reachable{}
	if !operator.Loopback(f.operator) { // tokens travel on it
		certs := certFiles(f.certs)
		var err error
		if settings, err = keys.ServerTLS(certs); err != nil {
			return "", nil, fmt.Errorf("--operator %s: %w", f.operator, err)
		}
		ca, err := filepath.Abs(certs.CA)
		if err != nil {
			return "", nil, err
		}
		where.TLS, where.CA = true, ca
	}
	on, err := net.Listen("tcp", f.operator)
	if err != nil && f.anyOperator {
		on, err = net.Listen("tcp", "127.0.0.1:0")
	}
	if err != nil {
		return "", nil, fmt.Errorf("cannot answer the operator on %s: %w; is another server there? choose another port with --operator", f.operator, err)
	}
	op := srv.Operate(operator.ThisMachine(f.dir, devices, time.Now(), release()))
	auth := operator.Auth{Task: t.Task, Key: publicOf(own.Operator), Clock: time.Now}
	pages, err := a.dashboard(op, auth, own.Operator, t, on.Addr(), settings == nil)
	if err != nil {
		on.Close()
		return "", nil, err
	}
	l, err := operator.NewListener(operator.Services{Source: op, Control: op, Report: op, Auth: auth, Pages: pages, GRPC: f.trace.GRPC(), Log: a.logger("operator")}, settings)
	if err != nil {
		on.Close()
		return "", nil, err
	}
	where.Address = dialable(on.Addr())
	if err := writeReachable(f.dir, where); err != nil {
		on.Close()
		return "", nil, err
	}
	if err := renewToken(f.dir, own.Operator, t.Task); err != nil {
		on.Close()
		return "", nil, err
	}
	ctx, stop := context.WithCancel(ctx)
	go l.Serve(on) // ends with Close
	go func() {
		for tick := time.NewTicker(tokenEvery); ; {
			select {
			case <-ctx.Done():
				tick.Stop()
				return
			case <-tick.C:
				if err := renewToken(f.dir, own.Operator, t.Task); err != nil {
					a.logger("operator").Warn("the token for reading", "error", err)
				}
			}
		}
	}()
	page = "http://" + where.Address
	if where.TLS {
		page = "https://" + where.Address
	}
	return page, func() {
		stop()
		pages.Close()
		l.Close()
		os.Remove(filepath.Join(f.dir, operatorAddress))
	}, nil
}

// dashboard makes the pages on the operator's listener. Sessions are signed by what every replica can derive.
func (a *app) dashboard(op *server.Operator, auth operator.Auth, key ed25519.PrivateKey, t taskFile, on net.Addr, loopback bool) (*dashboard.Handler, error) {
	secret, err := hkdf.Key(sha256.New, key.Seed(), nil, "tutti/dashboard-session/v1/"+t.Task, 32)
	if err != nil {
		return nil, err
	}
	_, port, err := net.SplitHostPort(on.String())
	if err != nil {
		return nil, err
	}
	verify := func(_ context.Context, token string) (dashboard.Identity, error) {
		who, err := auth.Open(token)
		return dashboard.Identity{Name: who.Name, Write: who.Write, Until: who.Expires}, err
	}
	return dashboard.New(dashboard.Fixed(dashboard.Desk{Task: t.Task, Trust: t.Trust, Source: op, Control: op}), verify,
		dashboard.Options{SessionKey: [32]byte(secret), Loopback: loopback, Port: port, Log: a.logger("dashboard")})
}

// dialable is an address that somebody on this machine can dial: a listener on all addresses has none.
func dialable(addr net.Addr) string {
	if tcp, is := addr.(*net.TCPAddr); is && tcp.IP.IsUnspecified() {
		return net.JoinHostPort("localhost", fmt.Sprint(tcp.Port))
	}
	return addr.String()
}

func writeReachable(dir string, where reachable) error {
	b, err := json.Marshal(where)
	if err != nil {
		return err
	}
	return store.WriteFile(filepath.Join(dir, operatorAddress), append(b, '\n'))
}

// renewToken writes the token for reading, unless the one that is there holds for long enough.
func renewToken(dir string, key ed25519.PrivateKey, task string) error {
	path := filepath.Join(dir, operatorToken)
	now := time.Now()
	if b, err := os.ReadFile(path); err == nil {
		who, err := operator.Auth{Task: task, Key: publicOf(key), Clock: time.Now}.Open(string(b))
		if err == nil && who.Expires.Sub(now) > tokenRenew {
			return nil
		}
	}
	token, err := operator.NewToken(key, task, "data directory", false, now, tokenValid)
	if err != nil {
		return err
	}
	if err := store.WriteFile(path, []byte(token+"\n")); err != nil {
		return err
	}
	return os.Chmod(path, 0o600)
}

// reach is how the commands of an operator find a server.
type reach struct {
	dir, address, token, ca string
	db                      string
}

// errAlone says that no server runs on the data directory.
var errAlone = errors.New("no server runs on this data directory")

// dial reaches the server that runs; errAlone if there is none. write wants a token that may change the task.
func (r reach) dial(write bool) (*operator.Client, error) {
	where := reachable{Address: r.address, CA: r.ca}
	if r.address == "" {
		b, err := os.ReadFile(filepath.Join(r.dir, operatorAddress))
		if errors.Is(err, os.ErrNotExist) {
			return nil, errAlone
		}
		if err == nil {
			err = json.Unmarshal(b, &where)
		}
		if err != nil {
			return nil, err
		}
	}
	if r.ca != "" {
		where.CA = r.ca
	}
	token, err := r.bearer(write)
	if err != nil {
		return nil, err
	}
	var settings *tls.Config
	if where.TLS || where.CA != "" || !operator.Loopback(where.Address) {
		if settings, err = keys.ClientTLS(keys.Files{CA: where.CA}); err != nil {
			return nil, err
		}
	}
	return operator.Dial(where.Address, token, settings)
}

// bearer is the token of --token, or the one for reading of the data directory, or a short one made with the operator's key.
func (r reach) bearer(write bool) (string, error) {
	if r.token != "" {
		b, err := os.ReadFile(r.token)
		return strings.TrimSpace(string(b)), err
	}
	if !write {
		if b, err := os.ReadFile(filepath.Join(r.dir, operatorToken)); err == nil {
			return strings.TrimSpace(string(b)), nil
		}
	}
	_, t, err := readSetup(r.dir)
	if err != nil {
		return "", fmt.Errorf("%w (or name a token with --token)", err)
	}
	key, err := keys.Read(filepath.Join(r.dir, "keys", "operator.pem"))
	if err != nil {
		return "", fmt.Errorf("no token and no operator's key: %w", err)
	}
	return operator.NewToken(key, t.Task, "tutti", write, time.Now(), 10*time.Minute)
}

// steered is a server that runs, or a data directory that no server has open.
type steered interface {
	operator.Source
	operator.Control
	operator.Reporter
}

// open gives the running server, or else the data directory. done closes it.
func (a *app) open(ctx context.Context, r reach, write bool) (s steered, live bool, done func(), err error) {
	c, err := r.dial(write)
	if err == nil {
		if _, err = c.View(ctx); err == nil {
			return c, true, func() { c.Close() }, nil
		}
		c.Close()
		if !errors.Is(err, operator.ErrAway) || r.address != "" {
			return nil, false, nil, err
		}
	} else if !errors.Is(err, errAlone) {
		return nil, false, nil, err
	}
	setup, t, err := readSetup(r.dir)
	if err != nil {
		return nil, false, nil, err
	}
	srv, err := a.openTask(serverFlags{dir: r.dir, db: r.db}, setup, t)
	if err != nil {
		return nil, false, nil, err
	}
	return srv.Operate(operator.ThisMachine(r.dir, nil, time.Time{}, release())), false, func() { srv.Close() }, nil
}
