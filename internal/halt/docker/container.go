package docker

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/safepoint-db/safepoint/internal/halt"
	"github.com/safepoint-db/safepoint/internal/halt/rest"
)

const (
	projectLabel = "com.docker.compose.project"
	serviceLabel = "com.docker.compose.service"
	pausedMark   = " paused" // after the ID of a container that was, in halt.Status.Prior
)

// container is what the engine says of one (GET /containers/{id}/json).
type container struct {
	ID    string `json:"Id"`
	Name  string
	State struct {
		Status  string // created, running, paused, restarting, removing, exited, dead
		Running bool   // also while it is paused
		Paused  bool
		Health  *struct{ Status string } // starting, healthy, unhealthy, none
	}
	HostConfig struct{ AutoRemove bool }
	Config     struct{ Labels map[string]string }

	rank int
}

func (c container) name() string { return halt.OneLine(strings.TrimPrefix(c.Name, "/")) }

func (c container) prior() string {
	if c.State.Paused {
		return c.ID + pausedMark
	}
	return c.ID
}

// unwell is why a running container is not healthy, "" if it is.
func (c container) unwell() string {
	switch h := c.State.Health; {
	case c.State.Paused:
		return "is paused"
	case c.State.Status == "restarting":
		return "is restarting"
	case h != nil && (h.Status == "starting" || h.Status == "unhealthy"):
		return "is " + h.Status
	}
	return ""
}

// containers are those that the service is about. None at all, or a name that nobody has, is CodeHalt.
func (h *Halter) containers(ctx context.Context) ([]container, error) {
	if h.docker.Project != "" {
		return h.ofProject(ctx)
	}
	var all []container
	for i, ref := range h.docker.Containers {
		c, err := h.inspect(ctx, ref)
		if rest.Status(err) == http.StatusNotFound {
			return nil, h.failed("%s: there is no container %s.", h.service.Name, halt.OneLine(ref)).WithHint("docker ps -a shows all of them. Check the operator's file.")
		}
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(all, func(o container) bool { return o.ID == c.ID }) {
			continue
		}
		c.rank = i
		all = append(all, c)
	}
	return all, nil
}

func (h *Halter) ofProject(ctx context.Context) ([]container, error) {
	filters, err := json.Marshal(map[string][]string{"label": {projectLabel + "=" + h.docker.Project}})
	if err != nil {
		return nil, err
	}
	var listed []struct {
		ID string `json:"Id"`
	}
	if err := h.api.Do(ctx, http.MethodGet, "/containers/json?all=true&filters="+url.QueryEscape(string(filters)), "", nil, &listed); err != nil {
		return nil, fmt.Errorf("list containers: %w", err)
	}
	var all []container
	seen := map[string]bool{}
	for _, l := range listed {
		c, err := h.inspect(ctx, l.ID)
		if rest.Status(err) == http.StatusNotFound {
			continue // it was removed since
		}
		if err != nil {
			return nil, err
		}
		service := c.Config.Labels[serviceLabel]
		if len(h.docker.Services) > 0 {
			if c.rank = slices.Index(h.docker.Services, service); c.rank < 0 {
				continue
			}
		}
		seen[service] = true
		all = append(all, c)
	}
	for _, s := range h.docker.Services {
		if !seen[s] {
			return nil, h.failed("%s: the compose project %s has no containers of its service %s.", h.service.Name, h.docker.Project, s).
				WithHint("docker compose ls and docker compose ps -a show what there is. Check the operator's file.")
		}
	}
	if len(all) == 0 {
		return nil, h.failed("%s: the compose project %s has no containers.", h.service.Name, h.docker.Project).
			WithHint("docker compose ls -a shows all projects. Check the operator's file.")
	}
	return all, nil
}

func (h *Halter) inspect(ctx context.Context, ref string) (c container, err error) {
	if err := h.api.Do(ctx, http.MethodGet, "/containers/"+url.PathEscape(ref)+"/json", "", nil, &c); err != nil {
		return c, fmt.Errorf("look at container %s: %w", halt.OneLine(ref), err)
	}
	return c, nil
}

// ranks groups containers by their place in the operator's file: one group after the other is halted, those of a group
// at once.
func (h *Halter) ranks(all []container) [][]container {
	var groups [][]container
	for rank := 0; ; rank++ {
		var group []container
		higher := false
		for _, c := range all {
			higher = higher || c.rank > rank
			if c.rank == rank {
				group = append(group, c)
			}
		}
		if len(group) > 0 {
			groups = append(groups, group)
		}
		if !higher {
			return groups
		}
	}
}
