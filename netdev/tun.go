package netdev

import (
	"fmt"
	"net"
	"net/netip"
	"sync/atomic"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"usersock/internal/wire"
	"usersock/stack/endpoint"
)

// TUNConfig says how to open an interface of the host's kernel. Its zero
// value works, except on Windows, which needs a Network.
type TUNConfig struct {
	// MTU is the length of the longest packet in bytes, 68 to 65535; 0 asks the
	// host for the MTU that the interface has now.
	MTU int

	// Path is the TUN device's node, on Linux only; "" is /dev/net/tun.
	Path string

	// Queues is how many queues the interface has, 1 to 256, on Linux only; 0
	// is 1. More than one is for several processors: each has a goroutine that
	// reads. An interface that is there must have been made with multi_queue.
	Queues int

	// HardwareAddr is the stack's own address on a TAP, 6 bytes, that of one
	// station; empty is a random one. It is not that of the kernel's interface.
	HardwareAddr net.HardwareAddr

	// Network is the IPv4 address and prefix of the interface, on Windows
	// only: the driver answers ARP requests for it. It does not assign the
	// address.
	Network netip.Prefix
}

// TUN is a [Link] to the host's kernel through a TUN interface: what the
// stack sends, the kernel receives on that interface, and the other way round.
//
// Packets are delivered by one goroutine, which reads the interface from the
// attachment to a stack until the close. While the interface is down, what the
// stack sends is dropped and counted as TxFailed.
type TUN struct{ dev tunDevice }

// tunDevice is an open interface: tunEnd where package water has opened it,
// vnetEnd on Linux.
type tunDevice interface {
	Link
	ifName() string
	err() error
}

// tunEnd is what netstack sees of an interface that package water has opened.
type tunEnd struct {
	port
	file  tunFile
	name  string
	end   wire.End
	split datagrams
	emit  func(*stack.PacketBuffer) // write, bound once

	started atomic.Bool
	done    chan struct{} // closed when the reader has ended
	failure atomic.Pointer[error]
}

// tunFile is the open interface. Write is called by many goroutines at a
// time; Read by one.
type tunFile interface {
	Read(packet []byte) (int, error)
	Write(packet []byte) error

	// Close closes the file, in such a way that a Read in progress returns
	// and closes reader. It reports whether the reader has ended or will.
	Close(reader <-chan struct{}) bool
}

// OpenTUN opens the TUN interface called name. Where there is none, it is
// made, and vanishes when the link is closed; one that an administrator has
// made stays. The host must still be told what to do with it: OpenTUN assigns
// no address and does not bring the interface up.
//
// On Linux the interface is opened directly, with checksums and segmentation
// left to the kernel as far as it can ([Describe] says how far); an
// administrator's interface is left as it was. name has at most 15 bytes, and no
// slash, colon or white space; a "%d" in it is replaced by the lowest free
// number; "" is "tun%d".
//
// On macOS and Windows package water opens it: name is utunN, or the friendly
// name of a TAP-Windows adapter; "" takes any. Neither has ever been run by this
// project: it is tested against an imitation of water's behaviour only. On
// other systems the error is EOPNOTSUPP.
//
// Errors say what to do; those of the host keep their number: EPERM without
// the privilege, EBUSY for an interface in use, ENOENT without the device,
// EINVAL for a name that is none or belongs to something else.
func OpenTUN(name string, cfg TUNConfig) (*TUN, error) {
	if err := checkTUN(name, cfg); err != nil {
		return nil, tunError(name, err)
	}
	dev, err := openTUN(name, cfg)
	if err != nil {
		return nil, tunError(name, err)
	}
	return &TUN{dev}, nil
}

// OpenTAP opens the TAP interface called name: as [OpenTUN] does, with Ethernet
// frames instead of bare packets. The stack has a hardware address of its own on
// it (TUNConfig.HardwareAddr), which is not that of the kernel's interface. On
// Linux only; elsewhere EOPNOTSUPP.
func OpenTAP(name string, cfg TUNConfig) (*TUN, error) {
	if err := checkTUN(name, cfg); err != nil {
		return nil, tapError(name, err)
	}
	if len(cfg.HardwareAddr) == 0 {
		cfg.HardwareAddr = RandomHardwareAddr()
	}
	dev, err := openTAP(name, cfg)
	if err != nil {
		return nil, tapError(name, err)
	}
	return &TUN{dev}, nil
}

// Wire implements [Link].
func (t *TUN) Wire() *wire.End { return t.dev.Wire() }

// Name returns the name of the interface.
func (t *TUN) Name() string { return t.dev.ifName() }

// Err returns why the link has ended by itself (the interface was deleted),
// nil while it works and after an ordinary close.
func (t *TUN) Err() error { return t.dev.err() }

// Wire implements [Link].
func (t *tunEnd) Wire() *wire.End { return &t.end }

func (t *tunEnd) ifName() string { return t.name }

func (t *tunEnd) err() error {
	if e := t.failure.Load(); e != nil {
		return *e
	}
	return nil
}

// newTUN makes the link of an interface that package water has opened, which it owns also on failure.
// mtu 0 asks the host.
func newTUN(file tunFile, name string, mtu int) (*tunEnd, error) {
	if mtu == 0 {
		var err error
		if mtu, err = hostMTU(name); err != nil {
			none := make(chan struct{})
			close(none)
			file.Close(none)
			return nil, tunError(name, fmt.Errorf("read its MTU: %w", errnoOf(err)))
		}
	}
	t := &tunEnd{file: file, name: name, done: make(chan struct{})}
	t.emit = t.write
	t.port.init(min(mtu, maxPacket), 0, nil)
	t.status.set(State{Up: true})
	t.end = wire.End{
		Endpoint: t,
		Forwards: t.setForwards,
		Drops:    t.drops.snapshot,
		Status:   t.status.get,
		Watch:    t.status.watch,
		Text:     fmt.Sprintf("%s, TUN by package water, MTU %d, no offload", name, mtu),
	}
	return t, nil
}

// minMTU is the least MTU of an interface that carries IPv4 (RFC 791).
const minMTU = 68

// maxPacket is the length of the longest packet a TUN interface carries.
const maxPacket = 65535

// WritePackets implements netstack's link endpoint.
func (t *tunEnd) WritePackets(pkts stack.PacketBufferList) (int, tcpip.Error) {
	for _, pkt := range pkts.AsSlice() {
		t.split.finish(pkt, t.forwards.Load(), t.emit)
	}
	return pkts.Len(), nil
}

func (t *tunEnd) write(pkt *stack.PacketBuffer) {
	if t.closed.Load() || t.failure.Load() != nil {
		t.drops.txDown.Add(1)
		return
	}
	if pkt.Size() > int(t.mtu.Load()) {
		t.drops.txTooLong.Add(1)
		return
	}
	v := pkt.ToView()
	if err := t.file.Write(v.AsSlice()); err != nil {
		t.drops.txFailed.Add(1)
	}
	v.Release()
}

// Attach implements netstack's link endpoint. The reader starts with the
// first stack.
func (t *tunEnd) Attach(d stack.NetworkDispatcher) {
	t.port.Attach(d)
	if d != nil && !t.started.Swap(true) {
		go t.read()
	}
}

// read delivers packets until the file ends. This goroutine holds no lock of
// an endpoint, so that every kind of packet goes straight up.
func (t *tunEnd) read() {
	defer close(t.done)
	buf := make([]byte, maxPacket)
	for !t.closed.Load() {
		n, err := t.file.Read(buf)
		if err != nil {
			if !t.closed.Load() {
				err = tunError(t.name, fmt.Errorf("the interface is gone: %w", errnoOf(err)))
				t.failure.Store(&err)
				t.status.set(State{Err: err})
			}
			return
		}
		if pkt, _ := t.inbound(buf[:n]); pkt != nil {
			t.up(pkt)
		}
	}
}

// Capabilities implements netstack's link endpoint.
func (t *tunEnd) Capabilities() stack.LinkEndpointCapabilities {
	return plainCapabilities(t.forwards.Load())
}

// Close implements netstack's link endpoint. Use [Close].
func (t *tunEnd) Close() {
	if !t.shut() {
		return
	}
	if !t.started.Swap(true) { // the reader will never run
		close(t.done)
	}
	if t.file.Close(t.done) {
		<-t.done
	}
	t.split.clear()
}

// checkTUN refuses what no system accepts, before anything is opened.
func checkTUN(name string, cfg TUNConfig) error {
	if cfg.MTU != 0 && (cfg.MTU < minMTU || cfg.MTU > maxPacket) {
		return fmt.Errorf("MTU %d is not within %d to %d: %w", cfg.MTU, minMTU, maxPacket, endpoint.EINVAL)
	}
	if cfg.Queues < 0 || cfg.Queues > maxQueues {
		return fmt.Errorf("%d queues are not within 1 to %d: %w", cfg.Queues, maxQueues, endpoint.EINVAL)
	}
	if err := checkHardwareAddr(cfg.HardwareAddr); err != nil {
		return err
	}
	return checkTUNName(name)
}

func tapError(name string, err error) error {
	return fmt.Errorf("netdev: TAP interface %q: %w", name, err)
}

func tunError(name string, err error) error {
	return fmt.Errorf("netdev: TUN interface %q: %w", name, err)
}
