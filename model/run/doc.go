// Package run is the documents of a training run in the clear: its
// configuration, its manifest, the log of its metrics, its checkpoints, and the
// page that shows all of them. Bytes in, bytes out: the package reads and writes
// through the few methods of Files and knows neither disk nor clock.
//
// A run directory holds
//
//	run.json                what this run is: data, software, state, result
//	config.yaml             the whole configuration, nothing left to defaults
//	metrics.jsonl           one line for each moment that was logged
//	checkpoint.safetensors  where training stands: weights and optimiser
//	best.safetensors        the weights with the best validation so far
//	run.html                the same for people
//
// Every file is replaced as a whole. The log is appended to before the
// checkpoint is written, and cut back to the checkpoint when a run is resumed.
package run
