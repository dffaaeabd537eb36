package testnet_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"usersock/sockapi"
	"usersock/stack/endpoint"
)

// scripted is what the name server says for one type: addresses, and how long
// after the question. never means that it stays silent.
type scripted struct {
	addrs []string
	after time.Duration
}

const never = -1

// TestHappyEyeballs: when which address is tried, to the millisecond. A packet
// takes 10 ms, so that the name server's answer is there after 20 and a
// connection 20 later. Nobody has the addresses ending in 99.
func TestHappyEyeballs(t *testing.T) {
	const ms = time.Millisecond
	v4, v6 := []string{"192.0.2.2"}, []string{"2001:db8::2"}
	dead4, dead6 := []string{"192.0.2.99"}, []string{"2001:db8::99"}
	both := []string{"tcp4", "tcp6"}
	for _, c := range []struct {
		name    string
		a, aaaa scripted
		listen  []string
		won     string // the family of the connection, or "" for none
		took    time.Duration
	}{
		{"IPv6 first", scripted{v4, 0}, scripted{v6, 0}, both, "2001:db8::2", 40 * ms},
		{"the first is dead", scripted{v4, 0}, scripted{dead6, 0}, both, "192.0.2.2", 290 * ms},
		{"the first refuses", scripted{v4, 0}, scripted{v6, 0}, both[:1], "192.0.2.2", 60 * ms},
		{"the versions take turns", scripted{v4, 0}, scripted{append(dead6, "2001:db8::98"), 0}, both, "192.0.2.2", 290 * ms},
		{"two dead ones", scripted{append(dead4[:1:1], "192.0.2.2"), 0}, scripted{dead6, 0}, both, "192.0.2.2", 540 * ms},
		{"AAAA comes in time", scripted{v4, 0}, scripted{v6, 30 * ms}, both, "2001:db8::2", 70 * ms},
		{"AAAA does not come", scripted{v4, 0}, scripted{nil, never}, both, "192.0.2.2", 90 * ms},
		{"A does not come", scripted{nil, never}, scripted{v6, 0}, both, "2001:db8::2", 40 * ms},
		{"AAAA comes during an attempt", scripted{dead4, 0}, scripted{v6, 100 * ms}, both, "2001:db8::2", 340 * ms},
		{"AAAA comes when there is nothing left", scripted{dead4, 0}, scripted{v6, 400 * ms}, both, "2001:db8::2", 440 * ms},
		{"no AAAA", scripted{v4, 0}, scripted{[]string{}, 0}, both, "192.0.2.2", 40 * ms},
		{"all refuse", scripted{v4, 0}, scripted{v6, 0}, nil, "", 60 * ms},
		{"no address", scripted{[]string{}, 0}, scripted{[]string{}, 0}, both, "", 20 * ms},
	} {
		t.Run(c.name, func(t *testing.T) {
			runs := 5
			if testing.Short() {
				runs = 2
			}
			same(t, runs, func(t *testing.T) outcome {
				return run(t, 1, wire{delay: 10 * ms}, func(w *world) {
					w.script(1, map[dnsmessage.Type]scripted{dnsmessage.TypeA: c.a, dnsmessage.TypeAAAA: c.aaaa})
					var listeners []net.Listener
					for _, network := range c.listen {
						l, err := w.nets[1].Listen(network, ":80")
						if err != nil {
							t.Fatal(err)
						}
						listeners = append(listeners, l)
					}
					w.task(0, "dial", func(n *sockapi.Net) {
						defer func() {
							for _, l := range listeners {
								l.Close()
							}
						}()
						began := w.driver.Now()
						conn, err := n.DialContext(context.Background(), "tcp", "host.example.:80")
						took := w.driver.Now() - began
						got := ""
						if err == nil {
							got = conn.RemoteAddr().(*net.TCPAddr).IP.String()
							conn.Close()
						}
						if got != c.won || took != c.took {
							t.Errorf("connected to %q after %v, want %q after %v (%v)", got, took, c.won, c.took, err)
						}
						if c.won == "" && len(c.a.addrs) > 0 && !errors.Is(err, endpoint.ECONNREFUSED) {
							t.Errorf("error %v", err)
						}
						// Nothing is left open: the next descriptor is the lowest.
						s, err := n.Socket(sockapi.AF_INET, sockapi.SOCK_DGRAM, 0)
						if err != nil || s.Fileno() != 3 {
							t.Errorf("the next descriptor is %d (%v)", s.Fileno(), err)
						}
						s.Close()
					})
				})
			})
		})
	}
}

// TestHappyEyeballsCancelled: the end of the context ends everything at once.
func TestHappyEyeballsCancelled(t *testing.T) {
	same(t, 3, func(t *testing.T) outcome {
		return run(t, 1, wire{delay: 10 * time.Millisecond}, func(w *world) {
			w.script(1, map[dnsmessage.Type]scripted{
				dnsmessage.TypeA: {[]string{"192.0.2.99"}, 0}, dnsmessage.TypeAAAA: {nil, never},
			})
			w.task(0, "dial", func(n *sockapi.Net) {
				for _, after := range []time.Duration{5, 60, 75, 330} { // lookup, delay, attempt, no address left
					n.Resolver().Flush()
					ctx, cancel := context.WithCancel(context.Background())
					timer := w.nodes[0].AfterFunc(after*time.Millisecond, cancel)
					began := w.driver.Now()
					_, err := n.DialContext(ctx, "tcp", "host.example.:80")
					if took := w.driver.Now() - began; took != after*time.Millisecond || !errors.Is(err, context.Canceled) {
						t.Errorf("cancelled after %vms: %v after %v", int(after), err, took)
					}
					timer.Stop()
				}
			})
		})
	})
}

// script is a name server that says the same for every name.
func (w *world) script(host int, says map[dnsmessage.Type]scripted) {
	s := w.bound(host, 53)
	s.Settimeout(quiet)
	w.task(host, "name server", func(*sockapi.Net) {
		defer s.Close()
		for {
			query, from, err := s.Recvfrom(1500)
			if err != nil {
				return
			}
			var m dnsmessage.Message
			if err := m.Unpack(query); err != nil {
				w.t.Error(err)
				return
			}
			say := says[m.Questions[0].Type]
			reply, err := scriptedReply(m, say.addrs)
			if err != nil {
				w.t.Error(err)
				return
			}
			switch {
			case say.after == never:
			case say.after == 0:
				s.Sendto(reply, from)
			default:
				// Nobody waits for what is sent after the server has ended.
				w.nodes[host].AfterFunc(say.after, func() { go s.Sendto(reply, from) })
			}
		}
	})
}

func scriptedReply(query dnsmessage.Message, addrs []string) ([]byte, error) {
	q := query.Questions[0]
	m := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: query.ID, Response: true, RecursionAvailable: true},
		Questions: query.Questions,
	}
	for _, a := range addrs {
		h := dnsmessage.ResourceHeader{Name: q.Name, Class: q.Class, TTL: 60}
		ip := net.ParseIP(a)
		switch {
		case q.Type == dnsmessage.TypeA && ip.To4() != nil:
			m.Answers = append(m.Answers, dnsmessage.Resource{Header: h, Body: &dnsmessage.AResource{A: [4]byte(ip.To4())}})
		case q.Type == dnsmessage.TypeAAAA && ip.To4() == nil:
			m.Answers = append(m.Answers, dnsmessage.Resource{Header: h, Body: &dnsmessage.AAAAResource{AAAA: [16]byte(ip)}})
		default:
			return nil, fmt.Errorf("%s for a question of type %v", a, q.Type)
		}
	}
	return m.Pack()
}
