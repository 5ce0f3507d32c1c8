package run

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"math"

	"tutti/model"
	"tutti/model/dataset"
)

// Status says where a run stands.
type Status string

// The states of a run. A run that was killed stays Running.
const (
	Running  Status = "running"
	Stopped  Status = "stopped" // by its user, to be resumed
	Finished Status = "finished"
)

// ManifestFormat is the version of run.json that this package writes.
const ManifestFormat = 1

// Manifest is run.json.
type Manifest struct {
	Format   int          `json:"format"`
	Status   Status       `json:"status"`
	Created  string       `json:"created"` // RFC 3339, UTC
	Updated  string       `json:"updated"`
	Software Software     `json:"software"`
	Data     Data         `json:"data"`
	Config   model.Digest `json:"config"` // of config.yaml as it was written
	Recipe   Recipe       `json:"recipe"`
	Seed     uint64       `json:"seed"`
	Engine   string       `json:"engine"`
	Workers  int          `json:"workers"` // another number changes the last bits
	Weights  int          `json:"weights"`
	Progress Progress     `json:"progress"`
	Result   *Evaluation  `json:"result,omitempty"`   // on the test split, with the best weights
	Examples []Example    `json:"examples,omitempty"` // what the best weights recommend
}

// Software is what computed the run.
type Software struct {
	Version  string `json:"version"`
	Revision string `json:"revision"`
	Go       string `json:"go"`
	OS       string `json:"os"`
	Arch     string `json:"arch"`
}

// Data is what the run learned from.
type Data struct {
	Source    string       `json:"source"`
	Digest    model.Digest `json:"digest"`
	Catalogue model.Digest `json:"catalogue"`
	Users     int          `json:"users"`
	Items     int          `json:"items"`
	Events    int          `json:"events"`
	Training  int          `json:"training_events"`
}

// Progress is how far a run got. A checkpoint, not this, decides where it resumes.
type Progress struct {
	Step     int     `json:"step"`
	Steps    int     `json:"steps"`
	Epochs   float64 `json:"epochs"`
	Best     int     `json:"best_step"` // 0: nothing measured yet
	BestNDCG float64 `json:"best_ndcg10"`
	Seconds  float64 `json:"seconds"` // on the clock, with validation, over all resumptions
	Early    bool    `json:"stopped_early"`
	Resumed  int     `json:"resumed"` // how often
}

// Example is what the trained model recommends to one person.
type Example struct {
	Person int64       `json:"person"` // number in the data
	Recent []string    `json:"recent"` // titles, newest first
	Items  []Suggested `json:"items"`
	Next   string      `json:"next"` // what really came next
}

// Suggested is one recommended item.
type Suggested struct {
	Item        int64   `json:"item"`
	Title       string  `json:"title"`
	Probability float64 `json:"probability"`
	True        bool    `json:"came_next,omitempty"`
}

// MaxManifestBytes bounds run.json.
const MaxManifestBytes = 16 << 20

// Marshal writes run.json.
func (m Manifest) Marshal() ([]byte, error) {
	b, err := json.MarshalIndent(m, "", "  ")
	return append(b, '\n'), err
}

// ParseManifest reads run.json. Unknown fields and formats are refused.
func ParseManifest(data []byte) (Manifest, error) {
	if len(data) > MaxManifestBytes {
		return Manifest{}, fmt.Errorf("run.json has %d bytes, at most %d are read", len(data), MaxManifestBytes)
	}
	var probe struct{ Format int }
	if err := json.Unmarshal(data, &probe); err != nil {
		return Manifest{}, fmt.Errorf("run.json: %w", err)
	}
	if probe.Format != ManifestFormat {
		return Manifest{}, fmt.Errorf("run.json has format %d, this program reads %d", probe.Format, ManifestFormat)
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	var m Manifest
	if err := dec.Decode(&m); err != nil {
		return Manifest{}, fmt.Errorf("run.json: %w", err)
	}
	if dec.More() {
		return Manifest{}, fmt.Errorf("run.json: something follows the document")
	}
	return m, nil
}

// ConfigDigest is the digest of a configuration file's bytes.
func ConfigDigest(file []byte) model.Digest { return sha256.Sum256(file) }

// DataDigest is the SHA-256 of a data set: a domain, the catalogue's digest, and
// for each user the number, groups, items, times and ratings, big-endian and
// length-prefixed. Equal digests mean that training sees the same.
func DataDigest(d *dataset.Dataset) model.Digest {
	h := sha256.New()
	w := digester{w: h}
	w.text("tutti/dataset/1")
	catalogue := d.Catalogue.Digest()
	w.w.Write(catalogue[:])
	w.number(uint64(len(d.Users)))
	for i := range d.Users {
		u := &d.Users[i]
		w.number(uint64(u.ID))
		w.text(u.Gender)
		w.number(uint64(u.Age))
		w.text(u.Occupation)
		w.number(uint64(len(u.History)))
		for _, x := range u.History {
			w.number(uint64(x))
		}
		w.number(uint64(len(u.Times)))
		for _, x := range u.Times {
			w.number(uint64(x))
		}
		w.number(uint64(len(u.Ratings)))
		for _, x := range u.Ratings {
			w.number(uint64(math.Float32bits(x)))
		}
		w.flush()
	}
	return model.Digest(h.Sum(nil))
}

// digester writes canonical bytes to a hash, which never fails.
type digester struct {
	w   io.Writer
	buf []byte
}

func (d *digester) number(n uint64) { d.buf = binary.BigEndian.AppendUint64(d.buf, n) }

func (d *digester) text(s string) {
	d.number(uint64(len(s)))
	d.buf = append(d.buf, s...)
	d.flush()
}

func (d *digester) flush() {
	d.w.Write(d.buf)
	d.buf = d.buf[:0]
}
