package audit

import "fmt"

// ErrUnknownKind is returned by Recompute for a kind that carries nothing to
// recompute.
var ErrUnknownKind = fmt.Errorf("audit: nothing to recompute")
