package simulation

import (
	"fmt"
	"os"
	"strconv"
	"testing"
)

func TestTrace(t *testing.T) {
	seed, err := strconv.ParseUint(os.Getenv("SEED"), 10, 64)
	if err != nil {
		t.Skip()
	}
	x := memory()
	r := x.play(New(seed), Break(os.Getenv("BREAK")), func(f string, a ...any) { fmt.Printf(f+"\n", a...) })
	fmt.Println(r)
}
