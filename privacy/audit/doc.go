// Package audit attacks the guarantee from the outside: it measures, from
// released sums alone, how much an observer can learn about devices whose
// coins it does not know, and turns that into lower bounds on epsilon. A
// bound above the claim refutes the claim. A bound below it refutes nothing;
// how much it says is its power, which every result states, with positive
// controls that have to be detected in the same run.
//
// The package is pure: randomness is an argument, there is no clock and no
// file. Results are Sections, JSON documents that a report carries and a
// reader recomputes.
package audit
