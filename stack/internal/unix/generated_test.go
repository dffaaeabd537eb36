//go:build linux

package unix

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"

	"usersock/stack/endpoint"
	"usersock/stack/internal/kernel"
)

// TestGeneratedAgainstLinux makes scripts from numbers and plays them over the
// kernel's sockets and over ours. USERSOCK_SCRIPTS is how many for each type.
func TestGeneratedAgainstLinux(t *testing.T) {
	count := 150
	if n, err := strconv.Atoi(os.Getenv("USERSOCK_SCRIPTS")); err == nil {
		count = n
	}
	for _, typ := range []int{endpoint.SOCK_STREAM, endpoint.SOCK_DGRAM, endpoint.SOCK_SEQPACKET} {
		for seed := range uint64(count) {
			compareGenerated(t, typ, seed)
			if t.Failed() {
				return // one is enough to read
			}
		}
	}
}

func compareGenerated(t *testing.T, typ int, seed uint64) {
	steps := 10 + int(seed%50)
	t.Run(fmt.Sprint(typ, "/", seed), func(t *testing.T) {
		logs := func() (linux, here []string) {
			l := newStage(t, typ, kernel.Family{AF: endpoint.AF_UNIX}, true)
			generate(l, seed, steps)
			f := New(Config{})
			h := newStage(t, typ, f, false)
			h.unlink = f.Unlink
			generate(h, seed, steps)
			for _, s := range []*stage{l, h} {
				for e := range s.names {
					e.Close()
				}
			}
			return l.log, h.log
		}
		linux, here := logs()
		for i := range linux {
			if i >= len(here) || linux[i] != here[i] {
				t.Log(strings.Join(linux[:i], "\n"))
				compare(t, linux[i:i+1], here[i:min(i+1, len(here))])
				return
			}
		}
	})
}

// generate plays a script made of a number.
func generate(s *stage, seed uint64, steps int) {
	rnd := rand.New(rand.NewPCG(seed, uint64(s.typ)))
	var all []endpoint.Endpoint
	made := 0
	add := func(e endpoint.Endpoint) {
		if e != nil {
			made++
			s.names[e] = fmt.Sprint("e", made)
			all = append(all, e)
		}
	}
	name := func() endpoint.Addr {
		switch n := string(rune('a' + rnd.IntN(3))); rnd.IntN(6) {
		case 0, 1, 2:
			return s.path(n)
		case 3, 4:
			return s.abstract(n)
		}
		return endpoint.Unix("")
	}
	data := func() string {
		sizes := [...]int{0, 1, 2, 3, 3, 5, 9, 20, 300, 5000, 70_000}
		n := sizes[rnd.IntN(len(sizes))]
		return strings.Repeat(string(rune('a'+rnd.IntN(26))), n)
	}
	item := func(m *endpoint.Message) {
		switch rnd.IntN(8) {
		case 0, 1:
			m.Control = append(m.Control, rightsItem(1+rnd.IntN(3)))
		case 2:
			m.Control = append(m.Control, credItem(s.cred.Pid, s.cred.Uid, s.cred.Gid))
		case 3:
			m.Control = append(m.Control, credItem(1, uint32(rnd.IntN(3)), 6))
		}
	}
	a, b := s.pair()
	add(a)
	add(b)
	sinceStamp := []int{endpoint.SO_PASSCRED, endpoint.SO_PASSCRED, endpoint.SO_PEEK_OFF, endpoint.SO_OOBINLINE, endpoint.SO_SNDBUF}
	for range steps {
		e := all[rnd.IntN(len(all))]
		switch rnd.IntN(24) {
		case 0:
			if len(all) < 9 {
				add(s.open("new"))
			}
		case 1:
			s.bind(e, name())
		case 2:
			s.connect(e, name())
		case 3:
			if s.typ == endpoint.SOCK_DGRAM && rnd.IntN(2) == 0 {
				s.connect(e, endpoint.Addr{})
			} else {
				s.listen(e, rnd.IntN(4)-1)
			}
		case 4:
			if n := s.accept(e, "accepted"); n != nil {
				add(n)
			}
		case 5:
			if rnd.IntN(3) == 0 {
				s.shutdown(e, rnd.IntN(3))
			}
		case 6:
			if rnd.IntN(2) == 0 && len(all) > 3 {
				s.close(e)
				for i, x := range all {
					if x == e {
						all = append(all[:i], all[i+1:]...)
						break
					}
				}
			}
		case 7, 8, 9, 10:
			s.send(e, data())
		case 11, 12:
			var m endpoint.Message
			item(&m)
			if s.typ == endpoint.SOCK_DGRAM && rnd.IntN(2) == 0 {
				m.To = name()
				if m.To.Path == "" {
					m.To = endpoint.Addr{}
				}
			}
			if s.typ == endpoint.SOCK_STREAM && rnd.IntN(4) == 0 {
				m.Flags = oobMsg
			}
			text := data()
			if text == "" && len(m.Control) > 0 {
				text = "." // otherwise package unix adds a byte to nothing
			}
			s.sendMsg(e, m, text)
		case 13, 14, 15, 16:
			sizes := [...]int{1, 2, 4, 10, 1000, 100_000}
			flags := 0
			if rnd.IntN(3) == 0 {
				flags |= peek
			}
			if rnd.IntN(8) == 0 {
				flags |= oobMsg
			}
			s.recvMsg(e, sizes[rnd.IntN(len(sizes))], flags, rnd.IntN(2) == 0)
		case 17, 18:
			option := sinceStamp[rnd.IntN(len(sinceStamp))]
			v := rnd.IntN(2)
			switch option {
			case endpoint.SO_PEEK_OFF:
				v = rnd.IntN(8) - 4
			case endpoint.SO_SNDBUF:
				v = 5000 + 1000*rnd.IntN(5)
			}
			s.set(e, option, v)
		case 19:
			s.opt(e, endpoint.SO_ERROR)
		case 20:
			s.memory(e)
		case 21:
			s.say("unlink: %s", errName(s.unlink(s.dir+"/"+string(rune('a'+rnd.IntN(3))))))
		case 22:
			s.fill(e, 700+rnd.IntN(3)*9000)
		default:
			s.readyPri(e)
		}
		for _, x := range all {
			s.ready(x)
		}
	}
}
