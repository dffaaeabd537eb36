package differ

import (
	"strconv"

	"usersock/sockapi"
	"usersock/stack/endpoint"
)

// ioctl is ioctl(2) with a request that writes an int.
func (k *sock) ioctl(name string, request int) {
	k.on("ioctl("+name+")", func() string { return count(k.s.net.ioctl(k.h, request)) })
}

// badItems are control data that are no good, each in a message of its own: which
// error is told first shows when the kernel looks at them.
func (s *script) badItems() [][]item {
	if s.af == endpoint.AF_UNIX {
		gone, _ := s.flyer()
		gone.close()
		return [][]item{
			{rights(gone)},
			{{level: endpoint.SOL_SOCKET, typ: 77}, rights(gone)},
			{rights(gone), {level: endpoint.SOL_SOCKET, typ: 77}},
			{rights(gone), {level: endpoint.SOL_SOCKET, typ: endpoint.SCM_CREDENTIALS, broken: true}},
			{{level: endpoint.SOL_SOCKET, typ: endpoint.SCM_RIGHTS, broken: true}},
			{{level: endpoint.IPPROTO_IP, typ: endpoint.IP_TTL, broken: true}},
		}
	}
	return [][]item{
		{{level: endpoint.SOL_SOCKET, typ: 77}},
		{{level: 77, typ: 77, broken: true}},
		{{level: 77, typ: 77}, {level: endpoint.SOL_SOCKET, typ: endpoint.SCM_RIGHTS, broken: true}},
	}
}

// controlSequences send control data that are no good, on sockets in every state.
var controlSequences = []sequence{
	{name: "bad control data without a peer", run: func(s *script) {
		a := s.own("a")
		for _, items := range s.badItems() {
			a.sendmsg([]string{"x"}, 0, items...)
		}
	}},
	{name: "bad control data with a peer", run: func(s *script) {
		a, b := s.ends()
		bad := s.badItems()
		for _, items := range bad {
			a.sendmsg([]string{"x"}, 0, items...)
			a.sendmsg(nil, 0, items...)
			a.sendmsg([]string{"x"}, oob, items...)
		}
		a.shutdown(wr)
		for _, items := range bad {
			a.sendmsg([]string{"x"}, 0, items...)
		}
		b.recv(9, 0)
	}},
	{name: "bad control data and an error that waits", run: func(s *script) {
		if s.af != endpoint.AF_UNIX || s.typ == endpoint.SOCK_DGRAM {
			return
		}
		a, b := s.upair()
		items := s.badItems()
		a.send("unread", 0)
		b.close()
		a.sendmsg([]string{"x"}, 0, items[0]...)
		a.sendmsg([]string{"x"}, 0, items[4]...)
		a.errno()
	}},
}

// ends are two sockets of the script's family and type that are connected.
func (s *script) ends() (a, b *sock) {
	if s.af == endpoint.AF_UNIX {
		return s.upair()
	}
	return s.talk()
}

// urgentSequences are about urgent data on AF_UNIX streams; the other types have
// none.
var urgentSequences = []sequence{
	{name: "at the mark", run: func(s *script) {
		a, b := s.upair()
		at := func() { b.ioctl("SIOCATMARK", sockapi.SIOCATMARK) }
		at()
		a.send("one", 0)
		at()
		a.send("!", oob)
		a.send("two", 0)
		at()
		b.recv(9, 0)
		at()
		b.recv(1, oob)
		at()
		b.recv(1, 0)
		at()
		a.send("?", oob)
		at()
		b.recv(9, 0)
		at()
		b.recv(1, oob)
		at()
		a.send("!", oob)
		at()
	}},
	{name: "at the mark in line", run: func(s *script) {
		a, b := s.upair()
		b.set(soOobinline, 1)
		a.send("one!", oob)
		for range 5 {
			b.ioctl("SIOCATMARK", sockapi.SIOCATMARK)
			b.recv(2, 0)
		}
	}},
	{name: "into no room", run: func(s *script) {
		for i, before := range []string{"", "one"} {
			n := strconv.Itoa(i)
			a, b := s.socketpair("a"+n, "b"+n, endpoint.AF_UNIX, s.typ, 0)
			a.send(before, 0)
			a.send("!", oob)
			b.recvmsg([]int{0}, 0, peek)
			b.recvmsg([]int{0}, 0, oob|peek)
			b.recvmsg(nil, 0, oob)
			b.recvmsg([]int{0}, 0, peek)
			b.recv(9, 0)
		}
	}},
}
