package testnet_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"usersock/sockapi"
	"usersock/stack/endpoint"
)

// TestSameTraceOfDatagrams looks names up with the host's resolver and asks a
// server of its own over UDP, both with time-outs and repetitions, on a link
// that loses a third of the packets; and it meets a closed port, whose ICMP
// error comes back.
func TestSameTraceOfDatagrams(t *testing.T) {
	runs := 20
	if testing.Short() {
		runs = 5
	}
	bad := wire{delay: 20 * time.Millisecond, loss: 1.0 / 3}
	talk := func(t *testing.T, seed uint64, timeouts *int) outcome {
		*timeouts = 0
		return run(t, seed, bad, func(w *world) {
			w.nameServer(1, 20)
			w.echo(1, 7, 8)
			w.task(0, "lookup one", func(n *sockapi.Net) { w.lookup(n, "one.example") })
			w.task(0, "lookup two", func(n *sockapi.Net) { w.lookup(n, "two.example") })
			w.task(0, "ping", func(n *sockapi.Net) { *timeouts = w.ping(n, 7, 20) })
			w.task(0, "ping too", func(n *sockapi.Net) { w.ping(n, 8, 10) })
			w.task(0, "refused", w.refused)
		})
	}
	var all [20]int
	next := make(chan int, len(all))
	for i := range runs {
		next <- i
	}
	o := same(t, runs, func(t *testing.T) outcome { return talk(t, 3, &all[<-next]) })
	for i, timeouts := range all[:runs] {
		if timeouts != all[0] || timeouts == 0 {
			t.Errorf("run %d had %d time-outs, the first %d", i, timeouts, all[0])
		}
	}
	if o.elapsed < 2*time.Second || o.lost < 10 {
		t.Errorf("%v: nothing was ever repeated", o)
	}
	var timeouts int
	if other := talk(t, 4, &timeouts); other.trace == o.trace {
		t.Error("another seed gives the same trace")
	}
}

// bound opens a UDP socket on a port, before any task begins.
func (w *world) bound(host, port int) *sockapi.Socket {
	s, err := w.nets[host].Socket(sockapi.AF_INET, sockapi.SOCK_DGRAM, 0)
	if err == nil {
		err = s.Bind(sockapi.InetAddr{Port: port})
	}
	if err != nil {
		w.t.Fatal("bound:", err)
	}
	return s
}

// connected opens a UDP socket that talks to a port of the other host.
func connected(n *sockapi.Net, port int) (*sockapi.Socket, error) {
	s, err := n.Socket(sockapi.AF_INET, sockapi.SOCK_DGRAM, 0)
	if err != nil {
		return nil, err
	}
	if err := s.Connect(sockapi.InetAddr{Host: "192.0.2.2", Port: port}); err != nil {
		s.Close()
		return nil, err
	}
	return s, s.Settimeout(100 * time.Millisecond)
}

// quiet is how long a server waits for the last of its clients, in virtual
// time.
const quiet = 5 * time.Minute

// answer replies to datagrams until none comes for a long time.
func (w *world) answer(host, port int, name string, reply func([]byte) []byte) {
	s := w.bound(host, port)
	s.Settimeout(quiet)
	w.task(host, name, func(*sockapi.Net) {
		defer s.Close()
		for {
			query, from, err := s.Recvfrom(1500)
			if errors.Is(err, sockapi.ErrTimeout) {
				return
			}
			if err == nil {
				_, err = s.Sendto(reply(query), from)
			}
			if err != nil {
				w.t.Error(name, err)
				return
			}
		}
	})
}

// echo sends back what comes to any of the ports, until nothing comes for a
// long time. It has one task for all, which polls.
func (w *world) echo(host int, ports ...int) {
	poll := w.nets[host].Poll()
	sockets := map[int]*sockapi.Socket{}
	for _, port := range ports {
		s := w.bound(host, port)
		s.Setblocking(false)
		sockets[s.Fileno()] = s
		if err := poll.Register(s.Fileno(), sockapi.POLLIN); err != nil {
			w.t.Fatal(err)
		}
	}
	w.task(host, "echo", func(*sockapi.Net) {
		for {
			ready, err := poll.Poll(quiet)
			if err != nil || len(ready) == 0 {
				return // what it did not answer, its clients miss
			}
			for _, e := range ready {
				s := sockets[e.FD]
				data, from, err := s.Recvfrom(1500)
				if err == nil {
					_, err = s.Sendto(data, from)
				}
				if err != nil {
					w.t.Error("echo:", err)
				}
			}
		}
	})
}

// nameServer gives every name the address 192.0.2.last.
func (w *world) nameServer(host int, last byte) {
	w.answer(host, 53, "name server", func(query []byte) []byte {
		var m dnsmessage.Message
		if err := m.Unpack(query); err != nil || len(m.Questions) != 1 {
			w.t.Errorf("name server: query %x: %v", query, err)
			return nil
		}
		q := m.Questions[0]
		m.Response, m.Authoritative, m.Additionals = true, true, nil
		if q.Type == dnsmessage.TypeA {
			m.Answers = []dnsmessage.Resource{{
				Header: dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class, TTL: 60},
				Body:   &dnsmessage.AResource{A: [4]byte{192, 0, 2, last}},
			}}
		}
		out, err := m.Pack()
		if err != nil {
			w.t.Error("name server:", err)
		}
		return out
	})
}

// lookup asks for a name's address, again while all that is asked is lost.
func (w *world) lookup(n *sockapi.Net, name string) {
	ip, err := n.Gethostbyname(context.Background(), name)
	for range 20 {
		var g *sockapi.Gaierror
		if !errors.As(err, &g) || g.Code != sockapi.EAI_AGAIN {
			break
		}
		ip, err = n.Gethostbyname(context.Background(), name)
	}
	if err != nil || ip != "192.0.2.20" {
		w.t.Errorf("look up %s: %q, %v", name, ip, err)
	}
}

// ping sends count datagrams to the echo server, each again until its answer
// comes, and returns how often none came in time.
func (w *world) ping(n *sockapi.Net, port, count int) (timeouts int) {
	s, err := connected(n, port)
	if err != nil {
		w.t.Error("ping:", err)
		return 0
	}
	defer s.Close()
	for i := 0; i < count && err == nil; {
		if _, err = s.Send([]byte{byte(i)}); err != nil {
			break
		}
		var got []byte
		got, err = s.Recv(10)
		switch {
		case errors.Is(err, sockapi.ErrTimeout):
			timeouts++
			err = nil
		case err == nil && len(got) == 1 && got[0] == byte(i):
			i++
		}
	}
	if err != nil {
		w.t.Error("ping:", err)
	}
	return timeouts
}

// refused sends to a port that nobody has until the other host says so.
func (w *world) refused(n *sockapi.Net) {
	s, err := connected(n, 9)
	if err != nil {
		w.t.Error("refused:", err)
		return
	}
	defer s.Close()
	for range 20 {
		if _, err = s.Send([]byte("?")); err == nil {
			_, err = s.Recv(10)
		}
		if !errors.Is(err, sockapi.ErrTimeout) {
			break
		}
	}
	if !errors.Is(err, endpoint.ECONNREFUSED) {
		w.t.Errorf("closed port: %v, want ECONNREFUSED", err)
	}
}

// TestDatagramsToOneself sends to addresses of the host itself from a socket
// that holds no route: the packets are on their way when the call has returned.
func TestDatagramsToOneself(t *testing.T) {
	o := run(t, 1, wire{}, func(w *world) {
		s := w.bound(0, 9)
		s.Settimeout(time.Second)
		w.task(0, "itself", func(*sockapi.Net) {
			defer s.Close()
			for _, to := range []string{"127.0.0.1", "192.0.2.1", "127.1.2.3"} {
				if _, err := s.Sendto([]byte(to), sockapi.InetAddr{Host: to, Port: 9}); err != nil {
					w.t.Error(to, err)
				}
				got, from, err := s.Recvfrom(100)
				if err != nil || string(got) != to {
					w.t.Errorf("%s: received %q from %v, %v", to, got, from, err)
				}
			}
		})
	})
	if o.looped != 3 {
		t.Errorf("%d packets on the loopback interface, want 3", o.looped)
	}
}
