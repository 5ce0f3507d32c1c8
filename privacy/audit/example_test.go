package audit_test

import (
	"fmt"

	"tutti/privacy/accounting"
	"tutti/privacy/audit"
)

// Two thousand canaries attack a claim of epsilon 8 at delta 1e-6, through the mechanism that devices and server use.
func Example() {
	const delta = 1e-6
	rho, err := accounting.RhoForEpsilon(8, delta)
	if err != nil {
		fmt.Println(err)
		return
	}
	test, err := audit.NewTest(rho, delta, 2000, 1, audit.Seed{1, 2, 3}) // in real life: from crypto/rand, and
	if err != nil {                                                      // test.Commitment() published before the run
		fmt.Println(err)
		return
	}
	out, err := audit.Run(test.Plan, test.Seed, func(int) error { return nil })
	if err != nil {
		fmt.Println(err)
		return
	}
	sections, err := test.Sections(out)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, s := range sections {
		if s.Kind == audit.KindGaussianPair {
			fmt.Println("verdict:", s.Verdict)
			fmt.Println("no noise is detected:", s.PositiveControl.Detected)
			fmt.Println("half the noise is detected:", s.MoreControls[0].Detected)
			fmt.Println("a reader recomputes it:", s.Recompute() == nil)
		}
	}
	// Output:
	// verdict: pass
	// no noise is detected: true
	// half the noise is detected: true
	// a reader recomputes it: true
}
