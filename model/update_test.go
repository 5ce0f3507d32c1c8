package model

import (
	"bytes"
	"encoding"
	"encoding/gob"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"strings"
	"testing"
)

func TestNewUpdate(t *testing.T) {
	l := mustLayout(t, TensorSpec{"a", []int{3}})
	global, _ := ParamsOf(l, []float32{1, 2, 3})
	local, _ := ParamsOf(l, []float32{1.5, 2, 1})
	u, err := NewUpdate(local, global)
	if err != nil || !slices.Equal(u.Values(), []float32{0.5, 0, -2}) || u.Len() != 3 {
		t.Errorf("update %v, %v", u.Values(), err)
	}
	other, _ := ParamsOf(mustLayout(t, TensorSpec{"b", []int{3}}), []float32{1, 2, 3})
	if _, err := NewUpdate(other, global); err == nil {
		t.Error("different layouts were accepted")
	}
	local.Values()[1] = float32(math.NaN())
	if _, err := NewUpdate(local, global); !errors.Is(err, ErrNotFinite) {
		t.Errorf("NaN: %v, want ErrNotFinite", err)
	}
	// Two finite weights whose difference is not.
	local.Values()[1], global.Values()[1] = math.MaxFloat32, -math.MaxFloat32
	if _, err := NewUpdate(local, global); !errors.Is(err, ErrNotFinite) {
		t.Errorf("overflow: %v, want ErrNotFinite", err)
	}
}

func TestNewStatisticCopies(t *testing.T) {
	values := []float32{1, 2}
	u := NewStatistic(values)
	values[0] = 9
	if !slices.Equal(u.Values(), []float32{1, 2}) {
		t.Errorf("got %v", u.Values())
	}
	if (Update{}).Values() != nil || (Update{}).Len() != 0 {
		t.Error("the zero update holds values")
	}
}

// However an update is printed, its values must not show, not even from within
// a struct that hides it in an unexported field.
func TestUpdateDoesNotShowItsValues(t *testing.T) {
	const secret = 8675309
	u := NewStatistic([]float32{secret, secret})
	type wrapper struct{ hidden Update }
	type open struct{ Update Update }
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "update", u, "wrapped", wrapper{u}, "list", []Update{u})
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "update", u)
	out := log.String() + u.String() + u.GoString()
	for _, value := range []any{u, &u, wrapper{u}, &wrapper{u}, open{u}, []Update{u}, map[string]Update{"a": u}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%d", "%x", "%g", "%q", "%f"} {
			out += fmt.Sprintf(verb, value)
		}
	}
	for _, form := range []string{"8675309", "8.675309", "8.67531", "845fed", "845FED", "4b045fed"} {
		if strings.Contains(strings.ToLower(out), form) {
			t.Fatalf("the values show as %s in %s", form, out)
		}
	}
}

func TestUpdateRefusesToBeSerialised(t *testing.T) {
	u := NewStatistic([]float32{1})
	if b, err := json.Marshal(map[string]any{"u": u}); err == nil {
		t.Errorf("JSON: %s", b)
	}
	if err := gob.NewEncoder(&bytes.Buffer{}).Encode(u); err == nil {
		t.Error("gob encoded an update")
	}
	if _, err := encoding.BinaryMarshaler(u).MarshalBinary(); err == nil {
		t.Error("binary encoded an update")
	}
	if _, err := encoding.TextMarshaler(u).MarshalText(); err == nil {
		t.Error("text encoded an update")
	}
}
