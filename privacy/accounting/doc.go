// Package accounting says what releases cost. An immutable tree of events
// goes in; rho (zCDP, exact rationals), a Renyi curve, a privacy loss
// distribution, epsilon at a delta, delta at an epsilon, the points of a
// trade-off curve or the least noise for a claim come out. A Budget holds a
// total of rho and refuses what would exceed it; a Claim is what a user is
// told.
//
// It knows no mechanism's code: a mechanism describes itself as an event,
// and an accountant refuses, with a typed error, every event that it has no
// theorem for. Nothing is approximated silently: bounds err upwards.
//
// Three accountants. Rho is exact and is the claim's. RDP takes Renyi curves
// at DefaultOrders, of samples too. NewPLD convolves loss distributions: the
// tightest, for what has a dominating pair of its own.
//
//	Rho          all but samples, Skellam and (epsilon, delta)
//	RDP          all but replaced and truncated samples; the deltas of
//	             (epsilon, delta) parts are set aside by EpsilonByRDP
//	NewPLD       Gaussian and what is Gaussian (trees, factorisations),
//	             Laplace, discrete Gaussian and Laplace, Poisson samples of
//	             each, replaced and truncated samples, (epsilon, delta)
//
// Conventions. Adjacency is zero-out: a device's vector is replaced by
// zeros, who took part is public; ReplaceOne turns a tree into that of a
// replaced record. zCDP composes adaptively by addition (Bun and Steinke,
// arXiv 1605.02065, Lemma 1.7) and converts to (epsilon, delta) by Canonne,
// Kamath and Steinke (arXiv 2004.00010, Proposition 12).
package accounting
