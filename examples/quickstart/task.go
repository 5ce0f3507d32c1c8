package main

import (
	"crypto/ed25519"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"os"

	"tutti/model/dataset"
	"tutti/privacy/accounting"
	"tutti/privacy/mechanism"
	"tutti/privacy/plan"
)

// task is what an app is given beside the server: where it is, and the keys and limits to hold it to. An app compiles
// the policy in, or ships the operator's task file.
type task struct {
	server, ca, file, items, token string

	policy    plan.Policy
	catalogue *dataset.Catalogue
}

// read reads the operator's task file and the catalogue.
func (t *task) read() error {
	data, err := os.ReadFile(t.file)
	if err != nil {
		return err
	}
	var f struct {
		Task, Operator, Enroller, Budget string
		Committee                        []struct{ Key string }
		Corrupt, Devices                 int
		MinCohort                        int  `json:"min_cohort"`
		NoiseOff                         bool `json:"noise_off"`
	}
	if err := json.Unmarshal(data, &f); err != nil {
		return fmt.Errorf("%s: %w", t.file, err)
	}
	key := func(digits string) ed25519.PublicKey {
		b, failed := hex.DecodeString(digits)
		err = errors.Join(err, failed)
		return b
	}
	t.policy = plan.Policy{
		Task: f.Task, Operator: key(f.Operator), Enroller: key(f.Enroller), Population: f.Devices,
		MinMembers: (len(f.Committee)+f.Corrupt)/2 + 1, MinCorrupt: f.Corrupt, MinCohort: f.MinCohort,
		MinColluder: big.NewRat(1, 20), AllowNoiseOff: f.NoiseOff,
	}
	for _, n := range f.Committee {
		t.policy.Committee = append(t.policy.Committee, key(n.Key))
	}
	if err != nil {
		return fmt.Errorf("%s: %w", t.file, err)
	}
	if !f.NoiseOff {
		rho, err := accounting.ParseRho(f.Budget)
		if err != nil {
			return fmt.Errorf("%s: %w", t.file, err)
		}
		t.policy.MaxRhoRound, t.policy.MaxRhoTotal, t.policy.MinPad = rho, rho, mechanism.MinMeterPad
	}
	t.catalogue, err = dataset.LoadCatalogue(os.DirFS(t.items))
	return err
}
