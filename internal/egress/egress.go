// Package egress dials what users name, and never the addresses that only the machine itself or its cloud should reach.
//
// The check is made on the address that is about to be connected to, after a name was resolved: a name that resolves
// to something else the second time gains nothing. Private and loopback addresses are allowed, for that is where a
// self-hosted organization's services are.
package egress

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"time"
)

// RefusedError says which address was not dialed.
type RefusedError struct{ Address netip.Addr }

func (e *RefusedError) Error() string {
	return fmt.Sprintf("%s is a link-local, metadata, multicast or unspecified address, to which nothing is sent", e.Address)
}

// Dialer returns a dialer that refuses such addresses with a *RefusedError. timeout is for one connection; 0 means 10 s.
func Dialer(timeout time.Duration) *net.Dialer {
	if timeout == 0 {
		timeout = 10 * time.Second
	}
	return &net.Dialer{Timeout: timeout, KeepAlive: 15 * time.Second, Control: control}
}

func control(network, address string, _ syscall.RawConn) error {
	if strings.HasPrefix(network, "unix") {
		return nil
	}
	ap, err := netip.ParseAddrPort(address)
	if err != nil {
		return err
	}
	return Check(ap.Addr())
}

var (
	// Metadata services outside the link-local ranges: Alibaba Cloud, Oracle Cloud, Azure, and Amazon and Google over IPv6.
	metadata = []netip.Addr{
		netip.MustParseAddr("100.100.100.200"), netip.MustParseAddr("192.0.0.192"), netip.MustParseAddr("168.63.129.16"),
		netip.MustParseAddr("fd00:ec2::254"), netip.MustParseAddr("fd20:ce::254"),
	}
	broadcast = netip.MustParseAddr("255.255.255.255")
	thisNet   = netip.MustParsePrefix("0.0.0.0/8")
)

// carriers are IPv6 addresses that lead to the IPv4 address which stands in them, at that byte.
var carriers = []struct {
	prefix netip.Prefix
	at     int
}{
	{netip.MustParsePrefix("64:ff9b::/96"), 12},   // NAT64
	{netip.MustParsePrefix("64:ff9b:1::/48"), 12}, // NAT64 of a network's own, with the usual length
	{netip.MustParsePrefix("2002::/16"), 2},       // 6to4
	{netip.MustParsePrefix("::/96"), 12},          // IPv4-compatible
}

// loopback is the one address of "::/96" that carries nothing.
var loopback = netip.IPv6Loopback()

// inside is the IPv4 address that an IPv6 one leads to, or the address itself.
func inside(a netip.Addr) netip.Addr {
	a = a.WithZone("").Unmap()
	for _, c := range carriers {
		if a != loopback && c.prefix.Contains(a) {
			b := a.As16()
			return netip.AddrFrom4([4]byte(b[c.at:]))
		}
	}
	return a
}

// Check returns a *RefusedError if nothing may be sent to a. An IPv4 address inside an IPv6 one is looked at as well.
func Check(a netip.Addr) error {
	inner := inside(a)
	if !inner.IsValid() || inner.IsLinkLocalUnicast() || inner.IsMulticast() || inner.IsUnspecified() || inner == broadcast || thisNet.Contains(inner) {
		return &RefusedError{a}
	}
	if slices.Contains(metadata, inner) {
		return &RefusedError{a}
	}
	return nil
}
