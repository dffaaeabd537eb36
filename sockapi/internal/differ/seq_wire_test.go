package differ

import "usersock/sockapi"

// wireSequences are about TCP and the scripted peer.
var wireSequences = []sequence{
	{name: "active open", run: func(s *script) {
		a, p := established(s)
		a.state()
		a.connect(p.addr())
		a.connect(p.addr())
		a.errno()
		a.sockname()
		a.peername()
		a.send("hello", 0)
		p.expect("DATA")
		p.send("ACK", "world")
		a.recv(9, 0)
	}},
	{name: "passive open", run: func(s *script) {
		l := s.stream("l")
		l.bind(s.any(0))
		l.listen(1)
		p := s.peer()
		p.toward(l)
		p.send("SYN", "")
		p.expect("SYN|ACK")
		l.accept("x")
		p.send("ACK", "")
		a := l.accept("a")
		a.peername()
		a.sockname()
		p.send("ACK", "hello")
		a.recv(9, 0)
	}},
	{name: "passive open, half open while the listener is closed", run: func(s *script) {
		l := s.stream("l")
		l.bind(s.any(0))
		l.listen(1)
		p := s.peer()
		p.toward(l)
		p.send("SYN", "")
		p.expect("SYN|ACK")
		l.close()
		p.send("ACK", "")
		p.expect("RST")
	}},
	{name: "passive open, reset by the peer half way", run: func(s *script) {
		l := s.stream("l")
		l.bind(s.any(0))
		l.listen(1)
		p := s.peer()
		p.toward(l)
		p.send("SYN", "")
		p.expect("SYN|ACK")
		p.send("RST", "")
		l.accept("x")
	}},
	{name: "passive open with data in the last segment of the handshake", run: func(s *script) {
		l := s.stream("l")
		l.bind(s.any(0))
		l.listen(1)
		p := s.peer()
		p.toward(l)
		p.send("SYN", "")
		p.expect("SYN|ACK")
		p.send("ACK", "early")
		a := l.accept("a")
		a.recv(9, 0)
		p.send("FIN|ACK", "")
		a.recv(9, 0)
		a.close()
		p.expect("FIN")
	}},
	{name: "passive open that ends at once", run: func(s *script) {
		l := s.stream("l")
		l.bind(s.any(0))
		l.listen(1)
		p := s.peer()
		p.toward(l)
		p.send("SYN", "")
		p.expect("SYN|ACK")
		p.send("FIN|ACK", "all")
		a := l.accept("a")
		a.recv(9, 0)
		a.recv(9, 0)
	}},
	{name: "a segment for a port without socket", run: func(s *script) {
		l := s.stream("l")
		l.bind(s.any(0))
		p := s.peer()
		p.toward(l)
		p.send("SYN", "")
		p.expect("RST")
	}},
	{name: "simultaneous open", run: func(s *script) {
		a, p := synRecv(s)
		a.state("SYN-RECV")
		a.connect(p.addr())
		p.send("ACK", "")
		a.state("ESTABLISHED")
		a.connect(p.addr())
		a.send("x", 0)
		p.expect("DATA")
		p.send("ACK", "y")
		a.recv(9, 0)
	}},
	{name: "simultaneous open, then reset", run: func(s *script) {
		a, p := synRecv(s)
		p.send("RST|ACK", "")
		a.errno()
		a.state()
		a.connect(p.addr())
	}},
	{name: "simultaneous open and reset, together", run: func(s *script) {
		a, p := synSent(s)
		p.sendTogether("SYN", "RST")
		a.errno()
		a.state()
		a.connect(p.addr())
	}},
	{name: "simultaneous close", run: func(s *script) {
		a, p := closing(s)
		a.state("CLOSING")
		a.recv(1, 0)
		p.send("ACK", "")
		a.state("CLOSE")
		a.recv(1, 0)
		a.errno()
	}},
	{name: "refused by the peer", run: func(s *script) {
		a, p := synSent(s)
		p.send("RST|ACK", "")
		a.connect(p.addr())
		a.errno()
		a.connect(p.addr())
	}},
	{name: "a reset without acknowledgement does not refuse", run: func(s *script) {
		a, p := synSent(s)
		p.send("RST", "")
		a.errno()
		a.connect(p.addr())
		p.send("SYN|ACK", "")
		p.expect("ACK")
		a.connect(p.addr())
	}},
	{name: "a reset out of the window is ignored", run: func(s *script) {
		a, p := established(s)
		p.nxt += 1 << 24
		p.send("RST|ACK", "")
		p.nxt -= 1 << 24
		a.errno()
		p.send("ACK", "still here")
		a.recv(20, 0)
	}},
	{name: "reset in FIN-WAIT-1", run: func(s *script) {
		a, p := finWait1(s)
		p.send("RST|ACK", "")
		a.recv(1, 0)
		a.errno()
		a.state()
	}},
	{name: "reset in FIN-WAIT-2", run: func(s *script) {
		a, p := finWait2(s)
		p.send("RST|ACK", "")
		a.recv(1, 0)
		a.errno()
	}},
	{name: "reset in CLOSE-WAIT", run: func(s *script) {
		a, p := closeWait(s)
		p.send("RST|ACK", "")
		a.recv(1, 0)
		a.send("x", 0)
		a.errno()
	}},
	{name: "reset in CLOSE-WAIT, told by send", run: func(s *script) {
		a, p := closeWait(s)
		p.send("RST|ACK", "")
		a.send("x", 0)
		a.send("x", 0)
	}},
	{name: "reset in CLOSING", run: func(s *script) {
		a, p := closing(s)
		p.send("RST|ACK", "")
		a.recv(1, 0)
		a.errno()
	}},
	{name: "reset in LAST-ACK", run: func(s *script) {
		a, p := lastAck(s)
		p.send("RST|ACK", "")
		a.recv(1, 0)
		a.errno()
	}},
	{name: "end and reset, together", run: func(s *script) {
		a, p := established(s)
		p.sendTogether("FIN|ACK", "RST|ACK")
		a.recv(1, 0)
		a.errno()
		a.recv(1, 0)
	}},
	{name: "end and reset in FIN-WAIT-1, together", run: func(s *script) {
		a, p := finWait1(s)
		p.sendTogether("FIN|ACK", "RST|ACK")
		a.recv(1, 0)
		a.errno()
		a.recv(1, 0)
	}},
	{name: "end and reset in FIN-WAIT-2, together", run: func(s *script) {
		a, p := finWait2(s)
		p.sendTogether("FIN|ACK", "RST|ACK")
		a.recv(1, 0)
		a.errno()
		a.recv(1, 0)
	}},
	{name: "time-out in CLOSE-WAIT", run: func(s *script) {
		a, p := established(s)
		p.send("FIN|ACK", "last")
		a.set(tcpUserTimeout, 50)
		a.send("x", 0)
		a.on("wait for the end", func() string {
			s.net.await(a.h, sockapi.POLLERR, patience)
			return "ok"
		})
		a.recv(9, 0)
		a.recv(9, 0)
		a.errno()
		a.recv(9, 0)
	}},
	{name: "data in FIN-WAIT-1", run: func(s *script) {
		a, p := finWait1(s)
		p.sendOld("ACK", "late")
		a.recv(9, 0)
		p.send("ACK", "later")
		a.recv(9, 0)
		a.state("FIN-WAIT-2")
	}},
	{name: "data with the end in FIN-WAIT-2", run: func(s *script) {
		a, p := finWait2(s)
		p.send("FIN|ACK", "last")
		a.recv(9, 0)
		a.recv(9, 0)
		a.state()
	}},
	{name: "data for a socket that is closed", run: func(s *script) {
		a, p := established(s)
		a.close()
		p.expect("FIN")
		p.send("ACK", "too late")
		p.expect("RST")
	}},
	{name: "data for a socket that is shut both ways", run: func(s *script) {
		a, p := established(s)
		a.shutdown(rdwr)
		p.expect("FIN")
		p.send("ACK", "too late")
		a.recv(9, 0)
		a.errno()
	}},
	{name: "data for a socket that is shut for reading", run: func(s *script) {
		a, p := established(s)
		a.shutdown(rd)
		p.send("ACK", "late")
		p.expect("ACK")
		a.recv(9, 0)
	}},
	{name: "out of order", run: func(s *script) {
		a, p := established(s)
		p.nxt += 3
		p.send("ACK", "def")
		a.recv(9, 0)
		p.nxt -= 6
		p.send("ACK", "abc")
		a.recv(9, 0)
	}},
	{name: "the end before the data", run: func(s *script) {
		a, p := established(s)
		p.nxt += 3
		p.send("FIN|ACK", "")
		a.recv(9, 0)
		p.nxt -= 4
		p.send("ACK", "abc")
		p.nxt++
		a.recv(9, 0)
		a.recv(9, 0)
	}},
	{name: "data twice", run: func(s *script) {
		a, p := established(s)
		p.send("ACK", "abc")
		p.nxt -= 3
		p.send("ACK", "abcdef")
		a.recv(9, 0)
		a.recv(9, 0)
	}},
	{name: "urgent data from the peer", run: func(s *script) {
		a, p := established(s)
		p.send("URG|ACK", "ab!")
		a.recv(9, oob)
		a.recv(9, 0)
		p.send("ACK", "cd")
		a.recv(9, 0)
	}},
	{name: "nothing is acknowledged", run: func(s *script) {
		a, p := established(s)
		a.send("abc", 0)
		p.expect("DATA")
		a.close()
		p.expect("FIN")
	}},
	{name: "close with unread data resets", run: func(s *script) {
		a, p := established(s)
		p.send("ACK", "unread")
		p.expect("ACK")
		a.close()
		p.expect("END")
	}},
	{name: "close with everything read ends", run: func(s *script) {
		a, p := established(s)
		p.send("ACK", "read")
		p.expect("ACK")
		a.recv(9, 0)
		a.close()
		p.expect("END")
	}},
	{name: "disconnect resets", run: func(s *script) {
		a, p := established(s)
		a.connect(unspec)
		p.expect("END")
	}},
	{name: "linger 0 in SYN-SENT", run: func(s *script) {
		a, p := synSent(s)
		a.closeReset()
		p.send("SYN|ACK", "")
		p.expect("RST")
	}},
	{name: "closed in SYN-SENT", run: func(s *script) {
		a, p := synSent(s)
		a.close()
		p.send("SYN|ACK", "")
		p.expect("RST")
	}},
	{name: "port unreachable while connecting", run: func(s *script) {
		a, p := synSent(s)
		p.unreachable(3, 4)
		a.errno()
		a.connect(p.addr())
	}},
	{name: "host unreachable while connecting", run: func(s *script) {
		a, p := synSent(s)
		p.unreachable(1, 3)
		a.errno()
		a.connect(p.addr())
	}},
	{name: "network unreachable while connecting", run: func(s *script) {
		a, p := synSent(s)
		p.unreachable(0, 0)
		a.errno()
	}},
	{name: "prohibited while connecting", run: func(s *script) {
		a, p := synSent(s)
		p.unreachable(13, 1)
		a.errno()
	}},
	{name: "host unreachable on a connection", run: func(s *script) {
		a, p := established(s)
		a.send("x", 0)
		p.expect("DATA")
		p.unreachable(1, 3)
		a.errno()
		a.send("y", 0)
	}},
	{name: "UDP, and nobody at the peer's port", run: func(s *script) {
		p := s.peer()
		a := s.datagram("a")
		a.connect(p.addr())
		a.send("x", 0)
		p.expect("UDP")
		p.unreachable(3, 4)
		a.recv(9, 0)
		a.send("y", 0)
		p.expect("UDP")
		p.unreachable(3, 4)
		a.errno()
		a.send("z", 0)
		p.expect("UDP")
		p.unreachable(3, 4)
		a.send("w", 0)
	}},
	{name: "UDP, and no way to the peer", run: func(s *script) {
		p := s.peer()
		a := s.datagram("a")
		a.connect(p.addr())
		a.send("x", 0)
		p.expect("UDP")
		p.unreachable(1, 3)
		a.errno()
		a.send("y", 0)
	}},
	{name: "UDP, unconnected, and nobody at the peer's port", run: func(s *script) {
		p := s.peer()
		a := s.datagram("a")
		a.sendto("x", p.addr(), 0)
		p.expect("UDP")
		p.unreachable(3, 4)
		a.errno()
		a.sendto("y", p.addr(), 0)
	}},
	{name: "UDP with the peer", run: func(s *script) {
		p := s.peer()
		a := s.datagram("a")
		a.sendto("hello", p.addr(), 0)
		p.expect("UDP")
		p.datagram("world")
		a.recv(9, 0)
		p.datagram("")
		a.recv(9, 0)
		p.datagram("longer")
		a.recv(3, trunc)
	}},
}

// unreachable is ICMP's destination unreachable, by the code of the version.
func (p *peer) unreachable(code4, code6 int) {
	if p.ip.Is6() {
		p.icmp(1, code6, 0)
		return
	}
	p.icmp(3, code4, 0)
}
