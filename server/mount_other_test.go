//go:build unix && !linux

package server

import "errors"

func mountTmpfs(string, string) error { return errors.New("not on this system") }

func unmount(string) {}
