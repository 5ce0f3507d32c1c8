// Package accounting says what releases cost: an immutable tree of events
// goes in, rho (zCDP), an RDP curve, epsilon at a delta or a trade-off curve
// comes out. It knows no mechanism's code and refuses every event it has no
// theorem for.
package accounting
