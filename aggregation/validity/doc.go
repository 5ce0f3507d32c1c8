// Package validity proves that a masked vector is well formed and bounded in norm.
package validity
