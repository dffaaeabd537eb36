package docs_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"usersock/resolver"
	. "usersock/sockapi"
	"usersock/testnet/dnszone"
)

// withNames adds a DNS server: example.com and the reverse of 192.0.2.0/24 and
// 2001:db8::/64.
func withNames(t *testing.T) (client, server *Net) {
	t.Helper()
	client, server = world(t, resolver.Config{})
	var zones []*dnszone.Zone
	for origin, text := range map[string]string{
		"example.com.":          zone + "web CNAME www\n",
		"2.0.192.in-addr.arpa.": "$TTL 300\n@ SOA ns.example.com. h.example.com. 1 3600 600 86400 300\n2 PTR www.example.com.\n",
		"0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa.": "$TTL 300\n@ SOA ns.example.com. h.example.com. 1 3600 600 86400 300\n" +
			"2.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0 PTR www.example.com.\n",
	} {
		z, err := dnszone.Parse(text, origin)
		if err != nil {
			t.Fatal(err)
		}
		zones = append(zones, z)
	}
	pc, err := server.ListenPacket("udp", ":53")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		dnszone.NewServer(zones...).Serve(pc)
	}()
	t.Cleanup(func() { pc.Close(); <-done })
	return client, server
}

func TestCallGetaddrinfo(t *testing.T) {
	client, _ := withNames(t)
	ctx := context.Background()
	infos, err := client.Getaddrinfo(ctx, "web.example.com", "http", AF_UNSPEC, SOCK_STREAM, 0, AI_CANONNAME)
	want := []AddrInfo{
		{Family: AF_INET6, Type: SOCK_STREAM, Proto: IPPROTO_TCP, Canonname: "www.example.com", Addr: Inet6Addr{Host: "2001:db8::2", Port: 80}},
		{Family: AF_INET, Type: SOCK_STREAM, Proto: IPPROTO_TCP, Addr: InetAddr{Host: "192.0.2.2", Port: 80}},
	}
	if err != nil || !slices.Equal(infos, want) {
		t.Errorf("getaddrinfo: %+v, %v; want %+v", infos, err, want)
	}
	_, err = client.Getaddrinfo(ctx, "nobody.example.com", "", AF_UNSPEC, 0, 0, 0)
	var gai *Gaierror
	if !errors.As(err, &gai) || gai.Code != EAI_NONAME {
		t.Errorf("no such name: %v, want a gaierror with EAI_NONAME", err)
	}
}

func TestCallGetnameinfo(t *testing.T) {
	client, _ := withNames(t)
	for _, c := range []struct {
		addr          Addr
		flags         int
		host, service string
	}{
		{InetAddr{Host: "192.0.2.2", Port: 80}, 0, "www.example.com", "http"},
		{Inet6Addr{Host: "2001:db8::2", Port: 80}, 0, "www.example.com", "http"},
		{InetAddr{Host: "192.0.2.2", Port: 80}, NI_NUMERICHOST | NI_NUMERICSERV, "192.0.2.2", "80"},
		{InetAddr{Host: "192.0.2.77", Port: 9}, 0, "192.0.2.77", "discard"},
	} {
		host, service, err := client.Getnameinfo(context.Background(), c.addr, c.flags)
		if host != c.host || service != c.service || err != nil {
			t.Errorf("getnameinfo(%v, %d) = %q, %q, %v; want %q, %q", c.addr, c.flags, host, service, err, c.host, c.service)
		}
	}
}

func TestCallGethostby(t *testing.T) {
	client, _ := withNames(t)
	ctx := context.Background()
	if ip, err := client.Gethostbyname(ctx, "www.example.com"); ip != "192.0.2.2" || err != nil {
		t.Errorf("gethostbyname: %q, %v", ip, err)
	}
	if ip, err := client.Gethostbyname(ctx, "198.51.100.7"); ip != "198.51.100.7" || err != nil {
		t.Errorf("gethostbyname of a dotted quad: %q, %v", ip, err)
	}
	name, aliases, addrs, err := client.GethostbynameEx(ctx, "web.example.com")
	if name != "www.example.com" || !slices.Equal(aliases, []string{"web.example.com"}) || !slices.Equal(addrs, []string{"192.0.2.2"}) || err != nil {
		t.Errorf("gethostbyname_ex: %q %q %q %v", name, aliases, addrs, err)
	}
	for _, ip := range []string{"192.0.2.2", "2001:db8::2"} {
		name, aliases, addrs, err = client.Gethostbyaddr(ctx, ip)
		if name != "www.example.com" || len(aliases) != 0 || !slices.Equal(addrs, []string{ip}) || err != nil {
			t.Errorf("gethostbyaddr(%s): %q %q %q %v", ip, name, aliases, addrs, err)
		}
	}
	_, _, _, err = client.Gethostbyaddr(ctx, "192.0.2.77")
	var h *Herror
	if !errors.As(err, &h) || h.Code != resolver.HOST_NOT_FOUND {
		t.Errorf("gethostbyaddr of an address without a name: %v, want an herror with HOST_NOT_FOUND", err)
	}
}

func TestCallGetfqdn(t *testing.T) {
	client, _ := withNames(t)
	for name, want := range map[string]string{
		"192.0.2.2":          "www.example.com",
		"web.example.com":    "www.example.com",
		"nobody.example.com": "nobody.example.com",
	} {
		if got := client.Getfqdn(context.Background(), name); got != want {
			t.Errorf("getfqdn(%q) = %q, want %q", name, got, want)
		}
	}
	if got := client.Gethostname(); got != "client" {
		t.Errorf("gethostname: %q", got)
	}
	if err := client.Sethostname("new"); err != nil || client.Gethostname() != "new" {
		t.Errorf("sethostname: %v, then the name is %q", err, client.Gethostname())
	}
}

func TestCallDatabases(t *testing.T) {
	client, _ := world(t, resolver.Config{})
	if port, err := client.Getservbyname("https", "tcp"); port != 443 || err != nil {
		t.Errorf("getservbyname: %d, %v", port, err)
	}
	if _, err := client.Getservbyname("https", "sctp"); err == nil || err.Error() != "getservbyname: service/proto not found" {
		t.Errorf("getservbyname without such a row: %v", err)
	}
	if name, err := client.Getservbyport(53, "udp"); name != "domain" || err != nil {
		t.Errorf("getservbyport: %q, %v", name, err)
	}
	if proto, err := client.Getprotobyname("icmp"); proto != IPPROTO_ICMP || err != nil {
		t.Errorf("getprotobyname: %d, %v", proto, err)
	}
}
