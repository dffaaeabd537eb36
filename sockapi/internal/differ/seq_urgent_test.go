package differ

import (
	"fmt"
	"strings"

	"usersock/stack/endpoint"
)

// oobSequences are about MSG_OOB on AF_UNIX, of which streams alone have it.
var oobSequences = []sequence{
	{name: "urgent data and its neighbours", run: func(s *script) {
		a, b := s.upair()
		b.recv(1, oob)
		a.send("", oob)
		a.send("hello", oob)
		b.recv(10, oob|peek)
		b.recv(10, peek)
		b.recv(10, 0)
		b.recv(0, oob)
		b.recv(10, oob)
		b.recv(10, oob)
		b.recv(10, 0)
		a.send("more", 0)
		b.recv(10, 0)
	}},
	{name: "urgent data unconnected", run: func(s *script) {
		a := s.own("a")
		a.send("x", oob)
		a.recv(1, oob)
		a.sendto("x", s.path("none"), oob)
		a.sendto("", s.path("none"), oob)
	}},
	{name: "urgent data and descriptors", run: func(s *script) {
		a, b := s.upair()
		urgent := func(text string) { a.sendmsg([]string{text}, oob, copies(a, 1)) }
		urgent("x")
		b.take(5, space, oob)
		b.take(5, space, 0)
		urgent("xyz")
		b.take(5, space, 0)
		b.take(5, space, oob)
		urgent("u")
		a.send("next", 0)
		b.take(5, space, 0)
		b.set(soOobinline, 1)
		urgent("v")
		a.send("next", 0)
		b.take(5, space, peek)
		b.take(5, space, 0)
		b.take(5, space, 0)
	}},
	{name: "urgent data at the end", run: func(s *script) {
		a, b := s.upair()
		a.send("ab", oob)
		a.close()
		b.recv(5, 0)
		b.recv(5, 0)
		b.recv(5, oob)
	}},
	{name: "urgent data was read, closed", run: func(s *script) {
		a, b := s.upair()
		a.send("u", oob)
		b.recv(1, oob)
		b.close()
		a.errno()
	}},
	{name: "urgent data unread, closed", run: func(s *script) {
		a, b := s.upair()
		a.send("u", oob)
		b.close()
		a.errno()
	}},
	{name: "urgent data was read and its neighbour not, closed", run: func(s *script) {
		a, b := s.upair()
		a.send("xu", oob)
		b.recv(5, oob)
		b.close()
		a.errno()
	}},
	{name: "an error that is urgent", run: func(s *script) {
		a, b := s.upair()
		a.set(named("SO_SELECT_ERR_QUEUE"), 1)
		a.send("unread", 0)
		b.send("unread", 0)
		if s.typ == endpoint.SOCK_DGRAM {
			b.connect(unspec)
		} else {
			b.close()
		}
		a.memory()
		a.errno()
	}},
}

// urgentPrograms are every way to send urgent data (u, D) among others (d), and
// to receive: all (r), a byte (1), the urgent one (o), and peeks of all of these
// (p, P for two bytes, b). Each way to receive is a step.
func urgentPrograms() (qs []sequence) {
	for _, inline := range []int{0, 1} {
		for _, sends := range []string{"u", "du", "ud", "dud", "uu", "udu", "uduu", "duDu", "dudud"} {
			qs = append(qs, sequence{name: fmt.Sprintf("urgent programs/%s, SO_OOBINLINE %d", sends, inline), run: func(s *script) {
				for _, reads := range []string{"rrr", "orr", "ror", "poprr", "pPpr", "oror", "1o1o1", "rorro", "opPrr", "bo1r"} {
					s.step(reads, func() string { return s.urgentProgram(sends, reads, inline) })
				}
			}})
		}
	}
	return qs
}

func (s *script) urgentProgram(sends, reads string, inline int) string {
	a, b := s.quietPair()
	defer s.quietClose(a, b)
	s.must(s.net.setsockopt(b.h, soOobinline.level, soOobinline.number, intBytes(inline)))
	for i, c := range sends {
		text, flags := string(rune('a'+3*i)), 0
		if c != 'u' {
			text += "12"
		}
		if c != 'd' {
			flags = oob
		}
		_, err := s.net.send(a.h, []byte(text), flags)
		s.must(err)
	}
	var texts []string
	for _, c := range reads {
		size, flags := 20, 0
		switch c {
		case '1':
			size = 1
		case 'o':
			size, flags = 5, oob
		case 'b':
			size, flags = 5, oob|peek
		case 'p':
			flags = peek
		case 'P':
			size, flags = 2, peek
		}
		buf := make([]byte, size)
		n, _, err := s.net.recvfrom(b.h, buf, flags)
		text := errText(err)
		if err == nil {
			text = dataText(buf[:n])
		}
		texts = append(texts, text+" "+eventsText(s.net.poll(b.h)))
	}
	return strings.Join(texts, "; ")
}
