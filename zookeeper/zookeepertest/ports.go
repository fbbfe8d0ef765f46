package zookeepertest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
)

// Ports are drawn from below the ranges that systems use for outgoing
// connections (from 32768 on Linux, 49152 elsewhere), so that a port stays free
// while its server is down for a moment.
const (
	lowestPort  = 12000
	highestPort = 32000
)

// errPortTaken reports that somebody else got a port between its choice and the
// server's start: choosing again helps.
var errPortTaken = errors.New("port is in use")

// freePorts returns n distinct loopback ports that nobody listens on now.
func freePorts(n int) ([]int, error) {
	ports := make([]int, 0, n)
	held := make([]net.Listener, 0, n)
	defer func() {
		for _, l := range held {
			_ = l.Close()
		}
	}()
	for range 1000 {
		if len(ports) == n {
			return ports, nil
		}
		port := lowestPort + rand.IntN(highestPort-lowestPort)
		l, err := net.Listen("tcp", loopback(port))
		if err != nil {
			continue
		}
		// Held until all are found, so that none is chosen twice.
		held = append(held, l)
		ports = append(ports, port)
	}
	return nil, fmt.Errorf("found no %d free ports on 127.0.0.1 between %d and %d", n, lowestPort, highestPort)
}

// loopback returns "127.0.0.1:port".
func loopback(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }
