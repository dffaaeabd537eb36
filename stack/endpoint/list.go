package endpoint

import (
	"fmt"
	"time"
)

// Lister is a Family that can say which endpoints it has, as ss(8) asks the
// kernel. Nothing stands still meanwhile: each endpoint is described as it is
// when its turn comes, and one that is opened or closed during the call may be
// there or not.
type Lister interface {
	List() []SocketInfo
}

// SocketInfo describes an endpoint.
type SocketInfo struct {
	Family, Type, Protocol int

	// State is a state of TCP. The others use three of them: SocketEstablished
	// with a peer, SocketClose without one, SocketListen.
	State SocketState

	// Local and Peer are the addresses. Peer is the zero Addr where there is none.
	Local, Peer Addr

	// Device is the index of the interface that the endpoint is bound to
	// (SO_BINDTODEVICE); 0 is none.
	Device int

	// RecvQ and SendQ are, for a listener, how many connections wait to be
	// accepted and the backlog; else the bytes that wait to be received, and those
	// sent that the peer has not yet acknowledged or read. Of datagrams both are
	// memory, and SendQ is what no link has taken yet; of AF_UNIX SendQ is memory, as
	// on Linux. [Unknown] where the family cannot tell.
	RecvQ, SendQ int

	// ID is the number that SO_COOKIE gives: no other endpoint of the stack has
	// it. PeerID is the other end's, of
	// AF_UNIX alone.
	ID, PeerID uint64

	// Owner is who opened the endpoint.
	Owner Cred

	// Orphan says that no program holds the endpoint: a connection that waits
	// to be accepted, or one that was closed and is not over yet. Of these ID and
	// Owner may be 0: not known any more, or not yet.
	Orphan bool

	// V6Only is IPV6_V6ONLY of an AF_INET6 endpoint.
	V6Only bool

	// Drops counts the datagrams that found the receive buffer full.
	Drops uint64

	// TCP has more of a connection; nil of anything else.
	TCP *TCPInfo `json:",omitempty"`
}

// TCPInfo is what a TCP connection tells of itself. Durations are 0 where
// nothing was measured yet. Netstack does not tell which timer runs, nor how
// long it has to go.
type TCPInfo struct {
	RTO         time.Duration // the retransmission timeout as it would be armed now
	RTT, RTTVar time.Duration // smoothed round trip time and its variation
	Cwnd        uint32        // congestion window in segments
	Ssthresh    uint32        // slow start threshold in segments
	Congestion  string        // TCP_CONGESTION

	SegsIn, SegsOut uint64 // segments; one that an offload carries counts once
	Retrans         uint64 // segments sent again
	Timeouts        uint64 // times that the retransmission timer ran out

	KeepAlive                   bool // SO_KEEPALIVE, and after how long it probes
	KeepIdle, KeepIntvl         time.Duration
	UserTimeout, Linger2Timeout time.Duration // TCP_USER_TIMEOUT, TCP_LINGER2; 0 is the default
}

// SocketState is the state of an endpoint, with Linux's numbers
// (net/tcp_states.h).
type SocketState int

// The states of TCP.
const (
	SocketEstablished SocketState = iota + 1
	SocketSynSent
	SocketSynRecv
	SocketFinWait1
	SocketFinWait2
	SocketTimeWait
	SocketClose
	SocketCloseWait
	SocketLastAck
	SocketListen
	SocketClosing
)

var stateNames = [...]string{"UNKNOWN", "ESTAB", "SYN-SENT", "SYN-RECV", "FIN-WAIT-1", "FIN-WAIT-2", "TIME-WAIT", "UNCONN",
	"CLOSE-WAIT", "LAST-ACK", "LISTEN", "CLOSING"}

// String returns the name that ss(8) prints.
func (s SocketState) String() string {
	if s < 0 || int(s) >= len(stateNames) {
		return fmt.Sprintf("state %d", int(s))
	}
	return stateNames[s]
}

// MarshalText implements encoding.TextMarshaler with the name.
func (s SocketState) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler: EINVAL for what is not a
// name.
func (s *SocketState) UnmarshalText(text []byte) error {
	for i, name := range stateNames {
		if name == string(text) {
			*s = SocketState(i)
			return nil
		}
	}
	return fmt.Errorf("endpoint: %q is no state of a socket: %w", text, EINVAL)
}
