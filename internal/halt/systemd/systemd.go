// Package systemd halts units of systemd by stopping them over D-Bus, and starts again those that ran.
//
// A unit's job is waited for, and then the unit itself: a job that is done is not yet a service that stays. A unit that
// something else starts again (a socket, a timer, a path) is listed with that, before it.
package systemd

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/godbus/dbus/v5"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/halt"
)

const (
	systemBus      = "unix:path=/run/dbus/system_bus_socket"
	destination    = "org.freedesktop.systemd1"
	managerPath    = dbus.ObjectPath("/org/freedesktop/systemd1")
	managerIface   = destination + ".Manager"
	unitIface      = destination + ".Unit"
	defaultTimeout = time.Minute
)

// suffixes are the kinds of units that can be stopped and started, and that use or lead to a database.
var suffixes = []string{".service", ".socket", ".timer", ".path", ".target", ".scope"}

// Halter stops and starts units. It is safe for concurrent use.
type Halter struct {
	service safepoint.Service
	units   []string
	bus     string
}

var _ halt.Halter = (*Halter)(nil)

// New makes the halter of s. It connects to nothing. What is wrong with s is a *safepoint.Error on the field "systemd".
func New(s safepoint.Service) (*Halter, error) {
	if s.Operator == nil || s.Operator.Systemd == nil {
		return nil, safepoint.Invalid("systemd", "Services of kind systemd are declared in the operator's file.")
	}
	if s.Timeout <= 0 {
		s.Timeout = defaultTimeout
	}
	h := &Halter{service: s, units: s.Operator.Systemd.Units, bus: s.Operator.Systemd.Bus}
	if h.bus == "" {
		h.bus = systemBus
	}
	if len(h.units) == 0 {
		return nil, safepoint.Invalid("systemd", "systemd.units names no unit.")
	}
	for i, u := range h.units {
		if len(u) > 255 || strings.ContainsAny(u, "/ \t\n\x00*?[") || !slices.ContainsFunc(suffixes, func(s string) bool { return strings.HasSuffix(u, s) && len(u) > len(s) }) {
			return nil, safepoint.Invalid("systemd", "systemd.units: %q is not a unit's name with its suffix, such as shop.service.", halt.OneLine(u))
		}
		if slices.Contains(h.units[:i], u) {
			return nil, safepoint.Invalid("systemd", "systemd.units: %s is there twice.", u)
		}
	}
	return h, nil
}

// Probe implements halt.Halter. systemd does not know why a unit is not running: at rest it is halt.Down.
func (h *Halter) Probe(ctx context.Context) (st halt.Status, err error) {
	err = h.session(ctx, func(ctx context.Context, m *manager) error {
		var running, unwell []string
		for _, name := range h.units {
			u, err := h.unit(ctx, m, name)
			if err != nil {
				return err
			}
			if u.runs() {
				running = append(running, name)
				if u.active != "active" && u.active != "reloading" {
					unwell = append(unwell, name+" is "+u.active+".")
				}
			}
		}
		st = halt.Status{Condition: halt.Running, Prior: halt.Parts(running)}
		switch {
		case len(running) == 0:
			st.Condition = halt.Down
		case len(unwell) > 0:
			st.Condition, st.Detail = halt.Failing, halt.OneLine(strings.Join(unwell, " "))
		case len(running) < len(h.units):
			st.Detail = fmt.Sprintf("%d of %d units run.", len(running), len(h.units))
		}
		return nil
	})
	if err != nil {
		st = halt.Status{Condition: halt.Unknown}
	}
	return st, err
}

// Halt implements halt.Halter. A unit that was started since the probe is not stopped, because nobody would start it
// again: then nothing is.
func (h *Halter) Halt(ctx context.Context, r halt.Request) error {
	ran, known := halt.RanBefore(r.Prior)
	return h.session(ctx, func(ctx context.Context, m *manager) error {
		for _, name := range h.units {
			u, err := h.unit(ctx, m, name)
			if err != nil {
				return err
			}
			if known && u.runs() && !slices.Contains(ran, name) {
				return h.failed("%s: %s was started just now.", h.service.Name, name).WithHint("Start the restore again.")
			}
		}
		for _, name := range h.units {
			if err := h.move(ctx, m, "StopUnit", name, func(u unit) bool { return !u.runs() }); err != nil {
				return err
			}
		}
		// One that was stopped first may have been started by another that was not yet stopped.
		for _, name := range h.units {
			u, err := h.unit(ctx, m, name)
			if err != nil {
				return err
			}
			if u.runs() {
				return h.failed("%s was stopped, and something started %s again.", h.service.Name, name).
					WithHint("List what starts it (its socket, timer or path) among the units, before it.")
			}
		}
		return nil
	})
}

// Resume implements halt.Halter.
func (h *Halter) Resume(ctx context.Context, r halt.Request) error {
	ran, known := halt.RanBefore(r.Prior)
	return h.session(ctx, func(ctx context.Context, m *manager) error {
		for _, name := range slices.Backward(h.units) {
			if known && !slices.Contains(ran, name) {
				continue
			}
			if err := h.move(ctx, m, "StartUnit", name, unit.healthy); err != nil {
				return err
			}
		}
		return nil
	})
}

// move stops or starts a unit, waits for its job, and then until the unit is where it should be.
func (h *Halter) move(ctx context.Context, m *manager, method, name string, there func(unit) bool) error {
	u, err := h.unit(ctx, m, name)
	if err != nil || there(u) && !u.pending {
		return err
	}
	verb := map[string]string{"StopUnit": "stop", "StartUnit": "start"}[method]
	result, err := m.job(ctx, method, name)
	if err != nil {
		return err
	}
	if result != "done" && result != "skipped" {
		u, err := h.unit(ctx, m, name)
		if err != nil || there(u) {
			return err
		}
		return h.failed("%s did not %s: systemd's job for %s ended with %q.", h.service.Name, safepoint.Noun(verb), name, halt.OneLine(result)).
			WithHint("systemctl status %s and journalctl -u %s say why.", name, name)
	}
	return halt.Again(ctx, func(ctx context.Context) (bool, error) {
		u, err := h.unit(ctx, m, name)
		if err != nil || there(u) {
			return false, err
		}
		return u.active != "failed", h.failed("%s did not %s: %s is %s (%s).", h.service.Name, safepoint.Noun(verb), name, u.active, u.sub).
			WithHint("systemctl status %s and journalctl -u %s say why.", name, name)
	})
}

// unit is what systemd says of one.
type unit struct {
	active, sub string
	pending     bool // a job of it is queued or runs
}

// runs says whether a unit may still be using something. One whose stop is under way may.
func (u unit) runs() bool { return u.active != "inactive" && u.active != "failed" }

func (u unit) healthy() bool { return u.active == "active" || u.active == "reloading" }

// unit asks for a unit's state; one that nobody has installed is CodeHalt.
func (h *Halter) unit(ctx context.Context, m *manager, name string) (u unit, err error) {
	props, err := m.unit(ctx, name)
	if err != nil {
		return u, err
	}
	text := func(key string) string { s, _ := props[key].Value().(string); return s }
	if load := text("LoadState"); load == "not-found" || load == "masked" || load == "bad-setting" || load == "error" {
		return u, h.failed("%s has the unit %s, which systemd says is %s.", h.service.Name, name, load).WithHint("Check its name in the operator's file, and systemctl status %s.", name)
	}
	u.active, u.sub = text("ActiveState"), text("SubState")
	if job, ok := props["Job"].Value().([]any); ok && len(job) > 0 {
		id, _ := job[0].(uint32)
		u.pending = id != 0
	}
	return u, nil
}

// session connects to the bus, runs fn and disconnects, all within the service's timeout.
func (h *Halter) session(ctx context.Context, fn func(context.Context, *manager) error) error {
	ctx, cancel := context.WithTimeout(ctx, h.service.Timeout)
	defer cancel()
	m, err := connect(ctx, h.bus)
	if err != nil {
		return h.unreachable(ctx, err)
	}
	defer m.conn.Close()
	err = fn(ctx, m)
	var plain *safepoint.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &plain):
		return err
	}
	return h.refused(ctx, err)
}

func (h *Halter) failed(format string, args ...any) *safepoint.Error {
	return safepoint.Errorf(safepoint.CodeHalt, format, args...)
}

// refused says in words what systemd answered, or that it did not.
func (h *Halter) refused(ctx context.Context, err error) error {
	name := h.service.Name
	var said dbus.Error
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return h.failed("%s did not do it within %s.", name, halt.Seconds(h.service.Timeout)).
			WithHint("systemctl status %s says what it waits for. Give it more time than the unit's own TimeoutStopSec.", strings.Join(h.units, " ")).WithCause(err)
	case ctx.Err() != nil:
		return h.failed("The command to %s was stopped.", name).WithCause(err)
	case errors.As(err, &said):
		e := h.failed("%s: systemd refused: %s.", name, halt.OneLine(strings.TrimSuffix(said.Error(), ".")))
		if strings.Contains(said.Name, "AccessDenied") || strings.Contains(said.Name, "InteractiveAuthorizationRequired") {
			e = e.WithHint("Let the user of this server manage these units with a polkit rule: docs/services.md has it.")
		}
		return e.WithCause(err)
	}
	return h.unreachable(ctx, err)
}

func (h *Halter) unreachable(ctx context.Context, err error) error {
	e := safepoint.Errorf(safepoint.CodeUnreachable, "%s: systemd's bus could not be reached.", h.service.Name).
		WithHint("Check that systemd runs on this machine and that the user of this server may use its bus.")
	if ctx.Err() != nil {
		e = safepoint.Errorf(safepoint.CodeUnreachable, "%s: systemd's bus did not answer in time.", h.service.Name)
	}
	return e.WithCause(err)
}
