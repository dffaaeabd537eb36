package inet

import (
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"

	"usersock/stack/endpoint"
)

// Bind implements endpoint.Endpoint. A socket with ports is bound once; a raw
// socket again and again until it is connected, raw(7).
func (d *datagram) Bind(a endpoint.Addr) error {
	if err := d.alive(); err != nil {
		return err
	}
	fa, err := d.fullAddress(a)
	if err != nil {
		return err
	}
	old := d.where.Load()
	b := *old
	twice := d.kind == kindRaw && b.connected || d.kind != kindRaw && b.port != 0
	addressFirst := d.kind == kindPing || d.kind.ports() && d.af == endpoint.AF_INET
	if twice && !addressFirst {
		return endpoint.EINVAL
	}
	if err := d.checkLocal(fa, &d.ops); err != nil {
		return err
	}
	if d.kind == kindRaw && isMapped(fa.Addr) {
		return endpoint.EADDRNOTAVAIL // rawv6_bind of Linux
	}
	b.nets = d.nets(isMapped(fa.Addr))
	b.local = unmap(fa.Addr)
	b.noSource = isMulticast(b.local) || d.p.isBroadcast(b.local)
	if b.boundAddr = b.local.Len() != 0; b.local.Len() == header.IPv6AddressSize {
		b.nets = net6
	}
	b.nic = 0
	if !b.noSource { // which may be bound, to receive what is sent there
		if err := d.checkOwn(fa.NIC, b.local); err != nil {
			return err
		}
	}
	if twice {
		return endpoint.EINVAL
	}
	if needsScopeAddress(b.local) {
		if b.nic = fa.NIC; b.nic == 0 {
			b.nic = tcpip.NICID(d.ops.GetBindToDevice())
		}
	}
	if d.kind != kindRaw {
		b.port, b.boundPort = fa.Port, fa.Port != 0
	}
	if d.kind.ports() && fa.Port == 0 && d.has(flagNoPort) {
		if !d.where.CompareAndSwap(old, &b) {
			return endpoint.EINVAL
		}
	} else if err := d.register(old, &b); err != nil {
		if err == errMoved {
			return endpoint.EINVAL // a Send or another Bind was first
		}
		d.unname(old)
		return err
	}
	d.bound(fa)
	if d.kind.ports() && isSix(b.local) {
		d.ops.SetV6Only(true) // as __inet6_bind of Linux
	}
	return nil
}

// unname forgets the address that was kept when the peer was removed: a Bind has
// failed, __inet_bind of Linux.
func (d *datagram) unname(old *binding) {
	if !old.boundAddr || old.port != 0 {
		return
	}
	b := *old
	b.local, b.boundAddr, b.nic = tcpip.Address{}, false, 0
	b.nets = d.nets(false)
	if d.where.CompareAndSwap(old, &b) {
		d.set(flagBound4|flagScoped, false)
	}
}

// nets are the network protocols whose packets the endpoint takes that is bound
// to any address, or to any of IPv4.
func (d *datagram) nets(mapped bool) netSet {
	switch {
	case d.af == endpoint.AF_INET, mapped:
		return net4
	case d.kind.ports() && !d.ops.GetV6Only() && d.p.ipv4:
		return net4 | net6
	}
	return net6
}

func unmap(a tcpip.Address) tcpip.Address {
	if !isMapped(a) {
		return a
	}
	v4 := [4]byte(a.AsSlice()[12:])
	if v4 == [4]byte{} {
		return tcpip.Address{}
	}
	return tcpip.AddrFrom4(v4)
}

// needsScopeAddress is __ipv6_addr_needs_scope_id of Linux: an address of one link,
// or a group of one link or one interface.
func needsScopeAddress(a tcpip.Address) bool {
	if a.Len() != header.IPv6AddressSize {
		return false
	}
	return header.IsV6LinkLocalUnicastAddress(a) || header.IsV6LinkLocalMulticastAddress(a) ||
		header.IsV6MulticastAddress(a) && header.V6MulticastScope(a) == header.IPv6InterfaceLocalMulticastScope
}

func netOf(a tcpip.Address) tcpip.NetworkProtocolNumber {
	if a.Len() == header.IPv4AddressSize {
		return header.IPv4ProtocolNumber
	}
	return header.IPv6ProtocolNumber
}

func isMulticast(a tcpip.Address) bool {
	return header.IsV4MulticastAddress(a) || header.IsV6MulticastAddress(a)
}

// isBroadcast reports whether an address is a broadcast address of IPv4.
func (p *Protocols) isBroadcast(a tcpip.Address) bool {
	return a == header.IPv4Broadcast || a.Len() == header.IPv4AddressSize && p.stack.IsSubnetBroadcast(0, header.IPv4ProtocolNumber, a)
}

// checkOwn refuses an address that is none of the stack's.
func (d *datagram) checkOwn(nic tcpip.NICID, local tcpip.Address) error {
	if local.Len() == 0 || d.has(flagFreeBind|flagTransparent) {
		return nil
	}
	if nic == 0 && needsScopeAddress(local) {
		nic = tcpip.NICID(d.ops.GetBindToDevice())
	}
	net := netOf(local)
	if net == header.IPv4ProtocolNumber {
		nic = 0 // netstack would look at the interface alone
	}
	if d.p.stack.CheckLocalAddress(nic, net, local) != 0 {
		return nil
	}
	return endpoint.EADDRNOTAVAIL
}

// Connect implements endpoint.Endpoint: it sets the peer. AF_UNSPEC removes
// it, and is harmless where there is none. As on Linux a Connect that fails
// leaves the port that it picked.
func (d *datagram) Connect(a endpoint.Addr) error {
	if err := d.alive(); err != nil {
		return err
	}
	if a.Family == endpoint.AF_UNSPEC {
		return d.disconnect()
	}
	fa, err := d.fullAddress(a)
	if err != nil {
		return err
	}
	if _, err := d.autobind(); err != nil {
		return err
	}
	if d.kind != kindUDP && d.kind != kindUDPLite && isMapped(fa.Addr) {
		return endpoint.ENETUNREACH
	}
	if err := d.checkPeer(&fa, &d.ops); err != nil {
		return err
	}
	if fa.NIC == 0 && isMulticast(fa.Addr) && needsScopeAddress(fa.Addr) && d.device(d.where.Load()) == 0 {
		if fa.NIC = tcpip.NICID(d.ip.group6.Load()); fa.NIC == 0 {
			return endpoint.EINVAL
		}
	}
	for {
		if err := d.setPeer(fa); err != errMoved {
			return err
		}
	}
}

func (d *datagram) setPeer(fa tcpip.FullAddress) error {
	old, err := d.autobind()
	if err != nil {
		return err
	}
	b := *old
	fa = d.anyIsLoopback(fa, &b)
	fa.Addr = unmap(fa.Addr)
	dev := d.device(&b)
	if fa.NIC == 0 {
		fa.NIC = dev
	}
	if dev != 0 && fa.NIC != dev {
		return endpoint.EINVAL
	}
	r, err := d.findRoute(&b, fa, outgoing{})
	if err != nil {
		return err
	}
	source := r.LocalAddress()
	broadcast, router := r.IsOutboundBroadcast(), r.router()
	r.Release()
	if router && d.has(flagNoRouter) {
		return endpoint.ENETUNREACH
	}
	if broadcast && !d.ops.GetBroadcast() {
		return endpoint.EACCES
	}
	if b.local.Len() == 0 || !b.boundAddr {
		b.local, b.noSource = source, false
	}
	if b.local.Len() == header.IPv4AddressSize {
		b.nets = net4
	}
	if needsScopeAddress(fa.Addr) {
		b.nic = fa.NIC
	} else {
		fa.NIC = 0
	}
	b.peer, b.connected = fa, true
	return d.register(old, &b)
}

// anyIsLoopback gives the unspecified address the meaning it has as a
// destination on Linux: this host.
func (d *datagram) anyIsLoopback(fa tcpip.FullAddress, b *binding) tcpip.FullAddress {
	switch {
	case fa.Addr.Len() != 0 && fa.Addr != mappedAny:
	case d.af == endpoint.AF_INET:
		fa.Addr = d.anyAddress(loopback4, b, outgoing{})
	case fa.Addr == mappedAny:
		fa.Addr = loopback4
	default:
		fa.Addr = header.IPv6Loopback
	}
	return fa
}

// anyAddress is where a datagram to any address of IPv4 goes: to the one that it
// comes from, which is the item's, the one that the socket is bound to, or the
// device's, ip_route_output_key. Otherwise it is usual.
func (d *datagram) anyAddress(usual tcpip.Address, b *binding, items outgoing) tcpip.Address {
	nic := items.nic
	if nic == 0 {
		nic = d.device(b)
	}
	switch {
	case d.af != endpoint.AF_INET:
	case items.src.Len() != 0:
		return items.src
	case b.local.Len() == header.IPv4AddressSize && !b.noSource:
		return b.local
	case nic != 0:
		if main, err := d.p.stack.GetMainNICAddress(nic, header.IPv4ProtocolNumber); err == nil && main.Address.Len() != 0 {
			return main.Address
		}
	}
	return usual
}

// isAny reports whether an address is the unspecified one, not none at all.
func isAny(a endpoint.Addr) bool { return !a.IsZero() && (!a.IP.IsValid() || a.IP.IsUnspecified()) }

var loopback4 = tcpip.AddrFrom4([4]byte{127, 0, 0, 1})

// disconnect is __udp_disconnect of Linux: what Bind did not choose is lost,
// and so is the device, whether there is a peer or not. A shutdown stays.
func (d *datagram) disconnect() error {
	old := d.where.Load()
	b := *old
	b.connected, b.peer = false, tcpip.FullAddress{}
	_ = d.ops.SetBindToDevice(0)
	b.nic = 0
	if !b.boundAddr {
		b.local, b.noSource = tcpip.Address{}, false
		b.nets = d.nets(d.has(flagBound4))
	}
	d.forgetRoute()
	if d.kind != kindRaw && !b.boundPort {
		d.unregister()
		return nil
	}
	if err := d.register(old, &b); err != errMoved {
		return err
	}
	return d.disconnect()
}

// autobind gives the endpoint a port, if it has none. A raw socket always has
// one: its protocol.
func (d *datagram) autobind() (*binding, error) {
	for {
		b := d.where.Load()
		if b.port != 0 || d.kind == kindRaw {
			return b, nil
		}
		now := *b
		if !b.boundAddr {
			now.nets = d.nets(d.has(flagBound4))
		}
		if err := d.register(b, &now); err != nil && err != errMoved {
			return nil, err
		}
	}
}
