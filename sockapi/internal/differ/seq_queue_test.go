package differ

import (
	"encoding/binary"
	"fmt"
	"strings"
	"time"

	"usersock/sockapi"
	"usersock/stack/endpoint"
)

var tcpNotsentLowat = option{"TCP_NOTSENT_LOWAT", endpoint.IPPROTO_TCP, endpoint.TCP_NOTSENT_LOWAT}

// queueSequences are about what waits in a connection: SIOCINQ, SIOCOUTQ and
// TCP_NOTSENT_LOWAT.
var queueSequences = []sequence{
	{name: "queues of a connection", run: func(s *script) {
		a, p := synSent(s)
		a.queues()
		p.send("SYN|ACK", "")
		p.expect("ACK")
		a.queues()
		a.send("hello", 0)
		a.queues()
		p.expect("DATA")
		a.queues()
		p.send("ACK", "abc")
		a.queues()
		a.recv(2, 0)
		a.queues()
		a.send("12", 0)
		p.expect("DATA")
		a.send("345", 0) // held back, by Nagle's rule
		a.queues()
		p.send("ACK", "")
		p.expect("DATA")
		a.queues()
		p.send("ACK", "")
		a.queues()
	}},
	{name: "queues while a connection is closed", run: func(s *script) {
		a, p := established(s)
		a.send("ab", 0)
		p.expect("DATA")
		a.shutdown(wr)
		p.expect("FIN")
		a.queues()
		p.send("ACK", "")
		a.state("FIN-WAIT-2")
		a.queues()
		p.send("FIN|ACK", "xyz")
		a.state("CLOSE")
		a.queues()
	}},
	{name: "queues after the peer has closed", run: func(s *script) {
		a, p := closeWait(s)
		a.send("ab", 0)
		p.expect("DATA")
		a.queues()
		a.shutdown(wr)
		p.expect("FIN")
		a.state("LAST-ACK")
		a.queues()
		p.send("ACK", "")
		a.state("CLOSE")
		a.queues()
	}},
	{name: "queues after a reset", run: func(s *script) {
		a, p := established(s)
		a.send("ab", 0)
		p.expect("DATA")
		p.send("RST|ACK", "")
		a.queues()
	}},
	{name: "queues of a listener", run: func(s *script) {
		l := s.stream("l")
		l.queues()
		l.bind(s.any(0))
		l.queues()
		l.listen(1)
		l.queues()
	}},
	{name: "without a limit of what is not sent", run: func(s *script) {
		a, p := established(s)
		a.set(soSndbuf, 1<<20)
		a.takes(600_000, 400_000)
		p.swallow()
	}},
	{name: "a limit of what is not sent", run: func(s *script) {
		a, p := established(s)
		a.set(soSndbuf, 1<<20)
		a.set(tcpNotsentLowat, 5000)
		a.takes(600_000, 400_000)
		p.swallow()
		a.set(tcpNotsentLowat, 0)
		a.takes(400_000, 300_000)
		a.set(tcpNotsentLowat, 100)
		a.shutdown(wr)
		a.send("x", 0)
		p.swallow()
	}},
	{name: "a limit of what is not sent, set while more waits", run: func(s *script) {
		a, p := established(s)
		a.set(soSndbuf, 1<<20)
		a.takes(600_000, 400_000)
		a.set(tcpNotsentLowat, 5000)
		p.swallow()
	}},
	{name: "a limit of what is not sent, of a listener", run: func(s *script) {
		l := s.stream("l")
		l.set(soSndbuf, 1<<20)
		l.set(tcpNotsentLowat, 5000)
		l.bind(s.any(0))
		l.listen(1)
		p := s.opened(l)
		a := l.accept("a")
		a.get(tcpNotsentLowat)
		a.get(soSndbuf)
		a.takes(600_000, 400_000)
		a.get(soSndbuf)
		p.swallow()
	}},
}

// queues is SIOCINQ and SIOCOUTQ. What is expected is waited for.
func (k *sock) queues() {
	k.on("ioctl(SIOCINQ and SIOCOUTQ)", func() string {
		text := "queues"
		for _, request := range []int{sockapi.SIOCINQ, sockapi.SIOCOUTQ} {
			n, err := k.s.net.ioctl(k.h, request)
			text += " " + count(n, err)
		}
		return text
	})
}

// takes sends many bytes at once, and notes whether more than a part of them was
// taken.
func (k *sock) takes(size, part int) {
	k.on(fmt.Sprintf("send %d bytes", size), func() string {
		n, err := k.s.net.send(k.h, []byte(strings.Repeat("t", size)), 0)
		k.s.filled += max(n, 0)
		switch {
		case err != nil:
			return errText(err)
		case n > part:
			return fmt.Sprintf("more than %d", part)
		}
		return "fewer"
	})
}

// swallow takes and acknowledges all that was sent by takes.
func (p *peer) swallow() {
	p.s.step("peer acknowledges all that comes", func() string {
		for end := time.Now().Add(p.s.patience); p.s.filled > 0; {
			b := p.w.next(time.Until(end))
			if b == nil {
				return fmt.Sprintf("%d bytes did not come", p.s.filled)
			}
			k, ok := parsePacket(b)
			if !ok || !p.matches(k, "DATA") {
				continue
			}
			p.rcv += uint32(len(k.data))
			p.s.filled -= len(k.data)
			ack := make([]byte, 20)
			binary.BigEndian.PutUint16(ack, p.port)
			binary.BigEndian.PutUint16(ack[2:], p.ownPort)
			binary.BigEndian.PutUint32(ack[4:], p.nxt)
			binary.BigEndian.PutUint32(ack[8:], p.rcv)
			ack[12], ack[13] = 5<<4, tcpACK
			binary.BigEndian.PutUint16(ack[14:], 60000)
			p.w.inject(buildIP(p.ip, p.own, protoTCP, ack, 16))
		}
		return "ok"
	})
}

// hopSequences are about how far a segment may have come, RFC 5082. The peer's
// have a hop limit of 64.
var hopSequences = []sequence{
	{name: "least hop limit", patience: 300 * time.Millisecond, run: func(s *script) {
		least := option{"IP_MINTTL", endpoint.IPPROTO_IP, endpoint.IP_MINTTL}
		if s.af == endpoint.AF_INET6 {
			least = option{"IPV6_MINHOPCOUNT", endpoint.IPPROTO_IPV6, endpoint.IPV6_MINHOPCOUNT}
		}
		a, p := established(s)
		a.set(least, 65)
		a.get(least)
		p.send("RST|ACK", "")
		p.send("ACK", "far")
		a.recv(9, 0)
		a.set(least, 64)
		p.nxt -= 3
		p.send("ACK", "near")
		a.recv(9, 0)
		a.set(least, 256)
		a.set(least, 0)
		p.send("ACK", "any")
		a.recv(9, 0)

		l := s.stream("l")
		l.bind(s.any(0))
		l.set(least, 200)
		l.listen(1)
		q := s.peer()
		q.toward(l)
		q.send("SYN", "")
		q.expect("SYN|ACK")
		l.set(least, 64)
		q.nxt--
		q.send("SYN", "")
		q.expect("SYN|ACK")
		q.send("ACK", "")
		b := l.accept("b")
		b.get(least)
		b.set(least, 65)
		q.send("RST|ACK", "")
		b.errno()
		c := s.stream("c")
		c.set(least, 65)
		r := s.peer()
		c.connect(r.addr())
		r.expect("SYN")
		r.send("RST|ACK", "")
		c.errno()
		c.set(least, 64)
		r.send("RST|ACK", "")
		c.errno()
	}},
}
