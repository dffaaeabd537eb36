package inet

import (
	"fmt"

	"usersock/stack/endpoint"
)

var streamScenarios = []scenario{
	{name: "fresh stream", run: func(l *lab) {
		s := l.stream()
		s.noteReady("ready")
		s.noteSend("send", 1, 0)
		s.noteSend("send nothing", 0, 0)
		s.noteRecv("recv", 1, 0)
		s.noteRecv("recv nothing", 0, 0)
		l.note("sockname", "%s", host(s.LocalAddr()))
		l.note("peername", "%s", host(s.PeerAddr()))
		l.err("shutdown", s.Shutdown(endpoint.SHUT_RDWR))
		l.err("shutdown how", s.Shutdown(3))
		_, _, err := s.Accept()
		l.err("accept", err)
		s.noteError("so_error")
		l.err("unspec", s.Connect(endpoint.Addr{}))
	}},
	{name: "bind", run: func(l *lab) {
		s := l.stream()
		l.err("foreign", s.Bind(inet(l.foreign(), 0)))
		l.err("bind", s.Bind(inet(l.ip, 0)))
		l.err("again", s.Bind(inet(l.ip, 0)))
		l.note("sockname", "%s", host(s.LocalAddr()))
		s.noteReady("ready")
		o := l.stream()
		l.err("in use", o.Bind(s.addr()))
		l.err("any in use", o.Bind(inet(l.any(), s.addr().Port)))
		l.err("reuse both", func() error {
			a, b := l.stream(), l.stream()
			check(l.t, a.setInt(endpoint.SOL_SOCKET, endpoint.SO_REUSEADDR, 1))
			check(l.t, b.setInt(endpoint.SOL_SOCKET, endpoint.SO_REUSEADDR, 1))
			check(l.t, a.Bind(inet(l.ip, 0)))
			if err := b.Bind(a.addr()); err != nil {
				return err
			}
			check(l.t, a.Listen(1))
			l.err("second listener", b.Listen(1))
			c := l.stream()
			check(l.t, c.setInt(endpoint.SOL_SOCKET, endpoint.SO_REUSEADDR, 1))
			l.err("beside a listener", c.Bind(a.addr()))
			return nil
		}())
		l.err("reuseport", func() error {
			a, b := l.stream(), l.stream()
			check(l.t, a.setInt(endpoint.SOL_SOCKET, endpoint.SO_REUSEPORT, 1))
			check(l.t, b.setInt(endpoint.SOL_SOCKET, endpoint.SO_REUSEPORT, 1))
			check(l.t, a.Bind(inet(l.ip, 0)))
			check(l.t, a.Listen(1))
			if err := b.Bind(a.addr()); err != nil {
				return err
			}
			return b.Listen(1)
		}())
		d := l.datagram()
		l.err("udp foreign", d.Bind(inet(l.foreign(), 0)))
		l.err("udp bind", d.Bind(inet(l.ip, 0)))
		l.err("udp again", d.Bind(inet(l.ip, 0)))
		e := l.datagram()
		l.err("udp in use", e.Bind(d.addr()))
		check(l.t, e.setInt(endpoint.SOL_SOCKET, endpoint.SO_REUSEADDR, 1))
		l.err("udp one reuses", e.Bind(d.addr()))
	}},
	{name: "refused", run: func(l *lab) {
		s := l.stream()
		l.err("connect", s.connect(l.closedPort(endpoint.SOCK_STREAM)))
		s.noteError("so_error")
		s.noteReady("ready")
		s.noteRecv("recv", 1, 0)
		s.noteSend("send", 1, 0)
		ls := l.listener()
		l.err("connect anew", s.connect(ls.addr()))
		l.err("and again", s.Connect(ls.addr()))
		o := l.stream()
		check(l.t, o.Bind(inet(l.ip, 0)))
		port := o.addr().Port
		l.err("bound connect", o.connect(l.closedPort(endpoint.SOCK_STREAM)))
		l.note("keeps its port", "%v", o.addr().Port == port)
		l.err("bound connect anew", o.connect(ls.addr()))
		l.note("still", "%v", o.addr().Port == port)
	}},
	{name: "port 0", run: func(l *lab) {
		l.err("connect", l.stream().connect(inet(l.ip, 0)))
		d := l.datagram()
		l.err("udp connect", d.Connect(inet(l.ip, 0)))
		d.noteSend("udp send", 1, 0)
		l.note("udp peername", "%s", host(d.PeerAddr()))
		l.datagram().noteSend("udp sendto", 1, 0, inet(l.ip, 0))
	}},
	{name: "connected", run: func(l *lab) {
		c, s := l.pair()
		l.err("connect again", c.Connect(s.addr()))
		l.err("connect accepted", s.Connect(c.addr()))
		l.err("listen", c.Listen(1))
		l.err("bind", c.Bind(inet(l.ip, 0)))
		_, _, err := c.Accept()
		l.err("accept", err)
		l.note("sockname", "%s", host(c.LocalAddr()))
		l.note("peername", "%s", host(c.PeerAddr()))
		c.noteReady("idle")
		c.noteRecv("recv", 10, 0)
		c.noteRecv("recv nothing", 0, 0)
		c.noteSend("send nothing", 0, 0)
		c.noteSend("send", 10, 0)
		c.noteSend("send to another", 5, 0, inet(l.foreign(), 9))
		s.await(endpoint.In)
		s.noteReady("data")
		s.noteRecv("recv nothing of some", 0, 0)
		s.noteRecv("peek", 4, endpoint.MSG_PEEK)
		s.noteRecv("oob", 4, endpoint.MSG_OOB)
		s.noteRecv("errqueue", 4, endpoint.MSG_ERRQUEUE)
		s.noteRecv("trunc peek", 4, endpoint.MSG_PEEK|endpoint.MSG_TRUNC)
		s.noteRecv("trunc", 4, endpoint.MSG_TRUNC)
		s.noteRecv("rest", 6, 0)
	}},
	{name: "half close", run: func(l *lab) {
		c, s := l.pair()
		l.err("shut", c.Shutdown(endpoint.SHUT_WR))
		c.noteSend("send", 1, 0)
		c.noteSend("send nothing", 0, 0)
		s.await(endpoint.In)
		s.noteReady("peer")
		s.noteRecv("peer recv", 1, 0)
		s.noteRecv("peer recv nothing", 0, 0)
		s.noteSend("peer send", 3, 0)
		c.await(endpoint.In)
		c.noteRecv("recv", 10, 0)
		l.err("shut again", c.Shutdown(endpoint.SHUT_WR))
		l.err("peer shut", s.Shutdown(endpoint.SHUT_WR))
		c.settle()
		c.noteReady("both")
		c.noteRecv("end", 1, 0)
		l.note("no peername", "%s", host(c.PeerAddr()))
		l.err("shut in TIME-WAIT", c.Shutdown(endpoint.SHUT_WR))
		c.noteSend("send in TIME-WAIT", 1, 0)
		l.err("connect in TIME-WAIT", c.Connect(inet(l.ip, 9)))
		s.settle()
		s.noteReady("peer both")
		s.noteError("so_error")
		l.note("peername", "%s", host(s.PeerAddr()))
		l.err("shut a closed one", s.Shutdown(endpoint.SHUT_WR))
		l.err("connect a closed one", s.Connect(inet(l.ip, 9)))
		s.noteSend("send on a closed one", 1, 0)
	}},
	{name: "shut for reading", run: func(l *lab) {
		c, s := l.pair()
		l.err("shut", c.Shutdown(endpoint.SHUT_RD))
		c.noteReady("ready")
		c.noteRecv("recv", 1, 0)
		c.noteSend("send", 1, 0)
		s.await(endpoint.In)
		s.noteReady("peer")
		l.err("shut for writing", c.Shutdown(endpoint.SHUT_WR))
		c.noteReady("both")
		c.noteSend("send after", 1, 0)
	}},
	{name: "reset", run: func(l *lab) {
		c, s := l.pair()
		c.noteSend("data before", 5, 0)
		s.await(endpoint.In)
		check(l.t, c.SetOption(endpoint.SOL_SOCKET, endpoint.SO_LINGER, linger(1, 0)))
		c.close()
		s.await(endpoint.Err | endpoint.Hup)
		s.noteReady("ready")
		s.noteRecv("first", 10, 0)
		s.noteRecv("second", 10, 0)
		s.noteRecv("third", 10, 0)
		s.noteSend("send", 1, 0)
		s.noteError("so_error")
		s.noteReady("after")
		l.note("peername", "%s", host(s.PeerAddr()))
		l.err("connect", s.Connect(inet(l.ip, 9)))
		l.err("shutdown", s.Shutdown(endpoint.SHUT_RDWR))

		c, s = l.pair()
		check(l.t, c.SetOption(endpoint.SOL_SOCKET, endpoint.SO_LINGER, linger(1, 0)))
		c.close()
		s.await(endpoint.Err | endpoint.Hup)
		s.noteSend("send first", 1, 0)
		s.noteSend("send second", 1, 0)
		s.noteRecv("recv after", 1, 0)

		c, s = l.pair()
		check(l.t, c.SetOption(endpoint.SOL_SOCKET, endpoint.SO_LINGER, linger(1, 0)))
		c.close()
		s.await(endpoint.Err | endpoint.Hup)
		s.noteError("so_error first")
		s.noteError("so_error second")
		s.noteReady("after so_error")
		s.noteRecv("recv after so_error", 1, 0)
	}},
	{name: "closed with unread data", run: func(l *lab) {
		c, s := l.pair()
		c.noteSend("send", 5, 0)
		s.await(endpoint.In)
		s.close()
		c.await(endpoint.Err | endpoint.Hup)
		c.noteReady("ready")
		c.noteRecv("recv", 1, 0)
		c.noteRecv("recv again", 1, 0)
	}},
	{name: "send to the gone", run: func(l *lab) {
		c, s := l.pair()
		s.close()
		c.await(endpoint.In)
		c.noteReady("after FIN")
		c.noteSend("send", 5, 0)
		c.await(endpoint.Err | endpoint.Hup)
		c.noteReady("after RST")
		c.noteRecv("recv", 1, 0)
		c.noteSend("send again", 5, 0)
		c.noteSend("and again", 5, 0)
		c.noteError("so_error")
	}},
	{name: "listener", run: func(l *lab) {
		s := l.stream()
		l.err("listen unbound", s.Listen(1))
		l.note("sockname", "%s", host(s.LocalAddr()))
		s.noteReady("idle")
		_, _, err := s.Accept()
		l.err("accept", err)
		l.err("connect", s.Connect(inet(l.ip, 9)))
		l.err("bind", s.Bind(inet(l.ip, 0)))
		s.noteSend("send", 1, 0)
		s.noteRecv("recv", 1, 0)
		l.err("listen again", s.Listen(5))
		c := l.stream()
		check(l.t, c.connect(inet(l.ip, s.addr().Port)))
		s.await(endpoint.In)
		s.noteReady("waiting")
		a := s.accept()
		s.noteReady("taken")
		l.note("accepted sockname", "%s", host(a.LocalAddr()))
		l.note("accepted peername", "%s", host(a.PeerAddr()))
		l.err("shut for writing", s.Shutdown(endpoint.SHUT_WR))
		l.err("shutdown", s.Shutdown(endpoint.SHUT_RD))
		s.noteReady("shut")
		_, _, err = s.Accept()
		l.err("accept shut", err)
		l.err("listen after", s.Listen(3))
		s.noteReady("listens")
	}},
	{name: "backlog", run: func(l *lab) {
		for _, backlog := range []int{0, 1, 3} {
			ls := l.stream()
			check(l.t, ls.Bind(inet(l.ip, 0)))
			check(l.t, ls.Listen(backlog))
			// backlog+1 connections are completed; each is known to be
			// queued before the next begins.
			for range backlog + 1 {
				check(l.t, l.stream().connect(ls.addr()))
			}
			ls.await(endpoint.In)
			n := 0
			for n < backlog+1 {
				ls.accept()
				n++
			}
			_, _, err := ls.Accept()
			l.note(fmt.Sprintf("backlog %d", backlog), "%d then %s", n, name(err))
		}
		ls := l.stream()
		l.err("negative", ls.Listen(-1))
		l.err("huge", ls.Listen(1<<30))
		l.err("udp", l.datagram().Listen(1))
		_, _, err := l.datagram().Accept()
		l.err("udp accept", err)
	}},
	{name: "closed listener", run: func(l *lab) {
		ls := l.listener()
		c := l.stream()
		check(l.t, c.connect(ls.addr()))
		ls.await(endpoint.In)
		ls.close()
		c.await(endpoint.Err | endpoint.Hup)
		c.noteReady("ready")
		c.noteRecv("recv", 1, 0)
		c.noteRecv("again", 1, 0)
	}},
	{name: "any", run: func(l *lab) {
		ls := l.stream()
		check(l.t, ls.Bind(inet(l.any(), 0)))
		check(l.t, ls.Listen(1))
		c := l.stream()
		l.err("connect to any", c.connect(ls.addr()))
		l.note("peername", "%s", host(c.PeerAddr()))
		d, e := l.datagram(), l.datagram()
		check(l.t, d.Bind(inet(l.any(), 0)))
		e.noteSend("send to any", 3, 0, d.addr())
		d.await(endpoint.In)
		d.noteRecv("recv", 3, 0)
		l.err("udp connect to any", e.Connect(d.addr()))
		l.note("udp peername", "%s", host(e.PeerAddr()))
		l.note("udp sockname", "%s", host(e.LocalAddr()))
	}},
	{name: "disconnect a stream", run: func(l *lab) {
		c, s := l.pair()
		l.err("disconnect", c.Connect(endpoint.Addr{}))
		l.note("peername", "%s", host(c.PeerAddr()))
		c.noteReady("ready")
		c.noteError("so_error")
		c.noteReady("ready after")
		c.noteRecv("recv", 1, 0)
		c.noteSend("send", 1, 0)
		s.await(endpoint.Err | endpoint.Hup)
		s.noteRecv("peer", 1, 0)
		ls := l.listener()
		l.err("connect anew", c.connect(ls.addr()))
		l.err("disconnect a listener", ls.Connect(endpoint.Addr{}))
		_, _, err := ls.Accept()
		l.err("accept", err)
		l.err("listen anew", ls.Listen(1))
	}},
	{name: "inherited options", run: func(l *lab) {
		ls := l.stream()
		for _, o := range []struct{ level, name, v int }{
			{endpoint.SOL_SOCKET, endpoint.SO_REUSEADDR, 1},
			{endpoint.SOL_SOCKET, endpoint.SO_REUSEPORT, 1},
			{endpoint.SOL_SOCKET, endpoint.SO_KEEPALIVE, 1},
			{endpoint.SOL_SOCKET, endpoint.SO_SNDBUF, 30000},
			{endpoint.SOL_SOCKET, endpoint.SO_RCVBUF, 40000},
			{endpoint.SOL_SOCKET, endpoint.SO_OOBINLINE, 1},
			{endpoint.SOL_SOCKET, endpoint.SO_PRIORITY, 3},
			{endpoint.IPPROTO_TCP, endpoint.TCP_NODELAY, 1},
			{endpoint.IPPROTO_TCP, endpoint.TCP_KEEPIDLE, 11},
			{endpoint.IPPROTO_TCP, endpoint.TCP_KEEPINTVL, 12},
			{endpoint.IPPROTO_TCP, endpoint.TCP_KEEPCNT, 3},
			{endpoint.IPPROTO_TCP, endpoint.TCP_USER_TIMEOUT, 5000},
			{endpoint.IPPROTO_TCP, endpoint.TCP_LINGER2, 20},
			{endpoint.IPPROTO_IP, endpoint.IP_TTL, 44},
			{endpoint.IPPROTO_IP, endpoint.IP_MTU_DISCOVER, 0},
		} {
			check(l.t, ls.setInt(o.level, o.name, o.v))
		}
		check(l.t, ls.SetOption(endpoint.SOL_SOCKET, endpoint.SO_LINGER, linger(1, 6)))
		check(l.t, ls.SetOption(endpoint.SOL_SOCKET, endpoint.SO_RCVTIMEO, timeWords(2, 0)))
		check(l.t, ls.SetOption(endpoint.IPPROTO_TCP, endpoint.TCP_CONGESTION, []byte("reno")))
		check(l.t, ls.Bind(inet(l.ip, 0)))
		check(l.t, ls.Listen(1))
		c := l.stream()
		check(l.t, c.connect(ls.addr()))
		s := ls.accept()
		for _, o := range Options() {
			if !o.Readable || !o.on(l.af, endpoint.SOCK_STREAM) || o.Symbol == "SO_COOKIE" || o.Symbol == "TCP_INFO" || o.Symbol == "SO_PASSCRED" || o.Symbol == "IP_PROTOCOL" || o.Symbol == "SO_INCOMING_CPU" {
				continue
			}
			b := make([]byte, 64)
			n, err := s.Option(o.Level, o.Name, b)
			l.note(o.Symbol, "%x %s", b[:max(n, 0)], name(err))
		}
	}, differ: map[string]string{
		"TCP_MAXSEG":       "the route's; the kernel also counts the small receive buffer",
		"TCP_WINDOW_CLAMP": "the kernel sets it from SO_RCVBUF; here it is only stored",
	}, differ4: map[string]string{
		"IP_MULTICAST_TTL": "the kernel notes the TTL the connection came with",
	}, differ6: map[string]string{
		"IPV6_MULTICAST_HOPS": "the kernel notes the hop limit the connection came with",
	}},
}
