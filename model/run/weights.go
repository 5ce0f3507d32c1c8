package run

import (
	"bytes"
	"fmt"
	"strconv"

	"tutti/model"
)

// MaxWeightsBytes bounds a file of weights.
const MaxWeightsBytes = 8 << 30

// Keys of the metadata of a file of weights.
const (
	metaStep   = "tutti.step"
	metaNDCG   = "tutti.validation.ndcg10"
	metaConfig = "tutti.config"
)

// Moment is when weights were written.
type Moment struct {
	Step   int
	NDCG   float64 // on the validation split
	Config model.Digest
}

// SaveBest replaces the best weights. The file holds the model's tensors alone.
func (d Dir) SaveBest(p model.Params, at Moment) error {
	var b bytes.Buffer
	err := model.WriteSafetensors(&b, p, map[string]string{
		metaStep: strconv.Itoa(at.Step), metaNDCG: strconv.FormatFloat(at.NDCG, 'g', -1, 64), metaConfig: at.Config.String(),
	})
	if err != nil {
		return err
	}
	return d.Files.Write(BestName, b.Bytes())
}

// BestOf is Best, where the weights are of the run that m describes.
func (d Dir) BestOf(m Manifest) (model.Params, Moment, error) {
	p, at, err := d.Best()
	if err == nil && at.Config != m.Config {
		err = fmt.Errorf("%s/%s holds weights of another run than %s describes", d.Name, BestName, ManifestName)
	}
	return p, at, err
}

// Best reads the best weights so far; the error is fs.ErrNotExist before the
// first.
func (d Dir) Best() (model.Params, Moment, error) {
	data, err := d.Files.Read(BestName)
	if err != nil {
		return model.Params{}, Moment{}, err
	}
	p, meta, err := model.ReadSafetensors(bytes.NewReader(data), MaxWeightsBytes)
	if err != nil {
		return p, Moment{}, fmt.Errorf("%s/%s: %w", d.Name, BestName, err)
	}
	var at Moment
	if at.Step, err = strconv.Atoi(meta[metaStep]); err == nil {
		at.NDCG, err = strconv.ParseFloat(meta[metaNDCG], 64)
	}
	if err == nil {
		at.Config, err = model.ParseDigest(meta[metaConfig])
	}
	if err != nil {
		return p, at, fmt.Errorf("%s/%s was not written by a run: %w", d.Name, BestName, err)
	}
	return p, at, nil
}
