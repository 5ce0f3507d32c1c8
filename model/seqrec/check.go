package seqrec

import (
	"fmt"
	"math"
)

func (c Config) check() error {
	for _, check := range []func() error{c.checkSizes, c.checkKinds, c.checkDecoder, c.checkInputs, c.checkTraining} {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

func (c Config) checkSizes() error {
	for _, f := range []struct {
		name         string
		value, limit int
	}{
		{"Items", c.Items, MaxItems}, {"Dim", c.Dim, MaxDim}, {"Blocks", c.Blocks, MaxBlocks},
		{"Heads", c.Heads, MaxDim}, {"Hidden", c.Hidden, MaxDim}, {"MaxLen", c.MaxLen, MaxSequence},
	} {
		if f.value < 1 || f.value > f.limit {
			return fmt.Errorf("%s is %d, want 1 to %d", f.name, f.value, f.limit)
		}
	}
	if c.Items < 2 {
		return fmt.Errorf("option Items is 1: nothing to choose from")
	}
	if c.Dim%c.Heads != 0 {
		return fmt.Errorf("width Dim %d is not a multiple of Heads %d", c.Dim, c.Heads)
	}
	return nil
}

func (c Config) checkKinds() error {
	switch {
	case int(c.Arch) >= len(archNames):
		return fmt.Errorf("option Arch is %v, want one of %q", c.Arch, archNames)
	case int(c.Norm) >= len(normNames):
		return fmt.Errorf("option Norm is %v, want one of %q", c.Norm, normNames)
	case int(c.Positions) >= len(positionsNames):
		return fmt.Errorf("option Positions is %v, want one of %q", c.Positions, positionsNames)
	case int(c.Activation) >= len(activationNames):
		return fmt.Errorf("option Activation is %v, want one of %q", c.Activation, activationNames)
	case c.Positions == RotaryPositions && c.Dim/c.Heads%2 != 0:
		return fmt.Errorf("rotary positions turn pairs, but a head is %d wide", c.Dim/c.Heads)
	case c.Arch == Bidirectional && c.MaxLen < 2:
		return fmt.Errorf("option MaxLen is 1: no room for an item beside MASK")
	}
	return nil
}

func (c Config) checkDecoder() error {
	if c.Arch != EncoderDecoder {
		if c.DecoderBlocks != 0 || c.Horizon != 0 {
			return fmt.Errorf("%d DecoderBlocks and a Horizon of %d, but the architecture is %v", c.DecoderBlocks, c.Horizon, c.Arch)
		}
		return nil
	}
	if c.DecoderBlocks < 1 || c.DecoderBlocks > MaxBlocks {
		return fmt.Errorf("option DecoderBlocks is %d, want 1 to %d", c.DecoderBlocks, MaxBlocks)
	}
	if c.Horizon < 1 || c.Horizon > MaxSequence {
		return fmt.Errorf("option Horizon is %d, want 1 to %d", c.Horizon, MaxSequence)
	}
	return nil
}

func (c Config) checkInputs() error {
	switch {
	case c.FeatureDim < 0 || c.FeatureDim > MaxDim:
		return fmt.Errorf("option FeatureDim is %d, want 0 to %d", c.FeatureDim, MaxDim)
	case c.Hybrid && c.FeatureDim == 0:
		return fmt.Errorf("option Hybrid adds features to a table, but FeatureDim is 0")
	case c.TimeBuckets != 0 && (c.TimeBuckets < 2 || c.TimeBuckets > MaxTimeBuckets):
		return fmt.Errorf("option TimeBuckets is %d, want 0 or 2 to %d", c.TimeBuckets, MaxTimeBuckets)
	case c.UserDim < 0 || c.UserDim > MaxDim:
		return fmt.Errorf("option UserDim is %d, want 0 to %d", c.UserDim, MaxDim)
	}
	return nil
}

func (c Config) checkTraining() error {
	l := c.Loss
	switch {
	case !(c.Dropout >= 0 && float32(c.Dropout) < 1): // 1 - 1e-9 is 1 to the layers
		return fmt.Errorf("option Dropout is %v, want at least 0 and less than 1", c.Dropout)
	case int(l.Kind) >= len(lossNames):
		return fmt.Errorf("option Loss is %v, want one of %q", l.Kind, lossNames)
	case l.Kind == FullSoftmax && l.Negatives != 0:
		return fmt.Errorf("%d Negatives, but the full softmax compares with every item", l.Negatives)
	case l.Kind != FullSoftmax && (l.Negatives < 1 || l.Negatives >= c.Items):
		return fmt.Errorf("%d Negatives, want 1 to %d", l.Negatives, c.Items-1)
	case l.Kind != GBCE && l.Calibration != 0:
		return fmt.Errorf("option Calibration is %v, but the loss is %v", l.Calibration, l.Kind)
	case !(l.Calibration >= 0 && l.Calibration <= 1):
		return fmt.Errorf("option Calibration is %v, want 0 to 1", l.Calibration)
	case !isWeight(c.RatingWeight):
		return fmt.Errorf("option RatingWeight is %v, want 0 or a positive float32", c.RatingWeight)
	case !isWeight(c.ClickWeight):
		return fmt.Errorf("option ClickWeight is %v, want 0 or a positive float32", c.ClickWeight)
	}
	return nil
}

// isWeight takes 0, and what is still positive and finite as a float32, in which
// gradients are computed.
func isWeight(x float64) bool {
	return x == 0 || float32(x) > 0 && x <= math.MaxFloat32
}
