package app

import (
	"context"
	"log/slog"
	"strings"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/catalog"
)

// ResetPassword gives the user with an address a new password, for the operator, who needs no running server: sessions,
// unused links and passkeys of the user are gone after it. Nobody with the address is CodeNotFound.
func ResetPassword(ctx context.Context, c *catalog.Catalog, email, password string) (safepoint.User, error) {
	u, _, err := c.UserByEmail(ctx, strings.ToLower(strings.TrimSpace(email)))
	if safepoint.ErrorCode(err) == safepoint.CodeNotFound {
		return u, safepoint.Errorf(safepoint.CodeNotFound, "Nobody here has the address %s.", email).WithHint("Check the address and the data directory.")
	}
	if err != nil {
		return u, err
	}
	if err := checkNewPassword(password, u.Email, u.Name); err != nil {
		return u, err
	}
	if err := c.ResetPassword(ctx, u.ID, argonHash(password)); err != nil {
		return u, err
	}
	a := &App{Config: Config{Catalog: c, Log: slog.Default()}}
	a.auditEverywhere(ctx, u.ID, safepoint.Actor{UserName: "Operator", Via: "cli"},
		act{action: "password.reset", object: "user", id: u.ID, name: u.Email, outcome: done})
	return u, nil
}
