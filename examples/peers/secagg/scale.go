package main

import "errors"

func (o options) runScale() error { return errors.New("not yet") }
