package soak

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/rs/zerolog"
)

// proxy is the network between Safepoint and PostgreSQL.
type proxy struct {
	p    *toxiproxy.Proxy
	port int
}

func startProxy(t *testing.T, to string) *proxy {
	t.Helper()
	server := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop())
	p := toxiproxy.NewProxy(server, "postgres", "127.0.0.1:0", to)
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Stop)
	_, port, err := net.SplitHostPort(p.Listen)
	if err != nil {
		t.Fatal(err)
	}
	n, _ := strconv.Atoi(port)
	return &proxy{p: p, port: n}
}

// spoil makes the network bad: "up" and "down" cut each connection after n bytes from or to Safepoint, "reset" and "stall"
// all of them at once.
func (p *proxy) spoil(t *testing.T, how string, n int) {
	t.Helper()
	toxic := map[string]string{
		"up":    `{"name":"bad","type":"limit_data","stream":"upstream","attributes":{"bytes":%d}}`,
		"down":  `{"name":"bad","type":"limit_data","stream":"downstream","attributes":{"bytes":%d}}`,
		"reset": `{"name":"bad","type":"reset_peer","stream":"downstream","attributes":{"timeout":0}}`,
		"stall": `{"name":"bad","type":"timeout","stream":"downstream","attributes":{"timeout":0}}`,
	}[how]
	if strings.Contains(toxic, "%d") {
		toxic = fmt.Sprintf(toxic, n)
	}
	if _, err := p.p.Toxics.AddToxicJson(strings.NewReader(toxic)); err != nil {
		t.Fatal(err)
	}
}

func (p *proxy) mend() { p.p.Toxics.ResetToxics(context.Background()) }

// cuts are a cut in either direction at a byte, and a reset and a stall at a millisecond, drawn by lot.
func cuts(story *story, engine string, round int) []string {
	switch story.name {
	case "restore", "instant", "undo", "backup", "found":
	default:
		return nil
	}
	rng := rand.New(rand.NewPCG(*seed, uint64(round)<<8+uint64(len(story.name))))
	some := func(most float64) int { return int(math.Pow(most, 0.4+0.6*rng.Float64())) }
	return []string{
		fmt.Sprintf("up@%d", some(120_000)), fmt.Sprintf("down@%d", some(120_000)),
		fmt.Sprintf("reset@%d", some(600)), fmt.Sprintf("stall@%d", some(600)),
	}
}

// spoilNetwork breaks the network while the story goes on, and mends it after a while.
func spoilNetwork(s *shop, t *testing.T, a *attempt) bool {
	how, number, _ := strings.Cut(a.point, "@")
	n, err := strconv.Atoi(number)
	if err != nil {
		t.Fatal(err)
	}
	a.person = true // a server that does not answer for long asks for a person; that it ends without one is checked below
	if how == "up" || how == "down" {
		s.proxy.spoil(t, how, n)
	}
	answered := s.beginBeside(t, a)
	if how == "reset" || how == "stall" {
		<-time.After(time.Duration(n) * time.Millisecond)
		s.proxy.spoil(t, how, 0)
	}
	for until := time.Now().Add(2 * time.Second); time.Now().Before(until) && !s.endedNow(t, a); time.Sleep(20 * time.Millisecond) {
	}
	s.proxy.mend()
	a.launched = time.Now()
	<-answered
	return true
}
