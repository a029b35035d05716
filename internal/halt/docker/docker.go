// Package docker halts containers of a Docker engine, or those of a compose project, and starts again those that ran.
//
// It speaks the Engine API over the engine's socket. What ran is remembered by container ID: a container that was
// stopped before stays stopped, and one that was paused is paused again.
package docker

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/halt"
	"github.com/safepoint-db/safepoint/internal/halt/rest"
)

const (
	defaultHost    = "unix:///var/run/docker.sock"
	defaultTimeout = time.Minute
	defaultStop    = 10 * time.Second // as the engine's own
	reserve        = 2 * time.Second  // of a timeout, for everything around the stop itself
)

// Halter stops and starts containers. It is safe for concurrent use.
type Halter struct {
	service safepoint.Service
	docker  safepoint.DockerService
	api     rest.Client
}

var _ halt.Halter = (*Halter)(nil)

// New makes the halter of s. It connects to nothing. What is wrong with s is a *safepoint.Error on the field "docker".
func New(s safepoint.Service) (*Halter, error) {
	if s.Operator == nil || s.Operator.Docker == nil {
		return nil, safepoint.Invalid("docker", "Services of kind docker are declared in the operator's file.")
	}
	if s.Timeout <= 0 {
		s.Timeout = defaultTimeout
	}
	h := &Halter{service: s, docker: *s.Operator.Docker}
	d := &h.docker
	if d.Host == "" {
		d.Host = defaultHost
	}
	if d.StopTimeout == 0 {
		d.StopTimeout = defaultStop
	}
	switch {
	case (d.Project == "") == (len(d.Containers) == 0):
		return nil, safepoint.Invalid("docker", "docker has either a project or containers.")
	case len(d.Services) > 0 && d.Project == "":
		return nil, safepoint.Invalid("docker", "docker.services are those of docker.project, which is missing.")
	case slices.Contains(d.Containers, "") || slices.Contains(d.Services, ""):
		return nil, safepoint.Invalid("docker", "A name in docker is empty.")
	case d.StopTimeout < time.Second || s.Timeout < d.StopTimeout+reserve:
		return nil, safepoint.Invalid("docker", "The timeout of %s must be at least %s longer than docker.stop_timeout (%s; 10 s unless it is set).",
			halt.Seconds(s.Timeout), halt.Seconds(reserve), halt.Seconds(d.StopTimeout))
	}
	var err error
	h.api, err = newClient(*d)
	return h, err
}

// newClient makes the client of an engine. The files of a certificate are read now.
func newClient(d safepoint.DockerService) (rest.Client, error) {
	u, err := url.Parse(d.Host)
	switch {
	case err == nil && u.Scheme == "unix" && u.Path != "":
		dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{Timeout: 5 * time.Second}).DialContext(ctx, "unix", u.Path)
		}
		return rest.Client{HTTP: rest.NewHTTP(&http.Transport{DialContext: dial}), Base: "http://docker"}, nil
	case err != nil || u.Scheme != "tcp" || u.Host == "":
		return rest.Client{}, safepoint.Invalid("docker", "docker.host is an address such as unix:///var/run/docker.sock or tcp://10.0.0.7:2376.")
	case d.CAFile == "" && d.CertFile == "" && d.KeyFile == "":
		return rest.Client{HTTP: rest.NewHTTP(&http.Transport{}), Base: "http://" + u.Host}, nil
	}
	conf, err := rest.TLS(d.CAFile, d.CertFile, d.KeyFile)
	if err != nil {
		return rest.Client{}, safepoint.Invalid("docker", "The TLS files of docker cannot be used: %s.", err).WithCause(err)
	}
	return rest.Client{HTTP: rest.NewHTTP(&http.Transport{TLSClientConfig: conf}), Base: "https://" + u.Host}, nil
}

// Probe implements halt.Halter. The engine does not know why a container is not running: at rest the service is halt.Down.
func (h *Halter) Probe(ctx context.Context) (st halt.Status, err error) {
	err = h.within(ctx, func(ctx context.Context) error {
		all, err := h.containers(ctx)
		if err != nil {
			return err
		}
		var prior, unwell []string
		running := 0
		for _, c := range all {
			if !c.State.Running {
				continue
			}
			if err := h.canComeBack(c); err != nil {
				return err
			}
			running++
			prior = append(prior, c.prior())
			if why := c.unwell(); why != "" {
				unwell = append(unwell, c.name()+" "+why+".")
			}
		}
		st = halt.Status{Condition: halt.Running, Prior: halt.Parts(prior)}
		switch {
		case running == 0:
			st.Condition = halt.Down
		case len(unwell) > 0:
			st.Condition, st.Detail = halt.Failing, halt.OneLine(strings.Join(unwell, " "))
		case running < len(all):
			st.Detail = fmt.Sprintf("%d of %d containers run.", running, len(all))
		}
		return nil
	})
	if err != nil {
		st = halt.Status{Condition: halt.Unknown}
	}
	return st, err
}

// canComeBack refuses, before anything is halted, what could not be put back.
func (h *Halter) canComeBack(c container) error {
	switch {
	case c.HostConfig.AutoRemove:
		return h.failed("%s: the container %s is removed when it stops (--rm), so it could not be resumed.", h.service.Name, c.name()).
			WithHint("Wait until it has ended, or run it without --rm.")
	case c.Config.Labels["com.docker.swarm.service.id"] != "":
		return h.failed("%s: the container %s belongs to a swarm service, which would start another at once.", h.service.Name, c.name()).
			WithHint("Use a service of kind command that runs docker service scale.")
	}
	return nil
}

// Halt implements halt.Halter. A container that was started since the probe is not stopped, because nobody would start
// it again: then none is.
func (h *Halter) Halt(ctx context.Context, r halt.Request) error {
	ran, known := halt.RanBefore(r.Prior)
	return h.within(ctx, func(ctx context.Context) error {
		all, err := h.containers(ctx)
		if err != nil {
			return err
		}
		for _, c := range all {
			if known && c.State.Running && !slices.Contains(ran, c.ID) && !slices.Contains(ran, c.ID+pausedMark) {
				return h.failed("%s: the container %s was started just now.", h.service.Name, c.name()).WithHint("Start the restore again.")
			}
		}
		for _, rank := range h.ranks(all) {
			var g errgroup.Group
			for _, c := range rank {
				g.Go(func() error { return h.stop(ctx, c) })
			}
			if err := g.Wait(); err != nil {
				return err
			}
		}
		all, err = h.containers(ctx)
		if err != nil {
			return err
		}
		for _, c := range all {
			if c.State.Running {
				return h.failed("%s was stopped, and something started the container %s again.", h.service.Name, c.name()).
					WithHint("Halt what starts it, too.")
			}
		}
		return nil
	})
}

// stop stops one container and waits until it has. The engine goes on with a stop whose caller has left, so that a
// resume that comes at once would find the container running and then see it stop: what was begun is waited for.
func (h *Halter) stop(ctx context.Context, c container) error {
	if !c.State.Running {
		return nil
	}
	patient, cancel := context.WithTimeout(context.WithoutCancel(ctx), h.docker.StopTimeout+reserve/2)
	defer cancel()
	path := fmt.Sprintf("/containers/%s/stop?t=%d", url.PathEscape(c.ID), int(h.docker.StopTimeout/time.Second))
	return halt.Again(ctx, func(context.Context) (bool, error) {
		err := h.api.Do(patient, http.MethodPost, path, "", nil, nil)
		if err == nil || rest.Status(err) == http.StatusNotFound { // removed meanwhile: it runs no more
			return false, nil
		}
		if patient.Err() != nil {
			return false, h.failed("%s: the container %s did not stop.", h.service.Name, c.name()).
				WithHint("docker ps shows what it does. The engine kills it after docker.stop_timeout, and did not.").WithCause(err)
		}
		return rest.Passing(err), fmt.Errorf("stop %s: %w", c.name(), err)
	})
}

// Resume implements halt.Halter.
func (h *Halter) Resume(ctx context.Context, r halt.Request) error {
	ran, known := halt.RanBefore(r.Prior)
	return h.within(ctx, func(ctx context.Context) error {
		all, err := h.containers(ctx)
		if err != nil {
			return err
		}
		if gone := missing(ran, all); len(gone) > 0 {
			return h.failed("%s: the container %s is not there any more.", h.service.Name, gone[0]).
				WithHint("It was removed while it was halted. Make it again, for instance with docker compose up, then press Resume.")
		}
		for _, rank := range slices.Backward(h.ranks(all)) {
			var g errgroup.Group
			for _, c := range rank {
				paused := slices.Contains(ran, c.ID+pausedMark)
				if !known || paused || slices.Contains(ran, c.ID) {
					g.Go(func() error { return h.start(ctx, c, paused) })
				}
			}
			if err := g.Wait(); err != nil {
				return err
			}
		}
		return nil
	})
}

// missing are those that ran and are not among all.
func missing(ran []string, all []container) (gone []string) {
	for _, mark := range ran {
		id := strings.TrimSuffix(mark, pausedMark)
		if !slices.ContainsFunc(all, func(c container) bool { return c.ID == id }) {
			gone = append(gone, id[:min(12, len(id))])
		}
	}
	return gone
}

// start starts one container and waits until it runs and its own health check, where it has one, agrees.
func (h *Halter) start(ctx context.Context, c container, paused bool) error {
	path := "/containers/" + url.PathEscape(c.ID)
	already := c.State.Running
	settled := time.Now().Add(h.docker.StopTimeout)
	err := halt.Again(ctx, func(ctx context.Context) (bool, error) {
		if !c.State.Running {
			if err := h.api.Do(ctx, http.MethodPost, path+"/start", "", nil, nil); err != nil {
				return rest.Passing(err), fmt.Errorf("start %s: %w", c.name(), err)
			}
			already = false
		}
		var err error
		if c, err = h.inspect(ctx, c.ID); err != nil {
			return rest.Passing(err), err
		}
		switch why := c.unwell(); {
		case !c.State.Running:
			why = "is " + c.State.Status
			fallthrough
		case why != "" && !(paused && c.State.Paused):
			return true, h.failed("%s: the container %s %s.", h.service.Name, c.name(), why).WithHint("docker logs %s says why.", c.name())
		case already && time.Now().Before(settled):
			// It runs, and a stop that another process asked for just before may still be on its way.
			return true, h.failed("%s: the container %s was not seen to keep running.", h.service.Name, c.name())
		}
		return false, nil
	})
	if err != nil || !paused || c.State.Paused {
		return err
	}
	if err := h.api.Do(ctx, http.MethodPost, path+"/pause", "", nil, nil); err != nil && rest.Status(err) != http.StatusConflict {
		return fmt.Errorf("pause %s: %w", c.name(), err)
	}
	return nil
}

// within runs fn within the service's timeout, and says in words what went wrong.
func (h *Halter) within(ctx context.Context, fn func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, h.service.Timeout)
	defer cancel()
	err := fn(ctx)
	var plain *safepoint.Error
	if err == nil || errors.As(err, &plain) {
		return err
	}
	name := h.service.Name
	e := safepoint.Errorf(safepoint.CodeUnreachable, "%s: the Docker engine at %s could not be reached.", name, h.docker.Host).
		WithHint("Check that it runs and that docker.host is right.")
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		e = h.failed("%s did not do it within %s.", name, halt.Seconds(h.service.Timeout)).WithHint("docker ps shows what its containers do. Give it more time.")
	case ctx.Err() != nil:
		e = h.failed("The command to %s was stopped.", name)
	case rest.Status(err) != 0:
		e = h.failed("%s: the Docker engine refused: %s.", name, halt.OneLine(strings.TrimSuffix(err.Error(), ".")))
	case errors.Is(err, syscall.EACCES):
		e = e.WithHint("The user of this server may not use the engine's socket: add it to the group docker. Who may use it is root on that machine.")
	}
	return e.WithCause(err)
}

func (h *Halter) failed(format string, args ...any) *safepoint.Error {
	return safepoint.Errorf(safepoint.CodeHalt, format, args...)
}
