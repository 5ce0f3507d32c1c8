package main

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"os"

	"tutti/aggregation"
	"tutti/model"
	"tutti/model/dataset"
	"tutti/privacy/accounting"
	"tutti/privacy/mechanism"
	"tutti/privacy/plan"
	"tutti/server"
)

// taskFile is what the operator hands to devices and committee nodes by a way other than the server: the keys they pin
// and the limits they hold plans to. It holds no secret.
type taskFile struct {
	Task           string     `json:"task"`
	Operator       string     `json:"operator"`  // Ed25519, hex: signs plans, versions and the log
	Enroller       string     `json:"enroller"`  // Ed25519, hex: vouches for devices
	Committee      []taskNode `json:"committee"` // in index order
	Corrupt        int        `json:"corrupt"`   // nodes assumed to collude with the server
	Items          string     `json:"items"`     // SHA-256 of the catalogue, hex
	MinCohort      int        `json:"min_cohort"`
	Devices        int        `json:"devices"` // that the task is planned for
	Budget         string     `json:"budget"`  // rho that a device may spend in all, "num/den"; "" with noise off
	Delta          string     `json:"delta"`
	Trust          string     `json:"trust,omitempty"`          // who adds the noise: "" (every device), central or central-mf (the operator, who sees sums without)
	Participations uint32     `json:"participations,omitempty"` // rounds that a device is in at most; 0: any number
	MaxClip        float64    `json:"max_clip,omitempty"`       // devices refuse a larger clip; 0: any. Where the clip adapts, this bounds it
	NoiseOff       bool       `json:"noise_off,omitempty"`      // tests and comparisons only
	CheckNorm      bool       `json:"check_norm,omitempty"`     // devices refuse rounds in which nobody's input is checked
	Classical      bool       `json:"classical,omitempty"`      // envelopes without the post-quantum half: smaller, and a recording may be opened one day
}

type taskNode struct {
	Address string `json:"address"`
	Key     string `json:"key"` // Ed25519, hex
}

func readTaskFile(path string) (taskFile, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return taskFile{}, fmt.Errorf("no task file (the operator makes it with tutti server init): %w", err)
	}
	var t taskFile
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&t); err != nil {
		return taskFile{}, fmt.Errorf("%s: %w", path, err)
	}
	if _, err := t.policy(); err != nil {
		return taskFile{}, fmt.Errorf("%s: %w", path, err)
	}
	return t, nil
}

// catalogue reads the list of items and holds it to the one that the task is about.
func (t taskFile) catalogue(path string) (*dataset.Catalogue, error) {
	c, err := readCatalogue(path)
	if err == nil && t.Items != "" && t.Items != model.Digest(c.Digest()).String() {
		return nil, fmt.Errorf("%s: this is not the list of items of task %s: use the operator's", path, t.Task)
	}
	return c, err
}

func (t taskFile) write(path string) error {
	data, err := json.MarshalIndent(t, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(data, '\n'), 0o644)
}

// warn says aloud that a task is one without privacy: nobody should learn that from the report alone.
func (t taskFile) warn(w io.Writer) {
	if t.central() {
		fmt.Fprintf(w, "TRUSTED OPERATOR in task %s: %s\n", t.Task, server.SeesSums)
	}
	if t.NoiseOff {
		fmt.Fprintf(w, "PRIVACY IS OFF in task %s: no noise is added and nothing is claimed; for tests and comparisons only\n", t.Task)
	}
}

// central says that the operator adds the noise.
func (t taskFile) central() bool {
	trust, err := plan.ParseTrust(t.Trust)
	return err == nil && trust != plan.TrustDevices
}

func parseKey(what, s string) (ed25519.PublicKey, error) {
	key, err := hex.DecodeString(s)
	if err != nil || len(key) != ed25519.PublicKeySize {
		return nil, fmt.Errorf("%s: want an Ed25519 key of %d hex digits", what, 2*ed25519.PublicKeySize)
	}
	return key, nil
}

// suite is that of the envelopes.
func (t taskFile) suite() aggregation.Suite {
	if t.Classical {
		return aggregation.SuiteX25519
	}
	return aggregation.SuiteMLKEM768X25519
}

// roster lists the pinned identities of the committee nodes.
func (t taskFile) roster() ([]ed25519.PublicKey, error) {
	roster := make([]ed25519.PublicKey, len(t.Committee))
	for i, n := range t.Committee {
		key, err := parseKey("committee node "+n.Address, n.Key)
		if err != nil {
			return nil, err
		}
		roster[i] = key
	}
	return roster, nil
}

// policy is what a device that was given this file accepts. One committee may be missing as many nodes as its quorum
// bears; noise off only where the file says so.
func (t taskFile) policy() (plan.Policy, error) {
	if !(t.MaxClip >= 0 && t.MaxClip <= 1e9) {
		return plan.Policy{}, fmt.Errorf("max_clip %g: want a number from 0 to 1e9", t.MaxClip)
	}
	operator, err := parseKey("operator", t.Operator)
	if err != nil {
		return plan.Policy{}, err
	}
	enroller, err := parseKey("enroller", t.Enroller)
	if err != nil {
		return plan.Policy{}, err
	}
	roster, err := t.roster()
	if err != nil {
		return plan.Policy{}, err
	}
	if _, err := plan.ParseTrust(t.Trust); err != nil {
		return plan.Policy{}, err
	}
	p := plan.Policy{
		Task: t.Task, Operator: operator, Enroller: enroller, Committee: roster,
		MinMembers: (len(roster)+t.Corrupt)/2 + 1, MinCorrupt: t.Corrupt, MinCohort: t.MinCohort,
		MinColluder: big.NewRat(1, 20), Population: t.Devices, AllowNoiseOff: t.NoiseOff, AllowCentral: t.central(),
		MaxParticipations: t.Participations, MinPopulation: t.Devices, PostQuantum: !t.Classical, CheckNorm: t.CheckNorm, MaxClip: t.MaxClip,
	}
	if t.Budget == "" && !t.NoiseOff {
		return plan.Policy{}, fmt.Errorf("a task with noise needs a budget")
	}
	if t.Budget != "" {
		rho, err := accounting.ParseRho(t.Budget)
		if err != nil {
			return plan.Policy{}, fmt.Errorf("budget: %w", err)
		}
		p.MaxRhoRound, p.MaxRhoTotal, p.MinPad = rho, rho, mechanism.MinMeterPad
	}
	return p, nil
}
