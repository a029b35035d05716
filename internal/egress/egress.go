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
	nat64 = netip.MustParsePrefix("64:ff9b::/96")
	// Metadata services outside the link-local ranges: Alibaba Cloud, Oracle Cloud, Amazon over IPv6.
	metadata = []netip.Addr{
		netip.MustParseAddr("100.100.100.200"), netip.MustParseAddr("192.0.0.192"), netip.MustParseAddr("fd00:ec2::254"),
	}
	broadcast = netip.MustParseAddr("255.255.255.255")
	thisNet   = netip.MustParsePrefix("0.0.0.0/8")
)

// Check returns a *RefusedError if nothing may be sent to a. An IPv4 address inside an IPv6 one is looked at as well.
func Check(a netip.Addr) error {
	inner := a.WithZone("").Unmap()
	if nat64.Contains(inner) {
		b := inner.As16()
		inner = netip.AddrFrom4([4]byte(b[12:]))
	}
	if !inner.IsValid() || inner.IsLinkLocalUnicast() || inner.IsMulticast() || inner.IsUnspecified() || inner == broadcast || thisNet.Contains(inner) {
		return &RefusedError{a}
	}
	for _, m := range metadata {
		if inner == m {
			return &RefusedError{a}
		}
	}
	return nil
}
