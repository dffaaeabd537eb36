package stack

import (
	"fmt"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
)

// SetRACK turns TCP's loss detection of RFC 8985 on or off, for connections
// made from now on.
func (s *Stack) SetRACK(on bool) error {
	recovery := tcpip.TCPRecovery(0)
	if on {
		recovery = tcpip.TCPRACKLossDetection
	}
	if err := s.net.SetTransportProtocolOption(tcp.ProtocolNumber, &recovery); err != nil {
		return fmt.Errorf("set %T: %s", recovery, err)
	}
	return nil
}

// ConnStates returns the states of the TCP connections that the stack still
// runs, in netstack's words.
func (s *Stack) ConnStates() (states []string) {
	for _, ep := range s.net.RegisteredEndpoints() {
		if t, ok := ep.(*tcp.Endpoint); ok {
			states = append(states, t.EndpointState().String())
		}
	}
	return states
}
