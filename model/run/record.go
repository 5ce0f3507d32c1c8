package run

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// Record is one line of metrics.jsonl: what happened since the line before.
type Record struct {
	Step       int         `json:"step"` // counted from 1
	Epoch      float64     `json:"epoch"`
	Loss       float64     `json:"loss"` // mean per predicted event, nats
	Rate       float64     `json:"rate"`
	Tokens     int         `json:"tokens"`  // events predicted since the line before
	Seconds    float64     `json:"seconds"` // on the clock so far, with validation, over all resumptions
	Validation *Validation `json:"validation,omitempty"`
}

// Validation is a measurement during training.
type Validation struct {
	NDCG    float64 `json:"ndcg10"`
	HR      float64 `json:"hr10"`
	Users   int     `json:"users"`
	Seconds float64 `json:"seconds"` // that measuring took
	Best    bool    `json:"best,omitempty"`
}

// Bounds of a log.
const (
	MaxLogBytes   = 256 << 20
	maxRecordSize = 4096
)

// Marshal writes one line.
func (r Record) Marshal() ([]byte, error) {
	b, err := json.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("step %d: %w", r.Step, err)
	}
	return append(b, '\n'), nil
}

// ParseLog reads the lines up to a step. A last line without its end, which a
// crash may leave, is left out; so is everything after the step.
func ParseLog(data []byte, last int) ([]Record, error) {
	if len(data) > MaxLogBytes {
		return nil, fmt.Errorf("metrics.jsonl has %d bytes, at most %d are read", len(data), MaxLogBytes)
	}
	var out []Record
	for line := 1; ; line++ {
		text, rest, ended := bytes.Cut(data, []byte{'\n'})
		if !ended {
			return out, nil
		}
		data = rest
		if len(text) > maxRecordSize {
			return nil, fmt.Errorf("metrics.jsonl:%d: the line has %d bytes", line, len(text))
		}
		var r Record
		if err := json.Unmarshal(text, &r); err != nil {
			return nil, fmt.Errorf("metrics.jsonl:%d: %w", line, err)
		}
		if len(out) > 0 && r.Step <= out[len(out)-1].Step {
			return nil, fmt.Errorf("metrics.jsonl:%d: step %d follows step %d", line, r.Step, out[len(out)-1].Step)
		}
		if r.Step > last {
			return out, nil
		}
		out = append(out, r)
	}
}
