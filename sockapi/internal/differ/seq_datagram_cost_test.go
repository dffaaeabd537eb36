package differ

import (
	"encoding/binary"
	"fmt"
	"runtime"
	"time"

	"usersock/stack/endpoint"
)

// costSequences are about SO_RCVBUF of datagrams over lo: how much what waits
// takes of it, and how many find room.
var costSequences = truesized([]sequence{
	{name: "cost of what waits", run: func(s *script) {
		for _, size := range []int{0, 1, 184, 185, 197, 198, 205, 206, 632, 633, 645, 646, 1400, 1656, 1657, 1669, 1670, 3704, 3705, 3717, 3718,
			7800, 7801, 7813, 7814, 9000, 15991, 15992, 16004, 16005, 16012, 16013, 40000, 65000} {
			s.step(fmt.Sprintf("%d bytes", size), func() string { return s.pour(1<<17, size, 1) })
		}
	}},
	{name: "full of what waits", run: func(s *script) {
		for _, buffer := range []int{0, 3000, 20_000} {
			for _, size := range []int{10, 500, 1400, 9000, 20_000} {
				s.step(fmt.Sprintf("%d bytes each, a buffer of %d", size, buffer), func() string { return s.pour(buffer, size, 1000) })
			}
		}
	}},
})

// pour sends datagrams until one is lost, or that many, and tells what waits
// then.
func (s *script) pour(buffer, size, most int) string {
	proto := 0
	if s.typ == endpoint.SOCK_RAW {
		proto = experiment
	}
	open := func() *sock {
		h, err := s.net.socket(s.af, s.typ, proto)
		s.must(err)
		return &sock{s: s, h: h}
	}
	from, to := open(), open()
	defer s.quietClose(from, to)
	s.must(s.net.setsockopt(to.h, soRcvbuf.level, soRcvbuf.number, intBytes(buffer)))
	s.must(s.net.setsockopt(from.h, soSndbuf.level, soSndbuf.number, intBytes(1<<20)))
	s.must(s.net.bind(to.h, s.lo(0)))
	addr := to.addr()
	if s.typ == endpoint.SOCK_RAW {
		addr.Port = 0
	}
	memory := func() (used, lost uint32) {
		var b [36]byte
		_, err := s.net.getsockopt(to.h, endpoint.SOL_SOCKET, endpoint.SO_MEMINFO, b[:])
		s.must(err)
		return binary.NativeEndian.Uint32(b[:]), binary.NativeEndian.Uint32(b[32:])
	}
	data := make([]byte, size)
	used, _ := memory()
	for n := 1; ; n++ {
		_, err := s.net.sendto(from.h, data, 0, addr)
		s.must(err)
		before, lost := used, uint32(0)
		for end := time.Now().Add(s.patience); ; runtime.Gosched() { // it may be under way
			if used, lost = memory(); used != before || lost > 0 || time.Now().After(end) {
				break
			}
		}
		if lost > 0 || n == most {
			return fmt.Sprintf("%d datagrams take %d", n-int(lost), used)
		}
	}
}
