package egress

import (
	"errors"
	"net"
	"net/netip"
	"testing"
)

func TestCheck(t *testing.T) {
	for address, ok := range map[string]bool{
		"127.0.0.1": true, "::1": true, "10.1.2.3": true, "192.168.0.1": true, "172.16.0.1": true, "8.8.8.8": true, "fd00::1": true,
		"2001:db8::1": true, "::ffff:10.0.0.1": true, "64:ff9b::808:808": true,
		"169.254.169.254": false, "169.254.0.1": false, "::ffff:169.254.169.254": false, "64:ff9b::a9fe:a9fe": false,
		"fe80::1": false, "fe80::1%eth0": false, "0.0.0.0": false, "0.1.2.3": false, "::": false, "::ffff:0.0.0.0": false,
		"224.0.0.1": false, "ff02::1": false, "255.255.255.255": false, "100.100.100.200": false, "fd00:ec2::254": false,
		"168.63.129.16": false, "fd20:ce::254": false, "64:ff9b::a83f:8110": false,
		"2002:a9fe:a9fe::": false, "2002:808:808::1": true, "64:ff9b:1::a9fe:a9fe": false, "64:ff9b:1::a01:203": true,
		"::a9fe:a9fe": false, "::a01:203": true,
	} {
		if got := Check(netip.MustParseAddr(address)) == nil; got != ok {
			t.Errorf("%s: allowed %v, want %v", address, got, ok)
		}
	}
}

// The dialer refuses however the address is written, before a packet is sent.
func TestDialer(t *testing.T) {
	for _, host := range []string{"169.254.169.254", "::ffff:169.254.169.254", "0.0.0.0", "::", "fe80::1"} {
		conn, err := Dialer(0).DialContext(t.Context(), "tcp", net.JoinHostPort(host, "80"))
		if err == nil {
			conn.Close()
		}
		var refused *RefusedError
		if !errors.As(err, &refused) {
			t.Errorf("%s: %v", host, err)
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	conn, err := Dialer(0).DialContext(t.Context(), "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
}
