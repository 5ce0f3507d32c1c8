package run

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"math"
)

// Names of the files of a run directory.
const (
	ManifestName   = "run.json"
	ConfigName     = "config.yaml"
	LogName        = "metrics.jsonl"
	CheckpointName = "checkpoint.safetensors"
	BestName       = "best.safetensors"
	PageName       = "run.html"
)

// Files is the outside of a run directory.
type Files interface {
	// Read returns a file, or an error that is fs.ErrNotExist.
	Read(name string) ([]byte, error)
	// Write replaces a file as a whole; it is durable when it returns.
	Write(name string, data []byte) error
	// Append adds to the end of a file.
	Append(name string, data []byte) error
}

// Dir is a run directory.
type Dir struct {
	Files Files
	Name  string // for people
}

// Exists says whether there is a run.
func (d Dir) Exists() (bool, error) {
	_, err := d.Files.Read(ManifestName)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// Load reads what a run is. A configuration that was edited after the run began
// is refused: the weights would not be what it says.
func (d Dir) Load() (Manifest, Config, error) {
	data, err := d.Files.Read(ManifestName)
	if err != nil {
		return Manifest{}, Config{}, err
	}
	m, err := ParseManifest(data)
	if err != nil {
		return m, Config{}, fmt.Errorf("%s: %w", d.Name, err)
	}
	file, err := d.Files.Read(ConfigName)
	if err != nil {
		return m, Config{}, err
	}
	if ConfigDigest(file) != m.Config {
		return m, Config{}, fmt.Errorf("%s/%s was changed after the run began: start another run with it", d.Name, ConfigName)
	}
	c, err := ParseConfig(file, "")
	if err != nil {
		return m, c, fmt.Errorf("%s/%s:%w", d.Name, ConfigName, err)
	}
	return m, c, nil
}

// Begin writes the configuration and the first manifest, whose Config it fills in.
// It overwrites no file but an equal or an empty one: the error is fs.ErrExist.
func (d Dir) Begin(m *Manifest, c Config) error {
	file := c.YAML()
	for _, name := range []string{ConfigName, LogName, CheckpointName, BestName, PageName} {
		there, err := d.Files.Read(name)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if len(there) > 0 && !(name == ConfigName && bytes.Equal(there, file)) {
			return fmt.Errorf("%s/%s is of no run here and would be overwritten: %w", d.Name, name, fs.ErrExist)
		}
	}
	m.Format, m.Config = ManifestFormat, ConfigDigest(file)
	if err := d.Files.Write(ConfigName, file); err != nil {
		return err
	}
	if err := d.Files.Write(LogName, nil); err != nil {
		return err
	}
	return d.Save(*m)
}

// Save replaces the manifest.
func (d Dir) Save(m Manifest) error {
	data, err := m.Marshal()
	if err != nil {
		return err
	}
	return d.Files.Write(ManifestName, data)
}

// Log reads the log up to a step.
func (d Dir) Log(last int) ([]Record, error) {
	data, err := d.Files.Read(LogName)
	if err != nil {
		return nil, err
	}
	log, err := ParseLog(data, last)
	if err != nil {
		return nil, fmt.Errorf("%s/%w", d.Name, err)
	}
	return log, nil
}

// WholeLog is the last step there can be.
const WholeLog = math.MaxInt

// Record appends to the log.
func (d Dir) Record(r Record) error {
	line, err := r.Marshal()
	if err != nil {
		return err
	}
	return d.Files.Append(LogName, line)
}

// CutLog drops what was logged after a step and returns the rest.
func (d Dir) CutLog(last int) ([]Record, error) {
	log, err := d.Log(last)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	for _, r := range log {
		line, err := r.Marshal()
		if err != nil {
			return nil, err
		}
		b.Write(line)
	}
	return log, d.Files.Write(LogName, b.Bytes())
}

// SavePage renders the run anew.
func (d Dir) SavePage(m Manifest, c Config, log []Record) error {
	var b bytes.Buffer
	if err := Page(&b, d.Name, m, c, log); err != nil {
		return err
	}
	return d.Files.Write(PageName, b.Bytes())
}
