package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/safepoint-db/safepoint"
)

// signIn is one stored token.
type signIn struct {
	URL              string `json:"url"`
	Email            string `json:"email"`
	OrganizationID   string `json:"organization_id"`
	OrganizationName string `json:"organization_name"`
	TokenID          string `json:"token_id"`
	Token            string `json:"token"`
}

// config is the user's file of sign-ins; the first is the one used last.
type config struct {
	SignIns []signIn `json:"sign_ins"`
	path    string
}

// openConfig reads the file: $SAFEPOINT_CONFIG, or safepoint/config.json in the user's configuration folder. It
// refuses a file that others may read.
func openConfig() (*config, error) {
	path := os.Getenv("SAFEPOINT_CONFIG")
	if path == "" {
		dir, err := os.UserConfigDir()
		if err != nil {
			return nil, fmt.Errorf("find the configuration folder: %w", err)
		}
		path = filepath.Join(dir, "safepoint", "config.json")
	}
	c := &config{path: path}
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return c, nil
	}
	if err != nil {
		return nil, fileError(err, path)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, safepoint.Errorf(safepoint.CodePrivilege, "%s holds tokens and may be read by others.", path).
			WithHint("Run chmod 600 %s", path)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fileError(err, path)
	}
	if err := json.Unmarshal(data, c); err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return c, nil
}

// save replaces the file in one step, mode 0600.
func (c *config) save() error {
	dir := filepath.Dir(c.path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fileError(err, dir)
	}
	data, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		return err
	}
	return writeWhole(c.path, append(data, '\n'))
}

// writeWhole writes a file, mode 0600, that is whole or as it was before, also after a power cut.
func writeWhole(path string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return fileError(err, path)
	}
	defer os.Remove(f.Name())
	_, err = f.Write(data)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fileError(err, path)
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return fileError(err, path)
	}
	return syncDir(filepath.Dir(path))
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fileError(err, dir)
	}
	defer d.Close()
	return d.Sync()
}

// put makes s the first sign-in, in place of an earlier one for the same server and organization.
func (c *config) put(s signIn) {
	c.drop(s)
	c.SignIns = slices.Insert(c.SignIns, 0, s)
}

func (c *config) drop(s signIn) {
	c.SignIns = slices.DeleteFunc(c.SignIns, func(o signIn) bool {
		return o.URL == s.URL && o.OrganizationID == s.OrganizationID
	})
}

// find is the sign-in used last that fits: url and organization (name or ID) may be "".
func (c *config) find(url, organization string) (signIn, bool) {
	i := slices.IndexFunc(c.SignIns, func(s signIn) bool {
		return (url == "" || s.URL == url) &&
			(organization == "" || s.OrganizationID == organization || s.OrganizationName == organization)
	})
	if i < 0 {
		return signIn{}, false
	}
	return c.SignIns[i], true
}
