package run_test

import (
	"fmt"

	"tutti/model/run"
)

func ExampleParseConfig() {
	c, err := run.ParseConfig([]byte("recipe: encdec\nmodel:\n  dim: 128\n"), "")
	fmt.Println(c.Recipe, c.Model.Dim, c.Fit.Optimiser, err)

	_, err = run.ParseConfig([]byte("model:\n  dim: wide\n"), "")
	fmt.Println("run.yaml:" + err.Error())
	// Output:
	// encdec 128 adam <nil>
	// run.yaml:2:8: model.dim: "wide", want a whole number from 1 to 4096
}
