package testnet_test

import (
	"io"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"

	"usersock/sockapi"
)

// TestSameTraceOfDHCP: a host is configured by a DHCP server on the sockets of
// another, over a link that loses packets, renews its lease for an hour, and
// talks; every run is the same.
func TestSameTraceOfDHCP(t *testing.T) {
	out := same(t, 20, func(t *testing.T) outcome {
		return runWith(t, 1, wire{delay: 5 * time.Millisecond, loss: 0.2}, func(w *world) { w.learns = true }, dhcpWorld)
	})
	if out.elapsed < time.Hour {
		t.Errorf("ended after %v", out.elapsed)
	}
	other := runWith(t, 2, wire{delay: 5 * time.Millisecond, loss: 0.2}, func(w *world) { w.learns = true }, dhcpWorld)
	if other.trace == out.trace {
		t.Error("another seed makes the same trace")
	}
}

func dhcpWorld(w *world) {
	var served atomic.Int32
	w.task(0, "dhcp", func(n *sockapi.Net) {
		pc, err := n.ListenPacket("udp4", "0.0.0.0:67")
		if err != nil {
			w.t.Error(err)
			return
		}
		defer pc.Close()
		buf := make([]byte, 1500)
		for {
			size, _, err := pc.ReadFrom(buf)
			if err != nil {
				return
			}
			m, err := dhcpv4.FromBytes(buf[:size])
			if err != nil {
				w.t.Error(err)
				return
			}
			typ := dhcpv4.MessageTypeAck
			switch m.MessageType() {
			case dhcpv4.MessageTypeDiscover:
				typ = dhcpv4.MessageTypeOffer
			case dhcpv4.MessageTypeRelease:
				continue
			}
			r := &dhcpv4.DHCPv4{OpCode: dhcpv4.OpcodeBootReply, TransactionID: m.TransactionID, YourIPAddr: net.IP{192, 0, 2, 100}, Options: dhcpv4.Options{}}
			for _, o := range []dhcpv4.Option{dhcpv4.OptMessageType(typ), dhcpv4.OptServerIdentifier(net.IP{192, 0, 2, 1}),
				dhcpv4.OptIPAddressLeaseTime(10 * time.Minute), dhcpv4.OptSubnetMask(net.CIDRMask(24, 32))} {
				r.UpdateOption(o)
			}
			served.Add(1)
			if _, err := pc.WriteTo(r.ToBytes(), &net.UDPAddr{IP: net.IP{192, 0, 2, 255}, Port: 68}); err != nil {
				w.t.Error(err)
			}
		}
	})
	w.task(0, "echo", func(n *sockapi.Net) {
		l, err := n.Listen("tcp", "192.0.2.1:7")
		if err != nil {
			w.t.Error(err)
			return
		}
		defer l.Close()
		conn, err := l.Accept()
		if err != nil {
			w.t.Error(err)
			return
		}
		io.Copy(conn, conn)
		conn.Close()
	})
	w.task(1, "client", func(n *sockapi.Net) {
		if err := n.Stack().Configured(w.t.Context()); err != nil {
			w.t.Error(err)
			return
		}
		time.Sleep(time.Hour)
		conn, err := n.Dial("tcp", "192.0.2.1:7")
		if err != nil {
			w.t.Error(err)
			return
		}
		if _, err := conn.Write([]byte("Hello, world")); err != nil {
			w.t.Error(err)
		}
		conn.(*sockapi.Conn).CloseWrite()
		if data, err := io.ReadAll(conn); err != nil || string(data) != "Hello, world" {
			w.t.Errorf("%q, %v", data, err)
		}
		conn.Close()
		if n := served.Load(); n < 10 {
			w.t.Errorf("%d answers in an hour", n)
		}
		if err := n.Stack().Detach("eth0"); err != nil {
			w.t.Error(err)
		}
		w.nets[0].Close() // ends the server, if the release is lost
	})
}
