package main

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"tutti/aggregation"
	"tutti/client"
	"tutti/client/history"
	clientstore "tutti/client/store"
	"tutti/model/dataset"
	"tutti/privacy/ledger"
	"tutti/privacy/mechanism"
	"tutti/privacy/plan"
	"tutti/server"
	"tutti/server/store"
)

// books are what the server's directory and its log hold, and whose device is whose.
type books struct {
	st        store.Store
	dir       string
	catalogue *dataset.Catalogue
	task      pinned
	plans     map[uint64]plan.Plan
	rounds    []*ledger.Round
	versions  map[uint64][32]byte
	people    map[aggregation.DeviceID]int
}

func (s *story) readBooks(ctx context.Context, st store.Store) (*books, error) {
	b := &books{st: st, dir: s.path("server"), plans: map[uint64]plan.Plan{}, versions: map[uint64][32]byte{}}
	var err error
	if b.catalogue, err = dataset.LoadCatalogue(os.DirFS(s.path("films"))); err != nil {
		return nil, err
	}
	if b.task, err = readTask(s.path("server", "task.json")); err != nil {
		return nil, err
	}
	err = st.Records(ctx, 0, func(_ uint64, data []byte) error {
		rec, err := ledger.Decode(data)
		if err != nil {
			return err
		}
		switch body := rec.Body.(type) {
		case *ledger.Plan:
			if _, twice := b.plans[body.Round]; twice {
				return fmt.Errorf("round %d has two plans", body.Round)
			}
			b.plans[body.Round], err = plan.Open(plan.Signed{Bytes: body.Bytes, Signature: body.Signature}, b.task.operator)
			return err
		case *ledger.Version:
			b.versions[body.Number] = body.Digest
		case *ledger.Round:
			b.rounds = append(b.rounds, body)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	b.people, err = s.identities(b.task, b.catalogue)
	return b, err
}

// pinned is what a device or a node is given by the operator, beside the server: the task file.
type pinned struct {
	Task               string
	operator, enroller ed25519.PublicKey
	committee          []ed25519.PublicKey
}

func readTask(path string) (t pinned, err error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return t, err
	}
	var file struct {
		Task, Operator, Enroller string
		Committee                []struct{ Key string }
	}
	if err := json.Unmarshal(data, &file); err != nil {
		return t, err
	}
	key := func(s string) ed25519.PublicKey {
		b, failed := hex.DecodeString(s)
		err = errors.Join(err, failed)
		return b
	}
	t = pinned{Task: file.Task, operator: key(file.Operator), enroller: key(file.Enroller)}
	for _, n := range file.Committee {
		t.committee = append(t.committee, key(n.Key))
	}
	return t, err
}

// identities asks every device's own directory under which name the server knows it.
func (s *story) identities(t pinned, catalogue *dataset.Catalogue) (map[aggregation.DeviceID]int, error) {
	shared, err := client.NewShared(client.SharedConfig{Catalogue: catalogue})
	if err != nil {
		return nil, err
	}
	policy := plan.Policy{Task: t.Task, Operator: t.operator, Enroller: t.enroller}
	out := map[aggregation.DeviceID]int{}
	for p := 1; p <= people; p++ {
		secret, err := os.ReadFile(filepath.Join(s.device(p), "history.key"))
		if errors.Is(err, fs.ErrNotExist) {
			continue // killed before it was anybody
		}
		if err != nil {
			return nil, err
		}
		key, err := history.NewKey(secret)
		if err != nil {
			return nil, fmt.Errorf("device %d: %w", p, err)
		}
		files, err := clientstore.Open(filepath.Join(s.device(p), "store"))
		if err != nil {
			return nil, fmt.Errorf("device %d: %w", p, err)
		}
		d, err := client.Open(client.Options{Policy: policy, Key: key, Store: files, Shared: shared})
		if err != nil {
			files.Close()
			return nil, fmt.Errorf("device %d: %w", p, err)
		}
		out[d.Privacy().Device] = p
		d.Close()
	}
	return out, nil
}

// items is a person's history as positions in the catalogue.
func (b *books) items(person int) ([]int32, error) {
	var items []int32
	for _, film := range watched(person) {
		i, known := b.catalogue.Index(film)
		if !known {
			return nil, fmt.Errorf("film %d is not in the catalogue", film)
		}
		items = append(items, i)
	}
	return items, nil
}

// opened reads the integer sum that the server kept, which the log names by its digest, and decodes it.
func (b *books) opened(r *ledger.Round) ([]float32, error) {
	blob, err := b.st.Blob(r.Aggregate)
	if err != nil {
		return nil, fmt.Errorf("the opened sum: %w", err)
	}
	sum, err := parseSum(blob)
	if err != nil {
		return nil, err
	}
	m := b.plans[r.Round].Mechanism
	codec, err := mechanism.NewCodec(m)
	if err != nil {
		return nil, err
	}
	if len(sum) < m.PaddedDim {
		return nil, errors.New("the kept sum is too short")
	}
	decoded, err := codec.DecodeSum(sum[:m.PaddedDim], int(r.Survived))
	return decoded.Values, err
}

// parseSum is the inverse of server.SumBytes.
func parseSum(b []byte) ([]int64, error) {
	head := len(server.SumBytes(nil))
	if len(b) < head || (len(b)-head)%8 != 0 {
		return nil, errors.New("the kept sum is cut off")
	}
	sum := make([]int64, (len(b)-head)/8)
	for i := range sum {
		sum[i] = int64(binary.BigEndian.Uint64(b[head+8*i:]))
	}
	if !bytes.Equal(server.SumBytes(sum), b) {
		return nil, errors.New("the kept sum is not one")
	}
	return sum, nil
}

func ids(set []aggregation.Entry) []aggregation.DeviceID {
	out := make([]aggregation.DeviceID, len(set))
	for i, e := range set {
		out[i] = e.ID
	}
	return out
}

// root is the tree hash of RFC 6962, section 2.1, over device ids: what the log names a set by.
func root(set []aggregation.DeviceID) [32]byte {
	switch len(set) {
	case 0:
		return sha256.Sum256(nil)
	case 1:
		return sha256.Sum256(append([]byte{0}, set[0][:]...))
	}
	k := 1
	for 2*k < len(set) {
		k *= 2
	}
	left, right := root(set[:k]), root(set[k:])
	return sha256.Sum256(slices.Concat([]byte{1}, left[:], right[:]))
}
