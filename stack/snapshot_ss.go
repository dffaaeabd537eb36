package stack

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"usersock/stack/endpoint"
)

// SSOptions says which sockets [Snapshot.SS] prints and how, as the options of
// ss(8). The zero value prints connected sockets of every family.
type SSOptions struct {
	All       bool // -a: listening and unconnected ones too
	Listening bool // -l: listening and unconnected ones alone

	// Families are those to print; nil means all.
	Families []int

	// Info adds a line of TCP's state to each connection (-i).
	Info bool

	// Extended adds the owner, the number of the socket (ino), and how many
	// datagrams found no room (the last field of skmem): -e, -p and -m.
	Extended bool
}

// SS prints the sockets as ss -n does, with the columns of iproute2 6.1. As
// there, sockets without an address are left out, and connections that no program
// holds are shown without an owner. "-" stands for the length of a queue that is
// not known: of several listeners on one address netstack does not tell for which
// of them a connection waits, nor how long a timer has to go (-o).
func (s *Snapshot) SS(o SSOptions) string {
	rows := [][]string{{"Netid", "State", "Recv-Q", "Send-Q", "Local Address", "Port", "Peer Address", "Port", "Process"}}
	info := []string{""}
	for i := range s.Sockets {
		k := &s.Sockets[i]
		if !o.wants(k) {
			continue
		}
		local, lport := s.ssLocal(k)
		peer, pport := ssPeer(k)
		row := []string{netid(k), k.State.String(), queue(k.RecvQ), queue(k.SendQ), local, lport, peer, pport, ""}
		if o.Extended {
			row[len(row)-1] = extended(k)
		}
		rows = append(rows, row)
		line := ""
		if o.Info && k.TCP != nil {
			line = "\t " + tcpLine(k.TCP) + "\n"
		}
		info = append(info, line)
	}
	return table(rows, info)
}

// wants applies ss's filters: of its states and families, and what is in none of
// the kernel's tables.
func (o *SSOptions) wants(k *endpoint.SocketInfo) bool {
	if o.Families != nil && !slices.Contains(o.Families, k.Family) {
		return false
	}
	switch {
	case k.Family == endpoint.AF_UNIX:
		if k.Orphan {
			return false
		}
	case k.Protocol == endpoint.IPPROTO_TCP && k.State == endpoint.SocketClose, k.Protocol == endpoint.IPPROTO_UDP && k.Local.Port == 0:
		return false
	}
	idle := k.State == endpoint.SocketListen || k.State == endpoint.SocketClose
	switch {
	case o.All:
		return true
	case o.Listening:
		return idle
	}
	return !idle && k.State != endpoint.SocketTimeWait && k.State != endpoint.SocketSynRecv
}

// netid is the first column: what kind of socket it is.
func netid(k *endpoint.SocketInfo) string {
	switch {
	case k.Family == endpoint.AF_UNIX && k.Type == endpoint.SOCK_STREAM:
		return "u_str"
	case k.Family == endpoint.AF_UNIX && k.Type == endpoint.SOCK_SEQPACKET:
		return "u_seq"
	case k.Family == endpoint.AF_UNIX:
		return "u_dgr"
	case k.Type == endpoint.SOCK_RAW:
		return "raw"
	case k.Protocol == endpoint.IPPROTO_TCP:
		return "tcp"
	case k.Protocol == endpoint.IPPROTO_UDP:
		return "udp"
	case k.Protocol == endpoint.IPPROTO_ICMP:
		return "icmp"
	case k.Protocol == endpoint.IPPROTO_ICMPV6:
		return "icmp6"
	}
	return fmt.Sprintf("p%d_%d", k.Family, k.Type)
}

func queue(n int) string {
	if n == endpoint.Unknown {
		return "-"
	}
	return strconv.Itoa(n)
}

func (s *Snapshot) ssLocal(k *endpoint.SocketInfo) (addr, port string) {
	if k.Family == endpoint.AF_UNIX {
		return unixPath(k.Local.Path), strconv.FormatUint(k.ID, 10)
	}
	host := inetHost(k, k.Local.IP)
	index := k.Device
	if index == 0 {
		index = int(k.Local.Scope)
	}
	for _, in := range s.Interfaces {
		if in.Index == index {
			host += "%" + in.Name
		}
	}
	return host, inetPort(k.Local.Port)
}

func ssPeer(k *endpoint.SocketInfo) (addr, port string) {
	if k.Family == endpoint.AF_UNIX {
		return "*", strconv.FormatUint(k.PeerID, 10) // as ss does; the name is at the peer's own line
	}
	ip := k.Peer.IP
	if k.Peer.IsZero() {
		ip = netip.IPv4Unspecified()
		if k.Family == endpoint.AF_INET6 {
			ip = netip.IPv6Unspecified()
		}
	}
	return inetHost(k, ip), inetPort(k.Peer.Port)
}

func unixPath(path string) string {
	if path == "" {
		return "*"
	}
	return strings.ReplaceAll(path, "\x00", "@")
}

// inetHost prints an address: an AF_INET6 socket that takes IPv4 too has "*" for
// any. Linux makes a socket that is bound to an IPv6 address take no other.
func inetHost(k *endpoint.SocketInfo, ip netip.Addr) string {
	if !ip.Is6() {
		return ip.String()
	}
	local := k.Local.IP
	only := k.V6Only || local.Is6() && !local.Is4In6() && !local.IsUnspecified()
	if ip.IsUnspecified() && !only {
		return "*"
	}
	return "[" + ip.String() + "]"
}

func inetPort(p uint16) string {
	if p == 0 {
		return "*"
	}
	return strconv.Itoa(int(p))
}

func extended(k *endpoint.SocketInfo) string {
	var words []string
	if !k.Orphan {
		words = append(words, fmt.Sprintf("users:((pid=%d))", k.Owner.Pid))
		if k.Owner.Uid != 0 {
			words = append(words, fmt.Sprintf("uid:%d", k.Owner.Uid))
		}
	}
	words = append(words, fmt.Sprintf("ino:%d", k.ID))
	if k.Drops > 0 {
		words = append(words, fmt.Sprintf("skmem:(d%d)", k.Drops))
	}
	return strings.Join(words, " ")
}

// tcpLine is what ss -i prints, as far as netstack tells it. Times are in
// milliseconds.
func tcpLine(c *endpoint.TCPInfo) string {
	ms := func(d time.Duration) string {
		return strconv.FormatFloat(float64(d.Microseconds())/1000, 'f', -1, 64)
	}
	words := []string{c.Congestion}
	if c.RTO > 0 {
		words = append(words, "rto:"+ms(c.RTO))
	}
	if c.RTT > 0 {
		words = append(words, "rtt:"+ms(c.RTT)+"/"+ms(c.RTTVar))
	}
	words = append(words, fmt.Sprintf("cwnd:%d", c.Cwnd))
	if c.Ssthresh > 0 && c.Ssthresh < 1<<30 {
		words = append(words, fmt.Sprintf("ssthresh:%d", c.Ssthresh))
	}
	words = append(words, fmt.Sprintf("segs_out:%d segs_in:%d", c.SegsOut, c.SegsIn))
	if c.Retrans > 0 {
		words = append(words, fmt.Sprintf("retrans:0/%d", c.Retrans))
	}
	return strings.Join(words, " ")
}

// table sets rows in the columns of ss: addresses to the right, what follows
// their colon to the left. after is printed below each row.
func table(rows [][]string, after []string) string {
	const address, last = 4, 8
	width := make([]int, last+1)
	for _, row := range rows {
		for i, cell := range row {
			width[i] = max(width[i], len(cell))
		}
	}
	var b strings.Builder
	for r, row := range rows {
		colon := ":"
		if r > 0 && strings.HasPrefix(row[0], "u_") {
			colon = " " // a name and a number are not one word
		}
		var line strings.Builder
		for i, cell := range row {
			switch {
			case i < address:
				fmt.Fprintf(&line, "%-*s ", width[i], cell)
			case i == last:
				line.WriteString(cell)
			case (i-address)%2 == 0:
				fmt.Fprintf(&line, "%*s%s", width[i], cell, colon)
			default:
				fmt.Fprintf(&line, "%-*s ", width[i], cell)
			}
		}
		b.WriteString(strings.TrimRight(line.String(), " "))
		b.WriteByte('\n')
		b.WriteString(after[r])
	}
	return b.String()
}

// Nstat prints the counters of the protocols as nstat(8) does.
func (s *Snapshot) Nstat() string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 1, ' ', 0)
	for _, c := range s.Counters {
		fmt.Fprintf(w, "%s\t%d\n", c.Linux, c.Value)
	}
	w.Flush()
	return b.String()
}
