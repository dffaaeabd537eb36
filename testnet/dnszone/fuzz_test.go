package dnszone

import (
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

func FuzzRespond(f *testing.F) {
	s := testServer(f)
	delegating, err := Parse(parentText, "sub.test")
	if err != nil {
		f.Fatal(err)
	}
	s.AddZone(delegating)
	f.Add(query(f, "www.example.test.", 1, 1232))
	f.Add(query(f, "alias2.example.test.", 28, 0))
	f.Add(query(f, "h.d.example.test.", 1, 512))
	f.Add(query(f, "in.sub.test.", 1, 512))
	f.Fuzz(func(t *testing.T, msg []byte) {
		for _, udp := range []bool{true, false} {
			reply := s.Answer(msg, udp)
			if reply == nil {
				return
			}
			if len(reply) < headerSize || udp && len(reply) > DefaultMaxUDP || reply[0] != msg[0] || reply[1] != msg[1] || reply[2]&0x80 == 0 {
				t.Fatalf("reply % x to % x", reply, msg)
			}
			// It can be read to its end, by the same reader and another.
			var p dnsmessage.Parser
			if _, err := p.Start(reply); err != nil {
				t.Fatal(err)
			}
			reply[2] &^= 0x80
			if reply[5] == 1 {
				if q, _, _ := readRequest(reply); q.question == nil {
					t.Fatalf("reply % x", reply)
				}
			}
		}
	})
}

func FuzzMasterFile(f *testing.F) {
	f.Add(zoneText)
	f.Add(parentText)
	f.Add("@ SOA a b ( 1 2\n3 4 5 ) ; c\n\tTXT \"a;b\" \\@")
	f.Add("a NAPTR 1 2 s \"\" t r\n$ORIGIN b\n\\$c DS 1 2 3 0 0ff\nd A \\# 0")
	f.Fuzz(func(t *testing.T, text string) {
		z, err := Parse(text, "example.test")
		if err != nil {
			return
		}
		for name, n := range z.nodes {
			if len(name) > 254 || !name.under(z.origin) {
				t.Fatalf("node %q", name)
			}
			again, err := parseName(n.owner.String(), "")
			if err != nil || again != n.owner {
				t.Fatalf("%q prints as %s, which is %q, %v", n.owner, n.owner, again, err)
			}
		}
		// What is written out and read again is the same zone.
		out := z.String()
		again, err := Parse(out, "example.test")
		if err != nil || again.String() != out {
			t.Fatalf("%v of\n%s\nwhich is then\n%v", err, out, again)
		}
		z.Check()
		NewServer(z).Answer(query(t, "www.example.test.", 1, 0), true)
	})
}
