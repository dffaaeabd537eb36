package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"sync"

	"usersock/netdev"
	"usersock/resolver"
	"usersock/sockapi"
	"usersock/stack"
	"usersock/testnet/dnszone"
)

// The documents' name, in a zone of the demo's own.
const (
	demoName = "daring.cwi.nl"
	demoZone = `
$TTL 300
@       SOA   ns hostmaster 1 3600 600 86400 300
        NS    ns
ns      A     192.0.2.2
        AAAA  2001:db8::2
daring  A     192.0.2.2
        AAAA  2001:db8::2
www     CNAME daring
mirrors A     192.0.2.3
        A     198.51.100.3
        AAAA  2001:db8::3
        AAAA  2001:db8:f::3
`
)

// world is two hosts on one link, with a DNS server on the second.
type world struct {
	client, server *sockapi.Net
	end            []func() error
}

// newWorld builds the hosts. names is the client's resolver, whose server is
// added; families is nil for all, or the only ones served.
func newWorld(names resolver.Config, families []int, addrs [2][]netip.Prefix) (*world, error) {
	w := new(world)
	a, b := netdev.Pair(netdev.PairConfig{})
	sa, err := stack.New(stack.Config{
		Hostname:   "client",
		Interfaces: []stack.Interface{{Name: "eth0", Link: a, Addrs: addrs[0]}},
		Families:   families,
	})
	if err != nil {
		netdev.Close(b)
		return nil, err
	}
	w.end = append(w.end, sa.Close)
	sb, err := stack.New(stack.Config{
		Hostname:   "server",
		Interfaces: []stack.Interface{{Name: "eth0", Link: b, Addrs: addrs[1]}},
		Families:   families,
	})
	if err != nil {
		return nil, errors.Join(err, w.close())
	}
	w.end = append(w.end, sb.Close)
	dns := netip.AddrPortFrom(addrs[1][0].Addr(), 53)
	names.Servers = []netip.AddrPort{dns}
	w.client, err = sockapi.New(sockapi.Config{Stack: sa, Resolver: names})
	if err != nil {
		return nil, errors.Join(err, w.close())
	}
	w.end = append(w.end, w.client.Close)
	w.server, err = sockapi.New(sockapi.Config{Stack: sb})
	if err != nil {
		return nil, errors.Join(err, w.close())
	}
	w.end = append(w.end, w.server.Close)
	if err := w.serveNames(dns); err != nil {
		return nil, errors.Join(err, w.close())
	}
	return w, nil
}

// serveNames starts the DNS server of the demo on the second host.
func (w *world) serveNames(at netip.AddrPort) error {
	server, err := demoServer()
	if err != nil {
		return err
	}
	pc, err := w.server.ListenPacket("udp", at.String())
	if err != nil {
		return err
	}
	l, err := w.server.Listen("tcp", at.String())
	if err != nil {
		return errors.Join(err, pc.Close())
	}
	var tasks sync.WaitGroup
	tasks.Go(func() { server.Serve(pc) })
	tasks.Go(func() { server.ServeListener(l) })
	w.end = append(w.end, func() error {
		err := errors.Join(pc.Close(), l.Close())
		tasks.Wait()
		return err
	})
	return nil
}

// demoServer has the demo's names, and those of its addresses.
func demoServer() (*dnszone.Server, error) {
	zone, err := dnszone.Parse(demoZone, "cwi.nl.")
	if err != nil {
		return nil, err
	}
	ns := dnszone.NameServer{Name: "ns.cwi.nl."}
	root, err := dnszone.NewZone(".") // no other names exist
	if err != nil {
		return nil, err
	}
	if err := root.Start(300, ns); err != nil {
		return nil, err
	}
	zones := []*dnszone.Zone{zone, root}
	for _, prefix := range prefixes("192.0.2.0/24", "2001:db8::/32") {
		reverse, err := dnszone.Reverse(prefix)
		if err != nil {
			return nil, err
		}
		ip := prefix.Addr().Next().Next() // the server's
		if err := errors.Join(reverse.Start(300, ns), reverse.AddPTR(ip, demoName, 300)); err != nil {
			return nil, err
		}
		zones = append(zones, reverse)
	}
	return dnszone.NewServer(zones...), nil
}

// close ends everything in the reverse order.
func (w *world) close() error {
	var errs []error
	for i := len(w.end) - 1; i >= 0; i-- {
		errs = append(errs, w.end[i]())
	}
	w.end = nil
	return errors.Join(errs...)
}

func prefixes(list ...string) []netip.Prefix {
	var out []netip.Prefix
	for _, s := range list {
		out = append(out, netip.MustParsePrefix(s))
	}
	return out
}

// demoAddrs are the addresses of the client and of the server.
func demoAddrs() [2][]netip.Prefix {
	return [2][]netip.Prefix{
		prefixes("192.0.2.1/24", "2001:db8::1/64"),
		prefixes("192.0.2.2/24", "2001:db8::2/64"),
	}
}

// lines is a writer for several goroutines.
type lines struct {
	mu sync.Mutex
	w  io.Writer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}

// demo runs the documents' programs between two hosts of this process.
func demo(ctx context.Context, stdout io.Writer) (err error) {
	out := &lines{w: stdout}
	both := demoAddrs()
	six := [2][]netip.Prefix{prefixes("2001:db8::1/64"), prefixes("2001:db8::2/64")}
	fmt.Fprintln(out, "Two hosts in this process, client and server, joined by a link in memory.")
	for _, part := range []struct {
		title    string
		families []int
		addrs    [2][]netip.Prefix
		run      func(*world) error
	}{
		{"The IPv4 echo programs", nil, both, func(w *world) error {
			return pair(out, w.server, listen4, func() error { return client4(out, w.client, demoName) })
		}},
		{"The echo programs for IPv4 and IPv6: the server takes 0.0.0.0, the client tries every address", nil, both, func(w *world) error {
			return pair(out, w.server, listenAny, func() error { return clientAny(out, w.client, demoName, port, hello) })
		}},
		{"The same programs on hosts with IPv6 alone", []int{sockapi.AF_INET6}, six, func(w *world) error {
			return pair(out, w.server, listenAny, func() error { return clientAny(out, w.client, demoName, port, hello) })
		}},
		{"The echo over TLS", nil, both, func(w *world) error { return overTLS(out, w) }},
		{"A datagram and its echo", nil, both, func(w *world) error { return datagrams(out, w) }},
	} {
		fmt.Fprintf(out, "\n%s\n", part.title)
		if err := runPart(ctx, out, part.families, part.addrs, part.run); err != nil {
			return fmt.Errorf("%s: %w", part.title, err)
		}
	}
	fmt.Fprintf(out, "\nEvery reply was right.\n")
	return nil
}

// runPart runs programs on two new hosts.
func runPart(ctx context.Context, out io.Writer, families []int, addrs [2][]netip.Prefix, run func(*world) error) (err error) {
	names := resolver.Config{Trace: func(e resolver.Event) { fmt.Fprintln(out, "  lookup:", e) }}
	w, err := newWorld(names, families, addrs)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.close()) }()
	stop := context.AfterFunc(ctx, func() {
		w.client.Close() // ends every call that still waits
		w.server.Close()
	})
	defer stop()
	if err := ctx.Err(); err != nil {
		return err
	}
	return interrupted(ctx, run(w))
}

// pair runs a server and a client to their ends.
func pair(out io.Writer, n *sockapi.Net, listen func(*sockapi.Net) (*sockapi.Socket, error), client func() error) error {
	s, err := listen(n)
	if err != nil {
		return err
	}
	served := make(chan error, 1)
	go func() { served <- serveOne(out, s) }()
	err = client()
	if err != nil {
		s.Close() // or the server would wait for ever
		<-served
		return err
	}
	err = <-served
	return errors.Join(err, s.Close())
}

// datagrams sends one datagram by name and takes its echo.
func datagrams(out io.Writer, w *world) error {
	server, err := w.server.Socket(sockapi.AF_INET, sockapi.SOCK_DGRAM, 0)
	if err != nil {
		return err
	}
	defer server.Close()
	if err := server.Bind(sockapi.InetAddr{Host: "", Port: port}); err != nil {
		return err
	}
	served := make(chan error, 1)
	go func() { served <- echoDatagram(out, server) }()
	client, err := w.client.Socket(sockapi.AF_INET, sockapi.SOCK_DGRAM, 0)
	if err == nil {
		defer client.Close()
		_, err = client.Sendto([]byte(hello), sockapi.InetAddr{Host: demoName, Port: port})
	}
	var data []byte
	if err == nil {
		data, _, err = client.Recvfrom(1024)
	}
	if err != nil {
		server.Close()
		<-served
		return err
	}
	return errors.Join(<-served, received(out, data, hello))
}

func echoDatagram(out io.Writer, s *sockapi.Socket) error {
	data, from, err := s.Recvfrom(1024)
	if err != nil {
		return err
	}
	fmt.Fprintln(out, "Datagram from", tuple(from))
	_, err = s.Sendto(data, from)
	return err
}
