package client

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"github.com/safepoint-db/safepoint/internal/api/wire"
)

// Upload sends a backup's file of size bytes (0: not known) from r. The answer is the operation that checks it.
func (c *Client) Upload(ctx context.Context, databaseID, fileName string, noOwner bool, r io.Reader, size int64) (o wire.Operation, err error) {
	path, err := c.inOrg(ctx, "databases", databaseID, "upload")
	if err != nil {
		return o, err
	}
	query := url.Values{"file_name": {fileName}}
	if noOwner {
		query.Set("no_owner", "true")
	}
	// An empty body cannot tell "not known" from "nothing": the server says what is wrong with it.
	resp, err := c.do(ctx, http.MethodPost, path, query, &sized{Reader: r, n: size}, http.Header{"Content-Type": {"application/octet-stream"}})
	if err != nil {
		return o, err
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(&o); err != nil {
		return o, c.unreachable(ctx, fmt.Errorf("read answer: %w", err))
	}
	return o, nil
}

// sized is a body whose length is known.
type sized struct {
	io.Reader
	n int64
}
