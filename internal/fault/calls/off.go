//go:build !faultpoints

package calls

import (
	"github.com/safepoint-db/safepoint/internal/engine"
	"github.com/safepoint-db/safepoint/internal/halt"
	"github.com/safepoint-db/safepoint/internal/storage"
)

// Engine is e in a normal build.
func Engine(e engine.Engine) engine.Engine { return e }

// Storage is s in a normal build.
func Storage(s storage.Storage) storage.Storage { return s }

// Halter is h in a normal build.
func Halter(h halt.Halter) halt.Halter { return h }
