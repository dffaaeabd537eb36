package netdev

import (
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"usersock/internal/wire"
)

// LoopbackMTU is that of Linux's lo in bytes: one more than IPv4 can say, so
// that an IPv6 packet with a payload of 64 KiB − 40 fits.
const LoopbackMTU = 65536

// Loopback returns a link whose packets come back to the stack that sent
// them, for its interface lo. Its MTU is 65536 bytes, as Linux's is. Checksums
// are left out.
func Loopback() Link {
	l := &loopback{}
	l.port.init(LoopbackMTU, 0, nil)
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

// loopbackCapabilities leave the checksums out: netstack does not compute
// them for what stays on the host, whatever the link says.
const loopbackCapabilities = stack.CapabilityLoopback | stack.CapabilityRXChecksumOffload | stack.CapabilityTXChecksumOffload

// Capabilities implements stack.LinkEndpoint.
func (l *loopback) Capabilities() stack.LinkEndpointCapabilities { return loopbackCapabilities }

// ARPHardwareType implements stack.LinkEndpoint.
func (l *loopback) ARPHardwareType() header.ARPHardwareType { return header.ARPHardwareLoopback }

// Close implements stack.LinkEndpoint.
func (l *loopback) Close() { l.shut() }

// LoopbackDevice returns a link for the interface lo whose packets pass dev,
// which gives back what it is sent, in whatever order and time it likes, but
// never from inside Send: the link delivers everything directly. Checksums are
// left out and not looked at. The link owns dev.
func LoopbackDevice(dev Device) Link {
	l := &loopbackDevice{}
	l.open(dev, DeviceConfig{Direct: true})
	l.end.Endpoint = l
	return l
}

type loopbackDevice struct{ deviceLink }

// Capabilities implements stack.LinkEndpoint.
func (l *loopbackDevice) Capabilities() stack.LinkEndpointCapabilities {
	return loopbackCapabilities
}

// ARPHardwareType implements stack.LinkEndpoint.
func (l *loopbackDevice) ARPHardwareType() header.ARPHardwareType {
	return header.ARPHardwareLoopback
}
