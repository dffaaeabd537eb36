package differ

import (
	"encoding/binary"
	"fmt"
	"strings"

	"usersock/stack/endpoint"
)

// memoryText is what of the send buffer is in use, by SO_MEMINFO.
func (k *sock) memoryText() string {
	o, b := named("SO_MEMINFO"), make([]byte, 64)
	n, err := k.s.net.getsockopt(k.h, o.level, o.number, b)
	if err != nil || n < 16 {
		return fmt.Sprintf("%d bytes of SO_MEMINFO, %s", n, errText(err))
	}
	return fmt.Sprintf("%d of %d", binary.NativeEndian.Uint32(b[8:]), binary.NativeEndian.Uint32(b[12:]))
}

func (k *sock) memory() { k.on("memory", k.memoryText) }

// use is memory and readiness.
func (k *sock) use() string { return k.memoryText() + " " + eventsText(k.s.net.poll(k.h)) }

// stuff sends messages of size bytes until that fails, and tells how many went.
// AF_UNIX has no bytes under way: unlike fill it does not wait.
func (k *sock) stuff(size int) string {
	chunk := make([]byte, size)
	for count, total := 0, 0; ; count++ {
		n, err := k.s.net.send(k.h, chunk, 0)
		total += n
		if err != nil || count == 5000 {
			return fmt.Sprintf("%d times, %d bytes, then %s", count, total, errText(err))
		}
	}
}

// got receives size bytes, and tells how many came.
func (k *sock) got(size, flags int) string {
	return count(first(k.s.net.recvfrom(k.h, make([]byte, size), flags)))
}

func first(n int, _ endpoint.Addr, err error) (int, error) { return n, err }

// quietPair is a pair of sockets that are not written down.
func (s *script) quietPair() (a, b *sock) {
	ha, hb, err := s.net.socketpair(endpoint.AF_UNIX, s.typ, 0)
	s.must(err)
	return &sock{s: s, name: "a", h: ha}, &sock{s: s, name: "b", h: hb}
}

func (s *script) quietClose(socks ...*sock) {
	for _, k := range socks {
		s.must(s.net.close(k.h))
	}
}

// oneByte is what a message of one byte takes of a send buffer, where words
// have 64 bits and pages 4096 bytes: on other kernels the sequences of
// bufferSequences have other numbers.
const oneByte = 768

// otherBuffers reports whether the buffers of a side have other sizes.
func otherBuffers(side sockets) bool {
	s := &script{net: side, typ: endpoint.SOCK_STREAM}
	a, b := s.quietPair()
	defer s.quietClose(a, b)
	_, err := side.send(a.h, []byte("x"), 0)
	s.must(err)
	return !strings.HasPrefix(a.memoryText(), fmt.Sprint(oneByte, " of "))
}

// bufferSequences are about SO_SNDBUF of AF_UNIX: how much fits, and when there
// is room again.
var bufferSequences = truesized([]sequence{
	{name: "cost of a message", run: func(s *script) {
		for _, n := range []int{1, 192, 193, 704, 705, 1728, 1729, 3776, 3777, 4288, 4289, 7872, 7873, 11968, 11969, 16064,
			16065, 20160, 20161, 30000, 32448, 36544, 36545, 48832, 65216, 65217, 73408, 85696, 85697, 102080, 102081, 134848, 134849, 180000} {
			s.step(fmt.Sprintf("%d bytes", n), func() string {
				a, b := s.quietPair()
				defer s.quietClose(a, b)
				text := count(s.net.send(a.h, make([]byte, n), 0)) + " use " + a.use()
				if s.typ == endpoint.SOCK_STREAM {
					text += "; of which " + b.got(n/2, 0) + " read: " + a.use()
				}
				return text + "; " + b.got(n, 0) + " read: " + a.use()
			})
		}
	}},
	{name: "full of messages", run: func(s *script) {
		for _, buffer := range []int{0, 1, 5000, 20_000, 100_000} {
			for _, size := range []int{1, 100, 1000, 4000, 5000, 10_000, 40_000, 100_000} {
				s.step(fmt.Sprintf("a buffer of %d, messages of %d", buffer, size), func() string {
					a, b := s.quietPair()
					defer s.quietClose(a, b)
					if buffer > 0 {
						s.must(s.net.setsockopt(a.h, soSndbuf.level, soSndbuf.number, intBytes(buffer)))
					}
					text := a.stuff(size) + ": " + a.use()
					for i := range 4 {
						text += "; " + b.got(size, 0) + " read: " + a.use()
						if i == 2 {
							text += "; again " + count(s.net.send(a.h, []byte("again"), 0))
						}
					}
					return text + "; " + a.stuff(size)
				})
			}
		}
	}},
	{name: "full of nothing", run: func(s *script) {
		if s.typ == endpoint.SOCK_STREAM {
			return
		}
		a, b := s.upair()
		a.on("send nothing until it is full", func() string { return a.stuff(0) })
		a.memory()
		b.recv(1, 0)
		a.send("", 0)
		a.send("", 0)
		b.close()
		a.memory()
	}},
	{name: "peeks and partial reads", run: func(s *script) {
		a, b := s.upair()
		for range 3 {
			a.send(strings.Repeat("y", 1000), 0)
		}
		b.recv(1500, peek)
		a.memory()
		for range 4 {
			b.recv(700, 0)
			a.memory()
		}
		a.send("left", 0)
		a.shutdown(wr)
		a.memory()
		b.close()
		a.memory()
	}},
	{name: "a smaller buffer", run: func(s *script) {
		a, b := s.upair()
		a.send(strings.Repeat("x", 30_000), 0)
		a.set(soSndbuf, 3000)
		a.send("more", 0)
		b.recv(30_000, 0)
		a.send("more", 0)
		a.send(strings.Repeat("x", 5999), 0)
		a.send(strings.Repeat("x", 5968), 0)
		b.recv(10, 0)
		a.send(strings.Repeat("x", 5968), 0)
	}},
	{name: "the longest message", run: func(s *script) {
		a, _ := s.upair()
		a.set(soSndbuf, 5000)
		for _, n := range []int{10_000, 10_000 - 31, 10_000 - 32} {
			a.send(strings.Repeat("x", n), 0)
		}
	}},
	{name: "megabytes", run: func(s *script) {
		a, b := s.upair()
		a.set(soSndbuf, 4<<20)
		const longest = 4<<20 - 320 + 17<<12 // the largest linear part but its end, and 17 pages
		buf := make([]byte, 9<<20)
		for _, n := range []int{4 << 20, longest, longest + 1, 5 << 20, 8<<20 - 32, 8 << 20, 9 << 20} {
			a.on(fmt.Sprintf("send %d bytes", n), func() string { return count(s.net.send(a.h, buf[:n], 0)) + " use " + a.use() })
			b.on("recv all of it", func() string { return count(first(s.net.recvfrom(b.h, buf, 0))) })
		}
		a.send("x", 0)
		a.shutdown(wr)
		a.on("send 5 MiB", func() string { return count(s.net.send(a.h, buf[:5<<20], 0)) })
	}},
	{name: "urgent data in a full buffer", run: func(s *script) {
		a, b := s.upair()
		a.set(soSndbuf, 1)
		a.on("send 1000 until it is full", func() string { return a.stuff(1000) })
		a.send("u", oob)
		a.send("xu", oob)
		b.recv(3000, 0)
		a.send(strings.Repeat("x", 10_000), oob)
		a.memory()
		b.recv(10_000, 0)
		a.memory()
		a.send("vw", oob)
		b.recv(10, oob)
		a.memory()
	}},
})

// truesized marks sequences that depend on the size of the kernel's buffers.
func truesized(qs []sequence) []sequence {
	for i := range qs {
		qs[i].truesized = true
	}
	return qs
}
