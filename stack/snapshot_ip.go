package stack

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// The text of ip(8), as iproute2 6.1 prints it. What a host of ours has not (a
// queue length, a metric, a lifetime that ends) is left out.

// IPLink prints the interfaces as ip -s link does. Netstack does not count
// multicast and a link of ours has neither carrier errors nor collisions: "-".
func (s *Snapshot) IPLink() string {
	var b strings.Builder
	for i := range s.Interfaces {
		in := &s.Interfaces[i]
		in.head(&b, " mode DEFAULT")
		columns(&b, "RX:", []string{"bytes", "packets", "errors", "dropped", " missed", "  mcast"},
			in.RxBytes, in.RxPackets, in.RxErrors, in.RxDropped, in.RxMissed)
		columns(&b, "TX:", []string{"bytes", "packets", "errors", "dropped", "carrier", "collsns"},
			in.TxBytes, in.TxPackets, in.TxErrors, in.TxDropped)
	}
	return b.String()
}

// columns prints names and the values below them; a name without a value gets
// "-".
func columns(b *strings.Builder, title string, names []string, values ...uint64) {
	cells := make([]string, len(names))
	for i := range names {
		cells[i] = "-"
		if i < len(values) {
			cells[i] = strconv.FormatUint(values[i], 10)
		}
	}
	width := func(i int) int { return max(len(names[i]), len(cells[i])) }
	first := max(7, width(0))
	fmt.Fprintf(b, "    %s%*s", title, first, names[0])
	for i := range names[1:] {
		fmt.Fprintf(b, " %*s", width(i+1), names[i+1])
	}
	fmt.Fprintf(b, "\n%*s", 4+len(title)+first, cells[0])
	for i := range cells[1:] {
		fmt.Fprintf(b, " %*s", width(i+1), cells[i+1])
	}
	b.WriteByte('\n')
}

// head prints the two lines that ip link and ip addr have in common.
func (in *InterfaceStat) head(b *strings.Builder, mode string) {
	flags, state, kind := []string{"POINTOPOINT", "MULTICAST", "NOARP"}, "UNKNOWN", "link/none"
	switch {
	case in.Loopback:
		flags, kind = []string{"LOOPBACK"}, "link/loopback 00:00:00:00:00:00 brd 00:00:00:00:00:00"
	case in.HardwareAddr != "":
		flags, state, kind = []string{"BROADCAST", "MULTICAST"}, "UP", "link/ether "+in.HardwareAddr+" brd ff:ff:ff:ff:ff:ff"
	}
	if in.Up {
		flags = append(flags, "UP", "LOWER_UP")
	} else {
		flags, state = append(append([]string{"NO-CARRIER"}, flags...), "UP"), "DOWN"
	}
	fmt.Fprintf(b, "%d: %s: <%s> mtu %d qdisc noqueue state %s%s group default\n    %s\n",
		in.Index, in.Name, strings.Join(flags, ","), in.MTU, state, mode, kind)
}

// IPAddr prints the interfaces and their addresses as ip addr does.
func (s *Snapshot) IPAddr() string {
	var b strings.Builder
	for i := range s.Interfaces {
		in := &s.Interfaces[i]
		in.head(&b, "")
		for _, a := range in.Addrs {
			family, scope, label := "inet", "global", " "+in.Name
			if a.Addr().Is6() {
				family, label = "inet6", ""
			}
			switch {
			case a.Addr().IsLoopback():
				scope = "host"
			case a.Addr().Is6() && a.Addr().IsLinkLocalUnicast():
				scope = "link"
			}
			fmt.Fprintf(&b, "    %s %v scope %s%s\n       valid_lft forever preferred_lft forever\n", family, a, scope, label)
		}
	}
	return b.String()
}

// IPRoute prints the routes as ip route does, and after those of IPv4 those of
// IPv6 as ip -6 route does. The routes of lo, which Linux keeps in a table of
// their own, are left out.
func (s *Snapshot) IPRoute() string {
	var b strings.Builder
	for _, v6 := range [...]bool{false, true} {
		var list []Route
		for _, r := range s.Routes {
			if in := s.device(r.Dev); r.Dst.Addr().Is6() == v6 && (in == nil || !in.Loopback) {
				list = append(list, r)
			}
		}
		slices.SortStableFunc(list, compareRoutes)
		for _, r := range list {
			s.route(&b, r)
		}
	}
	return b.String()
}

// compareRoutes orders as Linux prints: the default route of IPv4 first, that of
// IPv6 last, the others by their network.
func compareRoutes(a, b Route) int {
	if x, y := a.Dst.Bits() == 0, b.Dst.Bits() == 0; x != y {
		if x == a.Dst.Addr().Is4() {
			return -1
		}
		return 1
	}
	return a.Dst.Addr().Compare(b.Dst.Addr())
}

func (s *Snapshot) device(name string) *InterfaceStat {
	for i := range s.Interfaces {
		if s.Interfaces[i].Name == name {
			return &s.Interfaces[i]
		}
	}
	return nil
}

func (s *Snapshot) route(b *strings.Builder, r Route) {
	switch {
	case r.Dst.Bits() == 0:
		b.WriteString("default")
	case r.Dst.IsSingleIP():
		b.WriteString(r.Dst.Addr().String())
	default:
		b.WriteString(r.Dst.String())
	}
	in := s.device(r.Dev)
	src := r.Src
	if r.Via.IsValid() {
		fmt.Fprintf(b, " via %v", r.Via)
	}
	fmt.Fprintf(b, " dev %s", r.Dev)
	if own := in.brought(r); own.IsValid() {
		b.WriteString(" proto kernel")
		if own.Is4() {
			b.WriteString(" scope link")
			src = own
		}
	} else if !r.Via.IsValid() && r.Dst.Addr().Is4() {
		b.WriteString(" scope link")
	}
	if src.IsValid() {
		fmt.Fprintf(b, " src %v", src)
	}
	if r.MTU != 0 {
		fmt.Fprintf(b, " mtu %d", r.MTU)
	}
	if in != nil && !in.Up {
		b.WriteString(" linkdown")
	}
	b.WriteByte('\n')
}

// brought returns the address that has brought a route, if one has.
func (in *InterfaceStat) brought(r Route) netip.Addr {
	if in == nil || r.Via.IsValid() || r.Src.IsValid() || r.MTU != 0 {
		return netip.Addr{}
	}
	for _, a := range in.Addrs {
		if a.Masked() == r.Dst {
			return a.Addr()
		}
	}
	return netip.Addr{}
}

// IPNeigh prints the neighbours as ip neigh does.
func (s *Snapshot) IPNeigh() string {
	var b strings.Builder
	for _, n := range s.Neighbours {
		fmt.Fprintf(&b, "%v dev %s", n.Addr, n.Interface)
		if n.HardwareAddr != "" {
			fmt.Fprintf(&b, " lladdr %s", n.HardwareAddr)
		}
		fmt.Fprintf(&b, " %s\n", n.State)
	}
	return b.String()
}

// String prints all of it, each part below the command that prints it on Linux.
func (s *Snapshot) String() string {
	var b strings.Builder
	for _, part := range [...]struct{ title, text string }{
		{"ip addr", s.IPAddr()}, {"ip -s link", s.IPLink()}, {"ip route", s.IPRoute()}, {"ip neigh", s.IPNeigh()},
		{"ss -naep", s.SS(SSOptions{All: true, Extended: true})}, {"nstat", s.nonzero()},
	} {
		fmt.Fprintf(&b, "# %s\n%s\n", part.title, part.text)
	}
	return b.String()
}

// nonzero is what nstat prints unless it is asked for all.
func (s *Snapshot) nonzero() string {
	some := *s
	some.Counters = slices.DeleteFunc(slices.Clone(s.Counters), func(m Metric) bool { return m.Value == 0 })
	return some.Nstat()
}
