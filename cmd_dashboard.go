package main

import (
	"fmt"
	"net"
	"path/filepath"
	"time"

	"tutti/server"
	"tutti/server/dashboard"
	"tutti/server/operator"
)

// served is the dashboard of a demo, which answers on this machine alone.
type served struct {
	pages   *dashboard.Handler
	on      *operator.Listener
	address string
}

// serveDashboard shows the demo's server to whoever has the link.
func (a *app) serveDashboard(d *deployment, dir string) (*served, error) {
	own, err := server.LoadKeys(filepath.Join(dir, "server"))
	if err != nil {
		return nil, err
	}
	on, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	op := d.server.Operate(operator.ThisMachine(dir, nil, time.Now(), release()))
	auth := operator.Auth{Task: d.task.Task, Key: publicOf(own.Operator), Clock: time.Now}
	s := &served{address: "http://" + on.Addr().String()}
	if s.pages, err = a.dashboard(op, auth, own.Operator, d.task, on.Addr(), true); err != nil {
		on.Close()
		return nil, err
	}
	if s.on, err = operator.NewListener(operator.Services{Source: op, Control: op, Report: op, Auth: auth, Pages: s.pages, Log: a.logger("operator")}, nil); err != nil {
		s.pages.Close()
		on.Close()
		return nil, err
	}
	go s.on.Serve(on) // ends with Close
	return s, nil
}

// link lets one browser in, once. What lets it in stands behind the #, which browsers send to nobody.
func (s *served) link() (string, error) {
	token, err := s.pages.Invite(dashboard.Identity{Name: "you", Write: true})
	return fmt.Sprintf("%s/login#%s", s.address, token), err
}

// close ends the dashboard.
func (s *served) close() {
	if s == nil {
		return
	}
	s.pages.Close()
	s.on.Close()
}
