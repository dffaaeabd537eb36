package differ

import (
	"net/netip"
	"strings"

	"usersock/sockapi"
	"usersock/stack/endpoint"
)

// errorSequences are about the ICMP errors of TCP sockets, and their error
// queue.
var errorSequences = []sequence{
	{name: "error queue of an attempt", run: func(s *script) {
		a, p := synSent(s)
		p.unreachable(1, 3)
		a.queued()
		a.errno()
		a.connect(p.addr())
		a.queued()
	}},
	{name: "error queue of an attempt that asked for errors", run: func(s *script) {
		a, p := askedSynSent(s)
		p.unreachable(1, 3)
		a.queued()
		a.errno()
		a.connect(p.addr())
		a.queued()
	}},
	{name: "error queue of an attempt, SO_ERROR first", run: func(s *script) {
		a, p := askedSynSent(s)
		p.unreachable(3, 4)
		a.errno()
		a.recv(9, 0)
		a.send("x", 0)
		a.queued()
		a.queued()
		a.connect(p.addr())
	}},
	{name: "error queue of an attempt, cut and peeked at", run: func(s *script) {
		a, p := askedSynSent(s)
		p.unreachable(1, 3)
		a.queuedInto(4, 0, 0)
		a.connect(p.addr())
		q := s.peer()
		a.connect(q.addr())
		q.expect("SYN")
		q.unreachable(1, 3)
		a.queuedInto(0, 20, peek)
		a.errno()
	}},
	{name: "error queue of two attempts and a connection", run: func(s *script) {
		a, p := askedSynSent(s)
		p.unreachable(1, 3)
		a.connect(p.addr())
		q := s.peer()
		a.connect(q.addr())
		q.expect("SYN")
		q.unreachable(3, 4)
		a.connect(q.addr())
		r := s.peer()
		a.connect(r.addr())
		r.expect("SYN")
		r.send("SYN|ACK", "")
		r.expect("ACK")
		r.send("ACK", "data")
		a.recv(9, 0)
		a.send("x", 0)
		a.queued()
		a.errno()
		a.queued()
		a.queued()
		a.errno()
	}},
	{name: "error queue that is switched off", run: func(s *script) {
		a, p := askedSynSent(s)
		p.unreachable(1, 3)
		a.set(s.recverr(), 0)
		a.queued()
		a.errno()
	}},
	{name: "error queue of a listener", run: func(s *script) {
		a, p := askedSynSent(s)
		p.unreachable(1, 3)
		a.errno()
		a.connect(unspec)
		a.bind(s.any(0))
		a.listen(1)
		a.queued()
		a.queued()
	}},
	{name: "each error while connecting", run: func(s *script) {
		for _, m := range s.messages() {
			a, p := askedSynSent(s)
			p.icmp(m.typ, m.code, 0)
			a.connect(p.addr())
			a.queued()
			a.close()
		}
	}},
	{name: "each error on a connection that asked for errors", run: func(s *script) {
		for _, m := range s.messages() {
			a, p := askedEstablished(s)
			a.send("x", 0)
			p.expect("DATA")
			p.icmp(m.typ, m.code, 0)
			a.recv(9, 0)
			a.close()
		}
	}},
	{name: "each error on a connection that did not", run: func(s *script) {
		for _, m := range s.messages() {
			a, p := established(s)
			a.send("x", 0)
			p.expect("DATA")
			p.icmp(m.typ, m.code, 0)
			a.recv(9, 0)
			a.errno()
			a.close()
		}
	}},
	{name: "errors on a connection that asked for errors", run: func(s *script) {
		a, p := askedEstablished(s)
		a.send("x", 0)
		p.expect("DATA")
		p.unreachable(1, 3)
		a.queued()
		a.send("y", 0)
		a.send("z", 0)
		p.unreachable(3, 4)
		p.send("ACK", "data")
		a.recv(9, 0)
		a.recv(9, 0)
		a.recv(9, 0)
		a.send("w", 0)
		p.expect("DATA")
		p.unreachable(1, 3)
		a.connect(p.addr())
		a.errno()
		a.errno()
		a.state()
	}},
	{name: "an error on a connection that waits", run: func(s *script) {
		a, p := askedEstablished(s)
		a.send("x", 0)
		p.expect("DATA")
		a.blocking(true)
		p.unreachable(1, 3)
		a.recv(9, 0)
		p.unreachable(3, 4)
		a.send("", 0)
		a.errno()
	}},
	{name: "an error on a connection after the peer's end", run: func(s *script) {
		a, p := askedEstablished(s)
		p.send("FIN|ACK", "")
		a.send("x", 0)
		p.expect("DATA")
		p.unreachable(1, 3)
		a.recv(9, 0)
		a.send("y", 0)
		a.send("z", 0)
	}},
	{name: "an error on a connection after the own end", run: func(s *script) {
		a, p := askedEstablished(s)
		a.shutdown(wr)
		p.expect("FIN")
		p.unreachable(1, 3)
		a.recv(9, 0)
		a.recv(9, 0)
		p.unreachable(3, 4)
		a.send("x", 0)
		a.send("x", 0)
	}},
	{name: "an error on a connection that is shut both ways", run: func(s *script) {
		a, p := askedEstablished(s)
		a.shutdown(rdwr)
		p.expect("FIN")
		p.unreachable(1, 3)
		a.recv(9, 0)
		a.errno()
	}},
	{name: "an error in LAST-ACK", run: func(s *script) {
		a, p := askedEstablished(s)
		p.send("FIN|ACK", "")
		p.expect("ACK")
		a.shutdown(wr)
		p.expect("FIN")
		p.unreachable(1, 3)
		a.recv(9, 0)
		a.errno()
	}},
	{name: "an error that an acknowledgement follows", run: func(s *script) {
		a, p := established(s)
		a.send("x", 0)
		p.expect("DATA")
		p.unreachable(1, 3)
		p.send("ACK", "")
		p.send("ACK", "data")
		a.recv(9, 0)
		a.errno()
	}},
	{name: "an error that is soft and then asked for", run: func(s *script) {
		a, p := established(s)
		a.send("x", 0)
		p.expect("DATA")
		p.unreachable(1, 3)
		a.set(s.recverr(), 1)
		a.recv(9, 0)
		p.unreachable(3, 4)
		a.errno()
		a.errno()
	}},
	{name: "an error, then the connection times out", run: func(s *script) {
		a, p := established(s)
		a.set(tcpUserTimeout, 300)
		a.send("x", 0)
		p.expect("DATA")
		p.unreachable(1, 3)
		a.until(sockapi.POLLHUP)
		a.recv(9, 0)
		a.errno()
	}},
	{name: "an error of an accepted connection", run: func(s *script) {
		l := s.stream("l")
		l.set(s.recverr(), 1)
		l.bind(s.any(0))
		l.listen(1)
		p := s.opened(l)
		a := l.accept("a")
		a.send("x", 0)
		p.expect("DATA")
		p.unreachable(1, 3)
		a.recv(9, 0)
		l.errno()
	}},
	{name: "an error in SYN-RECV", run: func(s *script) {
		a, p := askedSynRecv(s)
		p.unreachable(1, 3)
		a.queued()
		a.connect(p.addr())
	}},
	{name: "an error in SYN-RECV that was not asked for", run: func(s *script) {
		a, p := synRecv(s)
		p.unreachable(3, 4)
		a.errno()
		a.connect(p.addr())
		a.queued()
	}},
	{name: "host unreachable, half open", run: func(s *script) {
		halfOpen(s, 1, 3)
	}},
	{name: "port unreachable, half open", run: func(s *script) {
		halfOpen(s, 3, 4)
	}},
	{name: "an error about a segment that was never sent", run: func(s *script) {
		a, p := synSent(s)
		p.forge(1 << 20)
		p.unreachable(1, 3)
		a.errno()
		a.connect(p.addr())
	}},
	{name: "an error about a connection that is none", run: func(s *script) {
		l := s.stream("l")
		l.bind(s.any(0))
		l.listen(1)
		a, p := synSent(s)
		p.lastFrom(l)
		p.unreachable(1, 3)
		l.errno()
		a.errno()
	}},
	{name: "a narrow path", run: func(s *script) {
		a, p := s.farEstablished()
		a.get(s.pathMTU())
		p.tooBig(1400)
		a.get(s.pathMTU())
		p.tooBig(1450)
		a.get(s.pathMTU())
		p.tooBig(1300)
		a.get(s.pathMTU())
		a.recv(9, 0)
		a.errno()
		b := s.datagram("b")
		b.connect(p.addr())
		b.get(s.pathMTU())
	}},
	{name: "a narrow path, and what is sent then", run: func(s *script) {
		a, p := s.farEstablished()
		a.send(strings.Repeat("f", 2000), 0)
		p.expectLength()
		p.tooBig(1300)
		p.expectLength()
	}},
	{name: "a narrow path for a segment that was never sent", run: func(s *script) {
		a, p := s.farEstablished()
		a.send(strings.Repeat("f", 2000), 0)
		p.expectLength()
		p.forge(1 << 20)
		p.tooBig(1300)
		a.get(s.pathMTU())
		p.send("ACK", "")
		a.send(strings.Repeat("g", 2000), 0)
		p.expectLength()
	}},
	{name: "a narrow path while connecting", run: func(s *script) {
		p := s.farPeer()
		a := s.stream("a")
		a.set(s.recverr(), 1)
		a.connect(p.addr())
		p.expect("SYN")
		p.tooBig(1400)
		a.get(s.pathMTU())
		a.errno()
		a.queued()
	}},
}

// errorSequences4 are about IPv4 alone: its routers say less.
var errorSequences4 = []sequence{
	{name: "a path that is narrower than can be believed", run: func(s *script) {
		a, p := s.farEstablished()
		p.tooBig(100)
		a.get(ipMTU)
		a.errno()
		a.send(strings.Repeat("f", 2000), 0)
		p.expectLength()
	}},
	{name: "a router that does not say what would fit", run: func(s *script) {
		a, p := s.farEstablished()
		a.send(strings.Repeat("f", 2000), 0)
		p.expectLength()
		p.tooBig(0)
		a.get(ipMTU)
		a.errno()
	}},
}

// dualErrors are about errors of IPv4 on sockets of AF_INET6.
var dualErrors = []sequence{
	{name: "TCP, host unreachable over IPv4 while connecting", run: func(s *script) {
		p := s.peer4()
		a := s.stream("a")
		a.set(ipv6Recverr, 1)
		a.connect(p.mapped())
		p.expect("SYN")
		p.icmp(3, 1, 0)
		a.queued()
		a.errno()
		a.connect(p.mapped())
	}},
	{name: "TCP, host unreachable over IPv4 on a connection", run: func(s *script) {
		p := s.peer4()
		a := s.stream("a")
		a.set(ipv6Recverr, 1)
		a.connect(p.mapped())
		p.expect("SYN")
		p.send("SYN|ACK", "")
		p.expect("ACK")
		a.send("x", 0)
		p.expect("DATA")
		p.icmp(3, 1, 0)
		a.recv(9, 0)
		a.errno()
		a.set(ipRecverr, 1)
		p.icmp(3, 1, 0)
		a.recv(9, 0)
		a.errno()
		a.queued()
	}},
	{name: "UDP, port unreachable over IPv4", run: func(s *script) {
		p := s.peer4()
		a := s.datagram("a")
		a.set(ipRecverr, 1)
		a.sendto("x", p.mapped(), 0)
		p.expect("UDP")
		p.icmp(3, 3, 0)
		a.queued()
		a.errno()
	}},
}

// neighbourSequences are about a neighbour that does not answer ARP or
// neighbour discovery.
var neighbourSequences = []sequence{
	{name: "nobody answers", run: func(s *script) {
		to := s.unanswered(9)
		u := s.datagram("u")
		u.connect(to)
		u.send("unasked", 0)
		c := s.datagram("c")
		c.set(s.recverr(), 1)
		c.connect(to)
		c.send("connected", 0)
		d := s.datagram("d")
		d.set(s.recverr(), 1)
		d.sendto("first", to, 0)
		d.sendto("second", to, 0)
		echo, proto := "\x08\x00\x00\x00\x00\x00\x00\x01", endpoint.IPPROTO_ICMP
		if s.af == endpoint.AF_INET6 {
			echo, proto = "\x80"+echo[1:], endpoint.IPPROTO_ICMPV6
		}
		g := s.open("g", s.af, endpoint.SOCK_DGRAM, proto)
		g.set(s.recverr(), 1)
		g.sendto(echo, endpoint.Inet(netip.AddrPortFrom(to.IP, 0)), 0)
		r := s.open("r", s.af, endpoint.SOCK_RAW, 253)
		r.set(s.recverr(), 1)
		r.sendto("raw data", endpoint.Inet(netip.AddrPortFrom(to.IP, 0)), 0)
		q := s.open("q", s.af, endpoint.SOCK_RAW, 253)
		q.set(s.recverr(), 1)
		q.connect(endpoint.Inet(netip.AddrPortFrom(to.IP.Next(), 0)))
		q.send("short", 0)
		a := s.stream("a")
		a.connect(to)
		b := s.stream("b")
		b.set(s.recverr(), 1)
		b.connect(to)
		b.until(sockapi.POLLERR)
		u.errno()
		u.queued()
		c.queued()
		c.errno()
		d.errno()
		d.queued()
		d.errno()
		d.queued()
		d.errno()
		g.queuedInto(4, 200, 0)
		r.queued()
		r.errno()
		q.queued()
		a.errno()
		a.connect(to)
		a.queued()
		b.queued()
		b.errno()
		b.connect(to)
		b.connect(to)
	}},
}

// recverr and pathMTU are the options of the script's version of IP.
func (s *script) recverr() option {
	if s.af == endpoint.AF_INET6 {
		return ipv6Recverr
	}
	return ipRecverr
}

func (s *script) pathMTU() option {
	if s.af == endpoint.AF_INET6 {
		return ipv6MTU
	}
	return ipMTU
}
