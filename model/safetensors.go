package model

import (
	"errors"
	"io"
)

// WriteSafetensors writes the weights in the safetensors format.
func WriteSafetensors(w io.Writer, p Params, meta map[string]string) error {
	return errors.New("safetensors: being written")
}

// ReadSafetensors reads what WriteSafetensors writes.
func ReadSafetensors(r io.Reader, maxBytes int64) (Params, map[string]string, error) {
	return Params{}, nil, errors.New("safetensors: being written")
}
