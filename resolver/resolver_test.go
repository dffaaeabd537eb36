package resolver

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"usersock/stack/endpoint"
)

func TestZeroConfig(t *testing.T) {
	r, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	l := &lab{Resolver: r}
	l.want(t, "localhost", "::1 127.0.0.1")
	l.want(t, "198.51.100.7", "198.51.100.7")
	_, err = r.Getaddrinfo(context.Background(), "www.example", "", 0, 0, 0, 0)
	var gai *Gaierror
	if !errors.As(err, &gai) || gai.Code != endpoint.EAI_AGAIN || !errors.Is(err, errNoDial) {
		t.Errorf("without Dial: %v (%v)", err, errors.Unwrap(err))
	}
	if port, err := r.Getservbyname("ssh", ""); port != 22 || err != nil {
		t.Errorf("ssh: %d, %v", port, err)
	}
}

func TestConfigRefused(t *testing.T) {
	for _, cfg := range []Config{
		{Servers: []netip.AddrPort{{}}},
		{Servers: []netip.AddrPort{netip.MustParseAddrPort("192.0.2.1:0")}},
		{Sources: []Source{nil}},
		{Sources: []Source{mapSource{name: "dns"}}},
		{MaxTTL: -1},
		{ServeStale: -1},
	} {
		if _, err := New(cfg); err == nil {
			t.Errorf("New(%+v) succeeds", cfg)
		}
	}
}

func TestSearchSkipsNothingFinal(t *testing.T) {
	l := newLab(t, func(c *Config) { c.ResolvConf += "search example other.example\n" })
	l.want(t, "www", "2001:db8:1::1 192.0.2.1")
	l.want(t, "www.", "Name or service not known")
	if asked := l.net.asked(); !slices.Contains(asked, "udp www. A @192.0.2.53") {
		t.Errorf("asked %q", asked)
	}
}

func TestNeverSent(t *testing.T) {
	l := newLab(t, func(c *Config) { c.ResolvConf += "search example\n" })
	for _, name := range []string{"x.onion", "x.INVALID.", "bad name", "semi;colon.example", "-dash.example", "$(x).example"} {
		l.want(t, name, "Name or service not known")
	}
	l.want(t, "a.b.LocalHost", "::1 127.0.0.1")
	if asked := l.net.asked(); len(asked) > 0 {
		t.Errorf("asked %q", asked)
	}
}

func TestRefusedArguments(t *testing.T) {
	l := newLab(t, nil)
	for _, c := range []struct {
		host, port string
		code       int
	}{
		{"192.0.2.1", "65536", endpoint.EAI_SERVICE},
		{"192.0.2.1", "-1", endpoint.EAI_SERVICE},
		{"192.0.2.1", "99999999999999999999", endpoint.EAI_SERVICE},
		{"192.0.2.1", "80\x00", endpoint.EAI_SERVICE},
		{"www.example\x00.evil", "80", endpoint.EAI_NONAME},
		{"fe80::1%nosuch", "80", endpoint.EAI_NONAME},
		{"2001:db8::1%v0", "80", endpoint.EAI_NONAME},
		{strings.Repeat("a.", 127) + "aa", "80", endpoint.EAI_NONAME},
		{"a..b", "80", endpoint.EAI_NONAME},
		{Broadcast, "80", endpoint.EAI_NONAME},
	} {
		_, err := l.Getaddrinfo(context.Background(), c.host, c.port, 0, 0, 0, 0)
		var gai *Gaierror
		if !errors.As(err, &gai) || gai.Code != c.code {
			t.Errorf("%q, %q: %v, want code %d", c.host, c.port, err, c.code)
		}
	}
	if asked := l.net.asked(); len(asked) > 0 {
		t.Errorf("asked %q", asked)
	}
}

// mapSource is a Source of fixed entries.
type mapSource struct {
	name  string
	hosts map[string]Entry
	err   error
}

func (m mapSource) Name() string { return m.name }

func (m mapSource) LookupHost(_ context.Context, name string, _ int) (Entry, error) {
	if e, ok := m.hosts[name]; ok {
		return e, nil
	}
	return Entry{}, m.err
}

func (m mapSource) LookupAddr(_ context.Context, ip netip.Addr) (Entry, error) {
	for _, e := range m.hosts {
		if slices.Contains(e.Addrs, ip) {
			return e, nil
		}
	}
	return Entry{}, m.err
}

func TestCallersSource(t *testing.T) {
	mine := mapSource{"mdns", map[string]Entry{
		"printer.local": {Name: "printer.local", Addrs: []netip.Addr{
			netip.MustParseAddr("198.51.100.9"), netip.MustParseAddr("fe80::9%v0")}},
		"www.example": {Addrs: []netip.Addr{netip.MustParseAddr("198.51.100.10")}},
	}, ErrNotFound}
	add := func(nsswitch string) *lab {
		return newLab(t, func(c *Config) { c.Sources = []Source{mine}; c.Nsswitch = nsswitch })
	}
	l := add("")
	infos, err := l.Getaddrinfo(context.Background(), "printer.local", "631", 0, endpoint.SOCK_STREAM, 0, endpoint.AI_CANONNAME)
	if err != nil || len(infos) != 2 || infos[0].Addr.String() != "[fe80::9%3]:631" || infos[0].Canonname != "printer.local" {
		t.Errorf("%v, %v", infos, err)
	}
	if name, _, _, err := l.Gethostbyaddr(context.Background(), "198.51.100.9"); name != "printer.local" || err != nil {
		t.Errorf("%s, %v", name, err)
	}
	l.want(t, "www.example", "2001:db8:1::1 192.0.2.1")
	l = add("hosts: mdns [NOTFOUND=return] dns")
	l.want(t, "www.example", "198.51.100.10")
	l.want(t, "alias.example", "Name or service not known")
	l = add("hosts: nosuch mdns [!SUCCESS=return TRYAGAIN=continue] dns")
	l.want(t, "alias.example", "Name or service not known")
	mine.err = ErrTryAgain
	l = add("hosts: mdns [!SUCCESS=return TRYAGAIN=continue] dns")
	l.want(t, "alias.example", "2001:db8:1::1 192.0.2.1")
}

func TestOwnSource(t *testing.T) {
	l := newLab(t, func(c *Config) { c.Nsswitch = "hosts: own" })
	l.want(t, "client", "fe80::10 2001:db8:1::10 192.0.2.10")
	l.want(t, "localhost", "::1 127.0.0.1")
	for addr, want := range map[string]string{"192.0.2.10": "client", "127.0.0.1": "localhost", "::1": "localhost"} {
		if name, _, _, err := l.Gethostbyaddr(context.Background(), addr); name != want || err != nil {
			t.Errorf("%s: %s, %v", addr, name, err)
		}
	}
	l = newLab(t, func(c *Config) { c.Nsswitch = "hosts: own"; c.Host = StaticHost{Name: "alone"} })
	l.want(t, "alone", "::1 127.0.0.1")
}

func TestReverse(t *testing.T) {
	l := newLab(t, nil)
	ctx := context.Background()
	for _, c := range []struct {
		addr          string
		flags         int
		host, service string
	}{
		{"192.0.2.1", 0, "www.example", "ssh"},
		{"192.0.2.1", endpoint.NI_NUMERICHOST | endpoint.NI_NUMERICSERV, "192.0.2.1", "22"},
		{"192.0.2.2", 0, "192.0.2.2", "ssh"}, // the name looks like an address
	} {
		addr := endpoint.Addr{Family: endpoint.AF_INET, IP: netip.MustParseAddr(c.addr), Port: 22}
		host, service, err := l.Getnameinfo(ctx, addr, c.flags)
		if host != c.host || service != c.service || err != nil {
			t.Errorf("%s: %s, %s, %v", c.addr, host, service, err)
		}
	}
	own := func(name string) string {
		l := newLab(t, func(c *Config) {
			h := testHost()
			h.Name = name
			c.Host = h
		})
		addr := endpoint.Addr{Family: endpoint.AF_INET, IP: netip.MustParseAddr("192.0.2.1")}
		host, _, _ := l.Getnameinfo(ctx, addr, endpoint.NI_NOFQDN)
		return host
	}
	if got := own("client.example"); got != "www" {
		t.Errorf("NI_NOFQDN in the same domain: %s", got)
	}
	if got := own("client.ample"); got != "www.example" {
		t.Errorf("NI_NOFQDN in another domain: %s", got)
	}
	if _, _, err := l.Getnameinfo(ctx, endpoint.Unix("/x"), 0); err == nil {
		t.Error("AF_UNIX has a name")
	}
}

func TestDatagramServices(t *testing.T) {
	l := newLab(t, nil)
	addr := endpoint.Addr{Family: endpoint.AF_INET, IP: netip.MustParseAddr("192.0.2.1")}
	for port, want := range map[uint16][2]string{512: {"exec", "biff"}, 514: {"shell", "syslog"}, 513: {"login", "who"}} {
		addr.Port = port
		_, stream, _ := l.Getnameinfo(context.Background(), addr, endpoint.NI_NUMERICHOST)
		_, datagram, _ := l.Getnameinfo(context.Background(), addr, endpoint.NI_NUMERICHOST|endpoint.NI_DGRAM)
		if [2]string{stream, datagram} != want {
			t.Errorf("port %d: %s, %s", port, stream, datagram)
		}
	}
}

func TestCallersDatabases(t *testing.T) {
	l := newLab(t, func(c *Config) {
		c.Services = "# ours\nbar 4242/tcp baz # comment\nbad line\nworse 99999/tcp\nbar 4243/udp\nbar 4244/tcp baz\nlater 4242/tcp\n"
		c.Protocols = "ours 200 OURS\n"
	})
	if port, _ := l.Getservbyname("baz", ""); port != 4242 {
		t.Errorf("baz is %d", port)
	}
	if port, _ := l.Getservbyname("bar", "tcp"); port != 4242 {
		t.Errorf("bar/tcp is %d", port)
	}
	if name, _ := l.Getservbyport(4242, ""); name != "bar" {
		t.Errorf("4242 is %s", name)
	}
	if port, _ := l.Getservbyname("bar", "udp"); port != 4243 {
		t.Errorf("bar/udp is %d", port)
	}
	if _, err := l.Getservbyname("ssh", ""); err != ErrServiceNotFound {
		t.Errorf("ssh: %v", err)
	}
	if n, _ := l.Getprotobyname("OURS"); n != 200 {
		t.Errorf("OURS is %d", n)
	}
	if _, err := l.Getservbyport(-1, ""); err != ErrPortRange {
		t.Errorf("port -1: %v", err)
	}
}

func TestEmbeddedTables(t *testing.T) {
	rows := 0
	for line := range strings.Lines(serviceText) {
		if strings.TrimSpace(line) != "" {
			rows++
		}
	}
	if got := parseServices(serviceText); rows < 350 || len(got.byName) < 2*rows {
		t.Errorf("%d rows give %d names", rows, len(got.byName))
	}
	// Every row must have been understood.
	for _, text := range []string{serviceText, protocolText} {
		for line := range strings.Lines(text) {
			if f := strings.Fields(line); len(f) > 0 && len(parseServices(line).byName)+len(parseProtocols(line).byName) == 0 {
				t.Errorf("row %q is not understood", line)
			}
		}
	}
}

func TestScopedServer(t *testing.T) {
	l := newLab(t, func(c *Config) { c.ResolvConf = "nameserver fe80::53%v0\n" })
	if len(l.whom.Load().servers) != 1 || l.whom.Load().servers[0].text != "[fe80::53%3]:53" {
		t.Errorf("servers %v", l.whom.Load().servers)
	}
}

func TestFromDir(t *testing.T) {
	cfg, err := fromDir(fstest.MapFS{
		"hosts":       {Data: []byte("192.0.2.1 a\n")},
		"resolv.conf": {Data: []byte("nameserver 192.0.2.53\n")},
	}, "protocols")
	if err != nil || cfg.Hosts != "192.0.2.1 a\n" || cfg.ResolvConf != "nameserver 192.0.2.53\n" || cfg.Services != "" {
		t.Errorf("%+v, %v", cfg, err)
	}
}

// TestHostsAliases: the lines of a name are merged as glibc's files service
// merges them.
func TestHostsAliases(t *testing.T) {
	l := newLab(t, func(c *Config) {
		c.Hosts = "192.0.2.1 one uno\n192.0.2.2 two UNO\r\n192.0.2.1 uno # again\n192.0.2.3\n127.1 uno\nfe80::1%v0 uno\n192.0.2.9 solo alone\n"
	})
	canon, aliases, addrs, err := l.GethostbynameEx(context.Background(), "Uno")
	if canon != "one" || strings.Join(aliases, " ") != "uno UNO two uno" || fmt.Sprint(addrs) != "[192.0.2.1 192.0.2.2]" || err != nil {
		t.Errorf("%s, %q, %v, %v", canon, aliases, addrs, err)
	}
	_, aliases, _, _ = l.GethostbynameEx(context.Background(), "solo")
	aliases[0] = "changed"
	if _, again, _, _ := l.GethostbynameEx(context.Background(), "solo"); again[0] != "alone" {
		t.Error("the caller can change the table")
	}
}
