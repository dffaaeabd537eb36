package netdev

import (
	"fmt"
	"net"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"usersock/internal/wire"
)

// Device carries whole IP packets of either version, one a call, with no link
// header; or whole Ethernet frames, see [DeviceConfig]. It is what others
// implement to write a link; [FromDevice] makes one of it.
type Device interface {
	// MTU is the length of the longest IP packet in bytes, 68 to 65535, and at
	// least 1280 if the device carries IPv6. A frame is 14 bytes longer. It is
	// read once.
	MTU() int

	// Send takes one packet, at most MTU bytes long, and does not keep it
	// after it returns. It is called by many goroutines at a time, from
	// inside calls that send on a socket, so it must not block: a device that
	// is full drops. An error is counted as a lost packet, and nothing else:
	// the link goes on.
	Send(packet []byte) error

	// Attach gives the device the function that takes inbound packets, before
	// the first Send. It is called once more, with nil, when the link is
	// closed; from then on the device has nobody to deliver to.
	//
	// deliver copies the packet. It may be called by any goroutine, many at a
	// time, also from inside Send; the device must hold no lock then that its
	// Send or Attach takes. What is empty, malformed, longer than the MTU or
	// arrives after the close is counted and dropped.
	//
	// Attach must not wait for a deliver call that is in progress.
	Attach(deliver func(packet []byte))

	// Close ends the device. It is called once, by the goroutine that closes
	// the link, after Attach(nil). Its error is dropped with the link.
	Close() error
}

// StatusDevice is a [Device] that knows whether packets can pass. FromDevice
// calls Watch once, before Attach; set may be called by any goroutine, also
// inside Watch, and does not block. A State with an error is the last one.
type StatusDevice interface {
	Device
	Watch(set func(State))
}

// DeviceConfig says how a link uses its device. Its zero value works.
type DeviceConfig struct {
	// Queued puts every inbound packet into a queue that a goroutine of the
	// link delivers. Without it TCP and UDP packets are delivered inside the
	// device's call of deliver.
	Queued bool

	// Direct delivers every inbound packet inside the device's call of
	// deliver, ICMP and fragments too. It is only for devices that never call
	// deliver from inside Send, nor with anything locked: an ICMP error that
	// arrives inside a call that sends would wait for that call for ever.
	// Queued goes first.
	Direct bool

	// QueueLimit is how many packets may wait for the stack; 0 is 4096. What
	// does not fit, or would exceed 32 MiB, is dropped and counted.
	QueueLimit int

	// HardwareAddr makes the link an Ethernet: the device carries frames,
	// without a frame check sequence, and this is the stack's address on it, 6
	// bytes, that of one station. The stack then resolves its neighbours. Empty
	// means bare IP packets.
	HardwareAddr net.HardwareAddr
}

// FromDevice returns the link that sends and receives through dev, and owns
// dev from then on. A dev that is a [StatusDevice] says how the link is, and one
// that is a fmt.Stringer describes it. It panics if the hardware address is none of a station. There are no offloads: dev gets and gives packets with
// their checksums in place.
func FromDevice(dev Device, cfg DeviceConfig) Link {
	if err := checkHardwareAddr(cfg.HardwareAddr); err != nil {
		panic("netdev: FromDevice: " + err.Error())
	}
	l := &deviceLink{}
	l.open(dev, cfg)
	return l
}

func (l *deviceLink) open(dev Device, cfg DeviceConfig) {
	l.dev, l.queued, l.direct = dev, cfg.Queued, cfg.Direct
	l.emit = l.write
	l.port.init(dev.MTU(), cfg.QueueLimit, cfg.HardwareAddr)
	l.end = wire.End{Endpoint: l, Forwards: l.setForwards, Drops: l.drops.snapshot}
	if s, ok := dev.(fmt.Stringer); ok {
		l.end.Text = s.String()
	}
	if s, ok := dev.(StatusDevice); ok {
		l.end.Status, l.end.Watch = l.status.get, l.status.watch
		s.Watch(l.status.set)
	}
}

type deviceLink struct {
	port
	dev    Device
	queued bool
	direct bool
	end    wire.End
	split  datagrams
	emit   func(*stack.PacketBuffer) // write, bound once
}

var _ stack.LinkEndpoint = (*deviceLink)(nil)

func (l *deviceLink) Wire() *wire.End { return &l.end }

// WritePackets implements stack.LinkWriter. A packet is put together in a
// buffer of netstack's pools.
func (l *deviceLink) WritePackets(pkts stack.PacketBufferList) (int, tcpip.Error) {
	for _, pkt := range pkts.AsSlice() {
		l.split.finish(pkt, l.forwards.Load(), l.emit)
	}
	return pkts.Len(), nil
}

func (l *deviceLink) write(pkt *stack.PacketBuffer) {
	if l.closed.Load() {
		l.drops.txDown.Add(1)
		return
	}
	if ipSize(pkt) > int(l.mtu.Load()) {
		l.drops.txTooLong.Add(1)
		return
	}
	v := pkt.ToView()
	if err := l.dev.Send(v.AsSlice()); err != nil {
		l.drops.txFailed.Add(1)
	}
	v.Release()
}

// deliver takes a packet from the device.
func (l *deviceLink) deliver(packet []byte) {
	if pkt, now := l.inbound(packet); pkt != nil {
		l.receive(pkt, !l.queued && (l.direct || now))
	}
}

// Attach implements stack.LinkEndpoint. The device is told of the end only by
// Close: netstack calls this with its lock held, which a deliver call that is
// in progress may need.
func (l *deviceLink) Attach(d stack.NetworkDispatcher) {
	l.port.Attach(d)
	if d != nil {
		l.dev.Attach(l.deliver)
	}
}

// Capabilities implements stack.LinkEndpoint.
func (l *deviceLink) Capabilities() stack.LinkEndpointCapabilities {
	return plainCapabilities(l.forwards.Load()) | l.resolution()
}

// Close implements stack.LinkEndpoint.
func (l *deviceLink) Close() {
	if !l.shut() {
		return
	}
	l.dev.Attach(nil)
	l.dev.Close()
	l.split.clear()
}
