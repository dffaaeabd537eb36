//go:build linux

package unix

import (
	"encoding/binary"
	"fmt"
	"strings"

	"usersock/stack/endpoint"
)

// memory logs what of the send buffer is in use.
func (s *stage) memory(e endpoint.Endpoint) {
	buf := make([]byte, 64)
	n, err := e.Option(endpoint.SOL_SOCKET, endpoint.SO_MEMINFO, buf)
	if n < 16 {
		s.say("%s SO_MEMINFO: %d bytes, %s", s.names[e], n, errName(err))
		return
	}
	word := func(i int) uint32 { return binary.NativeEndian.Uint32(buf[4*i:]) }
	s.say("%s uses %d of %d", s.names[e], word(2), word(3))
}

// fill sends messages of size bytes until that fails, and logs how many went.
func (s *stage) fill(e endpoint.Endpoint, size int) {
	buf := make([]byte, size)
	for count, total := 0, 0; ; count++ {
		n, err := e.Send(endpoint.Message{Bufs: [][]byte{buf}})
		total += n
		if err != nil || count == 5000 {
			s.say("%s sent %d times %d: %d bytes, then %s", s.names[e], count, size, total, errName(err))
			return
		}
	}
}

// bufferScripts are about SO_SNDBUF: how much fits, and when it is free again.
var bufferScripts = []script{
	{"cost of a message", func(s *stage) {
		if !truesizes(s) {
			return
		}
		for _, n := range []int{1, 192, 193, 704, 705, 1728, 1729, 3776, 3777, 4288, 4289, 7872, 7873, 11968, 11969, 16064,
			16065, 20160, 20161, 30000, 32448, 36544, 36545, 48832, 65216, 65217, 73408, 85696, 85697, 102080, 102081, 134848, 134849, 180000} {
			a, b := s.pair()
			s.say("%d bytes", n)
			s.send(a, strings.Repeat("x", n))
			s.memory(a)
			if s.typ == endpoint.SOCK_STREAM {
				s.recv(b, n/2, 0)
				s.memory(a)
				s.ready(a)
			}
			s.recv(b, n, 0)
			s.memory(a)
			s.close(a)
			s.close(b)
		}
	}},
	{"full", func(s *stage) {
		if !truesizes(s) {
			return
		}
		for _, buffer := range []int{0, 1, 5000, 20_000, 100_000} {
			for _, size := range []int{1, 100, 1000, 4000, 5000, 10_000, 40_000, 100_000} {
				a, b := s.pair()
				if buffer > 0 {
					s.set(a, endpoint.SO_SNDBUF, buffer)
				}
				s.fill(a, size)
				s.memory(a)
				s.ready(a)
				for i := range 4 {
					s.recv(b, size, 0)
					s.memory(a)
					s.ready(a)
					if i == 2 {
						s.send(a, "again")
					}
				}
				s.fill(a, size)
				s.close(a)
				s.close(b)
			}
		}
	}},
	{"full of nothing", func(s *stage) {
		a, b := s.pair()
		if s.typ == endpoint.SOCK_STREAM || !truesizes(s) {
			s.say("not of this type")
			return
		}
		s.fill(a, 0)
		s.memory(a)
		s.recv(b, 1, 0)
		s.send(a, "")
		s.send(a, "")
		s.close(b)
		s.memory(a)
	}},
	{"peeks and partial reads", func(s *stage) {
		if !truesizes(s) {
			return
		}
		a, b := s.pair()
		for range 3 {
			s.send(a, strings.Repeat("y", 1000))
		}
		s.recv(b, 1500, peek)
		s.memory(a)
		for range 4 {
			s.recv(b, 700, 0)
			s.memory(a)
		}
		s.send(a, "left")
		s.shutdown(a, endpoint.SHUT_WR)
		s.memory(a)
		s.close(b)
		s.memory(a)
	}},
	{"smaller buffer", func(s *stage) {
		a, b := s.pair()
		s.send(a, strings.Repeat("x", 30_000))
		s.set(a, endpoint.SO_SNDBUF, 3000)
		s.send(a, "more")
		s.ready(a)
		s.recv(b, 30_000, 0)
		s.send(a, "more")
		s.ready(a)
		s.send(a, strings.Repeat("x", 5999))
		s.send(a, strings.Repeat("x", 5968))
		s.recv(b, 10, 0)
		s.send(a, strings.Repeat("x", 5968))
	}},
	{"large", func(s *stage) {
		if !truesizes(s) {
			return
		}
		a, b := s.pair()
		s.set(a, endpoint.SO_SNDBUF, 4<<20)
		for _, n := range []int{4 << 20, maxMessage, maxMessage + 1, 5 << 20, 8<<20 - 32, 8 << 20, 9 << 20} {
			s.send(a, strings.Repeat("x", n))
			s.memory(a)
			s.recv(b, 9<<20, 0)
		}
		s.send(a, "x")
		s.shutdown(a, endpoint.SHUT_WR)
		s.send(a, strings.Repeat("x", 5<<20))
	}},
	{"low water", func(s *stage) {
		a, b := s.pair()
		s.set(b, endpoint.SO_RCVLOWAT, 10)
		s.send(a, "abc")
		s.ready(b)
		s.recv(b, 20, 0)
		s.recv(b, 20, 0)
	}},
}

// truesizes reports whether this kernel's buffers have the sizes that cost.go
// knows; others have another word or page size, or larger structs.
func truesizes(s *stage) bool {
	want := fmt.Sprint(messageCost(1))
	a, b := s.pair()
	s.send(a, "x")
	buf := make([]byte, 64)
	a.Option(endpoint.SOL_SOCKET, endpoint.SO_MEMINFO, buf)
	s.close(a)
	s.close(b)
	if s.real && fmt.Sprint(binary.NativeEndian.Uint32(buf[8:])) != want {
		s.t.Skip("this kernel's buffers have other sizes")
	}
	return true
}
