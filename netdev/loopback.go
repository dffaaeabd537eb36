package netdev

import (
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"usersock/internal/wire"
)

// loopbackMTU is that of Linux's lo: one more than IPv4 can say, so that an
// IPv6 packet with a payload of 64 KiB − 40 fits.
const loopbackMTU = 65536

// Loopback returns a link whose packets come back to the stack that sent
// them, for its interface lo. Its MTU is 65536 bytes, as Linux's is. Checksums
// are left out.
func Loopback() Link {
	l := &loopback{}
	l.port.init(loopbackMTU, 0)
	l.end = wire.End{Endpoint: l, Medium: new(wire.Medium), Drops: l.drops.snapshot}
	return l
}

type loopback struct {
	port
	end wire.End
}

var _ stack.LinkEndpoint = (*loopback)(nil)

func (l *loopback) Wire() *wire.End { return &l.end }

// WritePackets implements stack.LinkWriter.
func (l *loopback) WritePackets(pkts stack.PacketBufferList) (int, tcpip.Error) {
	for _, pkt := range pkts.AsSlice() {
		if l.down() {
			l.drops.txDown.Add(1)
			continue
		}
		now := atOnce(pkt.NetworkHeader().Slice())
		in := pkt.CloneToInbound()
		in.NetworkProtocolNumber = pkt.NetworkProtocolNumber
		l.receive(in, now)
	}
	return pkts.Len(), nil
}

// Capabilities implements stack.LinkEndpoint.
func (l *loopback) Capabilities() stack.LinkEndpointCapabilities {
	return stack.CapabilityLoopback | stack.CapabilityRXChecksumOffload | stack.CapabilityTXChecksumOffload
}

// ARPHardwareType implements stack.LinkEndpoint.
func (l *loopback) ARPHardwareType() header.ARPHardwareType { return header.ARPHardwareLoopback }

// Close implements stack.LinkEndpoint.
func (l *loopback) Close() { l.shut() }
