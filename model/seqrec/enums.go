package seqrec

import (
	"fmt"
	"slices"
)

// Arch is what kind of Transformer a recommender is.
type Arch uint8

// The architectures.
const (
	// Causal reads left to right and predicts the next item at every position
	// (SASRec, Kang & McAuley 2018).
	Causal Arch = iota
	// Bidirectional sees both sides of a masked item and predicts it (BERT4Rec,
	// Sun et al. 2019). The item id Items stands for MASK.
	Bidirectional
	// EncoderDecoder reads the history with full attention and writes a
	// continuation item by item, with masked self-attention and cross-attention
	// (Vaswani et al. 2017).
	EncoderDecoder
)

var archNames = []string{"causal", "bidirectional", "encoder-decoder"}

// String is the name used in files and on the command line.
func (a Arch) String() string { return nameOf(archNames, a) }

// MarshalText implements encoding.TextMarshaler.
func (a Arch) MarshalText() ([]byte, error) { return marshalName(archNames, a) }

// UnmarshalText implements encoding.TextUnmarshaler.
func (a *Arch) UnmarshalText(text []byte) error { return parseName(archNames, text, a) }

// Norm is where a block normalises.
type Norm uint8

// The places of layer norm.
const (
	PreNorm  Norm = iota // x + f(norm(x)), and one more norm at the end
	PostNorm             // norm(x + f(x)), as in Vaswani et al. 2017
)

var normNames = []string{"pre", "post"}

// String is the name used in files and on the command line.
func (n Norm) String() string { return nameOf(normNames, n) }

// MarshalText implements encoding.TextMarshaler.
func (n Norm) MarshalText() ([]byte, error) { return marshalName(normNames, n) }

// UnmarshalText implements encoding.TextUnmarshaler.
func (n *Norm) UnmarshalText(text []byte) error { return parseName(normNames, text, n) }

// Positions is how a model knows the order of the items.
type Positions uint8

// The kinds of positions.
const (
	LearnedPositions Positions = iota // a learned vector per position, added to the input
	RotaryPositions                   // queries and keys are turned by their position (Su et al. 2021)
)

var positionsNames = []string{"learned", "rotary"}

// String is the name used in files and on the command line.
func (p Positions) String() string { return nameOf(positionsNames, p) }

// MarshalText implements encoding.TextMarshaler.
func (p Positions) MarshalText() ([]byte, error) { return marshalName(positionsNames, p) }

// UnmarshalText implements encoding.TextUnmarshaler.
func (p *Positions) UnmarshalText(text []byte) error { return parseName(positionsNames, text, p) }

// Activation is what the feed-forward layer does between its two maps.
type Activation uint8

// The activations.
const (
	GELU   Activation = iota // in the tanh form (Hendrycks & Gimpel 2016)
	ReLU                     // max(x, 0)
	SwiGLU                   // silu(a)*b, the first map being twice as wide (Shazeer 2020)
)

var activationNames = []string{"gelu", "relu", "swiglu"}

// String is the name used in files and on the command line.
func (a Activation) String() string { return nameOf(activationNames, a) }

// MarshalText implements encoding.TextMarshaler.
func (a Activation) MarshalText() ([]byte, error) { return marshalName(activationNames, a) }

// UnmarshalText implements encoding.TextUnmarshaler.
func (a *Activation) UnmarshalText(text []byte) error { return parseName(activationNames, text, a) }

// LossKind is how the prediction of an item is judged.
type LossKind uint8

// The losses.
const (
	FullSoftmax    LossKind = iota // cross-entropy over the whole catalogue
	SampledSoftmax                 // cross-entropy against shared sampled negatives, logQ-corrected
	GBCE                           // generalised binary cross-entropy (Petrov & Macdonald 2023)
	BPR                            // Bayesian personalised ranking (Rendle et al. 2009)
)

var lossNames = []string{"softmax", "sampled-softmax", "gbce", "bpr"}

// String is the name used in files and on the command line.
func (k LossKind) String() string { return nameOf(lossNames, k) }

// MarshalText implements encoding.TextMarshaler.
func (k LossKind) MarshalText() ([]byte, error) { return marshalName(lossNames, k) }

// UnmarshalText implements encoding.TextUnmarshaler.
func (k *LossKind) UnmarshalText(text []byte) error { return parseName(lossNames, text, k) }

func nameOf[T ~uint8](names []string, value T) string {
	if int(value) < len(names) {
		return names[value]
	}
	return fmt.Sprintf("unknown(%d)", uint8(value))
}

func marshalName[T ~uint8](names []string, value T) ([]byte, error) {
	if int(value) >= len(names) {
		return nil, fmt.Errorf("%d is none of %q", uint8(value), names)
	}
	return []byte(names[value]), nil
}

func parseName[T ~uint8](names []string, text []byte, value *T) error {
	i := slices.Index(names, string(text))
	if i < 0 {
		return fmt.Errorf("%q is none of %q", text, names)
	}
	*value = T(i)
	return nil
}
