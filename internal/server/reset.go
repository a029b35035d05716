package server

import (
	"context"
	"errors"
	"path/filepath"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/app"
	"github.com/safepoint-db/safepoint/internal/catalog"
)

// ResetPassword is app.ResetPassword in a data directory, also while a server uses it.
func ResetPassword(ctx context.Context, dataDir, email, password string) (u safepoint.User, err error) {
	if err := asOwner(dataDir); err != nil {
		return u, err
	}
	c, err := catalog.OpenWriter(ctx, filepath.Join(dataDir, catalogFile))
	if err != nil {
		return u, err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	return app.ResetPassword(ctx, c, email, password)
}
