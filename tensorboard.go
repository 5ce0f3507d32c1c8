package main

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"time"

	"tutti/server/operator"
)

// TensorBoard reads a TFRecord file of tensorflow.Event messages (tensorflow/core/util/event.proto). What is written of them:
//
//	Event   { double wall_time = 1; int64 step = 2; string file_version = 3; Summary summary = 5; }
//	Summary { repeated Value value = 1; }  Value { string tag = 1; float simple_value = 2; }
//
// A record is its length, a checksum of the length, the bytes, and a checksum of the bytes (CRC-32C, rotated and shifted:
// tensorflow/core/lib/io/record_writer.cc).

// scalar is one number of a round.
type scalar struct {
	tag   string
	value float64
}

// eventFileName is one that TensorBoard takes for an event file; the same task gives the same name, so that a new export
// takes the place of the last one.
func eventFileName(v *operator.View) string {
	return fmt.Sprintf("events.out.tfevents.%010d.%s", v.Opened.Unix(), v.Task)
}

func writeEvents(w io.Writer, v *operator.View) error {
	if err := writeRecord(w, event(v.Opened, 0, appendBytes(nil, 3, []byte("brain.Event:2")))); err != nil {
		return err
	}
	for _, r := range oldestFirst(v) {
		var summary []byte
		for _, s := range scalars(r) {
			value := appendBytes(nil, 1, []byte(s.tag))
			value = binary.LittleEndian.AppendUint32(append(value, 2<<3|5), math.Float32bits(float32(s.value)))
			summary = appendBytes(summary, 1, value)
		}
		if err := writeRecord(w, event(r.Ended, r.Number, appendBytes(nil, 5, summary))); err != nil {
			return err
		}
	}
	return nil
}

// scalars are the numbers of a round; those that are not known are left out.
func scalars(r exported) []scalar {
	out := []scalar{
		{"devices/counted", float64(r.Counted)}, {"devices/wanted", float64(r.Goal)}, {"devices/late", float64(r.Late)},
		{"budget/epsilon_spent", r.Spent.Epsilon}, {"budget/rho_spent", r.Spent.Rho},
		{"round/seconds", r.Seconds},
	}
	refused := 0
	for _, x := range r.Refused {
		refused += x.Count
	}
	out = append(out, scalar{"devices/refused", float64(refused)})
	if r.Meter != nil {
		out = append(out, scalar{"noise/ratio", r.Meter.Ratio}, scalar{"noise/z", r.Meter.Z})
	}
	for _, p := range r.Phases {
		out = append(out, scalar{"phase/" + p.Name, p.Seconds})
	}
	for _, f := range r.Measured {
		out = append(out, scalar{"quality/" + f.Name, f.Value}, scalar{"quality/" + f.Name + "/low", f.Low}, scalar{"quality/" + f.Name + "/high", f.High})
	}
	return out
}

// event is a message of one moment and step around a field that is encoded already.
func event(at time.Time, step uint64, field []byte) []byte {
	b := binary.LittleEndian.AppendUint64([]byte{1<<3 | 1}, math.Float64bits(float64(at.UnixMilli())/1000))
	b = binary.AppendUvarint(append(b, 2<<3), step)
	return append(b, field...)
}

// appendBytes appends a field of bytes.
func appendBytes(b []byte, number int, content []byte) []byte {
	b = binary.AppendUvarint(append(b, byte(number<<3|2)), uint64(len(content)))
	return append(b, content...)
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func masked(b []byte) uint32 {
	c := crc32.Checksum(b, castagnoli)
	return (c>>15 | c<<17) + 0xa282ead8
}

func writeRecord(w io.Writer, content []byte) error {
	head := binary.LittleEndian.AppendUint64(nil, uint64(len(content)))
	head = binary.LittleEndian.AppendUint32(head, masked(head))
	tail := binary.LittleEndian.AppendUint32(nil, masked(content))
	for _, part := range [][]byte{head, content, tail} {
		if _, err := w.Write(part); err != nil {
			return err
		}
	}
	return nil
}
