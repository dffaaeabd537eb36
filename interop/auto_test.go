//go:build linux

package interop

import (
	"context"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"usersock/interop/netns"
	"usersock/netdev"
	"usersock/sockapi"
	"usersock/stack"
	"usersock/stack/endpoint"
)

// autoKinds are the links over which our stack configures itself.
var autoKinds = []string{"tun", "tap"}

// ourMAC is the hardware address of our stack on a TAP interface.
const ourMAC = "02:00:00:00:00:07"

// autoLink opens a link to the kernel, whose side has the addresses. The
// interface stays when our stack is closed, so that a server hears what it says
// at the end.
func autoLink(t *testing.T, kind string) netdev.Link {
	t.Helper()
	netns.IP(t, "tuntap", "add", "dev", device, "mode", kind)
	t.Cleanup(func() { netns.IP(t, "link", "delete", device) })
	spec := kind + ":" + device
	if kind == "tap" {
		spec += "?mac=" + ourMAC
	}
	link, err := netdev.Open(spec)
	check(t, err)
	t.Cleanup(func() { netdev.Close(link) }) // if no stack has
	netns.Up(t, device, kernel4+"/24", kernel6+"/64")
	return link
}

// autoHost makes a stack that configures itself, and waits until it has.
func autoHost(t *testing.T, link netdev.Link, auto stack.Auto) (*sockapi.Net, *stack.Stack) {
	t.Helper()
	s, err := stack.New(stack.Config{Interfaces: []stack.Interface{{Name: device, Link: link, Auto: auto}}})
	check(t, err)
	t.Cleanup(func() { s.Close() })
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := s.Configured(ctx); err != nil {
		st, _ := s.AutoState(device)
		t.Fatalf("%v\n%+v", err, st)
	}
	n, err := sockapi.New(sockapi.Config{Stack: s})
	check(t, err)
	t.Cleanup(func() { n.Close() })
	return n, s
}

// dnsmasq starts the program on the device, and returns it and the file of its
// leases.
func dnsmasq(t *testing.T, args ...string) (p *netns.Process, leases string) {
	t.Helper()
	leases = filepath.Join(t.TempDir(), "leases")
	p = netns.Start(t, "dnsmasq", append([]string{
		"--no-daemon", "--conf-file=/dev/null", "--pid-file=", "--log-dhcp", "--log-queries",
		"--interface=" + device, "--except-interface=lo", "--bind-interfaces", "--no-resolv", "--no-hosts", "--no-ping", "--dhcp-leasefile=" + leases,
		"--address=/www.lab.example/203.0.113.7",
	}, args...)...)
	p.Expect("started")
	return p, leases
}

var default4 = netip.MustParsePrefix("0.0.0.0/0")

// TestDnsmasq4: dnsmasq's DHCPv4 gives our stack its address, routes, name
// servers, domains and MTU; a name is looked up with them; the lease is given
// back at the end.
func TestDnsmasq4(t *testing.T) {
	for _, kind := range autoKinds {
		t.Run(kind, func(t *testing.T) {
			netns.Need(t, "ip", "dnsmasq")
			link := autoLink(t, kind)
			server, leases := dnsmasq(t, "--dhcp-authoritative", "--dhcp-range=192.0.2.100,192.0.2.150,255.255.255.0,2m",
				"--dhcp-option=option:mtu,1400", "--dhcp-option=option:domain-search,lab.example,other.example",
				"--dhcp-option=option:classless-static-route,198.51.100.0/24,192.0.2.1,0.0.0.0/0,192.0.2.1")
			n, s := autoHost(t, link, stack.Auto{DHCPv4: true, Hostname: "guest"})
			st, _ := s.AutoState(device)
			l := st.Lease
			if l == nil || !netip.MustParsePrefix("192.0.2.0/24").Contains(l.Addr.Addr()) || l.Addr.Bits() != 24 || l.Server.String() != kernel4 ||
				l.MTU != 1400 || l.Duration != 2*time.Minute || st.DHCPv4 != "bound" {
				t.Fatalf("%+v", st)
			}
			in := s.Interfaces()[1]
			if !slices.Contains(in.Addrs, l.Addr) || in.MTU != 1400 {
				t.Errorf("%+v", in)
			}
			for _, dst := range []netip.Prefix{default4, netip.MustParsePrefix("198.51.100.0/24")} {
				if !slices.ContainsFunc(s.Routes(), func(r stack.Route) bool { return r.Dst == dst && r.Via.String() == kernel4 }) {
					t.Errorf("no route to %v: %v", dst, s.Routes())
				}
			}
			// By the search list of option 119, from the server of option 6.
			if ip, err := n.Gethostbyname(t.Context(), "www"); err != nil || ip != "203.0.113.7" {
				t.Errorf("www: %q, %v", ip, err)
			}
			data, err := os.ReadFile(leases)
			check(t, err)
			if !strings.Contains(string(data), l.Addr.Addr().String()+" guest ") {
				t.Errorf("dnsmasq's leases are %q", data)
			}
			netns.Run(t, "ping", "-n", "-c", "1", "-W", "5", l.Addr.Addr().String())
			check(t, s.Close())
			server.Expect("DHCPRELEASE(" + device + ") " + l.Addr.Addr().String())
		})
	}
}

// TestDnsmasq6: dnsmasq's router advertisements give our stack an address, a
// default route and a name server, and its stateless DHCPv6 another and a domain.
func TestDnsmasq6(t *testing.T) {
	for _, kind := range autoKinds {
		t.Run(kind, func(t *testing.T) {
			netns.Need(t, "ip", "dnsmasq")
			link := autoLink(t, kind)
			server, _ := dnsmasq(t, "--enable-ra", "--dhcp-duid=1,01:02:03:04", "--dhcp-range=2001:db8::,ra-stateless,64,10m",
				"--dhcp-option=option6:dns-server,["+kernel6+"],[2001:db8::5353]", "--dhcp-option=option6:domain-search,lab.example")
			n, s := autoHost(t, link, stack.Auto{RouterAdvertisements: true})
			st, _ := s.AutoState(device)
			if len(st.Addrs) != 1 || st.Addrs[0].Tentative || st.Addrs[0].Deprecated || st.Addrs[0].Addr.Masked().String() != "2001:db8::/64" {
				t.Fatalf("%+v", st)
			}
			ours := st.Addrs[0].Addr
			if !slices.Contains(s.Interfaces()[1].Addrs, ours) {
				t.Errorf("%+v", s.Interfaces()[1])
			}
			if !slices.ContainsFunc(s.Routes(), func(r stack.Route) bool { return r.Dst.String() == "::/0" && r.Via.IsLinkLocalUnicast() }) {
				t.Errorf("no default route: %v", s.Routes())
			}
			server.Expect("DHCPINFORMATION-REQUEST(" + device + ")")
			servers, search := s.NameServers()
			if !slices.Contains(servers, netip.MustParseAddrPort("["+kernel6+"]:53")) || !slices.Contains(servers, netip.MustParseAddrPort("[2001:db8::5353]:53")) ||
				!slices.Contains(search, "lab.example") {
				t.Errorf("name servers %v, domains %v", servers, search)
			}
			if ip, err := n.Gethostbyname(t.Context(), "www"); err != nil || ip != "203.0.113.7" {
				t.Errorf("www: %q, %v", ip, err)
			}
			netns.Run(t, "ping", "-n", "-c", "1", "-W", "5", ours.Addr().String())
			check(t, s.Close())
		})
	}
}

// TestRadvd: radvd gives our stack an address, routes, name servers and an MTU,
// and takes them back when it ends.
func TestRadvd(t *testing.T) {
	for _, kind := range autoKinds {
		t.Run(kind, func(t *testing.T) {
			netns.Need(t, "ip", "radvd")
			link := autoLink(t, kind)
			conf := filepath.Join(t.TempDir(), "radvd.conf")
			check(t, os.WriteFile(conf, []byte(`interface `+device+` {
	AdvSendAdvert on;
	MinRtrAdvInterval 3;
	MaxRtrAdvInterval 4;
	AdvLinkMTU 1480;
	AdvDefaultPreference high;
	prefix 2001:db8::/64 { AdvOnLink on; AdvAutonomous on; AdvValidLifetime 600; AdvPreferredLifetime 300; };
	route 2001:db8:5::/60 { AdvRouteLifetime 300; };
	RDNSS 2001:db8::53 2001:db8::54 { AdvRDNSSLifetime 300; };
	DNSSL lab.example 1.other.example { AdvDNSSLLifetime 300; };
};
`), 0o600))
			radvd := netns.Start(t, "radvd", "--nodaemon", "--logmethod=stderr", "--debug=1", "--config="+conf, "--pidfile="+filepath.Join(t.TempDir(), "pid"))
			_, s := autoHost(t, link, stack.Auto{RouterAdvertisements: true})
			st, _ := s.AutoState(device)
			if len(st.Addrs) != 1 || st.MTU != 1480 || s.Interfaces()[1].MTU != 1480 || st.Addrs[0].Valid <= 0 || st.Addrs[0].Valid > 10*time.Minute {
				t.Fatalf("%+v", st)
			}
			for _, dst := range []string{"::/0", "2001:db8:5::/60"} {
				if !slices.ContainsFunc(s.Routes(), func(r stack.Route) bool { return r.Dst.String() == dst && r.Via.IsLinkLocalUnicast() }) {
					t.Errorf("no route to %s: %v", dst, s.Routes())
				}
			}
			servers, search := s.NameServers()
			if len(servers) != 2 || servers[0].String() != "[2001:db8::53]:53" || !slices.Equal(search, []string{"lab.example", "1.other.example"}) {
				t.Errorf("name servers %v, domains %v", servers, search)
			}
			netns.Run(t, "ping", "-n", "-c", "1", "-W", "5", st.Addrs[0].Addr.Addr().String())

			gone := make(chan struct{}, 1)
			defer s.Watch(func(e stack.Event) {
				if e.Kind == stack.RouteRemoved && e.Route.Dst.String() == "::/0" {
					gone <- struct{}{}
				}
			})()
			radvd.Interrupt() // it says good-bye with a router lifetime of 0
			select {
			case <-gone:
			case <-time.After(30 * time.Second):
				t.Errorf("the default route outlives its router: %v", s.Routes())
			}
			check(t, s.Close())
		})
	}
}

// fastClock runs faster than the machine's.
type fastClock struct {
	endpoint.Clock
	begun  time.Time
	factor time.Duration
}

func (c fastClock) Now() time.Time           { return c.begun.Add(c.Monotonic()) }
func (c fastClock) Monotonic() time.Duration { return c.Clock.Monotonic() * c.factor }
func (c fastClock) AfterFunc(d time.Duration, f func()) endpoint.Timer {
	return fastTimer{c.Clock.AfterFunc(d/c.factor, f), c.factor}
}

type fastTimer struct {
	endpoint.Timer
	factor time.Duration
}

func (t fastTimer) Reset(d time.Duration) { t.Timer.Reset(d / t.factor) }

// TestDnsmasqRenews: on a clock that runs 30 times as fast, the lease of two
// minutes is renewed with dnsmasq every other second; when dnsmasq has gone, the
// lease ends and is withdrawn.
func TestDnsmasqRenews(t *testing.T) {
	for _, kind := range autoKinds {
		t.Run(kind, func(t *testing.T) {
			netns.Need(t, "ip", "dnsmasq")
			link := autoLink(t, kind)
			server, _ := dnsmasq(t, "--dhcp-authoritative", "--dhcp-range=192.0.2.100,192.0.2.150,255.255.255.0,2m")
			s, err := stack.New(stack.Config{Clock: fastClock{endpoint.SystemClock(), time.Now(), 30}})
			check(t, err)
			defer s.Close()
			leases, gone := make(chan stack.Lease, 100), make(chan bool, 100)
			had := false
			defer s.Watch(func(e stack.Event) {
				if e.Kind != stack.AutoChanged {
					return
				}
				if st, _ := s.AutoState(device); st.Lease != nil {
					had = true
					leases <- *st.Lease
				} else if had {
					gone <- true
				}
			})()
			check(t, s.Attach(stack.Interface{Name: device, Link: link, Auto: stack.Auto{DHCPv4: true}}))
			wait := time.After(30 * time.Second)
			var first stack.Lease
			for renewed := 0; renewed < 3; {
				select {
				case l := <-leases:
					switch {
					case !first.Addr.IsValid():
						first = l
					case l.Addr != first.Addr:
						t.Fatalf("another address: %+v", l)
					case l.Obtained.After(first.Obtained):
						if after := l.Obtained.Sub(first.Obtained); after < first.Renew || after > first.Rebind {
							t.Errorf("renewed after %v, between %v and %v", after, first.Renew, first.Rebind)
						}
						first = l
						renewed++
					}
				case <-wait:
					t.Fatal("not renewed")
				}
			}
			server.Interrupt()
			select {
			case <-gone:
			case <-wait:
				st, _ := s.AutoState(device)
				t.Fatalf("not withdrawn: %+v", st)
			}
			for _, in := range s.Interfaces() {
				if slices.ContainsFunc(in.Addrs, func(p netip.Prefix) bool { return p.Addr() == first.Addr.Addr() }) {
					t.Errorf("the address is still there: %+v", in)
				}
			}
		})
	}
}

// TestDeclined: dnsmasq offers an address that the kernel has; our stack finds
// out by ARP, declines it, and gets another.
func TestDeclined(t *testing.T) {
	netns.Need(t, "ip", "dnsmasq")
	link := autoLink(t, "tap")
	const taken = "192.0.2.100"
	netns.IP(t, "addr", "add", taken+"/32", "dev", device)
	server, _ := dnsmasq(t, "--dhcp-authoritative", "--dhcp-range=192.0.2.100,192.0.2.101,255.255.255.0,1h",
		"--dhcp-host="+ourMAC+","+taken, "--dhcp-broadcast") // else it would answer the kernel
	s, err := stack.New(stack.Config{
		Clock:      fastClock{endpoint.SystemClock(), time.Now(), 10}, // it waits for ten seconds
		Interfaces: []stack.Interface{{Name: device, Link: link, Auto: stack.Auto{DHCPv4: true}}},
	})
	check(t, err)
	defer s.Close()
	server.Expect("DHCPDECLINE(" + device + ") " + taken)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	check(t, s.Configured(ctx))
	if st, _ := s.AutoState(device); st.Lease == nil || st.Lease.Addr.String() != "192.0.2.101/24" {
		t.Errorf("%+v", st)
	}
}

// lines is a log that can be waited for.
type lines chan string

func (l lines) Write(p []byte) (int, error) {
	select {
	case l <- string(p):
	default:
	}
	return len(p), nil
}

// TestDuplicates: the kernel has the address that our stack would make of an
// advertised prefix; or the link-local one, and then there is no IPv6.
func TestDuplicates(t *testing.T) {
	for _, taken := range []string{"2001:db8::ff:fe00:7", "fe80::ff:fe00:7"} {
		t.Run(taken, func(t *testing.T) {
			netns.Need(t, "ip", "radvd")
			link := autoLink(t, "tap")
			netns.Up(t, device, taken+"/64")
			conf := filepath.Join(t.TempDir(), "radvd.conf")
			check(t, os.WriteFile(conf, []byte("interface "+device+" { AdvSendAdvert on; prefix 2001:db8::/64 {}; };"), 0o600))
			netns.Start(t, "radvd", "--nodaemon", "--logmethod=stderr", "--config="+conf, "--pidfile="+filepath.Join(t.TempDir(), "pid"))
			found := make(lines, 100)
			s, err := stack.New(stack.Config{
				Interfaces: []stack.Interface{{Name: device, Link: link, Auto: stack.Auto{RouterAdvertisements: true}}},
				Log:        slog.New(slog.NewTextHandler(found, nil)),
			})
			check(t, err)
			defer s.Close()
			wait := time.After(30 * time.Second)
			for said := false; !said; {
				select {
				case line := <-found:
					said = strings.Contains(line, "a neighbour has the") && strings.Contains(line, taken)
				case <-wait:
					st, _ := s.AutoState(device)
					t.Fatalf("not found out: %+v", st)
				}
			}
			for _, in := range s.Interfaces() {
				if slices.Contains(in.Addrs, netip.MustParsePrefix(taken+"/64")) {
					t.Errorf("%+v", in)
				}
			}
		})
	}
}
