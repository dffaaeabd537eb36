package resolver

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"usersock/stack/endpoint"
	"usersock/testnet/dnszone"
)

const testZone = `
$TTL 300
@         SOA ns host\.master 1 3600 600 86400 60
@         NS  ns
ns        A     192.0.2.53
www       A     192.0.2.1
          AAAA  2001:db8:1::1
alias     CNAME www
short 5   A     192.0.2.2
zero 0    A     192.0.2.3
loopa     CNAME loopb
loopb     CNAME loopa
*.wild    A     192.0.2.4
text      TXT   "hello"
`

const reverseZone = `
$TTL 300
@ SOA ns.example. host.example. 1 3600 600 86400 60
1 PTR www.example.
2 PTR 203.0.113.9.
`

// lab is a resolver in front of one server.
type lab struct {
	*Resolver
	net    *fakeNet
	server *dnszone.Server
	cfg    Config
}

func newLab(t testing.TB, change func(*Config), servers ...*dnszone.Server) *lab {
	t.Helper()
	l := &lab{}
	if len(servers) == 0 {
		servers = []*dnszone.Server{dnszone.NewServer(mustZone(t, testZone, "example"),
			mustZone(t, reverseZone, "2.0.192.in-addr.arpa"), mustZone(t, "@ 60 SOA a. b. 1 2 3 4 60\n", "."))}
	}
	l.server = servers[0]
	byAddr := map[string]*dnszone.Server{}
	var conf strings.Builder
	for i, s := range servers {
		addr := fmt.Sprintf("192.0.2.%d", 53+i)
		fmt.Fprintf(&conf, "nameserver %s\n", addr)
		byAddr[addr+":53"] = s
	}
	l.net = newFakeNet(byAddr)
	l.cfg = Config{Dial: l.net.dial, Clock: l.net.clock, Host: testHost(), ResolvConf: conf.String()}
	if change != nil {
		change(&l.cfg)
	}
	r, err := New(l.cfg)
	if err != nil {
		t.Fatal(err)
	}
	l.Resolver = r
	t.Cleanup(func() {
		r.Close()
		l.net.mu.Lock()
		defer l.net.mu.Unlock()
		if l.net.open != 0 {
			t.Errorf("%d sockets left open", l.net.open)
		}
	})
	return l
}

// lookup returns the addresses of a name as one text, or the error's.
func (l *lab) lookup(name string) string {
	infos, err := l.Getaddrinfo(context.Background(), name, "80", 0, endpoint.SOCK_STREAM, 0, 0)
	if err != nil {
		return err.Error()
	}
	var ips []string
	for _, a := range infos {
		ips = append(ips, a.Addr.IP.String())
	}
	return strings.Join(ips, " ")
}

func (l *lab) want(t *testing.T, name, want string) {
	t.Helper()
	if got := l.lookup(name); got != want {
		t.Errorf("%s: %s, want %s", name, got, want)
	}
}
