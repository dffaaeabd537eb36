//go:build linux

package unix

import (
	"fmt"
	"strings"

	"usersock/stack/endpoint"
)

// oob sends text with MSG_OOB.
func (s *stage) oob(e endpoint.Endpoint, text string) {
	s.sendMsg(e, endpoint.Message{Flags: oobMsg}, text)
}

// urgentScripts are about MSG_OOB. They are one for each short program of the
// letters of steps.
var urgentScripts = append([]script{
	{"urgent data and its neighbours", func(s *stage) {
		a, b := s.pair()
		s.recv(b, 1, oobMsg)
		s.oob(a, "")
		s.oob(a, "hello")
		s.readyPri(b)
		s.recv(b, 10, oobMsg|peek)
		s.recv(b, 10, peek)
		s.recv(b, 10, 0)
		s.readyPri(b)
		s.recv(b, 0, oobMsg)
		s.recv(b, 10, oobMsg)
		s.recv(b, 10, oobMsg)
		s.readyPri(b)
		s.recv(b, 10, 0)
		s.send(a, "more")
		s.recv(b, 10, 0)
	}},
	{"urgent data unconnected", func(s *stage) {
		e := s.open("e")
		s.oob(e, "x")
		s.recv(e, 1, oobMsg)
		s.sendMsg(e, endpoint.Message{Flags: oobMsg, To: s.path("none")}, "x")
		s.sendMsg(e, endpoint.Message{Flags: oobMsg, To: s.path("none")}, "")
	}},
	{"urgent data and rights", func(s *stage) {
		a, b := s.pair()
		m := withItems(rightsItem(1))
		m.Flags = oobMsg
		s.sendMsg(a, m, "x")
		s.recvMsg(b, 5, oobMsg, true)
		s.recvMsg(b, 5, 0, true)
		s.sendMsg(a, m, "xyz")
		s.recvMsg(b, 5, 0, true)
		s.recvMsg(b, 5, oobMsg, true)
		s.sendMsg(a, m, "u")
		s.send(a, "next")
		s.recvMsg(b, 5, 0, true)
		s.set(b, endpoint.SO_OOBINLINE, 1)
		s.sendMsg(a, m, "v")
		s.send(a, "next")
		s.recvMsg(b, 5, peek, true)
		s.recvMsg(b, 5, 0, true)
		s.recvMsg(b, 5, 0, true)
	}},
	{"urgent data at the end", func(s *stage) {
		a, b := s.pair()
		s.oob(a, "ab")
		s.close(a)
		s.readyPri(b)
		s.recv(b, 5, 0)
		s.recv(b, 5, 0)
		s.recv(b, 5, oobMsg)
		a, b = s.pair()
		s.oob(a, "u")
		s.recv(b, 1, oobMsg)
		s.close(b)
		s.ready(a)
		s.opt(a, endpoint.SO_ERROR)
		a, b = s.pair()
		s.oob(a, "u")
		s.close(b)
		s.ready(a)
		s.opt(a, endpoint.SO_ERROR)
		a, b = s.pair()
		s.oob(a, "xu")
		s.recv(b, 5, oobMsg)
		s.close(b)
		s.opt(a, endpoint.SO_ERROR)
	}},
	{"urgent data in a full buffer", func(s *stage) {
		a, b := s.pair()
		if !truesizes(s) {
			return
		}
		s.set(a, endpoint.SO_SNDBUF, 1)
		s.fill(a, 1000)
		s.oob(a, "u")
		s.oob(a, "xu")
		s.recv(b, 3000, 0)
		s.oob(a, strings.Repeat("x", 10_000))
		s.memory(a)
		s.recv(b, 10_000, 0)
		s.memory(a)
		s.oob(a, "vw")
		s.recv(b, 10, oobMsg)
		s.memory(a)
	}},
}, urgentPrograms()...)

// readyPri does not ask how much is queued: Linux 6.18 counts a lost urgent byte
// for ever.
func (s *stage) readyPri(e endpoint.Endpoint) {
	s.say("%s ready %#x", s.names[e], e.Ready(endpoint.In|endpoint.Out|endpoint.RdHup|endpoint.Pri))
}

// urgentPrograms returns a script for every way to send and receive.
func urgentPrograms() []script {
	var list []script
	for _, inline := range []int{0, 1} {
		for _, sends := range []string{"u", "du", "ud", "dud", "uu", "udu", "uduu", "duDu", "dudud"} {
			for _, reads := range []string{"rrr", "orr", "ror", "poprr", "pPpr", "oror", "1o1o1", "rorro", "opPrr", "bo1r"} {
				name := fmt.Sprint("urgent program ", sends, " ", reads, " ", inline)
				list = append(list, script{name, func(s *stage) {
					if s.typ != endpoint.SOCK_STREAM {
						s.say("not of this type")
						return
					}
					a, b := s.pair()
					if inline != 0 {
						s.set(b, endpoint.SO_OOBINLINE, 1)
					}
					for i, c := range sends {
						text := string(rune('a' + 3*i))
						switch c {
						case 'u':
							s.oob(a, text)
						case 'd':
							s.send(a, text+"12")
						case 'D':
							s.oob(a, text+"12")
						}
					}
					for _, c := range reads {
						switch c {
						case 'r':
							s.recv(b, 20, 0)
						case '1':
							s.recv(b, 1, 0)
						case 'o':
							s.recv(b, 5, oobMsg)
						case 'b':
							s.recv(b, 5, oobMsg|peek)
						case 'p':
							s.recv(b, 20, peek)
						case 'P':
							s.recv(b, 2, peek)
						}
						s.readyPri(b)
					}
				}})
			}
		}
	}
	return list
}
