package inet

import (
	"net/netip"
	"sync"
	"testing"

	"gvisor.dev/gvisor/pkg/tcpip"

	"usersock/stack/endpoint"
)

// SO_REUSEPORT spreads datagrams of many senders over all its sockets, each
// sender's to one of them.
func TestReusePortSpreads(t *testing.T) {
	p := newProtocols(t, true, true)
	for _, ip := range []netip.Addr{lo4, lo6} {
		const sockets, senders = 4, 64
		var list []*sock
		port := uint16(0)
		for range sockets {
			s := open(t, p, inet(ip, 0).Family, endpoint.SOCK_DGRAM)
			check(t, s.SetOption(endpoint.SOL_SOCKET, endpoint.SO_REUSEPORT, intData(1)))
			check(t, s.Bind(inet(ip, port)))
			port = s.local().Port
			list = append(list, s)
		}
		for range senders {
			s := open(t, p, inet(ip, 0).Family, endpoint.SOCK_DGRAM)
			for range 2 {
				_, err := s.Send(endpoint.Message{Bufs: [][]byte{[]byte("x")}, To: inet(ip, port)})
				check(t, err)
			}
		}
		total := 0
		for i, s := range list {
			seen := map[endpoint.Addr]int{}
			for {
				r, err := s.Recv(endpoint.RecvRequest{})
				if err == endpoint.EAGAIN {
					break
				}
				check(t, err)
				seen[r.From]++
				total++
			}
			if len(seen) == 0 {
				t.Errorf("%v: socket %d of %d got nothing of %d senders", ip, i, sockets, senders)
			}
			for from, n := range seen {
				if n != 2 {
					t.Errorf("%v: %v was spread over several sockets", ip, from)
				}
			}
		}
		if total != 2*senders {
			t.Errorf("%v: %d datagrams of %d", ip, total, 2*senders)
		}
	}
}

// A socket of another user cannot take part, and takes nothing away.
func TestReusePortUsers(t *testing.T) {
	p := newProtocols(t, true, false)
	open := func(uid uint32) endpoint.Endpoint {
		ep, err := p.Family(endpoint.AF_INET).Open(endpoint.Request{Type: endpoint.SOCK_DGRAM, Cred: endpoint.Cred{Uid: uid}})
		check(t, err)
		t.Cleanup(func() { ep.Close() })
		check(t, ep.SetOption(endpoint.SOL_SOCKET, endpoint.SO_REUSEPORT, intData(1)))
		return ep
	}
	check(t, open(1).Bind(inet(lo4, 7)))
	wantErrno(t, "another user", open(2).Bind(inet(lo4, 7)), endpoint.EADDRINUSE)
	check(t, open(1).Bind(inet(lo4, 7)))
}

// A full receive buffer loses what comes, empty datagrams too, and tells how
// many.
func TestReceiveBufferFull(t *testing.T) {
	p := newProtocols(t, true, false)
	r, s := open(t, p, endpoint.AF_INET, endpoint.SOCK_DGRAM), open(t, p, endpoint.AF_INET, endpoint.SOCK_DGRAM)
	check(t, r.SetOption(endpoint.SOL_SOCKET, endpoint.SO_RCVBUF, intData(4096)))
	check(t, r.SetOption(endpoint.SOL_SOCKET, endpoint.SO_RXQ_OVFL, intData(1)))
	check(t, r.Bind(inet(lo4, 0)))
	const sent = 100
	for range sent {
		_, err := s.Send(endpoint.Message{To: r.local()})
		check(t, err)
	}
	got := 0
	var lost int
	for {
		m, err := r.Recv(endpoint.RecvRequest{Control: true})
		if err == endpoint.EAGAIN {
			break
		}
		check(t, err)
		got++
		if len(m.Control) == 1 {
			lost, _ = endpoint.Int(m.Control[0].Data)
		}
	}
	if got == 0 || got == sent || got+lost != sent {
		t.Errorf("%d received, %d told lost of %d", got, lost, sent)
	}
	_, err := s.Send(endpoint.Message{Bufs: [][]byte{[]byte("room")}, To: r.local()})
	check(t, err)
	if text, _, err := r.recv(9, 0); text != "room" || err != nil {
		t.Errorf("after it: %q, %v", text, err)
	}
}

// Everything that an endpoint can do at once, at once. The race detector
// judges.
func TestDatagramRaces(t *testing.T) {
	p := newProtocols(t, true, true)
	for _, k := range []struct{ typ, proto int }{
		{endpoint.SOCK_DGRAM, endpoint.IPPROTO_UDP}, {endpoint.SOCK_DGRAM, endpoint.IPPROTO_UDPLITE},
		{endpoint.SOCK_DGRAM, endpoint.IPPROTO_ICMP}, {endpoint.SOCK_RAW, endpoint.IPPROTO_ICMP}, {endpoint.SOCK_RAW, endpoint.IPPROTO_UDP},
	} {
		for range 10 {
			ep, err := p.Family(endpoint.AF_INET).Open(endpoint.Request{Type: k.typ, Protocol: k.proto})
			check(t, err)
			s := newSock(t, ep)
			request := []byte{8, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5}
			steps := []func(){
				func() { _, _ = s.Send(endpoint.Message{Bufs: [][]byte{request}, To: inet(lo4, 9)}) },
				func() { _, _ = s.Send(endpoint.Message{Bufs: [][]byte{request}}) },
				func() {
					_, _ = s.Send(endpoint.Message{Bufs: [][]byte{request}, To: inet(lo4, 9), Flags: endpoint.MSG_MORE})
				},
				func() { _, _ = s.Recv(endpoint.RecvRequest{Bufs: [][]byte{make([]byte, 50)}, Control: true}) },
				func() {
					_, _ = s.Recv(endpoint.RecvRequest{Bufs: [][]byte{make([]byte, 50)}, Flags: endpoint.MSG_PEEK, Control: true})
				},
				func() {
					_, _ = s.Recv(endpoint.RecvRequest{Bufs: [][]byte{make([]byte, 50)}, Flags: endpoint.MSG_ERRQUEUE, Control: true})
				},
				func() { _ = s.Bind(inet(lo4, 0)) },
				func() { _ = s.Connect(inet(lo4, 9)) },
				func() { _ = s.Connect(endpoint.Addr{}) },
				func() { _ = s.Shutdown(endpoint.SHUT_RDWR) },
				func() { s.Ready(allReady); s.Queued() },
				func() { _, _ = s.LocalAddr(); _, _ = s.PeerAddr() },
				func() {
					_ = s.SetOption(endpoint.SOL_IP, endpoint.IP_ADD_MEMBERSHIP, []byte{224, 0, 0, 9, 127, 0, 0, 1})
					_ = s.SetOption(endpoint.SOL_IP, endpoint.IP_DROP_MEMBERSHIP, []byte{224, 0, 0, 9, 127, 0, 0, 1})
				},
				func() { _ = s.SetOption(endpoint.SOL_IP, endpoint.IP_RECVERR, intData(1)) },
				func() { p.RoutesChanged() },
			}
			var all sync.WaitGroup
			for _, step := range steps {
				all.Go(func() {
					for range 20 {
						step()
					}
				})
			}
			all.Go(func() { s.Close() })
			all.Wait()
			check(t, s.Close())
			if _, err := s.Send(endpoint.Message{Bufs: [][]byte{request}, To: inet(lo4, 9)}); err != endpoint.EBADF {
				t.Errorf("send after close: %v", err)
			}
		}
	}
	if in, err := p.stack.IsInGroup(1, tcpip.AddrFrom4([4]byte{224, 0, 0, 9})); in || err != nil {
		t.Errorf("the interface is still in the group: %v, %v", in, err)
	}
	for _, table := range []*portTable{&p.udp, &p.udpLite, &p.ping4} {
		if len(table.ports) != 0 {
			t.Errorf("ports are left: %v", table.ports)
		}
	}
	if len(p.raws.list) != 0 || p.datagrams.first != nil {
		t.Error("endpoints are left")
	}
}

const allReady = endpoint.In | endpoint.Out | endpoint.Err | endpoint.Hup | endpoint.RdHup
