// Package event tells the parts of one process that something of an organization changed, so that pages and streams
// look again. It carries no data: whoever hears it reads the catalog, which is the only truth.
package event

import "sync"

// Event says what changed.
type Event struct {
	OrganizationID string
	Kind           string // "operation", "state", "schedule", "database", "service"
	ID             string
}

// Hub passes events on. The zero value is ready.
type Hub struct {
	mu    sync.Mutex
	subs  map[chan Event]string
	count map[string]uint64 // by organization
}

// Publish hands e to every subscriber of its organization. It never blocks: a subscriber that is behind loses
// events, which is harmless because one look at the catalog catches up with all of them.
func (h *Hub) Publish(e Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.count == nil {
		h.count = map[string]uint64{}
	}
	h.count[e.OrganizationID]++
	for ch, org := range h.subs {
		if org != e.OrganizationID {
			continue
		}
		select {
		case ch <- e:
		default:
		}
	}
}

// Count is how many events of an organization there were: as long as it stays, nothing changed.
func (h *Hub) Count(organizationID string) uint64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.count[organizationID]
}

// Subscribe returns a channel of an organization's events, and a function that ends the subscription.
func (h *Hub) Subscribe(organizationID string) (<-chan Event, func()) {
	ch := make(chan Event, 64)
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.subs == nil {
		h.subs = map[chan Event]string{}
	}
	h.subs[ch] = organizationID
	return ch, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		delete(h.subs, ch)
	}
}
