package differ

import (
	"slices"

	"usersock/stack/endpoint"
)

// A state is how to bring a socket of a script into a state of TCP. In the
// states that the other side takes part in, that is the scripted peer.
type tcpState struct {
	name string
	make func(*script) (*sock, *peer)
}

var stateMakers = []tcpState{
	{"CLOSE", func(s *script) (*sock, *peer) { return s.stream("a"), nil }},
	{"CLOSE and bound", func(s *script) (*sock, *peer) {
		a := s.stream("a")
		a.bind(s.lo(0))
		return a, nil
	}},
	{"LISTEN", func(s *script) (*sock, *peer) {
		a := s.stream("a")
		a.bind(s.lo(0))
		a.listen(2)
		return a, nil
	}},
	{"SYN-SENT", synSent},
	{"SYN-RECV", synRecv},
	{"ESTABLISHED", established},
	{"ESTABLISHED with data", func(s *script) (*sock, *peer) {
		a, p := established(s)
		p.send("ACK", "data")
		return a, p
	}},
	{"FIN-WAIT-1", finWait1},
	{"FIN-WAIT-2", finWait2},
	{"CLOSE-WAIT", closeWait},
	{"CLOSING", closing},
	{"LAST-ACK", lastAck},
	{"TIME-WAIT", func(s *script) (*sock, *peer) {
		a, p := finWait2(s)
		p.send("FIN|ACK", "")
		p.expect("ACK")
		return a, p
	}},
	{"CLOSE after LAST-ACK", func(s *script) (*sock, *peer) {
		a, p := lastAck(s)
		p.send("ACK", "")
		a.state("CLOSE")
		return a, p
	}},
	{"CLOSE after a reset", func(s *script) (*sock, *peer) {
		a, p := established(s)
		p.send("RST|ACK", "")
		return a, p
	}},
	{"CLOSE after a refusal", func(s *script) (*sock, *peer) {
		a, p := synSent(s)
		p.send("RST|ACK", "")
		return a, p
	}},
}

func synSent(s *script) (*sock, *peer) {
	p := s.peer()
	a := s.stream("a")
	a.connect(p.addr())
	p.expect("SYN")
	return a, p
}

func synRecv(s *script) (*sock, *peer) {
	a, p := synSent(s)
	// Both open at the same time.
	p.sendOld("SYN", "")
	p.expect("SYN|ACK")
	return a, p
}

func established(s *script) (*sock, *peer) {
	a, p := synSent(s)
	p.send("SYN|ACK", "")
	p.expect("ACK")
	return a, p
}

func finWait1(s *script) (*sock, *peer) {
	a, p := established(s)
	a.shutdown(wr)
	p.expect("FIN")
	return a, p
}

func finWait2(s *script) (*sock, *peer) {
	a, p := finWait1(s)
	p.send("ACK", "")
	a.state("FIN-WAIT-2")
	return a, p
}

func closeWait(s *script) (*sock, *peer) {
	a, p := established(s)
	p.send("FIN|ACK", "")
	p.expect("ACK")
	return a, p
}

func closing(s *script) (*sock, *peer) {
	a, p := finWait1(s)
	p.sendOld("FIN|ACK", "")
	p.expect("ACK")
	return a, p
}

func lastAck(s *script) (*sock, *peer) {
	a, p := closeWait(s)
	a.shutdown(wr)
	p.expect("FIN")
	return a, p
}

// stateCalls are made in every state, each twice: what it changes shows.
var stateCalls = []struct {
	name string
	call func(*script, *sock)
}{
	{"bind", func(s *script, a *sock) { a.bind(s.lo(0)) }},
	{"connect", func(s *script, a *sock) { a.connect(s.filtered(7)) }},
	{"connect to a closed port", func(s *script, a *sock) { a.connect(s.lo(7)) }},
	{"disconnect", func(s *script, a *sock) { a.connect(unspec); a.state(); a.errno() }},
	{"listen", func(s *script, a *sock) { a.listen(1); a.state() }},
	{"accept", func(s *script, a *sock) { a.accept("b") }},
	{"send", func(s *script, a *sock) { a.send("x", 0) }},
	{"send nothing", func(s *script, a *sock) { a.send("", 0) }},
	{"send urgent", func(s *script, a *sock) { a.send("x", oob) }},
	{"sendto", func(s *script, a *sock) { a.sendto("x", s.filtered(7), 0) }},
	{"recv", func(s *script, a *sock) { a.recv(9, 0) }},
	{"recv nothing", func(s *script, a *sock) { a.recv(0, 0) }},
	{"peek", func(s *script, a *sock) { a.recv(9, peek) }},
	{"recv urgent", func(s *script, a *sock) { a.recv(9, oob) }},
	{"recv from the error queue", func(s *script, a *sock) { a.recv(9, errq) }},
	{"shutdown for reading", func(s *script, a *sock) { a.shutdown(rd); a.recv(9, 0); a.state() }},
	{"shutdown for writing", func(s *script, a *sock) { a.shutdown(wr); a.send("x", 0); a.state() }},
	{"shutdown", func(s *script, a *sock) { a.shutdown(rdwr); a.state() }},
	{"names", func(s *script, a *sock) { a.sockname(); a.peername() }},
	{"state and error", func(s *script, a *sock) { a.state(); a.errno() }},
	{"options", func(s *script, a *sock) {
		a.set(soReuseaddr, 1)
		a.set(soReuseport, 1)
		a.set(soKeepalive, 1)
		a.set(tcpNodelay, 1)
		a.set(tcpCork, 1)
		a.set(tcpCork, 0)
		a.set(tcpMaxseg, 1000)
		a.set(tcpSyncnt, 3)
		a.set(tcpDefer, 3)
		a.set(tcpUserTimeout, 3000)
		a.set(ipTTL, 33)
		a.set(ipTTL, 64)
		a.setBytes(tcpCongestion, []byte("reno"))
		a.get(soAcceptconn)
		a.get(soType)
		a.get(ipTTL)
		if s.af == endpoint.AF_INET6 {
			a.set(ipv6Hops, 33)
			a.get(ipv6Hops)
			a.set(ipv6V6only, 0)
			a.get(ipv6V6only)
		}
	}},
	{"close", func(s *script, a *sock) { a.close() }},
	{"close with a reset", func(s *script, a *sock) { a.closeReset() }},
}

// addressCalls are those of stateCalls that take or tell addresses.
var addressCalls = []string{"bind", "connect", "connect to a closed port", "disconnect", "listen", "sendto", "names"}

// stateSequences are every call in every state, or only some.
func stateSequences(only ...string) (qs []sequence) {
	for _, st := range stateMakers {
		for _, c := range stateCalls {
			if only != nil && !slices.Contains(only, c.name) {
				continue
			}
			qs = append(qs, sequence{name: st.name + "/" + c.name, run: func(s *script) {
				a, p := st.make(s)
				closes := c.name == "close" || c.name == "close with a reset"
				c.call(s, a)
				if !closes {
					c.call(s, a)
					return
				}
				switch st.name {
				case "ESTABLISHED", "ESTABLISHED with data", "CLOSE-WAIT":
					p.expect("END")
				case "FIN-WAIT-2":
					p.send("FIN|ACK", "")
					p.expect("END or ACK")
				case "SYN-RECV":
					p.send("ACK", "")
					p.expect("END")
				}
			}})
		}
	}
	return qs
}
