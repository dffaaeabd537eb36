package endpointtest

import (
	"testing"

	"usersock/stack/endpoint"
)

// Provider says how a family makes what the suite needs.
type Provider struct {
	// Family opens endpoints, and Request is what it is asked for. The type
	// decides which tests run: SOCK_STREAM, SOCK_SEQPACKET or SOCK_DGRAM.
	Family  endpoint.Family
	Request endpoint.Request

	// Pair makes two connected endpoints in some other way than by listening
	// and connecting. Nil: the suite listens and connects, or binds two
	// datagram endpoints and connects them to each other.
	Pair func() (a, b endpoint.Endpoint, err error)

	// Bind returns an address to bind to. Two endpoints bound to the results
	// of two calls do not collide (port 0 and a name not yet used are fine).
	Bind func() endpoint.Addr

	// Nobody returns an address that is valid, and bound by nobody.
	Nobody func() endpoint.Addr

	// Foreign is an address of a family that these endpoints do not serve.
	// Unset, it is an AF_NETLINK one.
	Foreign endpoint.Addr

	Features Features
}

// Features are the differences between families that the suite must know.
type Features struct {
	// Refused is the error of a connection, or of a datagram, to Nobody. Zero
	// for a family whose datagrams vanish without an error.
	Refused endpoint.Errno

	// FullBacklogBlocks: Connect to a listener whose backlog is full returns
	// EAGAIN, as AF_UNIX does. Otherwise it returns EINPROGRESS and waits.
	FullBacklogBlocks bool

	// Reliable: a datagram that finds the peer's queue full makes Send return
	// EAGAIN, and none is lost. Streams need not say it.
	Reliable bool

	// Rights: SCM_RIGHTS items are carried.
	Rights bool

	// QueuedOut: Queued knows how many sent bytes the peer has not read. Other
	// streams count those that are not acknowledged, or none.
	QueuedOut bool

	// MaxDatagram is the longest datagram that Send takes; one byte more is
	// EMSGSIZE. Zero skips that test.
	MaxDatagram int
}

// Run runs the suite. It calls makeProvider for each of its tests, so that
// each may have a stack of its own, cleaned up by t.Cleanup.
func Run(t *testing.T, makeProvider func(t *testing.T) Provider) {
	t.Helper()
	p := makeProvider(t)
	tests := commonTests
	switch p.Request.Type {
	case endpoint.SOCK_STREAM:
		tests = join(tests, connTests, streamTests, raceTests)
	case endpoint.SOCK_SEQPACKET:
		tests = join(tests, connTests, messageTests, raceTests)
	case endpoint.SOCK_DGRAM:
		tests = join(tests, messageTests, datagramTests)
	default:
		t.Fatalf("no tests for socket type %d", p.Request.Type)
	}
	if p.Features.Rights {
		tests = join(tests, rightsTests)
	}
	if _, ok := p.Family.(endpoint.Lister); ok {
		tests = join(tests, listTests)
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p := makeProvider(t)
			if p.Foreign.IsZero() {
				p.Foreign = endpoint.Addr{Family: endpoint.AF_NETLINK}
			}
			test.run(t, &p)
		})
	}
}

// test is one test of the suite.
type test struct {
	name string
	run  func(*testing.T, *Provider)
}

func join(lists ...[]test) []test {
	var all []test
	for _, l := range lists {
		all = append(all, l...)
	}
	return all
}
