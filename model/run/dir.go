package run

// Names of the files of a run directory.
const (
	ManifestName   = "run.json"
	ConfigName     = "config.yaml"
	LogName        = "metrics.jsonl"
	CheckpointName = "checkpoint.safetensors"
	BestName       = "best.safetensors"
	PageName       = "run.html"
)
