package report

import (
	"bytes"
	_ "embed" // the schema
)

// schemaFile is what JSONSchema returns, as a file for those who do not run this program. A test derives it from the types
// and fails where they differ.
//
//go:embed report.schema.json
var schemaFile []byte

// JSONSchema is the JSON Schema (draft 2020-12) of report.json. A report that fits it need not be true: Verify says that.
func JSONSchema() []byte { return bytes.Clone(schemaFile) }
