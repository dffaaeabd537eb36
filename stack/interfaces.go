package stack

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"
	gvstack "gvisor.dev/gvisor/pkg/tcpip/stack"

	"usersock/stack/endpoint"
	"usersock/stack/internal/inet"
)

const (
	loopbackName = "lo"
	ifNameMax    = 15 // IFNAMSIZ − 1, netdevice(7)
	minMTU       = 68
	minMTU6      = 1280
	maxMTU       = 65536
)

// InterfaceInfo is the state of one interface.
type InterfaceInfo struct {
	Index    int
	Name     string
	Addrs    []netip.Prefix
	MTU      int
	Loopback bool
	Up       bool

	// HardwareAddr is the address on an Ethernet; empty elsewhere.
	HardwareAddr net.HardwareAddr
}

func (cfg *Config) checkInterface(in Interface) error {
	if err := checkName(in.Name); err != nil {
		return err
	}
	if in.Link == nil {
		return fmt.Errorf("interface %q has no link: %w", in.Name, endpoint.EINVAL)
	}
	mtu := in.MTU
	if mtu == 0 {
		mtu = int(in.Link.Wire().Endpoint.MTU())
	}
	least := minMTU
	for _, a := range in.Addrs {
		if err := cfg.checkAddr(a); err != nil {
			return err
		}
		if a.Addr().Is6() {
			least = minMTU6
		}
	}
	if err := cfg.checkAuto(in); err != nil {
		return err
	}
	if in.Auto.RouterAdvertisements || in.Auto.DHCPv6 {
		least = minMTU6
	}
	if mtu < least || mtu > maxMTU {
		return fmt.Errorf("interface %q: MTU %d is not within %d to %d: %w", in.Name, mtu, least, maxMTU, endpoint.EINVAL)
	}
	return nil
}

// checkName applies the kernel's rules for interface names; "" is allowed.
func checkName(name string) error {
	if len(name) > ifNameMax {
		return fmt.Errorf("interface name %q has more than %d bytes: %w", name, ifNameMax, endpoint.EINVAL)
	}
	if name == "." || name == ".." || strings.ContainsAny(name, "/: \t\n\v\f\r\x00") {
		return fmt.Errorf("%q is no interface name: %w", name, endpoint.EINVAL)
	}
	return nil
}

func (cfg *Config) checkAddr(a netip.Prefix) error {
	if !a.IsValid() || a.Addr().Is4In6() || a.Addr().Zone() != "" {
		return fmt.Errorf("%v is no interface address: %w", a, endpoint.EINVAL)
	}
	family := endpoint.AF_INET
	if a.Addr().Is6() {
		family = endpoint.AF_INET6
	}
	if !cfg.serves(family) {
		return fmt.Errorf("%v: its family is not served: %w", a, endpoint.EAFNOSUPPORT)
	}
	return nil
}

// Attach adds an interface while the stack runs. When it fails the link is
// closed. A name in use is EEXIST.
func (s *Stack) Attach(in Interface) error {
	err := s.attach(in)
	if err == nil && in.Auto.on() {
		s.startAutos()
	}
	return err
}

// attach is Attach without the beginning of what configures the interface.
func (s *Stack) attach(in Interface) error {
	err := s.cfg.checkInterface(in)
	if err != nil {
		if in.Link != nil {
			in.Link.Wire().Endpoint.Close()
		}
		return fmt.Errorf("stack: attach: %w", err)
	}
	id, name, err := s.takeName(in.Name)
	end := in.Link.Wire()
	if err != nil {
		end.Endpoint.Close()
		return fmt.Errorf("stack: attach %q: %w", in.Name, err)
	}
	if in.MTU != 0 {
		end.Endpoint.SetMTU(uint32(in.MTU))
	}
	if end.Forwards != nil {
		end.Forwards(s.cfg.Forwarding)
	}
	if end.Clock != nil && s.realTime {
		end.Clock(s.clock)
	}
	top := end.Endpoint
	var auto *auto
	if in.Auto.on() {
		auto = s.newAuto(id, name, in, top)
		top = auto.tap.endpoint()
	}
	if err := s.net.CreateNICWithOptions(id, top, gvstack.NICOptions{Name: name}); err != nil {
		// Netstack keeps an interface that it made and could not enable.
		if s.net.RemoveNIC(id) != nil {
			end.Endpoint.Close()
		}
		s.freeName(name)
		return fmt.Errorf("stack: attach %q: %w", name, inet.Errno(err))
	}
	if s.ended.Load() {
		// Close, which says so first, may have listed the interfaces before
		// this one was there.
		s.net.RemoveNIC(id)
		s.freeName(name)
		return fmt.Errorf("stack: attach %q: %w", name, endpoint.ENETDOWN)
	}
	s.counters.attach(s.net, id, end)
	s.emit(Event{Kind: InterfaceAdded, Interface: name})
	for _, a := range append(slices.Clone(in.Addrs), s.linkLocal(in, end.Endpoint)...) {
		if err := s.AddAddr(name, a); err != nil {
			s.Detach(name)
			return err
		}
	}
	s.watchLink(id, name, end)
	if auto != nil {
		s.addAuto(auto)
	}
	return nil
}

// linkLocal returns the link-local address that an interface on an Ethernet has
// by itself (RFC 4291, appendix A, from its hardware address), unless it is
// given one.
func (s *Stack) linkLocal(in Interface, end gvstack.LinkEndpoint) []netip.Prefix {
	mac := end.LinkAddress()
	if in.Auto.RouterAdvertisements || in.Auto.DHCPv6 {
		return nil // it gives the interface that address itself, once no neighbour has it
	}
	if len(mac) != header.EthernetAddressSize || !s.cfg.serves(endpoint.AF_INET6) || end.MTU() < minMTU6 ||
		slices.ContainsFunc(in.Addrs, func(p netip.Prefix) bool { return p.Addr().Is6() && p.Addr().IsLinkLocalUnicast() }) {
		return nil
	}
	return []netip.Prefix{netip.PrefixFrom(ipOf(header.LinkLocalAddr(mac)), 64)}
}

// hardwareAddr returns the address of an Ethernet interface.
func hardwareAddr(a tcpip.LinkAddress) net.HardwareAddr {
	if len(a) != header.EthernetAddressSize || a == header.UnspecifiedEthernetAddress {
		return nil
	}
	return net.HardwareAddr(a)
}

func (s *Stack) takeName(name string) (tcpip.NICID, string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended.Load() {
		return 0, "", endpoint.ENETDOWN
	}
	for n := 0; name == ""; n++ {
		if free := fmt.Sprintf("eth%d", n); s.names[free] == 0 {
			name = free
		}
	}
	if s.names[name] != 0 {
		return 0, "", endpoint.EEXIST
	}
	s.lastID++
	s.names[name] = s.lastID
	return s.lastID, name, nil
}

func (s *Stack) freeName(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.links, s.names[name])
	delete(s.names, name)
}

func (s *Stack) nic(name string) (tcpip.NICID, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	id := s.names[name]
	if id == 0 {
		return 0, fmt.Errorf("no interface %q: %w", name, endpoint.ENODEV)
	}
	return id, nil
}

// Detach takes an interface away, with its addresses and routes, and closes
// its link. ENODEV if there is none of that name; the loopback interface
// stays (EPERM).
func (s *Stack) Detach(name string) error {
	if name == loopbackName {
		return fmt.Errorf("stack: detach %q: %w", name, endpoint.EPERM)
	}
	id, err := s.nic(name)
	if err != nil {
		return fmt.Errorf("stack: detach: %w", err)
	}
	s.stopAutos(name)
	// The name is free when the interface is gone, not before: netstack would
	// refuse another interface of that name.
	if err := s.net.RemoveNIC(id); err != nil {
		return fmt.Errorf("stack: detach %q: %w", name, inet.Errno(err))
	}
	s.inet.RoutesChanged()
	s.freeName(name)
	s.counters.detach(id)
	s.emit(Event{Kind: InterfaceRemoved, Interface: name})
	return nil
}

// AddAddr gives an interface an address and adds the route of its prefix.
// EEXIST if it has the address already, EINVAL for an IPv6 address where the MTU
// is under 1280.
func (s *Stack) AddAddr(dev string, addr netip.Prefix) error {
	defer s.inet.RoutesChanged()
	if err := s.cfg.checkAddr(addr); err != nil {
		return fmt.Errorf("stack: add address: %w", err)
	}
	id, err := s.nic(dev)
	if err != nil {
		return fmt.Errorf("stack: add address %v: %w", addr, err)
	}
	if info, ok := s.net.SingleNICInfo(id); ok && addr.Addr().Is6() && info.MTU < minMTU6 {
		return fmt.Errorf("stack: add address %v to %q: MTU %d is less than %d: %w", addr, dev, info.MTU, minMTU6, endpoint.EINVAL)
	}
	if terr := s.net.AddProtocolAddress(id, protocolAddress(addr), gvstack.AddressProperties{}); terr != nil {
		return fmt.Errorf("stack: add address %v to %q: %w", addr, dev, inet.Errno(terr))
	}
	s.emit(Event{Kind: AddrAdded, Interface: dev, Addr: addr})
	own := prefixRoute(addr, id)
	for _, have := range s.net.GetRouteTable() {
		if sameRoute(have, own) {
			return nil // another address brought it
		}
	}
	s.net.AddRoute(own)
	return nil
}

// RemoveAddr takes an address away, and the route of its prefix unless
// another address of the interface lies in it. EADDRNOTAVAIL if the interface
// does not have it.
func (s *Stack) RemoveAddr(dev string, addr netip.Prefix) error {
	defer s.inet.RoutesChanged()
	id, err := s.nic(dev)
	if err != nil {
		return fmt.Errorf("stack: remove address %v: %w", addr, err)
	}
	info, ok := s.net.SingleNICInfo(id)
	if !ok || !slices.Contains(prefixes(info), addr) {
		return fmt.Errorf("stack: remove address %v from %q: %w", addr, dev, endpoint.EADDRNOTAVAIL)
	}
	if terr := s.net.RemoveAddress(id, address(addr.Addr())); terr != nil {
		return fmt.Errorf("stack: remove address %v from %q: %w", addr, dev, inet.Errno(terr))
	}
	s.emit(Event{Kind: AddrRemoved, Interface: dev, Addr: addr})
	for _, other := range prefixes(info) {
		if other != addr && other.Masked() == addr.Masked() {
			return nil
		}
	}
	gone := prefixRoute(addr, id)
	s.net.RemoveRoutes(func(r tcpip.Route) bool { return sameRoute(r, gone) })
	return nil
}

// prefixRoute is the route that an interface's address brings.
func prefixRoute(addr netip.Prefix, id tcpip.NICID) tcpip.Route {
	return tcpip.Route{Destination: subnet(addr.Masked()), NIC: id}
}

// Version is another number after each change of an interface, an address or a
// route, so that what was worked out from them can be kept until then.
func (s *Stack) Version() uint64 { return s.inet.Generation() }

// Interfaces lists the interfaces by index.
func (s *Stack) Interfaces() []InterfaceInfo {
	var list []InterfaceInfo
	for id, info := range s.net.NICInfo() {
		list = append(list, InterfaceInfo{
			Index:    int(id),
			Name:     info.Name,
			Addrs:    prefixes(&info),
			MTU:      int(info.MTU),
			Loopback: info.Flags.Loopback,
			Up:       info.Flags.Up && info.Flags.Running && s.linkUp(id),

			HardwareAddr: hardwareAddr(info.LinkAddress),
		})
	}
	slices.SortFunc(list, func(a, b InterfaceInfo) int { return a.Index - b.Index })
	return list
}

// InterfaceIndex returns the index of an interface, if_nametoindex(3).
func (s *Stack) InterfaceIndex(name string) (int, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	id, ok := s.names[name]
	return int(id), ok
}

// InterfaceName returns the name of an interface, if_indextoname(3).
func (s *Stack) InterfaceName(index int) (string, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, id := range s.names {
		if int(id) == index {
			return name, true
		}
	}
	return "", false
}

// prefixes returns an interface's addresses in the order they were added
// within each version of IP, IPv4 first.
func prefixes(info *gvstack.NICInfo) []netip.Prefix {
	var v4, v6 []netip.Prefix
	for _, pa := range info.ProtocolAddresses {
		ip := ipOf(pa.AddressWithPrefix.Address)
		p := netip.PrefixFrom(ip, pa.AddressWithPrefix.PrefixLen)
		if ip.Is4() {
			v4 = append(v4, p)
		} else {
			v6 = append(v6, p)
		}
	}
	return append(v4, v6...)
}

func address(a netip.Addr) tcpip.Address {
	if !a.IsValid() {
		return tcpip.Address{}
	}
	return tcpip.AddrFromSlice(a.AsSlice())
}

// ipOf is the reverse of address; an empty one is not valid.
func ipOf(a tcpip.Address) netip.Addr {
	ip, _ := netip.AddrFromSlice(a.AsSlice())
	return ip
}

func protocol(a netip.Addr) tcpip.NetworkProtocolNumber {
	if a.Is4() {
		return ipv4.ProtocolNumber
	}
	return ipv6.ProtocolNumber
}

func protocolAddress(p netip.Prefix) tcpip.ProtocolAddress {
	return tcpip.ProtocolAddress{
		Protocol:          protocol(p.Addr()),
		AddressWithPrefix: tcpip.AddressWithPrefix{Address: address(p.Addr()), PrefixLen: p.Bits()},
	}
}

func subnet(p netip.Prefix) tcpip.Subnet {
	return tcpip.AddressWithPrefix{Address: address(p.Addr()), PrefixLen: p.Bits()}.Subnet()
}
