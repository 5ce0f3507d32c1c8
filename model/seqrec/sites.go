package seqrec

// Places where dropout happens have numbers, from which, with the seed of a
// sequence, layer.DropoutKey makes the key of what is dropped. Every engine drops
// the same.
const (
	embeddingSite = iota
	firstBlockSite
)

// Within a block.
const (
	attentionSite = iota // attention probabilities
	outSite              // what attention adds
	feedSite             // what the feed-forward layer adds
	crossSite            // probabilities of the cross-attention
	crossOutSite         // what the cross-attention adds
	blockSites
)

// The decoder adds decoderSites to all of them.
const decoderSites = firstBlockSite + blockSites*MaxBlocks

// Place is one of the places of dropout in a block.
type Place int

// The places of a block; only the decoder has the last two.
const (
	AttentionWeights Place = attentionSite
	AttentionOutput  Place = outSite
	FeedForward      Place = feedSite
	CrossWeights     Place = crossSite
	CrossOutput      Place = crossOutSite
)

// EmbeddingSite is the number of the encoder's summed input.
const EmbeddingSite = embeddingSite

// DecoderEmbeddingSite is the number of the decoder's summed input.
const DecoderEmbeddingSite = decoderSites + embeddingSite

// BlockSite is the number of a place in a block of the encoder.
func BlockSite(block int, place Place) int { return firstBlockSite + block*blockSites + int(place) }

// DecoderSite is the number of a place in a block of the decoder.
func DecoderSite(block int, place Place) int { return decoderSites + BlockSite(block, place) }
