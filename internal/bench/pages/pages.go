// Package pages measures how long the console's pages and the API's lists take with an organization of any size, and how
// many bytes are sent, from a program that runs as it does for everybody.
package pages

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/safepoint-db/safepoint/internal/web"
)

// Paths are all addresses of pages: one for each GET route of the console, with real IDs, and more for lists with
// filters, texts and deep pages. A route with an {id} of a kind that is not known here is an error: a page that
// nobody measures. Left out are the streams, and the download of the whole audit log, which has as many rows as it has.
func (w *World) Paths() ([]string, error) {
	var paths []string
	for _, r := range web.Routes() {
		switch {
		case r.Method != "GET" || r.Pattern == "/events" || r.Pattern == "/audit.csv" || strings.HasPrefix(r.Pattern, "/static/"):
			continue
		case r.Pattern == "/":
			paths = append(paths, "/nowhere")
			continue
		case r.Pattern == "/invite":
			paths = append(paths, "/invite?"+w.IDs["/invite"])
			continue
		}
		path := strings.TrimSuffix(r.Pattern, "{$}")
		if before, after, ok := strings.Cut(path, "{"); ok {
			id, known := w.IDs[before]
			_, after, _ = strings.Cut(after, "}")
			if !known || strings.Contains(after, "{") {
				return nil, fmt.Errorf("%s: give the benchmark something to ask for there (World.IDs)", r.Pattern)
			}
			path = before + id + after
		}
		paths = append(paths, path)
	}
	middle := w.Begins.Add(time.Since(w.Begins) / 2)
	month := url.Values{"from": {middle.Format(time.DateOnly)}, "to": {middle.AddDate(0, 1, 0).Format(time.DateOnly)}}
	with := func(path string, more ...string) string {
		q := url.Values{}
		for i := 0; i < len(more); i += 2 {
			q.Set(more[i], more[i+1])
		}
		return path + "?" + q.Encode()
	}
	day := middle.Format("2006-01-02")
	// The routes above are asked for a database with one backup; these are about one with thousands.
	paths = append(paths, "/databases/"+w.Database, "/databases/"+w.Database+"/delete", "/health/"+w.Database, "/health/"+w.Database+"?days=365", "/health?days=365", "/health?page=4", "/backups/sch_0000000000000001",
		"/logs/op_0000000000000200", "/logs/op_0000000000000200/restore", "/logs/op_0000000000000200/delete")
	return append(paths,
		"/backups?page=20", "/backups?page=40", "/backups?q=harbor+0421", "/backups?show=failing", "/backups?show=disabled", "/backups?q=nothing+like+it",
		"/logs?type=restore", "/logs?type=backup", "/logs?status=failed", "/logs?status=missed", "/logs?status=running", "/logs?database="+w.Database,
		"/logs?status=failed&type=restore", "/logs?status=failed&database="+w.Database, "/logs?schedule=sch_0000000000000001", "/logs?"+month.Encode(), "/logs?status=failed&"+month.Encode(),
		with("/logs", "q", "harbor"), with("/logs", "q", "harbor_042"), with("/logs", "q", day), with("/logs", "q", "harbor_042_"+day), with("/logs", "q", "042", "status", "failed"), with("/logs", "q", day, "status", "failed"),
		with("/logs", "q", "no such name"), with("/logs", "q", "zz"), with("/logs", "q", "7"), with("/logs", "q", "utc.sql", "type", "restore"), "/logs?q=Restore&"+month.Encode(),
		with("/audit", "who", "ines"), with("/audit", "who", "nobody of this name"), with("/audit", "what", "schedule.update"), with("/audit", "what", "harbor_042_"+day), with("/audit", "what", "no such thing"), with("/audit", "what", "zz"),
		with("/audit", "who", "tomas", "what", "harbor_042"), "/audit?"+month.Encode(), "/audit?who=ines&"+month.Encode(),
	), nil
}

// Deep are addresses of lists that are read far from their beginning: the first page leads there.
var Deep = []string{"/logs", "/logs?status=failed", "/logs?q=harbor", "/audit", "/audit?who=ines"}

// APIPaths are the API's lists.
func (w *World) APIPaths() []string {
	org := "/api/v1/organizations/" + w.Organization
	paths := []string{"/api/v1/organizations", org + "/state"}
	for _, list := range []string{"databases", "schedules", "schedules?limit=200", "schedules?text=harbor+0421", "operations", "operations?limit=200", "operations?status=failed&limit=200", "operations?text=harbor_042", "services", "members", "health", "notices", "audit", "audit?limit=200&who=ines", "tokens"} {
		paths = append(paths, org+"/"+list)
	}
	return slices.Clip(paths)
}
