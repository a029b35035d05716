package systemd

import (
	"context"
	"fmt"

	"github.com/godbus/dbus/v5"
)

// manager is a connection to systemd that hears of the ends of jobs.
type manager struct {
	conn    *dbus.Conn
	object  dbus.BusObject
	signals chan *dbus.Signal
	ended   map[dbus.ObjectPath]string // job → its result, as far as heard
}

// connect returns a connection that is closed when ctx ends, and by the caller.
func connect(ctx context.Context, address string) (*manager, error) {
	conn, err := dbus.Connect(address, dbus.WithContext(ctx))
	if err != nil {
		return nil, fmt.Errorf("connect to bus: %w", err)
	}
	m := &manager{conn: conn, object: conn.Object(destination, managerPath), signals: make(chan *dbus.Signal, 256), ended: map[dbus.ObjectPath]string{}}
	// Heard before anything is asked for: a job may have ended before the answer that names it is read.
	conn.Signal(m.signals)
	err = conn.AddMatchSignalContext(ctx, dbus.WithMatchInterface(managerIface), dbus.WithMatchMember("JobRemoved"),
		dbus.WithMatchObjectPath(managerPath), dbus.WithMatchSender(destination)) // anybody may send signals on the system bus
	if err == nil {
		err = m.object.CallWithContext(ctx, managerIface+".Subscribe", 0).Err
	}
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("subscribe to systemd: %w", err)
	}
	return m, nil
}

// job asks for a job of a unit, in the mode "replace", and waits for its result: "done", "failed", "timeout", …
func (m *manager) job(ctx context.Context, method, unit string) (result string, err error) {
	var path dbus.ObjectPath
	if err := m.object.CallWithContext(ctx, managerIface+"."+method, 0, unit, "replace").Store(&path); err != nil {
		return "", err
	}
	for {
		if result, ok := m.ended[path]; ok {
			return result, nil
		}
		select {
		case <-ctx.Done():
			return "", ctx.Err()
		case s, ok := <-m.signals:
			if !ok {
				return "", dbus.ErrClosed
			}
			var id uint32
			var job dbus.ObjectPath
			var name, result string
			if s.Name == managerIface+".JobRemoved" && dbus.Store(s.Body, &id, &job, &name, &result) == nil {
				m.ended[job] = result
			}
		}
	}
}

// unit returns the properties of a unit, which is loaded for that: one that does not run need not be.
func (m *manager) unit(ctx context.Context, name string) (props map[string]dbus.Variant, err error) {
	var path dbus.ObjectPath
	if err := m.object.CallWithContext(ctx, managerIface+".LoadUnit", 0, name).Store(&path); err != nil {
		return nil, err
	}
	err = m.conn.Object(destination, path).CallWithContext(ctx, "org.freedesktop.DBus.Properties.GetAll", 0, unitIface).Store(&props)
	return props, err
}
