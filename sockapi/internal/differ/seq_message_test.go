package differ

import (
	"encoding/binary"
	"fmt"
	"os"
	"strings"
	"time"

	"usersock/sockapi"
	"usersock/stack/endpoint"
)

// rights is SCM_RIGHTS with the descriptors of sockets.
func rights(socks ...*sock) item {
	it := item{level: endpoint.SOL_SOCKET, typ: endpoint.SCM_RIGHTS, handles: []handle{}}
	for _, k := range socks {
		it.handles = append(it.handles, k.h)
	}
	return it
}

// sendmsg is sendmsg(2) to the peer: parts are the buffers. names are those of
// the sockets among the items, for what is written down.
func (k *sock) sendmsg(parts []string, flags int, items ...item) {
	k.sendmsgTo(parts, flags, endpoint.Addr{}, items...)
}

func (k *sock) sendmsgTo(parts []string, flags int, to endpoint.Addr, items ...item) {
	var texts []string
	for _, p := range parts {
		texts = append(texts, dataText([]byte(p)))
	}
	call := "sendmsg([" + strings.Join(texts, " ") + "]"
	if to.Family != endpoint.AF_UNSPEC {
		call += ", " + k.s.addrText(to)
	}
	for _, it := range items {
		call += ", " + k.s.sentText(it)
	}
	k.on(call+flagsArg(flags)+")", func() string {
		var bufs [][]byte
		for _, p := range parts {
			bufs = append(bufs, []byte(p))
		}
		return count(k.s.net.sendmsg(k.h, bufs, items, flags, to))
	})
}

func (s *script) sentText(it item) string {
	if it.broken {
		return itemName(it) + " that is too long"
	}
	if it.handles == nil {
		return itemName(it) + " " + itemData(it)
	}
	var names []string
	for _, h := range it.handles {
		name := "nothing"
		for _, k := range s.socks {
			if k.h == h && !k.closed {
				name = k.name
			}
		}
		names = append(names, name)
	}
	if len(names) > 4 {
		return fmt.Sprintf("%d descriptors", len(names))
	}
	return "descriptors of " + strings.Join(names, " ")
}

var itemNames = map[[2]int]string{
	{endpoint.SOL_SOCKET, endpoint.SCM_RIGHTS}:      "SCM_RIGHTS",
	{endpoint.SOL_SOCKET, endpoint.SCM_CREDENTIALS}: "SCM_CREDENTIALS",
	{endpoint.SOL_SOCKET, endpoint.SCM_TIMESTAMP}:   "SCM_TIMESTAMP",
	{endpoint.SOL_SOCKET, endpoint.SCM_TIMESTAMPNS}: "SCM_TIMESTAMPNS",
	{endpoint.IPPROTO_IP, endpoint.IP_TTL}:          "IP_TTL",
	{endpoint.IPPROTO_IP, endpoint.IP_TOS}:          "IP_TOS",
	{endpoint.IPPROTO_IP, endpoint.IP_PKTINFO}:      "IP_PKTINFO",
	{endpoint.IPPROTO_IPV6, endpoint.IPV6_HOPLIMIT}: "IPV6_HOPLIMIT",
	{endpoint.IPPROTO_IPV6, endpoint.IPV6_TCLASS}:   "IPV6_TCLASS",
	{endpoint.IPPROTO_IPV6, endpoint.IPV6_PKTINFO}:  "IPV6_PKTINFO",
}

func itemName(it item) string {
	if name, ok := itemNames[[2]int{it.level, it.typ}]; ok {
		return name
	}
	return fmt.Sprintf("item %d %d", it.level, it.typ)
}

// itemData writes the bytes of an item; a time and a process are its own.
func itemData(it item) string {
	if it.level == endpoint.SOL_SOCKET && (it.typ == endpoint.SCM_TIMESTAMP || it.typ == endpoint.SCM_TIMESTAMPNS) {
		return fmt.Sprintf("%d bytes", len(it.data))
	}
	if it.level == endpoint.SOL_SOCKET && it.typ == endpoint.SCM_CREDENTIALS && len(it.data) >= 4 &&
		int(binary.NativeEndian.Uint32(it.data)) == os.Getpid() {
		return fmt.Sprintf("PID %x", it.data[4:])
	}
	return fmt.Sprintf("%x", it.data)
}

// recvmsg is recvmsg(2) into buffers of sizes and with space for that much
// ancillary data. Descriptors that come get the names.
func (k *sock) recvmsg(sizes []int, control, flags int, names ...string) (got []*sock) {
	k.on(fmt.Sprintf("recvmsg(%v, %d%s)", sizes, control, flagsArg(flags)), func() string {
		var bufs [][]byte
		for _, n := range sizes {
			bufs = append(bufs, make([]byte, n))
		}
		r, err := k.s.net.recvmsg(k.h, bufs, control, flags)
		if err != nil {
			return errText(err)
		}
		text, left := fmt.Sprint(r.n), r.n
		for _, b := range bufs {
			b = b[:min(len(b), left)]
			left -= len(b)
			text += " " + dataText(b)
		}
		if r.flags != 0 {
			text += " " + msgText(r.flags)
		}
		for _, it := range r.items {
			if it.handles == nil {
				text += " [" + itemName(it) + " " + itemData(it) + "]"
				continue
			}
			text += fmt.Sprintf(" [%s %d]", itemName(it), len(it.handles))
			for _, h := range it.handles {
				name := fmt.Sprintf("extra%d", len(got))
				if len(got) < len(names) {
					name = names[len(got)]
				}
				got = append(got, k.s.add(name, h, false))
			}
		}
		if r.from.Family != endpoint.AF_UNSPEC && !(r.from.Family == endpoint.AF_UNIX && r.from.Path == "") {
			text += " from " + k.s.addrText(r.from)
		}
		return text
	})
	for len(got) < len(names) {
		got = append(got, k.s.add(names[len(got)], -1, false))
	}
	return got
}

// until waits for an event: what leads to it has a thread of its own.
func (k *sock) until(events int) {
	k.on("waits for "+eventsText(events), func() string {
		for end := time.Now().Add(k.s.patience); k.s.net.poll(k.h)&events != events; {
			if time.Now().After(end) {
				return "in vain"
			}
			k.s.net.await(k.h, events&^k.s.net.poll(k.h), 10*time.Millisecond)
		}
		return "ok"
	})
}

// closeUntil closes sockets and waits until d has heard of it: the kernel looks
// for circles when it likes.
func (s *script) closeUntil(d *sock, socks ...*sock) {
	var names []string
	for _, k := range socks {
		names = append(names, k.name)
	}
	s.step("close "+strings.Join(names, " ")+", and "+d.name+" waits for HUP", func() string {
		for _, k := range socks {
			k.closed = true
			s.must(s.net.close(k.h))
		}
		for end := time.Now().Add(s.patience); s.net.poll(d.h)&sockapi.POLLHUP == 0; {
			if time.Now().After(end) {
				return "in vain"
			}
			s.net.await(d.h, sockapi.POLLHUP, 10*time.Millisecond)
			// The kernel's collector is called by the close of any socket.
			h, err := s.net.socket(endpoint.AF_UNIX, endpoint.SOCK_STREAM, 0)
			s.must(err)
			s.must(s.net.close(h))
		}
		return "ok"
	})
}

const space = 1024 // for ancillary data

// messageSequences are about sendmsg and recvmsg on AF_UNIX, and descriptors in
// flight. c and d are the pair whose ends fly.
var messageSequences = []sequence{
	{name: "a descriptor is sent and used", run: func(s *script) {
		a, b := s.upair()
		c, d := s.flyer()
		a.sendmsg([]string{"take"}, 0, rights(c))
		e := b.recvmsg([]int{9}, space, 0, "e")[0]
		e.send("by the copy", 0)
		d.recv(20, 0)
		c.close()
		d.send("still open", 0)
		e.recv(20, 0)
		e.close()
		d.recv(1, 0)
	}},
	{name: "the sender closes first", run: func(s *script) {
		a, b := s.upair()
		c, d := s.flyer()
		a.sendmsg([]string{"take"}, 0, rights(c))
		c.close()
		d.send("in flight", 0)
		a.close()
		e := b.recvmsg([]int{9}, space, 0, "e")[0]
		e.recv(20, 0)
		b.recv(1, 0)
	}},
	{name: "closed with a descriptor in flight", run: func(s *script) {
		a, b := s.upair()
		c, d := s.flyer()
		a.sendmsg([]string{"take"}, 0, rights(c))
		c.close()
		b.close()
		d.until(sockapi.POLLHUP)
		a.send("x", 0)
	}},
	{name: "both ends closed with descriptors in flight both ways", run: func(s *script) {
		a, b := s.upair()
		c, d := s.flyer()
		e, f := s.socketpair("e", "f", endpoint.AF_UNIX, endpoint.SOCK_STREAM, 0)
		a.sendmsg([]string{"one"}, 0, rights(c))
		b.sendmsg([]string{"two"}, 0, rights(e))
		c.close()
		e.close()
		a.close()
		d.send("x", 0)
		b.close()
		d.until(sockapi.POLLHUP)
		f.until(sockapi.POLLHUP)
	}},
	{name: "a pair in its own queue", run: func(s *script) {
		a, b := s.upair()
		c, d := s.flyer()
		a.sendmsg([]string{"itself"}, 0, rights(b, c))
		s.closeUntil(d, c, b, a)
	}},
	{name: "two pairs in each other's queues", run: func(s *script) {
		a, b := s.upair()
		e, f := s.socketpair("e", "f", endpoint.AF_UNIX, s.typ, 0)
		c, d := s.flyer()
		a.sendmsg([]string{"x"}, 0, rights(f, c))
		e.sendmsg([]string{"y"}, 0, rights(b))
		s.closeUntil(d, a, b, c, e, f)
	}},
	{name: "in flight to a connection that is never accepted", run: func(s *script) {
		if s.typ == endpoint.SOCK_DGRAM {
			return
		}
		l, a := s.own("l"), s.own("a")
		l.bind(s.path("l"))
		l.listen(1)
		a.connect(s.path("l"))
		c, d := s.flyer()
		a.sendmsg([]string{"x"}, 0, rights(c))
		c.close()
		l.close()
		d.until(sockapi.POLLHUP)
	}},
	{name: "no space for descriptors", run: func(s *script) {
		a, b := s.upair()
		c, d := s.flyer()
		a.sendmsg([]string{"lost"}, 0, rights(c))
		c.close()
		b.recvmsg([]int{9}, 0, 0)
		d.until(sockapi.POLLHUP)
	}},
	{name: "received without ancillary data", run: func(s *script) {
		a, b := s.upair()
		c, d := s.flyer()
		a.sendmsg([]string{"lost"}, 0, rights(c))
		c.close()
		b.recv(9, 0)
		d.until(sockapi.POLLHUP)
	}},
	{name: "space for one of three", run: func(s *script) {
		a, b := s.upair()
		c, d := s.flyer()
		a.sendmsg([]string{"three"}, 0, rights(c, d, a))
		b.recvmsg([]int{9}, 20, 0, "e")
	}},
	{name: "peeked descriptors are copies", run: func(s *script) {
		a, b := s.upair()
		c, d := s.flyer()
		a.sendmsg([]string{"look"}, 0, rights(c))
		c.close()
		e := b.recvmsg([]int{9}, space, peek, "e")[0]
		f := b.recvmsg([]int{9}, space, 0, "f")[0]
		e.close()
		f.send("x", 0)
		d.recv(9, 0)
		f.close()
		d.recv(9, 0)
	}},
	{name: "between other bytes", run: func(s *script) {
		a, b := s.upair()
		c, _ := s.flyer()
		a.send("before", 0)
		a.sendmsg([]string{"with"}, 0, rights(c))
		a.send("after", 0)
		b.recvmsg([]int{50}, space, 0)
		b.recvmsg([]int{50}, space, 0, "e")
		b.recvmsg([]int{50}, space, 0)
	}},
	{name: "with no bytes", run: func(s *script) {
		a, b := s.upair()
		c, _ := s.flyer()
		a.sendmsg([]string{""}, 0, rights(c))
		b.recvmsg([]int{9}, space, 0, "e")
		a.sendmsg(nil, 0, rights(c))
		b.recvmsg([]int{9}, space, 0, "f")
	}},
	{name: "closed and too many descriptors", run: func(s *script) {
		a, b := s.upair()
		c, _ := s.flyer()
		c.close()
		a.sendmsg([]string{"x"}, 0, rights(c))
		a.sendmsg([]string{"x"}, 0, rights())
		b.recvmsg([]int{9}, space, 0)
		many := rights()
		for range 254 {
			many.handles = append(many.handles, a.h)
		}
		a.sendmsg([]string{"x"}, 0, many)
	}},
	{name: "several buffers", run: func(s *script) {
		a, b := s.upair()
		a.sendmsg([]string{"one ", "", "two ", "three"}, 0)
		b.recvmsg([]int{2, 0, 5, 9}, 0, 0)
		a.sendmsg(nil, 0)
		a.sendmsg([]string{"longer than that"}, 0)
		b.recvmsg([]int{2, 2}, 0, 0)
		b.recvmsg([]int{50}, 0, 0)
		a.sendmsg([]string{"cut"}, 0)
		b.recvmsg([]int{1}, 0, trunc)
		b.recvmsg(nil, 0, 0)
	}},
	{name: "the end of a record", run: func(s *script) {
		a, b := s.upair()
		a.sendmsg([]string{"record"}, eor)
		b.recvmsg([]int{9}, 0, 0)
		a.close()
		b.recvmsg([]int{9}, 0, 0)
	}},
	{name: "credentials on request", run: func(s *script) {
		a, b := s.upair()
		b.set(soPasscred, 1)
		a.send("who", 0)
		b.recvmsg([]int{9}, space, 0)
		b.recvmsg([]int{9}, space, 0)
		own := binary.NativeEndian.AppendUint32(nil, uint32(os.Getpid()))
		own = append(own, make([]byte, 8)...)
		a.sendmsg([]string{"me"}, 0, item{level: endpoint.SOL_SOCKET, typ: endpoint.SCM_CREDENTIALS, data: own})
		b.recvmsg([]int{9}, space, 0)
		a.send("cut", 0)
		b.recvmsg([]int{9}, 20, 0)
		a.send("none", 0)
		b.recvmsg([]int{9}, 0, 0)
	}},
	{name: "items that are none", run: func(s *script) {
		a, b := s.upair()
		a.sendmsg([]string{"x"}, 0, item{level: endpoint.SOL_SOCKET, typ: 77, data: make([]byte, 4)})
		a.sendmsg([]string{"x"}, 0, item{level: endpoint.IPPROTO_IP, typ: 1, data: make([]byte, 4)})
		a.sendmsg([]string{"x"}, 0, item{level: endpoint.SOL_SOCKET, typ: endpoint.SCM_CREDENTIALS, data: make([]byte, 4)})
		b.recvmsg([]int{9}, space, 0)
	}},
	{name: "to an address", run: func(s *script) {
		a, b := s.own("a"), s.own("b")
		a.bind(s.path("a"))
		b.bind(s.path("b"))
		a.sendmsgTo([]string{"x", "y"}, 0, s.path("b"))
		b.recvmsg([]int{9}, space, 0)
		a.sendmsgTo([]string{"x"}, 0, s.path("none"))
	}},
}

// flyer is a pair of which c is sent and d stays, to tell whether c is open.
func (s *script) flyer() (c, d *sock) {
	return s.socketpair("c", "d", endpoint.AF_UNIX, endpoint.SOCK_STREAM, 0)
}

// netMessages are about sendmsg and recvmsg over lo, on both sorts of sockets.
var netMessages = []sequence{
	{name: "several buffers", run: func(s *script) {
		a, b := s.talk()
		a.sendmsg([]string{"one ", "", "two"}, 0)
		b.recvmsg([]int{2, 0, 9}, 0, 0)
		a.sendmsg([]string{"longer than that"}, 0)
		b.recvmsg([]int{2, 2}, 0, 0)
		b.recvmsg([]int{50}, 0, 0)
		a.sendmsg([]string{"cut"}, 0)
		b.recvmsg([]int{1}, 0, trunc)
		a.sendmsg([]string{"items"}, 0, item{level: endpoint.SOL_SOCKET, typ: 77, data: make([]byte, 4)})
		a.sendmsg([]string{"items"}, 0, item{level: endpoint.SOL_SOCKET, typ: endpoint.SCM_RIGHTS, data: make([]byte, 4)})
		b.recvmsg([]int{50}, space, errq)
	}},
	{name: "ancillary data asked for", run: func(s *script) {
		a, b := s.talk()
		for _, o := range s.asked() {
			b.set(o, 1)
		}
		a.send("x", 0)
		b.recvmsg([]int{9}, space, 0)
		a.send("y", 0)
		b.recvmsg([]int{9}, 0, 0)
		a.send("z", 0)
		b.recvmsg([]int{9}, 20, 0)
	}},
	{name: "ancillary data per message", run: func(s *script) {
		a, b := s.talk()
		for _, o := range s.asked() {
			b.set(o, 1)
		}
		level, hops, class := endpoint.IPPROTO_IP, endpoint.IP_TTL, endpoint.IP_TOS
		if s.af == endpoint.AF_INET6 {
			level, hops, class = endpoint.IPPROTO_IPV6, endpoint.IPV6_HOPLIMIT, endpoint.IPV6_TCLASS
		}
		for _, v := range []int{7, 0, -1, 256} {
			a.sendmsg([]string{"h"}, 0, item{level: level, typ: hops, data: intBytes(v)})
			b.recvmsg([]int{9}, space, 0)
			a.sendmsg([]string{"c"}, 0, item{level: level, typ: class, data: intBytes(v)})
			b.recvmsg([]int{9}, space, 0)
		}
		a.sendmsg([]string{"s"}, 0, item{level: level, typ: hops, data: []byte{7}})
		a.sendmsg([]string{"u"}, 0, item{level: level, typ: 99, data: intBytes(7)})
		a.sendmsg([]string{"o"}, 0, item{level: 77, typ: 1, data: intBytes(7)})
	}},
	{name: "a timestamp", run: func(s *script) {
		if s.typ == endpoint.SOCK_STREAM {
			return // the kernel begins to stamp packets when it has the time
		}
		a, b := s.talk()
		b.set(soTimestamp, 1)
		a.send("x", 0)
		b.recvmsg([]int{9}, space, 0)
	}},
}

// talk is two connected sockets of the script's type.
func (s *script) talk() (a, b *sock) {
	if s.typ == endpoint.SOCK_STREAM {
		return s.pair()
	}
	a, b = s.datagram("a"), s.receiver("b")
	a.connect(b.addr())
	return a, b
}

// asked are the options that ask for ancillary data.
func (s *script) asked() []option {
	if s.af == endpoint.AF_INET6 {
		return []option{ipv6Pktinfo, {"IPV6_RECVHOPLIMIT", endpoint.IPPROTO_IPV6, endpoint.IPV6_RECVHOPLIMIT},
			{"IPV6_RECVTCLASS", endpoint.IPPROTO_IPV6, endpoint.IPV6_RECVTCLASS}}
	}
	return []option{ipPktinfo, ipRecvttl, {"IP_RECVTOS", endpoint.IPPROTO_IP, endpoint.IP_RECVTOS}}
}
