// Package accounting says what releases cost. An immutable tree of events
// goes in; rho (zCDP, exact rationals), a Renyi curve, epsilon at a delta or
// the points of a trade-off curve come out. A Budget holds a total of rho
// and refuses what would exceed it; a Claim is what a user is told.
//
// It knows no mechanism's code: a mechanism describes itself as an event,
// and an accountant refuses, with a typed error, every event that it has no
// theorem for. Nothing is approximated silently.
//
// Conventions. Adjacency is zero-out: a device's vector is replaced by
// zeros, who took part is public. zCDP composes adaptively by addition (Bun
// and Steinke, arXiv 1605.02065, Lemma 1.7) and converts to (epsilon, delta)
// by Canonne, Kamath and Steinke (arXiv 2004.00010, Proposition 12).
package accounting
